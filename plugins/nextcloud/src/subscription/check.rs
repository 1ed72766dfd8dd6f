//! Whether Nextcloud still holds the hooks as we hold them, and how they differ.

use serde_json::{Map, Value, json};
use trigger_plugin_api::prelude::*;

use super::hook::Hook;
use super::wanted::{self, Making, Wanted};
use super::{SECRET, hook_ids, name_of, read_hook};
use crate::api::{Api, Failure};
use crate::event_filter::PARAMETERS;

/// Reads every hook and compares.
pub async fn compare(
    api: &Api<'_>,
    declared: &Declared,
    held: &ExistingSubscription,
) -> Result<CheckReport> {
    let mut missing = Vec::new();
    let mut hooks: Vec<(String, Hook)> = Vec::new();
    for id in hook_ids(held)? {
        match read_hook(api, id).await {
            Ok(hook) => hooks.push((name_of(declared, held, &hook), hook)),
            Err(Failure::NotFound) => missing.push(format!("Nextcloud has no hook {id} any more")),
            Err(failure) => return Err(failure.during(format_args!("read the hook {id}"))),
        }
    }
    if hooks.is_empty() && missing.is_empty() {
        return Ok(CheckReport::missing("no hook was ever made"));
    }
    if !missing.is_empty() {
        return Ok(CheckReport::of(CheckState::Missing, missing));
    }
    let wanted = wanted_of(declared, held, &held.parameters)?;
    let drift = differences(&wanted, &hooks);
    if drift.is_empty() {
        return Ok(CheckReport::ok());
    }
    let findings = drift.iter().map(sentence).collect();
    Ok(CheckReport {
        drift,
        adopt: adoptable(declared, held, &hooks),
        ..CheckReport::of(CheckState::Drifted, findings)
    })
}

fn wanted_of(
    declared: &Declared,
    held: &ExistingSubscription,
    parameters: &Map<String, Value>,
) -> Result<Vec<Wanted>> {
    let making = Making {
        url: &held.endpoint_url,
        secret: held.secrets.get(SECRET).map_or("", String::as_str),
        key: &held.key,
    };
    wanted::all(declared, making, parameters, &held.events)
}

/// Of several hooks, each field is named with its event.
fn differences(wanted: &[Wanted], hooks: &[(String, Hook)]) -> Vec<Drift> {
    let is_one = wanted.len() == 1 && hooks.len() == 1;
    let mut drift = Vec::new();
    for each in wanted {
        let name = &each.class.name;
        match hooks.iter().find(|(event, _)| event == name) {
            Some((_, hook)) => {
                drift.extend(each.differences(hook).into_iter().map(|found| Drift {
                    field: match is_one {
                        true => found.field,
                        false => format!("{name}.{}", found.field),
                    },
                    ..found
                }))
            }
            None => drift.push(Drift {
                field: format!("{name}.event"),
                ours: json!(each.class.class),
                theirs: Value::Null,
            }),
        }
    }
    let unwanted = hooks
        .iter()
        .filter(|(event, _)| wanted.iter().all(|each| each.class.name != *event));
    drift.extend(unwanted.map(|(event, hook)| Drift {
        field: format!("{event}.event"),
        ours: Value::Null,
        theirs: json!(hook.event),
    }));
    drift
}

fn sentence(drift: &Drift) -> String {
    format!(
        "{} is {}, but should be {}",
        drift.field, drift.theirs, drift.ours
    )
}

/// Parameters by which we would want what the server has: its events and its filter, which must be
/// the same for all of its hooks. Empty when even these leave a difference.
fn adoptable(
    declared: &Declared,
    held: &ExistingSubscription,
    hooks: &[(String, Hook)],
) -> Map<String, Value> {
    let Some((_, first)) = hooks.first() else {
        return Map::new();
    };
    let events: Vec<String> = hooks
        .iter()
        .map(|(_, hook)| hook.event_name(declared))
        .collect();
    let mut adopt = Map::from_iter([("events".to_owned(), json!(events))]);
    for name in PARAMETERS {
        adopt.insert(name.to_owned(), Value::Null);
    }
    if !first.event_filter.is_empty() {
        adopt.insert("event_filter".to_owned(), json!(first.event_filter));
    }
    let mut parameters = held.parameters.clone();
    parameters.extend(adopt.clone());
    let renamed: Vec<(String, Hook)> = hooks
        .iter()
        .map(|(_, hook)| (hook.event_name(declared), hook.clone()))
        .collect();
    match wanted_of(declared, held, &parameters) {
        Ok(wanted) if differences(&wanted, &renamed).is_empty() => adopt,
        _ => Map::new(),
    }
}
