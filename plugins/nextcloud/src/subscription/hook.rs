//! A hook as Nextcloud describes it, which is not quite as its own description says.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use trigger_plugin_api::prelude::*;

use super::wanted::{KEY_HEADER, SECRET_HEADER};
use crate::class::EventClass;

/// What the server says of a hook. Unknown fields are Nextcloud's business.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    #[serde(deserialize_with = "id")]
    pub id: u64,
    #[serde(default)]
    pub http_method: String,
    #[serde(default)]
    pub uri: String,
    /// The class.
    #[serde(default)]
    pub event: String,
    #[serde(default, deserialize_with = "map")]
    pub event_filter: Map<String, Value>,
    #[serde(default)]
    pub user_id_filter: Option<String>,
    #[serde(default, deserialize_with = "map")]
    pub headers: Map<String, Value>,
    #[serde(default)]
    pub auth_method: Option<String>,
    /// Whose live tokens are put into each delivery.
    #[serde(default, deserialize_with = "map")]
    pub token_needed: Map<String, Value>,
}

impl Hook {
    /// A header that it sends.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_str())
    }

    /// The key of its making.
    pub fn key(&self) -> Option<&str> {
        self.header(KEY_HEADER).filter(|key| !key.is_empty())
    }

    /// Our name for what it listens to.
    pub fn event_name(&self, declared: &Declared) -> String {
        match EventClass::of(declared, &self.event) {
            Ok(class) => class.name,
            Err(_) => self.event.clone(),
        }
    }
}

/// Several ids as the host keeps them.
pub fn external_id(ids: impl Iterator<Item = u64>) -> String {
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_unstable();
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    ids.join(",")
}

/// The hooks of one making as the host lists them.
pub fn into_held(declared: &Declared, hooks: Vec<Hook>) -> HeldSubscription {
    let ids: BTreeMap<String, u64> = hooks
        .iter()
        .map(|hook| (hook.event_name(declared), hook.id))
        .collect();
    let mut properties = Map::from_iter([("hooks".to_owned(), json!(ids))]);
    let key = hooks.first().and_then(Hook::key).map(str::to_owned);
    properties.extend(key.map(|key| ("key".to_owned(), json!(key))));
    HeldSubscription {
        external_id: external_id(hooks.iter().map(|hook| hook.id)),
        endpoint_url: hooks
            .first()
            .map(|hook| hook.uri.clone())
            .unwrap_or_default(),
        events: ids.into_keys().collect(),
        // A hook cannot be switched off; one without our header is refused when it sends.
        active: hooks
            .iter()
            .all(|hook| hook.header(SECRET_HEADER).is_some()),
        properties,
    }
}

/// A number here, a text there.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let id = match &value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    id.ok_or_else(|| serde::de::Error::custom("the id is not a number"))
}

/// PHP writes an empty map as `[]`; an unset one is `null`.
fn map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::Array(items) if items.is_empty() => Ok(Map::new()),
        _ => Err(serde::de::Error::custom("a map is expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_maps_are_lists_and_ids_are_numbers_or_texts() {
        for id in ["7", "\"7\""] {
            let hook: Hook = serde_json::from_str(&format!(
                r#"{{"id":{id},"appId":null,"userId":"admin","httpMethod":"POST","uri":"https://a.test","event":"X\\Y","eventFilter":[],"userIdFilter":"","headers":null,"authMethod":"none","authData":null,"tokenNeeded":[]}}"#
            ))
            .unwrap();
            assert_eq!((hook.id, hook.event.as_str()), (7, "X\\Y"));
            assert!(hook.event_filter.is_empty() && hook.headers.is_empty());
            assert_eq!(hook.key(), None);
        }
    }

    #[test]
    fn ids_are_kept_in_their_order() {
        assert_eq!(external_id([13, 2, 100].into_iter()), "2,13,100");
    }
}
