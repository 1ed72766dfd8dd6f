//! The secrets of a credential by field, as they are sealed: one JSON object of texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::secret::Secret;

/// Of a text that someone else wrote.
const SHOWN_MAX: usize = 300;

/// Secrets by field.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(BTreeMap<String, Secret<String>>);

impl Secrets {
    /// Reads what was sealed; what is no text is left out.
    pub fn parse(text: &Secret<String>) -> Secrets {
        let parsed: Map<String, Value> = serde_json::from_str(text.expose()).unwrap_or_default();
        let texts = parsed.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, Secret::new(text))),
            _ => None,
        });
        Secrets(texts.collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.get(name).map(|secret| secret.expose().as_str());
        found.filter(|text| !text.is_empty())
    }

    pub fn set(&mut self, name: &str, value: &Secret<String>) {
        self.0.insert(name.to_owned(), value.clone());
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.expose().as_str()))
    }

    /// A text of someone who was shown these secrets, without them.
    pub fn hide_in(&self, text: &str) -> String {
        let values: Vec<&str> = self.iter().map(|(_, value)| value).collect();
        shown(text, &values)
    }

    /// As it is to be sealed.
    pub fn to_text(&self) -> Secret<String> {
        let map: BTreeMap<&str, &str> = self.iter().collect();
        Secret::new(serde_json::to_string(&map).expect("invariant: texts serialize"))
    }
}

/// A service's words, short, in one line and without our secrets, as they are and as they stand in
/// forms, addresses and JSON.
pub(super) fn shown(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        for form in forms(secret) {
            text = text.replace(&form, "[secret]");
        }
    }
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_MAX)
        .collect()
}

/// How a secret may be written: as it is, in a form, in an address, in JSON.
fn forms(secret: &str) -> Vec<String> {
    let in_form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let in_address = in_form.replace('+', "%20");
    let in_json = Value::from(secret).to_string();
    let in_json = in_json.trim_matches('"').to_owned();
    let small: Vec<String> = [&in_form, &in_address]
        .into_iter()
        .map(|text| with_small_digits(text))
        .collect();
    [vec![secret.to_owned(), in_form, in_address, in_json], small].concat()
}

/// `%2f` for `%2F`.
fn with_small_digits(encoded: &str) -> String {
    let mut small = String::with_capacity(encoded.len());
    let mut left = 0;
    for c in encoded.chars() {
        small.push(if left > 0 { c.to_ascii_lowercase() } else { c });
        left = if c == '%' { 2 } else { i32::max(left - 1, 0) };
    }
    small
}

/// Fields that are not secret, as texts.
pub(super) fn plain_texts(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let texts = fields.iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name.clone(), text.clone())),
        Value::Bool(_) | Value::Number(_) => Some((name.clone(), value.to_string())),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_however_it_is_written() {
        let secret = "pa\"ss +/é&K";
        for text in [
            "it was pa\"ss +/é&K there",
            "it was pa%22ss+%2B%2F%C3%A9%26K there",
            "it was pa%22ss+%2b%2f%c3%a9%26K there",
            "it was pa%22ss%20%2B%2F%C3%A9%26K there",
            "it was pa%22ss%20%2b%2f%c3%a9%26K there",
            "it was pa\\\"ss +/é&K there",
        ] {
            assert_eq!(shown(text, &[secret]), "it was [secret] there");
        }
        // As little as this says nothing, and would tear words apart.
        assert_eq!(shown("the abc", &["abc"]), "the abc");
    }

    #[test]
    fn what_a_service_says_is_short_and_one_line() {
        let long = format!("a\nb\u{1b}[31m{}", "x".repeat(1000));
        let told = shown(&long, &[]);
        assert_eq!(told.chars().count(), SHOWN_MAX);
        assert!(!told.chars().any(char::is_control));
    }
}
