//! Reads one map of a document: asks for its fields by name and type, notes every mistake and goes on.

use serde_json::{Map, Value};

use super::mistake::Mistake;
use crate::units;
use crate::yaml::pointer_join;

/// A map that is being read.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    pointer: String,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Notes a mistake if `value` is no map.
    pub fn open(
        value: &'a Value,
        pointer: impl Into<String>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Fields<'a>> {
        let pointer = pointer.into();
        match value {
            Value::Object(map) => Some(Fields {
                map,
                pointer,
                known: Vec::new(),
            }),
            other => {
                let message = format!("found {}, expected a map of fields", found(other));
                mistakes.push(Mistake::value(pointer, message));
                None
            }
        }
    }

    /// Where a field stands.
    pub fn pointer_of(&self, key: &str) -> String {
        pointer_join(&self.pointer, key)
    }

    /// The value of a field; `null` is absent.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether a field is there and says `null`.
    pub fn is_null(&mut self, key: &'static str) -> bool {
        self.value(key).is_none() && self.map.contains_key(key)
    }

    /// A text that has to be there.
    pub fn text(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<&'a str> {
        if self.value(key).is_none() {
            let message = format!("`{key}` is missing");
            mistakes.push(Mistake::value(self.pointer.clone(), message));
            return None;
        }
        self.text_if_any(key, mistakes)
    }

    /// A text that may be absent.
    pub fn text_if_any(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<&'a str> {
        let value = self.value(key)?;
        let text = value.as_str();
        if text.is_none() {
            mistakes.push(self.expected(key, value, "a text; put it in quotes"));
        }
        text
    }

    /// `true` or `false`, or absent.
    pub fn flag(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        let value = self.value(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            mistakes.push(self.expected(key, value, "true or false"));
        }
        flag
    }

    /// A whole number between `least` and `most`, or absent.
    pub fn count(
        &mut self,
        key: &'static str,
        (least, most): (u64, u64),
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u64> {
        let value = self.value(key)?;
        let count = value
            .as_u64()
            .filter(|count| (least..=most).contains(count));
        if count.is_none() {
            let form = format!("a whole number from {least} to {most}");
            mistakes.push(self.expected(key, value, &form));
        }
        count
    }

    /// A number between `least` and `most`, or absent.
    pub fn number(
        &mut self,
        key: &'static str,
        (least, most): (f64, f64),
        mistakes: &mut Vec<Mistake>,
    ) -> Option<f64> {
        let value = self.value(key)?;
        let number = value
            .as_f64()
            .filter(|number| (least..=most).contains(number));
        if number.is_none() {
            mistakes.push(self.expected(key, value, &format!("a number from {least} to {most}")));
        }
        number
    }

    /// A duration in milliseconds, at least one and at most a day, or absent.
    pub fn duration_ms(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<u64> {
        let value = self.value(key)?;
        let duration = value.as_str().and_then(units::parse_duration);
        let ms = duration
            .and_then(|duration| u64::try_from(duration.as_millis()).ok())
            .filter(|ms| (1..=86_400_000).contains(ms));
        if ms.is_none() {
            let form = format!("{}, at most a day", units::DURATION_FORM);
            mistakes.push(self.expected(key, value, &form));
        }
        ms
    }

    /// A size in bytes, at most `most`, or absent.
    pub fn size(
        &mut self,
        key: &'static str,
        most: u64,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u64> {
        let value = self.value(key)?;
        let size = match value {
            Value::String(text) => units::parse_size(text),
            other => other.as_u64(),
        };
        let size = size.filter(|size| *size <= most);
        if size.is_none() {
            let form = format!("{}, at most {most} bytes", units::SIZE_FORM);
            mistakes.push(self.expected(key, value, &form));
        }
        size
    }

    /// One word of a closed set, or absent.
    pub fn word(
        &mut self,
        key: &'static str,
        allowed: &[&'static str],
        mistakes: &mut Vec<Mistake>,
    ) -> Option<&'a str> {
        let value = self.value(key)?;
        let word = value.as_str().filter(|word| allowed.contains(word));
        if word.is_none() {
            let mistake = self.expected(key, value, "one of the allowed words");
            mistakes.push(mistake.allowing(allowed.iter().copied()));
        }
        word
    }

    /// A list of texts, or absent.
    pub fn texts(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Vec<&'a str>> {
        let items = self.list(key, mistakes)?;
        let pointer = self.pointer_of(key);
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text),
                None => mistakes.push(Mistake::value(
                    format!("{pointer}/{index}"),
                    format!("found {}, expected a text; put it in quotes", found(item)),
                )),
            }
        }
        Some(texts)
    }

    /// A list, or absent.
    pub fn list(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<&'a Vec<Value>> {
        let value = self.value(key)?;
        let list = value.as_array();
        if list.is_none() {
            mistakes.push(self.expected(key, value, "a list"));
        }
        list
    }

    /// A map, or absent.
    pub fn map(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<&'a Map<String, Value>> {
        let value = self.value(key)?;
        let map = value.as_object();
        if map.is_none() {
            mistakes.push(self.expected(key, value, "a map of fields"));
        }
        map
    }

    /// A map of texts by name, or absent.
    pub fn text_map(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<&'a Map<String, Value>> {
        let map = self.map(key, mistakes)?;
        let pointer = self.pointer_of(key);
        for (name, value) in map {
            if !value.is_string() {
                mistakes.push(Mistake::value(
                    pointer_join(&pointer, name),
                    format!("found {}, expected a text; put it in quotes", found(value)),
                ));
            }
        }
        Some(map)
    }

    /// Notes the keys that nothing asked for.
    pub fn finish(self, mistakes: &mut Vec<Mistake>) {
        for key in self.map.keys() {
            if !self.known.contains(&key.as_str()) {
                let allowed = self.known.iter().map(|key| (*key).to_owned()).collect();
                mistakes.push(Mistake::unknown_key(self.pointer_of(key), key, allowed));
            }
        }
    }

    fn expected(&self, key: &str, value: &Value, form: &str) -> Mistake {
        let message = format!("`{key}`: found {}, expected {form}", found(value));
        Mistake::value(self.pointer_of(key), message)
    }
}

/// A value as a mistake shows it: its kind, and the value itself only if it is short and plain.
/// Texts are shown by their kind alone, since one that stands in the wrong place may be a secret.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}
