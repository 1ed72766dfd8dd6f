//! The arguments of a call: a JSON object whose values stay as they were written.

use axum::http::StatusCode;
use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::refusal::Refusal;
use crate::json;

/// Names that begin so are the host's own: no sender can pretend to be it.
const RESERVED: &str = "WEBHOOK__";
/// The attributes of a CloudEvent.
pub(super) const METADATA: &str = "WEBHOOK__METADATA__";
/// The folder of the files that came with the call.
pub(super) const FILES: &str = "WEBHOOK__FILES__";
/// What a preprocessor is told of the request.
pub(super) const REQUEST: &str = "WEBHOOK__REQUEST__";
/// More arguments are refused: whoever sends more has a list in mind.
const ARGUMENTS_MAX: usize = 65_536;
/// Where a value stands that is no object.
const BODY: &str = "body";

/// Name and value, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    values: IndexMap<String, Box<RawValue>>,
    /// What was sent stands under `body` already, or is no object.
    is_wrapped: bool,
}

impl Arguments {
    /// Of JSON: an object is the arguments, anything else is the argument `body`. Nothing at all is
    /// no arguments. `field` names where the text stood.
    pub(super) fn of_json(json: &[u8], field: &str) -> Result<Arguments, Refusal> {
        Arguments::of_json_unchecked(json, field)?.checked()
    }

    fn of_json_unchecked(text: &[u8], field: &str) -> Result<Arguments, Refusal> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(Arguments::default());
        }
        let unreadable = |error: serde_json::Error| {
            Refusal::unreadable(field, format!("it is not JSON that can be kept: {error}"))
        };
        let seen = json::check(text).map_err(unreadable)?;
        if text.first() == Some(&b'{') {
            bound(seen.members, field)?;
            let map: IndexMap<String, Box<RawValue>> =
                serde_json::from_slice(text).map_err(unreadable)?;
            return Ok(Arguments {
                values: map,
                is_wrapped: false,
            });
        }
        let value: Box<RawValue> = serde_json::from_slice(text).map_err(unreadable)?;
        Ok(Arguments {
            values: IndexMap::from_iter([(BODY.to_owned(), value)]),
            is_wrapped: true,
        })
    }

    /// Of what a runnable made of `given`: of the host's own names it may pass on what it was given,
    /// and nothing else.
    pub(super) fn of_result(json: &[u8], given: &Arguments) -> Result<Arguments, Refusal> {
        let mut read = Arguments::of_json_unchecked(json, "result")?;
        let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
        read.values.retain(|name, shaped| {
            let Some(held) = given
                .values
                .get(name)
                .filter(|_| name.starts_with(RESERVED))
            else {
                return true;
            };
            name != REQUEST || value(held) != value(shaped)
        });
        let own = read
            .values
            .iter()
            .filter(|(name, _)| name.starts_with(RESERVED));
        for (name, shaped) in own {
            let held = given.values.get(name).and_then(|held| value(held));
            if held.is_none() || held != value(shaped) {
                let detail = format!("names that begin with `{RESERVED}` are the host's own");
                return Err(Refusal::invalid(format!("/{name}"), detail));
            }
        }
        Ok(read)
    }

    /// A text under one name.
    pub(super) fn of_text(name: &str, text: &str) -> Arguments {
        let mut arguments = Arguments {
            is_wrapped: true,
            ..Arguments::default()
        };
        arguments.set(name, text);
        arguments
    }

    /// Of pairs; a name that comes again makes a list of its values.
    pub(super) fn of_pairs<V: Serialize>(
        pairs: impl IntoIterator<Item = (String, V)>,
    ) -> Result<Arguments, Refusal> {
        let mut lists: IndexMap<String, Vec<V>> = IndexMap::new();
        for (name, value) in pairs {
            lists.entry(name).or_default().push(value);
        }
        let mut arguments = Arguments::default();
        for (name, list) in &lists {
            match list.as_slice() {
                [one] => arguments.set(name, one),
                several => arguments.set(name, several),
            }
        }
        arguments.checked()
    }

    /// Sets an argument; one of this name that the sender set gives way.
    pub(super) fn set(&mut self, name: &str, value: impl Serialize) {
        let value =
            to_raw_value(&value).expect("invariant: texts, lists and maps of them are JSON");
        self.values.insert(name.to_owned(), value);
    }

    /// Takes an argument out.
    pub(super) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.values.shift_remove(name)
    }

    /// An object as the argument `body`; anything else stands under a name of its own already.
    pub(super) fn wrapped(self) -> Arguments {
        if self.is_wrapped {
            return self;
        }
        let mut wrapped = Arguments {
            is_wrapped: true,
            ..Arguments::default()
        };
        wrapped.set(BODY, self.values);
        wrapped
    }

    /// As they are kept and handed over.
    pub(super) fn into_bytes(self) -> Bytes {
        serde_json::to_vec(&self.values)
            .expect("invariant: JSON that was read can be written")
            .into()
    }

    fn checked(self) -> Result<Arguments, Refusal> {
        let mut names = self.values.keys();
        names.try_for_each(|name| check_name(name, || format!("/{name}")))?;
        Ok(self)
    }
}

/// Each argument costs more room than its text.
fn bound(arguments: usize, field: &str) -> Result<(), Refusal> {
    match arguments <= ARGUMENTS_MAX {
        true => Ok(()),
        false => {
            let detail = format!("a call has at most {ARGUMENTS_MAX} arguments");
            Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, detail).at(field))
        }
    }
}

/// Refuses a name of an argument that only the host gives; `field` names where it stood.
pub(super) fn check_name(name: &str, field: impl FnOnce() -> String) -> Result<(), Refusal> {
    match name.starts_with(RESERVED) {
        false => Ok(()),
        true => {
            let detail = format!("names that begin with `{RESERVED}` are the host's own");
            Err(Refusal::invalid(field(), detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<&str, u16>) {
        let read = Arguments::of_json(json.as_bytes(), "body");
        let read = read
            .map(|arguments| String::from_utf8(arguments.into_bytes().to_vec()).expect("text"))
            .map_err(|refusal| refusal.status.as_u16());
        assert_eq!(
            read.as_deref().map_err(|status| *status),
            expected,
            "{json}"
        );
    }

    #[test]
    fn values_stay_as_they_were_written() {
        check(
            r#"{"n": 12345678901234567890123.50, "a":{"b" : 1}}"#,
            Ok(r#"{"n":12345678901234567890123.50,"a":{"b" : 1}}"#),
        );
        check(" \n\t[1,2] ", Ok(r#"{"body":[1,2]}"#));
        check("null", Ok(r#"{"body":null}"#));
        check("", Ok("{}"));
        check(r#"{"a":1,"a":2}"#, Ok(r#"{"a":2}"#));
    }

    #[test]
    fn what_others_could_not_read_is_refused() {
        check("{", Err(400));
        check(r#""\ud800""#, Err(400));
        check("[1e999]", Err(400));
        check(&"[".repeat(10_000), Err(400));
        check(r#"{"WEBHOOK__METADATA__":{}}"#, Err(422));
        check(
            r#"{"$serde_json::private::RawValue":"{\"WEBHOOK__FILES__\":\"/etc\"}"}"#,
            Err(400),
        );
        let many = |count| vec!["\"a\":1"; count].join(",");
        check(&format!("{{{}}}", many(ARGUMENTS_MAX)), Ok(r#"{"a":1}"#));
        check(&format!("{{{}}}", many(ARGUMENTS_MAX + 1)), Err(413));
    }
}
