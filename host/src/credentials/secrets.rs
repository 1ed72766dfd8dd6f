//! The secrets of a credential by field, as they are sealed: one JSON object of texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::secret::Secret;

/// Secrets by field.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(BTreeMap<String, Secret<String>>);

impl Secrets {
    /// Reads what was sealed; what is no text is left out.
    pub fn parse(text: &Secret<String>) -> Secrets {
        let parsed: Map<String, Value> = serde_json::from_str(text.expose()).unwrap_or_default();
        let texts = parsed.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, Secret::new(text))),
            _ => None,
        });
        Secrets(texts.collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.get(name).map(|secret| secret.expose().as_str());
        found.filter(|text| !text.is_empty())
    }

    pub fn set(&mut self, name: &str, value: &Secret<String>) {
        self.0.insert(name.to_owned(), value.clone());
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.expose().as_str()))
    }

    /// As it is to be sealed.
    pub fn to_text(&self) -> Secret<String> {
        let map: BTreeMap<&str, &str> = self.iter().collect();
        Secret::new(serde_json::to_string(&map).expect("invariant: texts serialize"))
    }
}

/// Fields that are not secret, as texts.
pub(super) fn plain_texts(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let texts = fields.iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name.clone(), text.clone())),
        Value::Bool(_) | Value::Number(_) => Some((name.clone(), value.to_string())),
        _ => None,
    });
    texts.collect()
}
