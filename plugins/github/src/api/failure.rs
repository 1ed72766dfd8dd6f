//! What GitHub's refusals mean. The same status stands for several things, and a caller does
//! something different for each.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>,
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

/// GitHub asks to wait at least this long when it throttles and names no time.
const WAIT_UNNAMED: Duration = Duration::from_secs(60);
/// A reset that has passed by our clock means a clock that is ahead; not a reason to hammer.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// Why a request to GitHub came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 401.
    #[error("GitHub does not know the access token: it is wrong, expired or revoked ({message})")]
    BadCredentials { message: String },
    /// 403: the token is known and may not do this.
    #[error("the access token may not do this ({message}){needs}")]
    Forbidden { message: String, needs: Needs },
    /// 403 or 429: too many requests.
    #[error("GitHub throttles the account ({message})")]
    Throttled { message: String, wait: Duration },
    /// 404 or 410. GitHub answers so too for what the token may not see.
    #[error(
        "GitHub finds nothing there: it does not exist, or the access token lacks the permission to see it"
    )]
    NotFound,
    /// 422 for a webhook with the same address.
    #[error("GitHub has such a webhook already")]
    AlreadyExists,
    /// 400 or 422: what we sent is wrong, for the reasons given.
    #[error("GitHub refuses what was asked: {reasons}")]
    Invalid { reasons: String },
    /// Everything that is GitHub's own trouble.
    #[error("GitHub answered {status} ({message})")]
    Upstream { status: u16, message: String },
    /// A link or a redirect to where the token must not go.
    #[error("GitHub's answer leads to another address than its API's")]
    Elsewhere,
    #[error("GitHub's answers lead in a circle")]
    RedirectLoop,
    #[error("GitHub's list has no end within {pages} pages")]
    Endless { pages: usize },
    /// The host could not send, or the answer could not be read.
    #[error("{}", .0.message)]
    Call(Box<Error>),
}

/// What the token would need, in GitHub's words.
#[derive(Debug, Default)]
pub struct Needs {
    permissions: Option<String>,
    scopes: Option<(String, String)>,
    sso: bool,
}

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    /// Objects with `resource`, `field`, `code` and `message`, or mere texts.
    #[serde(default)]
    errors: Vec<Value>,
}

impl Failure {
    /// Reads an answer that is not a success.
    pub fn of(response: &HttpResponse, now_ms: i64) -> Self {
        let refusal: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
        let status = response.status;
        let reasons = refusal.reasons();
        let message = if refusal.message.is_empty() {
            format!("status {status}")
        } else {
            refusal.message
        };
        match status {
            401 => Self::BadCredentials { message },
            403 | 429 if is_throttled(response, &message) => Self::Throttled {
                message,
                wait: wait(response, now_ms),
            },
            403 if message.contains("archived") => Self::Invalid { reasons: message },
            403 => Self::Forbidden {
                message,
                needs: Needs::of(response),
            },
            404 | 410 => Self::NotFound,
            422 if reasons.contains("already exists") => Self::AlreadyExists,
            400 | 422 => Self::Invalid { reasons },
            _ => Self::Upstream { status, message },
        }
    }

    /// How long to wait, if GitHub asks for that.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Throttled { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// The contract's error, with the operation that failed: `create the webhook of acme/site`.
    pub fn during(self, operation: impl fmt::Display) -> Error {
        if let Self::Call(mut error) = self {
            error.message = format!("cannot {operation}: {}", error.message);
            return *error;
        }
        let message = format!("cannot {operation}: {self}");
        match self {
            Self::BadCredentials { .. } | Self::Forbidden { .. } => Error::credentials(message),
            Self::Throttled { wait, .. } => Error::rate_limited(message, wait),
            Self::NotFound => Error::not_found(message),
            Self::AlreadyExists | Self::Invalid { .. } => Error::invalid_input(message),
            _ => Error::upstream(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(Box::new(error))
    }
}

impl Needs {
    fn of(response: &HttpResponse) -> Self {
        let text = |name| response.header(name).map(str::to_owned);
        Self {
            permissions: text("x-accepted-github-permissions"),
            scopes: text("x-accepted-oauth-scopes")
                .filter(|accepted| !accepted.is_empty())
                .zip(text("x-oauth-scopes")),
            sso: response.header("x-github-sso").is_some(),
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sso {
            write!(f, "; authorise it for the organisation's single sign-on")?;
        }
        if let Some(permissions) = &self.permissions {
            write!(f, "; it needs the permission {permissions}")?;
        }
        match &self.scopes {
            Some((accepted, held)) if held.is_empty() => {
                write!(f, "; it needs one of the scopes {accepted}, and has none")
            }
            Some((accepted, held)) => {
                write!(f, "; it needs one of the scopes {accepted}, and has {held}")
            }
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// The reasons in one line, each with its field.
    fn reasons(&self) -> String {
        let each = self.errors.iter().map(|error| {
            let text = |key| error.get(key).and_then(Value::as_str);
            match (
                error.as_str(),
                text("field"),
                text("message").or(text("code")),
            ) {
                (Some(reason), _, _) => reason.to_owned(),
                (_, Some(field), Some(reason)) => format!("{field}: {reason}"),
                (_, _, Some(reason)) => reason.to_owned(),
                _ => error.to_string(),
            }
        });
        let reasons: Vec<String> = each.collect();
        if reasons.is_empty() {
            return self.message.clone();
        }
        reasons.join("; ")
    }
}

/// A 403 is a throttle when GitHub names a time, counts no requests left, or says so.
fn is_throttled(response: &HttpResponse, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    response.status == 429
        || response.header("retry-after").is_some()
        || response.header("x-ratelimit-remaining") == Some("0")
        || message.contains("rate limit")
        || message.contains("abuse detection")
}

fn wait(response: &HttpResponse, now_ms: i64) -> Duration {
    let seconds = |name| response.header(name)?.trim().parse::<u64>().ok();
    if let Some(after) = seconds("retry-after") {
        return Duration::from_secs(after).max(WAIT_MIN);
    }
    if response.header("x-ratelimit-remaining") == Some("0")
        && let Some(reset) = seconds("x-ratelimit-reset")
    {
        let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        return Duration::from_secs(reset).saturating_sub(now).max(WAIT_MIN);
    }
    WAIT_UNNAMED
}
