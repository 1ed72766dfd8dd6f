//! What Nextcloud's refusals mean. The same status stands for several things, and a caller does
//! something different for each.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use super::dav;

/// Nextcloud's brake on wrong logins names no time; it lets go by itself within half a minute.
const WAIT_UNNAMED: Duration = Duration::from_secs(30);
/// OCS says so of a path that no enabled app answers.
const NO_SUCH_ROUTE: i64 = 998;

/// Why a request to Nextcloud came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 401, also `997`.
    #[error(
        "Nextcloud does not accept the login: the app password or the connection was revoked, or the account is disabled"
    )]
    NotLoggedIn,
    /// 403 of what only administrators may do.
    #[error(
        "the account may not do this: it must be an administrator, or Webhook Listeners must be delegated to its group ({message})"
    )]
    Forbidden { message: String },
    /// 404 of a thing.
    #[error("Nextcloud knows no such thing")]
    NotFound,
    /// 404 of the whole interface.
    #[error("the app {app} is not enabled at this server: `occ app:enable {app}`")]
    AppMissing { app: &'static str },
    /// 404 with a page: nothing of Nextcloud answers there.
    #[error("there is no Nextcloud at base_url, which answers 404 with a page")]
    NoServer,
    /// 400: what we sent is wrong.
    #[error("Nextcloud refuses what was asked: {message}")]
    Invalid { message: String },
    /// 429, or 503 with a time.
    #[error("Nextcloud asks to wait ({reason})")]
    Throttled {
        reason: &'static str,
        wait: Duration,
    },
    /// 503.
    #[error("Nextcloud is in maintenance mode")]
    Maintenance,
    /// A redirect, which would take the credential elsewhere.
    #[error("base_url answers with a redirect to {location}: it must be the server's own address")]
    Moved { location: String },
    /// A success that is not the JSON it should be.
    #[error("{}", unreadable(*.is_page))]
    Unreadable { is_page: bool },
    /// A WebDAV answer that cannot be read.
    #[error("Nextcloud's list cannot be read")]
    Multistatus(#[source] dav::Unreadable),
    /// Everything that is Nextcloud's own trouble.
    #[error("Nextcloud answered {status} ({message})")]
    Upstream { status: u16, message: String },
    /// The host could not send.
    #[error("{}", .0.message)]
    Call(Box<Error>),
}

/// The body of an answer of OCS, as far as it says what went wrong.
#[derive(Default, Deserialize)]
struct Envelope {
    ocs: Answer,
}

#[derive(Default, Deserialize)]
struct Answer {
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    statuscode: i64,
    #[serde(default)]
    message: Option<String>,
}

impl Failure {
    /// Reads an answer that is not a success. `path` is what was asked for.
    pub fn of(response: &HttpResponse, path: &str) -> Self {
        let envelope = serde_json::from_slice::<Envelope>(&response.body).ok();
        let is_ocs = envelope.is_some();
        let meta = envelope.unwrap_or_default().ocs.meta;
        let status = response.status;
        let message = match meta.message.filter(|message| !message.is_empty()) {
            Some(message) => message,
            None if is_page(response) => format!("status {status} with a page"),
            None => format!("status {status}"),
        };
        match status {
            401 => Self::NotLoggedIn,
            403 => Self::Forbidden { message },
            404 if meta.statuscode == NO_SUCH_ROUTE => Self::AppMissing { app: app_of(path) },
            404 if !is_ocs && is_page(response) => Self::NoServer,
            404 | 410 => Self::NotFound,
            400 | 409 | 412 | 422 => Self::Invalid { message },
            429 => Self::Throttled {
                reason: "too many requests",
                wait: wait(response).unwrap_or(WAIT_UNNAMED),
            },
            503 => match wait(response) {
                Some(wait) => Self::Throttled {
                    reason: "it is not available",
                    wait,
                },
                None if is_in_maintenance(response, &message) => Self::Maintenance,
                None => Self::Upstream { status, message },
            },
            300..=399 => Self::Moved {
                location: elsewhere(response),
            },
            _ => Self::Upstream { status, message },
        }
    }

    /// The contract's error, with the operation that failed: `create the hook for file_created`.
    pub fn during(self, operation: impl fmt::Display) -> Error {
        if let Self::Call(mut error) = self {
            error.message = format!("cannot {operation}: {}", error.message);
            return *error;
        }
        let message = format!("cannot {operation}: {self}");
        match self {
            Self::NotLoggedIn | Self::Forbidden { .. } => Error::credentials(message),
            Self::NotFound => Error::not_found(message),
            Self::Invalid { .. } | Self::NoServer | Self::Moved { .. } => {
                Error::invalid_input(message)
            }
            Self::Throttled { wait, .. } => Error::rate_limited(message, wait),
            Self::Multistatus(cause) => Error::upstream(message).with_detail(cause.to_string()),
            _ => Error::upstream(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(Box::new(error))
    }
}

/// Whether the body is a page for people.
pub fn is_page(response: &HttpResponse) -> bool {
    let of_type = response
        .header("content-type")
        .is_some_and(|of_type| of_type.to_ascii_lowercase().starts_with("text/html"));
    let is_untyped = response.header("content-type").is_none();
    of_type || (is_untyped && response.body.trim_ascii_start().starts_with(b"<"))
}

fn unreadable(is_page: bool) -> &'static str {
    match is_page {
        true => {
            "Nextcloud answered with a page instead of data: is base_url the server's own address?"
        }
        false => "Nextcloud's answer is not what it should be",
    }
}

/// The app that a path of OCS belongs to.
fn app_of(path: &str) -> &'static str {
    if path.starts_with("/apps/webhook_listeners/") {
        "webhook_listeners"
    } else {
        "provisioning_api"
    }
}

fn is_in_maintenance(response: &HttpResponse, message: &str) -> bool {
    response.header("x-nextcloud-maintenance-mode") == Some("1")
        || message.to_ascii_lowercase().contains("maintenance")
}

fn wait(response: &HttpResponse) -> Option<Duration> {
    let seconds: u64 = response.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.max(1)))
}

/// Where a redirect leads, without what may be secret in it.
fn elsewhere(response: &HttpResponse) -> String {
    let location = response.header("location").unwrap_or("nowhere");
    let plain = location.split(['?', '#']).next().unwrap_or(location);
    plain.chars().take(200).collect()
}
