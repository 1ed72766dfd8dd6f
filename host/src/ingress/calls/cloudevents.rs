//! CloudEvents 1.0 that come in (HTTP protocol binding 1.0.2, JSON format 1.0.2): the attributes
//! become the argument `WEBHOOK__METADATA__`, the data the arguments.

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::arguments::{Arguments, METADATA};
use super::content::{self, MediaType};
use super::refusal::Refusal;
use crate::json;

/// More events in one batch are refused: all their jobs are made in one commit.
pub(super) const BATCH_MAX: usize = 1000;
/// More attributes of one event are refused: each costs more room than its text.
const ATTRIBUTES_MAX: usize = 1000;
const PREFIX: &str = "ce-";
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// How events travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Structured,
    Binary,
    Batch,
}

/// Which form a request has; none: it is no CloudEvent. A format other than JSON is 415.
pub(super) fn form_of(
    headers: &HeaderMap,
    kind: Option<&MediaType>,
) -> Result<Option<Form>, Refusal> {
    let essence = kind.map_or("", |kind| kind.essence.as_str());
    match essence {
        "application/cloudevents+json" => Ok(Some(Form::Structured)),
        "application/cloudevents-batch+json" => Ok(Some(Form::Batch)),
        _ if essence.starts_with("application/cloudevents") => Err(Refusal::of(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "of CloudEvents, the JSON format is read: `application/cloudevents+json`",
        )
        .at("content-type")),
        _ if headers.contains_key("ce-specversion") => Ok(Some(Form::Binary)),
        _ => Ok(None),
    }
}

/// One event as one JSON document; `at` is where it stands in the body.
pub(super) fn structured(text: &[u8], at: &str) -> Result<Arguments, Refusal> {
    let here = || match at {
        "" => "body".to_owned(),
        at => at.to_owned(),
    };
    let unreadable = |error: serde_json::Error| {
        Refusal::unreadable(here(), format!("it is not a JSON object: {error}"))
    };
    if json::check(text).map_err(unreadable)?.members > ATTRIBUTES_MAX {
        let detail = format!("an event has at most {ATTRIBUTES_MAX} attributes");
        return Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, detail).at(here()));
    }
    let mut members: IndexMap<String, Box<RawValue>> =
        serde_json::from_slice(text).map_err(unreadable)?;
    let data = members.shift_remove("data");
    let base64 = members.shift_remove("data_base64");
    let mut attributes = Map::new();
    for (name, raw) in members {
        let value: Value = serde_json::from_str(raw.get()).map_err(unreadable)?;
        let field = format!("{at}/{name}");
        check_name(&name, &field)?;
        match value {
            // The same as absent.
            Value::Null => continue,
            Value::String(_) | Value::Bool(_) => {}
            Value::Number(ref number) if number.is_i64() => {}
            _ => {
                let detail = "an attribute is a text, a whole number, or true or false";
                return Err(Refusal::unreadable(field, detail));
            }
        }
        attributes.insert(name, value);
    }
    check(&attributes, at)?;
    let kind = attributes.get("datacontenttype").and_then(Value::as_str);
    let kind = kind.and_then(MediaType::parse);
    let mut arguments = match (data, base64) {
        (Some(_), Some(_)) => {
            let detail = "`data` and `data_base64` stand together, expected one of them";
            return Err(Refusal::unreadable(format!("{at}/data_base64"), detail));
        }
        (Some(data), None) => of_data(&data, kind.as_ref(), &format!("{at}/data"))?,
        (None, Some(base64)) => of_base64(&base64, kind.as_ref(), &format!("{at}/data_base64"))?,
        (None, None) => Arguments::default(),
    };
    arguments.set(METADATA, attributes);
    Ok(arguments)
}

/// Several events as a JSON array, each as in the structured form.
pub(super) fn batch(text: &[u8]) -> Result<Vec<Arguments>, Refusal> {
    let unreadable = |error: serde_json::Error| {
        Refusal::unreadable("body", format!("it is not a JSON array: {error}"))
    };
    if json::check(text).map_err(unreadable)?.members > BATCH_MAX {
        let detail = format!("a batch holds at most {BATCH_MAX} events");
        return Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, detail).at("body"));
    }
    let events: Vec<&RawValue> = serde_json::from_slice(text).map_err(unreadable)?;
    let each = events.iter().enumerate();
    each.map(|(index, event)| structured(event.get().as_bytes(), &format!("/{index}")))
        .collect()
}

