//! A value as rules compare it: text, number or boolean, read from JSON text or from a header.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

/// One comparable value. Objects and arrays are none.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    /// As it was written; a number is compared as a number and as its text.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    /// Reads JSON text. `None` for an object, an array, and a text that is no Unicode (a lone surrogate).
    pub fn from_json(raw: &'a str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<Text<'a>>(raw)
                .ok()
                .map(|Text(text)| Self::Text(text)),
            b't' => Some(Self::Bool(true)),
            b'f' => Some(Self::Bool(false)),
            b'n' => Some(Self::Null),
            b'{' | b'[' => None,
            _ => Some(Self::Number(Cow::Borrowed(raw))),
        }
    }

    /// Reads JSON text where an array stands for its items.
    pub fn list_from_json(raw: &'a str) -> Vec<Self> {
        if !raw.starts_with('[') {
            return Self::from_json(raw).into_iter().collect();
        }
        let items: Vec<&'a RawValue> = serde_json::from_str(raw).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| Self::from_json(item.get()))
            .collect()
    }

    /// Reads a parameter or a declared value. `None` for an object or an array.
    pub fn from_value(value: &Value) -> Option<Scalar<'static>> {
        match value {
            Value::Null => Some(Scalar::Null),
            Value::Bool(value) => Some(Scalar::Bool(*value)),
            Value::Number(number) => Some(Scalar::Number(Cow::Owned(number.to_string()))),
            Value::String(text) => Some(Scalar::Text(Cow::Owned(text.clone()))),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// As text; null has none.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Null => None,
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Number(text) | Self::Text(text) => Some(text),
        }
    }

    /// As a number, also from a text that is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(text) | Self::Text(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite()),
            Self::Null | Self::Bool(_) => None,
        }
    }

    /// Equal as texts, or both numbers and equal as numbers (`5` and `5.0`).
    pub fn equals(&self, other: &Scalar<'_>) -> bool {
        if let (Self::Number(_), Scalar::Number(_)) = (self, other)
            && let (Some(a), Some(b)) = (self.number(), other.number())
            // Beyond 2^53 two different ids may round to the same float: those are compared as text.
            && a.abs() < 9_007_199_254_740_992.0
        {
            return a == b;
        }
        self.text() == other.text()
    }

    /// With its text in lower case, for comparisons that ignore case.
    pub fn lower_case(&self) -> Scalar<'static> {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Number(text) => Scalar::Number(Cow::Owned(text.to_lowercase())),
            Self::Text(text) => Scalar::Text(Cow::Owned(text.to_lowercase())),
        }
    }
}

/// A JSON text, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value_and_to_their_text() {
        let read = |raw| Scalar::from_json(raw).unwrap();
        assert!(read("5").equals(&read("5.0")));
        assert!(read("5").equals(&read(r#""5""#)));
        assert!(read("true").equals(&read(r#""true""#)));
        assert!(!read("5").equals(&read("6")));
        assert!(!read("null").equals(&read(r#""null""#)));
        assert!(!read("9007199254740993").equals(&read("9007199254740992")));
    }

    #[test]
    fn an_unreadable_text_is_no_value() {
        assert_eq!(Scalar::from_json(r#""\ud800""#), None);
        assert_eq!(Scalar::from_json("1e999").unwrap().number(), None);
        assert_eq!(
            Scalar::list_from_json(r#"["a", "\ud800", {"x": 1}, 3]"#).len(),
            2
        );
    }
}
