//! What is wrong with a document, and where.

use serde::{Deserialize, Serialize};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Mistake {
    /// Where: a JSON pointer (RFC 6901) into what was sent.
    pub pointer: String,
    /// What was found and what was expected.
    pub message: String,
    /// What may stand there, if it is a closed set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// The key is wrong, not its value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_key: bool,
}

impl Mistake {
    /// A wrong or missing value.
    pub fn value(pointer: impl Into<String>, message: impl Into<String>) -> Mistake {
        Mistake {
            pointer: pointer.into(),
            message: message.into(),
            allowed: Vec::new(),
            is_key: false,
        }
    }

    /// A key that is not known there.
    pub fn unknown_key(pointer: impl Into<String>, key: &str, allowed: Vec<String>) -> Mistake {
        Mistake {
            pointer: pointer.into(),
            message: format!("`{key}` is not known here"),
            allowed,
            is_key: true,
        }
    }

    /// What may stand there instead.
    pub fn allowing(mut self, allowed: impl IntoIterator<Item = impl Into<String>>) -> Mistake {
        self.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }
}
