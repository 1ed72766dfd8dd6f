//! The friendly parameters of a subscription, read once.

use serde_json::{Map, Value};
use trigger_plugin_api::prelude::*;

use crate::files::media_type::endings;

/// What shall be left out. Empty lists leave out nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilterParameters {
    pub paths: Vec<String>,
    pub folders: Vec<String>,
    pub mime_types: Vec<String>,
    pub users: Vec<String>,
    pub tags: Vec<i64>,
    pub calendars: Vec<CalendarName>,
    /// Nextcloud's own words; holds together with the rest.
    pub raw: Option<Map<String, Value>>,
}

/// How an operator names a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalendarName {
    /// `7`
    Id(i64),
    /// `personal`, or `alice/personal` for one owner's.
    Address { owner: Option<String>, uri: String },
}

/// The names of all of these parameters.
pub const NAMES: [&str; 7] = [
    "paths",
    "folders",
    "mime_types",
    "users",
    "tags",
    "calendars",
    "event_filter",
];

impl FilterParameters {
    /// Reads them.
    ///
    /// # Errors
    /// `INVALID_INPUT` naming the parameter, what was found and what is expected.
    pub fn of(parameters: &Map<String, Value>) -> Result<Self> {
        let paths = texts(parameters, "paths")?;
        let folders = texts(parameters, "folders")?;
        let users = texts(parameters, "users")?;
        for (name, list) in [("paths", &paths), ("folders", &folders), ("users", &users)] {
            if let Some(text) = list.iter().find(|text| text.chars().any(char::is_control)) {
                return Err(wrong(
                    name,
                    &text.as_str().into(),
                    "a text without line breaks",
                ));
            }
        }
        if let Some(user) = users.iter().find(|user| user.contains('/')) {
            return Err(wrong(
                "users",
                &user.as_str().into(),
                "a user id, which has no slash",
            ));
        }
        let mime_types = texts(parameters, "mime_types")?;
        for each in &mime_types {
            endings(each).map_err(|error| {
                Error::invalid_input(format!("parameters.mime_types: {}", error.message))
            })?;
        }
        let tags = texts(parameters, "tags")?;
        let calendars = texts(parameters, "calendars")?;
        Ok(Self {
            paths,
            folders,
            mime_types,
            users,
            tags: tags.iter().map(|tag| tag_id(tag)).collect::<Result<_>>()?,
            calendars: calendars
                .iter()
                .map(|calendar| calendar_name(calendar))
                .collect::<Result<_>>()?,
            raw: raw(parameters)?,
        })
    }
}

/// A list of texts; a single one stands for a list of one, numbers for their text.
pub fn texts(parameters: &Map<String, Value>, name: &str) -> Result<Vec<String>> {
    let items = match parameters.get(name) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    let mut texts = Vec::new();
    for item in items {
        match item {
            Value::String(text) if text.trim().is_empty() => {}
            Value::String(text) => texts.push(text.clone()),
            Value::Number(number) => texts.push(number.to_string()),
            other => return Err(wrong(name, other, "a list of texts")),
        }
    }
    Ok(texts)
}

fn tag_id(tag: &str) -> Result<i64> {
    let id = tag.trim().parse();
    id.map_err(|_| wrong("tags", &tag.into(), "the id of a tag, a number"))
}

fn calendar_name(text: &str) -> Result<CalendarName> {
    let text = text.trim().trim_matches('/');
    if let Ok(id) = text.parse() {
        return Ok(CalendarName::Id(id));
    }
    let (owner, uri) = match text.split_once('/') {
        Some((owner, uri)) => (Some(owner.to_owned()), uri),
        None => (None, text),
    };
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['/', '\n', '\r']);
    if is_plain(uri) && owner.as_deref().is_none_or(is_plain) {
        return Ok(CalendarName::Address {
            owner,
            uri: uri.to_owned(),
        });
    }
    Err(wrong(
        "calendars",
        &text.into(),
        "`owner/address`, `address` or an id",
    ))
}

/// Text is taken too, for those who have the filter as one.
fn raw(parameters: &Map<String, Value>) -> Result<Option<Map<String, Value>>> {
    let expected = "an object such as {\"user.uid\": \"alice\"}";
    let found = match parameters.get("event_filter") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| Error::invalid_input(format!("event_filter is not JSON: {error}")))?,
        Some(value) => value.clone(),
    };
    match found {
        Value::Object(filter) if filter.is_empty() => Ok(None),
        Value::Object(filter) => Ok(Some(filter)),
        // An empty map, as PHP writes it.
        Value::Array(list) if list.is_empty() => Ok(None),
        other => Err(wrong("event_filter", &other, expected)),
    }
}

fn wrong(name: &str, found: &Value, expected: &str) -> Error {
    Error::invalid_input(format!(
        "parameters.{name} has {found}; {expected} is expected"
    ))
}
