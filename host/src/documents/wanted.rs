//! A subscription's fields, split by the provider's schema into what is kept in clear and what is
//! sealed, and checked by it.

use serde_json::{Map, Value};

use super::catalog::{Catalog, CatalogError, Field, FieldMistake, SubscriptionDraft};
use super::document::{SubscriptionEntry, TriggerEntry, expect_text};
use super::mistake::Mistake;
use crate::secret::Secret;
use crate::yaml::pointer_join;

/// The content of a subscription as it is wanted.
pub(super) struct WantedSubscription {
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    /// By field; empty if there are none.
    pub secrets: Map<String, Value>,
}

/// Reads the fields of an entry; none if there were mistakes.
pub(super) async fn read(
    entry: &SubscriptionEntry,
    catalog: &dyn Catalog,
    mistakes: &mut Vec<Mistake>,
) -> Option<WantedSubscription> {
    let fields = match catalog.subscription_fields(&entry.provider) {
        Ok(fields) => fields,
        Err(error) => {
            mistakes.push(provider_mistake(&entry.pointer, &entry.provider, &error));
            return None;
        }
    };
    let before = mistakes.len();
    let pointer = format!("{}/manual", entry.pointer);
    let (properties, secrets) = split(&pointer, &entry.manual, &fields, mistakes);
    let wanted = WantedSubscription {
        parameters: Map::new(),
        properties,
        secrets,
    };
    if mistakes.len() > before {
        return None;
    }
    let draft = SubscriptionDraft {
        parameters: wanted.parameters.clone(),
        properties: wanted.properties.clone(),
        secrets: Secret::new(Value::Object(wanted.secrets.clone()).to_string()),
    };
    match catalog.validate_subscription(&entry.provider, &draft).await {
        Ok(found) => note_all(found, &pointer, mistakes),
        Err(error) => mistakes.push(provider_mistake(&entry.pointer, &entry.provider, &error)),
    }
    (mistakes.len() == before).then_some(wanted)
}

/// Fields as they are given below `pointer`, checked against the schema: those that are not secret,
/// and those that are.
pub(super) fn split(
    pointer: &str,
    given: &Map<String, Value>,
    fields: &[Field],
    mistakes: &mut Vec<Mistake>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut plain, mut secrets) = (Map::new(), Map::new());
    for (key, value) in given {
        let at = pointer_join(pointer, key);
        let Some(field) = fields.iter().find(|field| field.name == *key) else {
            let allowed = fields.iter().map(|field| field.name.clone()).collect();
            mistakes.push(Mistake::unknown_key(at, key, allowed));
            continue;
        };
        expect_text(value, &at, mistakes);
        let is_option = value
            .as_str()
            .is_none_or(|text| field.options.iter().any(|o| o == text));
        if !field.options.is_empty() && !is_option {
            let message = format!("`{key}`: expected one of the allowed values");
            mistakes.push(Mistake::value(at, message).allowing(&field.options));
            continue;
        }
        let kept = if field.is_secret {
            &mut secrets
        } else {
            &mut plain
        };
        if !value.is_null() {
            kept.insert(key.clone(), value.clone());
        }
    }
    let section = pointer.rsplit('/').next().unwrap_or_default();
    for field in fields.iter().filter(|field| field.is_required) {
        let value = given.get(&field.name);
        if value.is_none_or(|value| value.is_null() || value == "") {
            let message = format!("`{section}.{}` is missing or empty", field.name);
            let at = if value.is_some() {
                pointer_join(pointer, &field.name)
            } else {
                pointer.to_owned()
            };
            mistakes.push(Mistake::value(at, message));
        }
    }
    (plain, secrets)
}

/// Notes what a plugin found, below `pointer`.
fn note_all(found: Vec<FieldMistake>, pointer: &str, mistakes: &mut Vec<Mistake>) {
    for mistake in found {
        let pointer = match &mistake.field {
            Some(field) => pointer_join(pointer, field),
            None => pointer.to_owned(),
        };
        mistakes.push(Mistake::value(pointer, mistake.message).allowing(mistake.allowed));
    }
}

/// Notes what a plugin found in a trigger: at the parameter that it names, be it only in its
/// sentence, else at the event.
pub(super) fn note_of_trigger(
    found: Vec<FieldMistake>,
    entry: &TriggerEntry,
    mistakes: &mut Vec<Mistake>,
) {
    let parameters = format!("{}/parameters", entry.pointer);
    for mistake in found {
        let mut names = entry.parameters.keys();
        let said = names.find(|name| mistake.message.contains(&format!("`{name}`")));
        let pointer = match mistake.field.as_ref().or(said) {
            Some(name) => pointer_join(&parameters, name),
            None => format!("{}/event", entry.pointer),
        };
        mistakes.push(Mistake::value(pointer, mistake.message).allowing(mistake.allowed));
    }
}

/// A provider that cannot be asked, as a mistake of the entry that names it.
pub(super) fn provider_mistake(pointer: &str, provider: &str, error: &CatalogError) -> Mistake {
    let pointer = format!("{pointer}/provider");
    match error {
        CatalogError::Unknown { loaded } => {
            Mistake::value(pointer, format!("there is no provider `{provider}`")).allowing(loaded)
        }
        other => Mistake::value(pointer, format!("`{provider}`: {other}")),
    }
}
