//! A subscription's fields, split by the provider's schema into what is kept in clear and what is
//! sealed, and checked by it.

use serde_json::{Map, Value};

use super::catalog::{
    Catalog, CatalogError, ConstructorTerms, Field, FieldMistake, SubscriptionDraft,
};
use super::document::TriggerEntry;
use super::draft::Draft;
use super::mistake::Mistake;
use super::parameters;
use super::socket;
use super::subscription::{SubscriptionEntry, expect_text, pointer_of};
use crate::id::CredentialId;
use crate::model::{SubscriptionMode, Terms};
use crate::secret::Secret;
use crate::yaml::pointer_join;

/// The content of a subscription as it is wanted.
pub(super) struct WantedSubscription {
    pub mode: SubscriptionMode,
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    /// By field; empty if there are none.
    pub secrets: Map<String, Value>,
    pub terms: Terms,
}

/// Reads the fields of an entry; none if there were mistakes.
pub(super) async fn read(
    entry: &SubscriptionEntry,
    catalog: &dyn Catalog,
    draft: &mut Draft<'_>,
) -> Option<WantedSubscription> {
    let asked = catalog
        .subscription_fields(&entry.provider)
        .and_then(|fields| Ok((fields, catalog.constructor_terms(&entry.provider)?)));
    let (fields, constructor) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            let mistake = provider_mistake(&entry.pointer, &entry.provider, &error);
            draft.mistakes.push(mistake);
            return None;
        }
    };
    if let Some(given) = entry.managed.first_given() {
        let Some(terms) = constructor else {
            let message = format!(
                "`{}` cannot make subscriptions by itself: register the address at the service by \
                 hand, and give `manual`",
                entry.provider
            );
            let mistake = Mistake::value(pointer_of(entry, given), message);
            draft.mistakes.push(mistake);
            return None;
        };
        return read_managed(entry, &terms, catalog, draft).await;
    }
    let is_needed = fields.iter().any(|field| field.is_required);
    let is_open = constructor.is_some_and(|terms| terms.needs_credential || is_needed);
    if entry.manual.is_none() && is_open {
        let message = "neither `credential` nor `manual` is given: name the credential with which \
             this host makes it, or give the fields of what was registered by hand";
        let names = draft.credential_names(&entry.provider);
        let mistake = Mistake::value(entry.pointer.clone(), message).allowing(names);
        draft.mistakes.push(mistake);
        return None;
    }
    let wanted = read_manual(entry, &fields, catalog, &mut draft.mistakes).await?;
    socket::add(entry, catalog, wanted, &mut draft.mistakes)
}

async fn read_manual(
    entry: &SubscriptionEntry,
    fields: &[Field],
    catalog: &dyn Catalog,
    mistakes: &mut Vec<Mistake>,
) -> Option<WantedSubscription> {
    let before = mistakes.len();
    let pointer = pointer_of(entry, "manual");
    let given = entry.manual.clone().unwrap_or_default();
    let (properties, secrets) = split(&pointer, &given, fields, mistakes);
    if mistakes.len() > before {
        return None;
    }
    let draft = SubscriptionDraft {
        parameters: Map::new(),
        properties: properties.clone(),
        secrets: Secret::new(Value::Object(secrets.clone()).to_string()),
    };
    match catalog.validate_subscription(&entry.provider, &draft).await {
        Ok(found) => note_all(found, &pointer, mistakes),
        Err(error) => mistakes.push(provider_mistake(&entry.pointer, &entry.provider, &error)),
    }
    let wanted = WantedSubscription {
        mode: SubscriptionMode::Manual,
        parameters: Map::new(),
        properties,
        secrets,
        terms: Terms::default(),
    };
    (mistakes.len() == before).then_some(wanted)
}

async fn read_managed(
    entry: &SubscriptionEntry,
    terms: &ConstructorTerms,
    catalog: &dyn Catalog,
    draft: &mut Draft<'_>,
) -> Option<WantedSubscription> {
    let before = draft.mistakes.len();
    let credential_id = find_credential(entry, terms, draft);
    let given = entry.managed.parameters.clone().unwrap_or_default();
    // What is missing is told where the parameters stand, or would.
    let pointer = match entry.managed.parameters {
        Some(_) => pointer_of(entry, "parameters"),
        None => entry.pointer.clone(),
    };
    let parameters = parameters::check(&pointer, &given, &terms.parameters, &mut draft.mistakes);
    let events = entry.managed.events.as_deref().unwrap_or_default();
    check_events(entry, events, (terms, catalog), &mut draft.mistakes).await;
    let wanted = WantedSubscription {
        mode: SubscriptionMode::Managed,
        parameters,
        properties: Map::new(),
        secrets: Map::new(),
        terms: Terms {
            credential_id,
            events: entry.managed.events.clone(),
            policy: entry.managed.policy.unwrap_or_default(),
            poll: entry.managed.poll.clone(),
        },
    };
    (draft.mistakes.len() == before).then_some(wanted)
}

fn find_credential(
    entry: &SubscriptionEntry,
    terms: &ConstructorTerms,
    draft: &mut Draft<'_>,
) -> Option<CredentialId> {
    let provider = &entry.provider;
    let Some(name) = &entry.managed.credential else {
        if terms.needs_credential {
            let message = format!(
                "`credential` is missing: `{provider}` makes subscriptions in the name of an account"
            );
            let names = draft.credential_names(provider);
            let mistake = Mistake::value(entry.pointer.clone(), message).allowing(names);
            draft.mistakes.push(mistake);
        }
        return None;
    };
    let message = match draft.find_credential(name) {
        Some((id, of)) if of == *provider => return Some(id),
        Some((_, of)) => {
            format!("`{name}` is a credential of `{of}`, expected one of `{provider}`")
        }
        None => format!(
            "there is no credential `{name}` in the document or stored: connect an account with \
             `triggerd connect {provider} --name {name}`, or give its values under `credentials`"
        ),
    };
    let names = draft.credential_names(provider);
    let mistake = Mistake::value(pointer_of(entry, "credential"), message).allowing(names);
    draft.mistakes.push(mistake);
    None
}

/// An event that no declaration names is in order if the provider passes such events on.
async fn check_events(
    entry: &SubscriptionEntry,
    events: &[String],
    (terms, catalog): (&ConstructorTerms, &dyn Catalog),
    mistakes: &mut Vec<Mistake>,
) {
    for event in events.iter().filter(|event| !terms.events.contains(event)) {
        let none = Map::new();
        let checked = catalog
            .validate_trigger(&entry.provider, event, &none)
            .await;
        let said = match checked {
            Ok(found) => match found.into_iter().next() {
                Some(first) => first.message,
                None => continue,
            },
            Err(error) => error.to_string(),
        };
        let at = pointer_of(entry, "events");
        mistakes.push(Mistake::value(at, format!("`{event}`: {said}")).allowing(&terms.events));
    }
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
