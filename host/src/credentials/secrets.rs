//! The secrets of a credential by field, as they are sealed: one JSON object of texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::secret::Secret;

/// Of a text that someone else wrote.
const SHOWN_MAX: usize = 300;

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

    /// A text of someone who was shown these secrets, without them.
    pub fn hide_in(&self, text: &str) -> String {
        let values: Vec<&str> = self.iter().map(|(_, value)| value).collect();
        shown(text, &values)
    }

    /// As it is to be sealed.
    pub fn to_text(&self) -> Secret<String> {
        let map: BTreeMap<&str, &str> = self.iter().collect();
        Secret::new(serde_json::to_string(&map).expect("invariant: texts serialize"))
    }
}

/// A service's words, short, in one line and without our secrets, as they are and as they stand in
/// forms and addresses.
pub(super) fn shown(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        let in_form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text = text.replace(secret, "[secret]");
        text = text.replace(&in_form, "[secret]");
    }
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_MAX)
        .collect()
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
