//! A value as a layer holds it, not yet typed: JSON from the file, text from a variable or a flag.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::network::Network;
use super::settings::{DatabaseUrl, LogFormat};
use crate::units;

/// A value of one layer.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// From the file.
    Json(&'a Value),
    /// From a variable; lists are separated by commas.
    Text(&'a str),
    /// From a flag that can be repeated.
    Texts(&'a [String]),
}

impl Raw<'_> {
    /// The typed value, or what was expected.
    pub(super) fn read<T: FromRaw>(self) -> Result<T, String> {
        T::from_raw(self).ok_or_else(|| T::FORM.to_owned())
    }

    /// How the value is shown in a mistake.
    pub(super) fn shown(self) -> String {
        match self {
            Raw::Json(value) => value.to_string(),
            Raw::Text(text) => format!("`{text}`"),
            Raw::Texts(texts) => format!("`{}`", texts.join(",")),
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Raw::Json(Value::String(text)) => Some(text.clone()),
            Raw::Json(Value::Number(number)) => Some(number.to_string()),
            Raw::Text(text) if !text.is_empty() => Some(text.to_owned()),
            _ => None,
        }
    }

    fn list(self) -> Option<Vec<String>> {
        match self {
            Raw::Json(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Raw::Text(text) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            Raw::Texts(texts) => Some(texts.to_vec()),
            Raw::Json(_) => None,
        }
    }
}

/// A type that a setting can have.
pub(super) trait FromRaw: Sized {
    /// What is expected, for the message.
    const FORM: &'static str;
    fn from_raw(raw: Raw<'_>) -> Option<Self>;
}

impl<T: FromRaw> FromRaw for Option<T> {
    const FORM: &'static str = T::FORM;

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Json(Value::Null) | Raw::Text("") => Some(None),
            other => T::from_raw(other).map(Some),
        }
    }
}

impl FromRaw for SocketAddr {
    const FORM: &'static str = "an address and port like 127.0.0.1:8080 or [::1]:8080";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        raw.text()?.parse().ok()
    }
}

impl FromRaw for Url {
    const FORM: &'static str = "an address like https://hooks.example.org";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let url = Url::parse(&raw.text()?).ok()?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.has_host();
        (matches!(url.scheme(), "http" | "https") && is_plain).then_some(url)
    }
}

impl FromRaw for DatabaseUrl {
    const FORM: &'static str = "postgres://user:password@host/name or sqlite:///path/to/file";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let text = raw.text()?;
        let known = ["postgres://", "postgresql://", "sqlite:"];
        known
            .iter()
            .any(|scheme| text.starts_with(scheme))
            .then(|| DatabaseUrl::new(text))
    }
}

impl FromRaw for PathBuf {
    const FORM: &'static str = "a path";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        raw.text().map(PathBuf::from)
    }
}

impl FromRaw for Vec<PathBuf> {
    const FORM: &'static str = "a list of paths";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        Some(raw.list()?.into_iter().map(PathBuf::from).collect())
    }
}

impl FromRaw for Vec<String> {
    const FORM: &'static str = "a list of texts";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        raw.list()
    }
}

impl FromRaw for Vec<Network> {
    const FORM: &'static str = "a list of addresses and networks like 10.0.0.0/8";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let texts = raw.list()?;
        texts.iter().map(|text| text.parse().ok()).collect()
    }
}

impl FromRaw for String {
    const FORM: &'static str = "a text";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        raw.text()
    }
}

impl FromRaw for bool {
    const FORM: &'static str = "true or false";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Json(Value::Bool(value)) => Some(*value),
            Raw::Text("true" | "1") => Some(true),
            Raw::Text("false" | "0") => Some(false),
            _ => None,
        }
    }
}

impl FromRaw for u32 {
    const FORM: &'static str = "a whole number";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        raw.text()?.parse().ok()
    }
}

impl FromRaw for u64 {
    const FORM: &'static str = units::SIZE_FORM;

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        units::parse_size(&raw.text()?)
    }
}

impl FromRaw for Duration {
    const FORM: &'static str = units::DURATION_FORM;

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        units::parse_duration(&raw.text()?)
    }
}

impl FromRaw for LogFormat {
    const FORM: &'static str = "text or json";

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw.text()?.as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        }
    }
}
