//! What can go wrong with credentials, by what a caller does about it.

use std::time::Duration;

use super::providers::ValidateError;
use crate::store::StoreError;

/// Why a call cannot be made in the name of an account.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallRefusal {
    /// It was deleted.
    #[error("the credential is gone")]
    Gone,
    /// The service refuses it for good.
    #[error("the credential `{name}` needs reconnecting: {reason}")]
    NeedsReconnect { name: String, reason: String },
    /// The provider is not loaded now.
    #[error("{0}")]
    NotLoaded(String),
    /// Its tokens are over and the service does not give new ones now.
    #[error("the credential `{name}` could not be renewed: {reason}")]
    NotNow { name: String, reason: String },
    /// What is declared and what is kept do not go together.
    #[error("the credential `{name}` cannot be attached: {reason}")]
    Unusable { name: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallRefusal {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            CallRefusal::NotNow { .. } | CallRefusal::Store(_) | CallRefusal::NotLoaded(_)
        )
    }
}

/// Why a credential was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CheckError {
    /// What was written is wrong.
    #[error("{message}")]
    Wrong {
        /// The field of the credentials schema, if it is one.
        field: Option<String>,
        message: String,
    },
    /// The service or the provider could not be asked.
    #[error("the service could not be asked: {0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CheckError {
    pub(super) fn of(error: ValidateError) -> CheckError {
        match error {
            ValidateError::Refused(message) => CheckError::Wrong {
                field: None,
                message,
            },
            ValidateError::Unavailable(message) | ValidateError::NotLoaded(message) => {
                CheckError::Unavailable(message)
            }
        }
    }
}

/// Why an account was not connected.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// What was asked for cannot be; the field of the wish, and what to do.
    #[error("{message}")]
    Wrong {
        field: &'static str,
        message: String,
        allowed: Vec<String>,
    },
    /// No such ticket, or its time is over.
    #[error("this address is not good any more: ask for a new one with `triggerd connect`")]
    NoTicket,
    /// The state is unknown, used up, too late, or another browser's.
    #[error(
        "this answer was not asked for by this browser, or not in the last ten minutes: begin again with `triggerd connect`"
    )]
    NoState,
    /// The service, or the person there, said no.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a service gave no tokens.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GrantError {
    /// It said so, in the words of OAuth.
    #[error("the service answered `{code}`{}", said(description))]
    Said {
        code: String,
        description: Option<String>,
    },
    /// No answer, or none in the words of OAuth: it may pass.
    #[error("{reason}")]
    Unavailable {
        reason: String,
        retry_after: Option<Duration>,
    },
}

fn said(description: &Option<String>) -> String {
    match description {
        Some(text) => format!(" ({text})"),
        None => String::new(),
    }
}
