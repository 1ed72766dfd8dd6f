//! What Google's refusals mean. A 403 alone stands for five things, and a caller does something
//! different for each.
//!
//! <https://developers.google.com/workspace/drive/api/guides/handle-errors>,
//! <https://developers.google.com/workspace/calendar/api/guides/errors>

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

/// When Google throttles and names no time. The host adds its own growing delay.
const WAIT_UNNAMED: Duration = Duration::from_secs(60);
/// A day's quota comes back bit by bit.
const WAIT_DAILY: Duration = Duration::from_secs(3600);

/// Why a request to Google came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 401.
    #[error(
        "Google does not accept the account's token: access was revoked or has ended ({message})"
    )]
    Unauthorized { message: String },
    /// 403: the consent left something out.
    #[error(
        "the account has not consented to this: connect it again and leave every box ticked ({message})"
    )]
    Scope { message: String },
    /// 403: the API is not switched on for the OAuth client's project.
    #[error("the API is not enabled in the Google Cloud project of the OAuth client ({message})")]
    Disabled { message: String },
    /// 403: the account may not do this to that.
    #[error("the account may not do this ({message})")]
    Forbidden { message: String },
    /// 403 or 429: too many requests. Or 503 with a time to wait.
    #[error("Google throttles the account or the project ({message})")]
    Throttled { message: String, wait: Duration },
    /// 404. Google answers so too for what the account may not see.
    #[error("Google finds nothing there: it does not exist, or the account may not see it")]
    NotFound,
    /// 410, or 400 over a page token: where we stopped reading is not known any more.
    #[error("Google does not know any more where we stopped reading ({message})")]
    LostPlace { message: String },
    /// 400 and the like: what we sent is wrong.
    #[error("Google refuses what was asked: {message}")]
    Invalid { message: String, reason: String },
    /// Everything that is Google's own trouble.
    #[error("Google answered {status} ({message})")]
    Upstream { status: u16, message: String },
    /// The host could not send, or the answer could not be read.
    #[error("{}", .0.message)]
    Call(Box<Error>),
}

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Body,
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Cause>,
    #[serde(default)]
    details: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    location: String,
}

impl Failure {
    /// Reads an answer that is not a success.
    pub fn of(response: &HttpResponse) -> Self {
        let refusal: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
        let status = response.status;
        let causes = refusal.error.errors.iter().chain(&refusal.error.details);
        let is = |reasons: &[&str]| {
            causes
                .clone()
                .any(|cause| reasons.iter().any(|reason| cause.reason == *reason))
        };
        let at_token = causes
            .clone()
            .any(|cause| matches!(cause.location.as_str(), "pageToken" | "syncToken"));
        let reason = causes.clone().map(|cause| cause.reason.as_str()).next();
        let reason = reason.unwrap_or_default().to_owned();
        let message = match refusal.error.message {
            message if !message.is_empty() => message,
            _ => format!("status {status}"),
        };
        match status {
            // Said of the address that a channel shall send to, not of the account.
            401 | 403 if reason.starts_with("push.") => Self::Invalid { message, reason },
            401 => Self::Unauthorized { message },
            403 | 429 if is(&["dailyLimitExceeded"]) => Self::Throttled {
                wait: named_wait(response).unwrap_or(WAIT_DAILY),
                message,
            },
            403 if is(&THROTTLED) => throttled(response, message),
            403 if is(&["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"]) => {
                Self::Scope { message }
            }
            403 if is(&["accessNotConfigured", "SERVICE_DISABLED"]) => Self::Disabled { message },
            403 => Self::Forbidden { message },
            404 => Self::NotFound,
            410 => Self::LostPlace { message },
            400 if at_token => Self::LostPlace { message },
            429 => throttled(response, message),
            503 if named_wait(response).is_some() => throttled(response, message),
            400..=499 => Self::Invalid { message, reason },
            _ => Self::Upstream { status, message },
        }
    }

    /// The contract's error, with the operation that failed: `open the channel of the calendar x`.
    pub fn during(self, operation: impl fmt::Display) -> Error {
        if let Self::Call(mut error) = self {
            error.message = format!("cannot {operation}: {}", error.message);
            return *error;
        }
        let message = format!("cannot {operation}: {self}");
        match self {
            Self::Unauthorized { .. } | Self::Scope { .. } => Error::credentials(message),
            Self::Throttled { wait, .. } => Error::rate_limited(message, wait),
            Self::NotFound | Self::LostPlace { .. } => Error::not_found(message),
            // The credential is as good as it was: nothing would be mended by connecting again.
            Self::Disabled { .. } | Self::Forbidden { .. } | Self::Invalid { .. } => {
                Error::invalid_input(message)
            }
            Self::Upstream { .. } | Self::Call(_) => Error::upstream(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(Box::new(error))
    }
}

/// Reasons of a 403 that say: later.
const THROTTLED: [&str; 6] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "sharingRateLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
];

fn throttled(response: &HttpResponse, message: String) -> Failure {
    Failure::Throttled {
        wait: named_wait(response).unwrap_or(WAIT_UNNAMED),
        message,
    }
}

fn named_wait(response: &HttpResponse) -> Option<Duration> {
    let seconds = response.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).max(Duration::from_secs(1)))
}
