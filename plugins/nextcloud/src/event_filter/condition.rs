//! Friendly parameters as conditions of Nextcloud's filter.
//!
//! An event of two files (copied, renamed, restored) passes if either is wanted: triggers look closer.

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::parameters::{CalendarName, FilterParameters};
use super::pattern;
use crate::class::EventClass;
use crate::files::media_type::endings;
use crate::files::path::{Sense, sense};

/// Where the ids of tags are.
pub const TAGS: &str = "event.tagIds";

/// Where an event says the paths of files.
pub fn path_fields(class: &EventClass) -> Vec<&'static str> {
    let fields = ["event.node.path", "event.source.path", "event.target.path"];
    fields
        .into_iter()
        .filter(|field| class.has(field))
        .collect()
}

/// Where an event says calendars: id and data.
pub fn calendar_fields(class: &EventClass) -> Vec<(&'static str, &'static str)> {
    let fields = [
        ("event.calendarId", "event.calendarData"),
        ("event.sourceCalendarId", "event.sourceCalendarData"),
        ("event.targetCalendarId", "event.targetCalendarData"),
    ];
    fields.into_iter().filter(|(id, _)| class.has(id)).collect()
}

/// The conditions that must all hold; none where no parameter concerns the class.
pub fn of(class: &EventClass, parameters: &FilterParameters) -> Result<Vec<Value>> {
    let mut conditions = Vec::new();
    let fields = path_fields(class);
    if !fields.is_empty() {
        if !parameters.paths.is_empty() {
            conditions.push(any(fields
                .iter()
                .map(|field| at_path(field, &parameters.paths)))?);
        }
        if !parameters.folders.is_empty() {
            conditions.extend(in_folders(&fields, &parameters.folders)?);
        }
        if !parameters.mime_types.is_empty() {
            conditions.push(of_types(&fields, &parameters.mime_types)?);
        }
    }
    let calendars = calendar_fields(class);
    if !calendars.is_empty() && !parameters.calendars.is_empty() {
        let each = calendars.iter().flat_map(|fields| {
            let wanted = parameters.calendars.iter();
            wanted.map(|calendar| Ok(in_calendar(*fields, calendar)))
        });
        conditions.push(any(each)?);
    }
    if class.has(TAGS) && !parameters.tags.is_empty() {
        conditions.push(json!({ TAGS: {"$in": parameters.tags} }));
    }
    if !parameters.users.is_empty() {
        // Not `$in`, which to PHP has "1e1" equal "10".
        let each = parameters.users.iter();
        conditions.push(any(each.map(|user| Ok(json!({"user.uid": user}))))?);
    }
    Ok(conditions)
}

/// Globs of which the last that matches decides, as a formula: each widens or narrows what those
/// before it let through.
fn at_path(field: &str, globs: &[String]) -> Result<Value> {
    let mut formula: Option<Value> = None;
    for glob in globs {
        let (sense, body) = sense(glob);
        let condition = json!({ field: pattern::at_path(&pattern::of_glob(body)?) });
        formula = Some(match (sense, formula.take()) {
            (Sense::Takes, None) => condition,
            (Sense::Takes, Some(before)) => json!({"$or": [before, condition]}),
            (Sense::TakesOut, None) if only_takes_out(globs) => json!({"$nor": [condition]}),
            // Nothing was let through yet, so that there is nothing to take out.
            (Sense::TakesOut, None) => continue,
            (Sense::TakesOut, Some(before)) => json!({"$and": [before, {"$nor": [condition]}]}),
        });
    }
    formula.ok_or_else(|| Error::internal("a list of globs came to no condition"))
}

fn only_takes_out(globs: &[String]) -> bool {
    globs.iter().all(|glob| sense(glob).0 == Sense::TakesOut)
}

/// None for the top folder, which holds everything.
fn in_folders(fields: &[&str], folders: &[String]) -> Result<Option<Value>> {
    let folders: Vec<&str> = folders
        .iter()
        .map(|folder| folder.trim_matches('/'))
        .collect();
    if folders.contains(&"") {
        return Ok(None);
    }
    let conditions = fields.iter().flat_map(|field| {
        folders.iter().map(move |folder| {
            let body = format!(r"{}(?:\/.*)?", pattern::escape(folder));
            Ok(json!({ *field: pattern::at_path(&body) }))
        })
    });
    any(conditions).map(Some)
}

fn of_types(fields: &[&str], types: &[String]) -> Result<Value> {
    let mut wanted = Vec::new();
    for each in types {
        wanted.extend(endings(each)?);
    }
    wanted.sort_unstable();
    wanted.dedup();
    let pattern = pattern::at_end(&wanted);
    any(fields.iter().map(|field| Ok(json!({ *field: pattern }))))
}

fn in_calendar((id, data): (&str, &str), calendar: &CalendarName) -> Value {
    match calendar {
        // `$in` compares loosely: ids are numbers here and texts there.
        CalendarName::Id(wanted) => json!({ id: {"$in": [wanted]} }),
        CalendarName::Address { owner: None, uri } => json!({ format!("{data}.uri"): uri }),
        CalendarName::Address {
            owner: Some(owner),
            uri,
        } => json!({
            format!("{data}.uri"): uri,
            format!("{data}.principaluri"): format!("principals/users/{owner}"),
        }),
    }
}

fn any(conditions: impl Iterator<Item = Result<Value>>) -> Result<Value> {
    let mut conditions = conditions.collect::<Result<Vec<_>>>()?;
    match conditions.len() {
        1 => Ok(conditions.remove(0)),
        _ => Ok(json!({ "$or": conditions })),
    }
}
