//! Reading a JSON object field by field, so that a mistake names its field.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::runnables::spec::SpecError;

/// The fields of one object, taken one after the other; what is left at the end is unknown.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    taken: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Fields<'a>, SpecError> {
        match value {
            Value::Object(object) => Ok(Fields {
                object,
                taken: Vec::new(),
            }),
            other => Err(SpecError::new("spec", kind_of(other), "an object")),
        }
    }

    /// The field, if it is there and not null.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, SpecError> {
        self.taken.push(field);
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| SpecError::new(field, error.to_string(), expected)),
        }
    }

    /// The field, or a mistake that says it is missing.
    pub(super) fn require<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, SpecError> {
        self.take(field, expected)?
            .ok_or_else(|| SpecError::new(field, "nothing", expected))
    }

    /// A number within a range, or its default.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        default: u64,
        (least, most): (u64, u64),
    ) -> Result<u64, SpecError> {
        let number = self.take(field, "a whole number")?.unwrap_or(default);
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        let expected = format!("{least} to {most}");
        Err(SpecError::new(field, number.to_string(), expected))
    }

    /// Refuses a field that nobody took.
    pub(super) fn finish(self) -> Result<(), SpecError> {
        match self
            .object
            .keys()
            .find(|key| !self.taken.contains(&key.as_str()))
        {
            Some(unknown) => Err(SpecError::new(
                unknown.clone(),
                "an unknown field",
                format!("one of {}", self.taken.join(", ")),
            )),
            None => Ok(()),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
