//! What is sent, what comes back, and what can go wrong between.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use crate::outbound::policy::Refusal;

/// One request, parsed.
#[derive(Clone, Debug)]
pub struct OutboundRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL.
    pub url: Url,
    /// The headers. Those of the connection itself (`Host`, `Content-Length`, …) are refused.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// The time for the whole exchange, from resolution to the last byte of the answer.
    pub timeout: Duration,
    /// How much of the answer's body is kept.
    pub body_limit: BodyLimit,
}

/// What is done about a body longer than this many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// Its beginning is kept, the rest is not read, and the response says that it was truncated.
    Truncate(usize),
    /// The exchange fails.
    Refuse(usize),
}

/// One response, read whole or to its limit.
#[derive(Clone, Debug)]
pub struct OutboundResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, at most 128 of 64 KiB in all.
    pub headers: HeaderMap,
    /// The body as it came; never inflated.
    pub body: Bytes,
    /// Whether the body went on beyond what is kept.
    pub truncated: bool,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The request itself is malformed.
    #[error("the request's {field} is not valid: {reason}")]
    Invalid {
        /// `method`, `url` or the name of a header.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The rules do not permit it. Nothing was sent.
    #[error("the target is refused: {0}")]
    Refused(#[from] Refusal),
    /// The name has no address.
    #[error("the name `{host}` cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        #[source]
        source: std::io::Error,
    },
    /// No connection, or no TLS session.
    #[error("no connection to the target")]
    Connect {
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The deadline passed.
    #[error("no complete answer within {} ms", after.as_millis())]
    Timeout {
        /// The time that was given.
        after: Duration,
    },
    /// More or longer headers than are read.
    #[error("the answer's headers are over the limit of 128 headers and 64 KiB")]
    HeadersTooLarge,
    /// A body over a limit of [`BodyLimit::Refuse`].
    #[error("the answer's body is over the limit of {max} bytes")]
    BodyTooLarge {
        /// The limit.
        max: usize,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the exchange with the target broke off")]
    Exchange {
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl OutboundRequest {
    /// Headers that the connection sets, and a caller may not: `Host` would reach another site
    /// behind the same address, the others would change where the message ends.
    const OF_THE_CONNECTION: [&'static str; 10] = [
        "host",
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];

    /// Parses a request from texts, as they come from a plugin. CR, LF and NUL are refused in
    /// headers.
    pub fn parse(
        method: &str,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<Self, OutboundError> {
        let invalid = |field: &str, reason: String| OutboundError::Invalid {
            field: field.to_owned(),
            reason,
        };
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| invalid("method", error.to_string()))?;
        let url = Url::parse(url).map_err(|error| invalid("url", error.to_string()))?;
        let mut map = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|error| {
                invalid(
                    &format!("header `{}`", name.escape_debug()),
                    error.to_string(),
                )
            })?;
            let value = HeaderValue::from_str(value)
                .map_err(|error| invalid(&format!("header `{parsed}`"), error.to_string()))?;
            map.append(parsed, value);
        }
        Ok(OutboundRequest {
            method,
            url,
            headers: map,
            body: Bytes::new(),
            timeout: Duration::from_secs(30),
            body_limit: BodyLimit::Refuse(8 << 20),
        })
    }

    /// Whether only the connection may set this header.
    pub fn is_of_the_connection(name: &HeaderName) -> bool {
        Self::OF_THE_CONNECTION.contains(&name.as_str())
    }

    /// Refuses headers that only the connection may set.
    pub fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
        match headers.keys().find(|name| Self::is_of_the_connection(name)) {
            Some(name) => Err(Refusal::Header(name.to_string())),
            None => Ok(()),
        }
    }
}

impl OutboundError {
    /// Whether the same request may succeed later without anybody changing it.
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            OutboundError::Invalid { .. } | OutboundError::Refused(_)
        )
    }

    /// The error and its causes in one line, without the URL.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        for cause in causes(self).skip(1) {
            let part = cause.to_string();
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
        }
        text
    }

    /// Sorts what the HTTP client reports.
    pub(super) fn of_client(error: reqwest::Error) -> OutboundError {
        // The URL may hold a token.
        let error = error.without_url();
        if let Some(refusal) = cause_in::<Refusal>(&error) {
            return OutboundError::Refused(refusal.clone());
        }
        if let Some(resolve) = cause_in::<ResolveFailure>(&error) {
            return OutboundError::Resolve {
                host: resolve.host.clone(),
                source: std::io::Error::other(resolve.reason.clone()),
            };
        }
        if error.is_connect() {
            return OutboundError::Connect {
                source: Box::new(error),
            };
        }
        let is_head_too_large =
            causes(&error).any(|cause| cause.to_string().contains("message head is too large"));
        if is_head_too_large {
            return OutboundError::HeadersTooLarge;
        }
        OutboundError::Exchange {
            source: Box::new(error),
        }
    }
}

/// A name without an address, on its way through the HTTP client's own error.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved")]
pub(super) struct ResolveFailure {
    pub(super) host: String,
    /// In the system's words.
    pub(super) reason: String,
}

fn cause_in<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The error, its cause, the cause of that, and so on.
fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn StdError + 'static)| {
        (**error).source()
    })
}
