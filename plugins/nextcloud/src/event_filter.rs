//! What Nextcloud is asked to leave out: the `eventFilter` of a hook, built from friendly parameters.
//!
//! Nextcloud evaluates it over `{event, user, time}` with its own reading of MongoDB's queries. It
//! takes any filter when a hook is made; one that it cannot evaluate loses the event later, in
//! silence, and those of other hooks with it. So nothing is sent that was not checked.

mod check;
mod condition;
mod parameters;
mod pattern;

pub use parameters::{FilterParameters, NAMES as PARAMETERS, texts};

use serde_json::{Map, Value, json};
use trigger_plugin_api::prelude::*;

use crate::class::EventClass;

/// The filter of a hook for this class; an empty one lets everything through.
///
/// # Errors
/// `INVALID_INPUT` naming the parameter that cannot be right.
pub fn of(class: &EventClass, parameters: &FilterParameters) -> Result<Map<String, Value>> {
    let mut conditions = condition::of(class, parameters)?;
    conditions.extend(parameters.raw.clone().map(Value::Object));
    Ok(match conditions.len() {
        0 => Map::new(),
        1 => match conditions.pop() {
            Some(Value::Object(only)) => only,
            _ => Map::new(),
        },
        _ => Map::from_iter([("$and".to_owned(), json!(conditions))]),
    })
}

/// Whether every parameter that is set means something to one of these classes at least.
///
/// # Errors
/// `INVALID_INPUT` naming the parameter that does nothing, or the place in `event_filter` that is wrong.
pub fn validate(classes: &[EventClass], parameters: &FilterParameters) -> Result<()> {
    let files = classes
        .iter()
        .any(|class| !condition::path_fields(class).is_empty());
    let calendars = classes
        .iter()
        .any(|class| !condition::calendar_fields(class).is_empty());
    let tags = classes.iter().any(|class| class.has(condition::TAGS));
    for (name, is_set, means_something, what) in [
        ("paths", !parameters.paths.is_empty(), files, "a file"),
        ("folders", !parameters.folders.is_empty(), files, "a file"),
        (
            "mime_types",
            !parameters.mime_types.is_empty(),
            files,
            "a file",
        ),
        ("tags", !parameters.tags.is_empty(), tags, "tags"),
        (
            "calendars",
            !parameters.calendars.is_empty(),
            calendars,
            "a calendar",
        ),
    ] {
        if is_set && !means_something {
            let events: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            return Err(Error::invalid_input(format!(
                "parameters.{name} is set, but none of the events ({}) is of {what}",
                events.join(", ")
            )));
        }
    }
    match &parameters.raw {
        Some(raw) => check::check(raw, classes),
        None => Ok(()),
    }
}