/// The attributes as headers, the data as the body.
pub(super) fn binary(
    headers: &HeaderMap,
    body: &[u8],
    kind: Option<&MediaType>,
) -> Result<Arguments, Refusal> {
    let attributes = attributes(headers, kind)?;
    let mut arguments = content::of_kind(kind, body)?;
    arguments.set(METADATA, attributes);
    Ok(arguments)
}

/// What the headers of the binary form say of an event.
pub(super) fn attributes(
    headers: &HeaderMap,
    kind: Option<&MediaType>,
) -> Result<Map<String, Value>, Refusal> {
    let mut attributes = Map::new();
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        check_name(attribute, name.as_str())?;
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refusal::unreadable(name.as_str(), "it stands there twice"));
        };
        let value = decode(value.as_bytes())
            .ok_or_else(|| Refusal::unreadable(name.as_str(), "it is not UTF-8 when decoded"))?;
        attributes.insert(attribute.to_owned(), Value::String(value));
    }
    if let Some(kind) = kind {
        attributes.insert("datacontenttype".to_owned(), kind.text.clone().into());
    }
    check(&attributes, PREFIX)?;
    Ok(attributes)
}

/// Percent-decodes once. `None`: what comes out is not UTF-8.
fn decode(value: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = (byte == b'%').then(|| after.get(..2)).flatten();
        let digits = digits.and_then(|digits| hex::decode(digits).ok());
        match digits {
            Some(digits) => {
                decoded.extend(digits);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

fn of_data(data: &RawValue, kind: Option<&MediaType>, field: &str) -> Result<Arguments, Refusal> {
    let is_json = kind.is_none_or(MediaType::is_json);
    let text = serde_json::from_str::<String>(data.get());
    match (is_json, text) {
        // Text in a format that is not JSON stands as a JSON string.
        (false, Ok(text)) => Ok(Arguments::of_text("raw_string", &text)),
        _ => Arguments::of_json(data.get().as_bytes(), field),
    }
}

fn of_base64(
    base64: &RawValue,
    kind: Option<&MediaType>,
    field: &str,
) -> Result<Arguments, Refusal> {
    let decoded = serde_json::from_str::<String>(base64.get())
        .ok()
        .and_then(|text| STANDARD.decode(text).ok());
    let decoded = decoded.ok_or_else(|| Refusal::unreadable(field, "expected base64 as a text"))?;
    match kind {
        // Bytes of no said type are bytes.
        None => Ok(Arguments::of_text("raw_bytes", &STANDARD.encode(decoded))),
        kind => content::of_kind(kind, &decoded),
    }
}

fn check_name(name: &str, field: &str) -> Result<(), Refusal> {
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match is_name {
        true => Ok(()),
        false => {
            let detail = "the name of an attribute is lower-case letters and digits";
            Err(Refusal::unreadable(field, detail))
        }
    }
}

/// What every event must say.
fn check(attributes: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
    let field = |name: &str| match at {
        PREFIX => format!("{PREFIX}{name}"),
        at => format!("{at}/{name}"),
    };
    for name in REQUIRED {
        match attributes.get(name) {
            Some(Value::String(text)) if !text.is_empty() => {}
            None => {
                let detail = format!("the attribute `{name}` is missing");
                return Err(Refusal::unreadable(field(name), detail));
            }
            Some(_) => {
                let detail = format!("the attribute `{name}` is a text that is not empty");
                return Err(Refusal::unreadable(field(name), detail));
            }
        }
    }
    if attributes["specversion"] != "1.0" {
        let detail = "expected `1.0`: no other version is read";
        return Err(Refusal::unreadable(field("specversion"), detail));
    }
    for name in ["datacontenttype", "dataschema", "subject", "time"] {
        if attributes.get(name).is_some_and(|value| !value.is_string()) {
            let detail = format!("the attribute `{name}` is a text");
            return Err(Refusal::unreadable(field(name), detail));
        }
    }
    if let Some(Value::String(time)) = attributes.get("time")
        && time.parse::<jiff::Timestamp>().is_err()
    {
        let detail = "expected a time like 2018-04-05T17:31:00Z (RFC 3339)";
        return Err(Refusal::unreadable(field("time"), detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded_once() {
        for (value, expected) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀")),
            ("100%25", Some("100%")),
            ("%2525", Some("%25")),
            ("100%", Some("100%")),
            ("%zz", Some("%zz")),
            ("%ff", None),
        ] {
            assert_eq!(decode(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }
}
