//! A JSON Schema as a declaration carries it: passed on, seldom read.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Kept as text: as a tree it takes twenty times as much memory, for as long as the provider is
/// loaded.
#[derive(Debug, Clone)]
pub struct Schema(Box<RawValue>);

impl Schema {
    /// Of this document.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let text = serde_json::value::to_raw_value(document);
        Self(text.expect("invariant: a JSON value writes itself without fail"))
    }

    /// The document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.0.get()).expect("invariant: it was written from a JSON value")
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
