//! Text for people, by language.

use indexmap::IndexMap;
use serde::Serialize;

/// The language of a text that names none, and the one to fall back to.
pub const DEFAULT_LANGUAGE: &str = "en_US";

/// One text in some languages (`en_US`, `zh_Hans`, `ja_JP`, …).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(pub IndexMap<String, String>);

impl Text {
    pub fn plain(text: impl Into<String>) -> Self {
        Self(IndexMap::from([(DEFAULT_LANGUAGE.to_owned(), text.into())]))
    }

    /// In a language, else in English, else in whichever there is; empty when there is none.
    /// `de-DE` finds `de_DE`.
    pub fn in_language(&self, language: &str) -> &str {
        let wanted = language.replace('-', "_");
        let found = self
            .0
            .get(&wanted)
            .or_else(|| self.0.get(DEFAULT_LANGUAGE))
            .or_else(|| self.0.values().next());
        found.map_or("", String::as_str)
    }

    /// In English, else in whichever language there is.
    pub fn english(&self) -> &str {
        self.in_language(DEFAULT_LANGUAGE)
    }

    pub fn is_empty(&self) -> bool {
        self.0.values().all(|text| text.trim().is_empty())
    }
}
