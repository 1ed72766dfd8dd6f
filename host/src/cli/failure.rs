//! What a command can fail with, and what `main` prints of it.

use std::error::Error;
use std::path::PathBuf;

use super::output::safe;
use crate::outbound::api_client::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(
        "no server found: start one with `triggerd serve`, or name one with --url or TRIGGERD_URL\n\
         (looked for server.json in {places})"
    )]
    NoServer { places: String },
    #[error("`{url}` is not an address like http://127.0.0.1:8080")]
    BadUrl { url: String },
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Lines of `file:line:column: what is wrong`.
    #[error("nothing was changed:\n{0}")]
    Document(String),
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Anything else, as one sentence.
    #[error("{0}")]
    Said(String),
}

/// Why a command did not do what it says, as it is printed on standard error.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
}

impl Failure {
    /// An error and its causes.
    pub fn of(error: &dyn Error) -> Failure {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        Failure { message }
    }
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Failure {
        Failure {
            message: safe(&error.text()),
        }
    }
}

impl CliError {
    /// The sentence with its causes and, for a problem with several parts, each part.
    pub fn text(&self) -> String {
        let mut text = Failure::of(self).message;
        if let CliError::Api(ApiError::Problem { status, body }) = self {
            for error in body["errors"].as_array().into_iter().flatten() {
                let at = error["pointer"].as_str().unwrap_or_default();
                let at = if at.is_empty() { "/" } else { at };
                let message = error["message"].as_str().unwrap_or_default();
                // Of a single mistake the sentence says it already.
                text = match text.ends_with(message) {
                    true => format!("{text} ({at})"),
                    false => format!("{text}\n  {at}: {message}"),
                };
            }
            if *status == 401 {
                text.push_str("\n(give one with --token or TRIGGERD_TOKEN)");
            }
        }
        text
    }
}
