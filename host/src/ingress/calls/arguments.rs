//! The arguments of a call: a JSON object whose values stay as they were written.

use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::refusal::Refusal;

/// Names that begin so are the host's own: no sender can pretend to be it.
const RESERVED: &str = "WEBHOOK__";
/// The attributes of a CloudEvent.
pub(super) const METADATA: &str = "WEBHOOK__METADATA__";
/// The folder of the files that came with the call.
pub(super) const FILES: &str = "WEBHOOK__FILES__";
/// Where a value stands that is no object.
const BODY: &str = "body";

/// Name and value, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    values: IndexMap<String, Box<RawValue>>,
    /// What was sent stands under `body` already, or is no object.
    is_wrapped: bool,
}

impl Arguments {
    /// Of JSON: an object is the arguments, anything else is the argument `body`. Nothing at all is
    /// no arguments. `field` names where the text stood.
    pub(super) fn of_json(json: &[u8], field: &str) -> Result<Arguments, Refusal> {
        let json = json.trim_ascii();
        if json.is_empty() {
            return Ok(Arguments::default());
        }
        let unreadable = |error: serde_json::Error| {
            Refusal::unreadable(field, format!("it is not JSON that can be kept: {error}"))
        };
        // Read whole, so that what is kept can be read by everyone: no lone surrogates, no number
        // out of range, no nesting without end.
        serde_json::from_slice::<Value>(json).map_err(unreadable)?;
        if json.first() == Some(&b'{') {
            let map: IndexMap<String, Box<RawValue>> =
                serde_json::from_slice(json).map_err(unreadable)?;
            let arguments = Arguments {
                values: map,
                is_wrapped: false,
            };
            return arguments.checked();
        }
        let value: Box<RawValue> = serde_json::from_slice(json).map_err(unreadable)?;
        Ok(Arguments {
            values: IndexMap::from_iter([(BODY.to_owned(), value)]),
            is_wrapped: true,
        })
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
        match self.values.keys().find(|name| name.starts_with(RESERVED)) {
            None => Ok(self),
            Some(name) => {
                let detail = format!("names that begin with `{RESERVED}` are the host's own");
                Err(Refusal::invalid(format!("/{name}"), detail))
            }
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
    }
}
