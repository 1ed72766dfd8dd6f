//! The one error of the contract: what went wrong, for whom it is, and when to come back.

use std::fmt;
use std::time::Duration;

/// The result of everything that a provider does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a provider answers when it cannot do as asked.
///
/// The message is one sentence without a full stop, fit to be shown to the operator: it names the
/// field or the service, what was found and what was expected. It never holds a secret or a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Decides what the host does next.
    pub code: ErrorCode,
    /// One sentence for the operator.
    pub message: String,
    /// More of it: the service's own words, or the place of a panic.
    pub detail: Option<String>,
    /// For [`ErrorCode::RateLimited`]: not sooner than this, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What kind of failure it was, by what the host does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A fault of the provider itself. At an endpoint: 503.
    Internal,
    /// The provider panicked. At an endpoint: 503; five in a minute quarantine it.
    Panic,
    /// The provider does not offer this.
    Unsupported,
    /// A parameter or a request that cannot be right. At an endpoint: 400 or 422.
    InvalidInput,
    /// The request does not prove who sent it. At an endpoint: 401.
    Unauthenticated,
    /// The service refuses our credential: the operator must renew it.
    Credentials,
    /// The service failed or answered what it should not; may be tried again.
    Upstream,
    /// The service asks us to wait, see [`Error::retry_after_ms`].
    RateLimited,
    /// The service does not know the thing.
    NotFound,
    /// The host gave the call up.
    Cancelled,
    /// The host could not give what the provider asked of it. At an endpoint: 503.
    Host,
}

impl ErrorCode {
    /// The number that crosses the boundary; never reused.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        match self {
            Self::Internal => 1,
            Self::Panic => 2,
            Self::Unsupported => 3,
            Self::InvalidInput => 4,
            Self::Unauthenticated => 5,
            Self::Credentials => 6,
            Self::Upstream => 7,
            Self::RateLimited => 8,
            Self::NotFound => 9,
            Self::Cancelled => 10,
            Self::Host => 11,
        }
    }

    /// The code of a number; one that this version does not know counts as [`Self::Internal`].
    #[must_use]
    pub const fn from_u32(code: u32) -> Self {
        match code {
            2 => Self::Panic,
            3 => Self::Unsupported,
            4 => Self::InvalidInput,
            5 => Self::Unauthenticated,
            6 => Self::Credentials,
            7 => Self::Upstream,
            8 => Self::RateLimited,
            9 => Self::NotFound,
            10 => Self::Cancelled,
            11 => Self::Host,
            _ => Self::Internal,
        }
    }

    /// The name as logs and answers show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Panic => "panic",
            Self::Unsupported => "unsupported",
            Self::InvalidInput => "invalid_input",
            Self::Unauthenticated => "unauthenticated",
            Self::Credentials => "credentials",
            Self::Upstream => "upstream",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::Cancelled => "cancelled",
            Self::Host => "host",
        }
    }
}

impl Error {
    /// An error of any code.
    pub fn with_code(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            retry_after_ms: None,
        }
    }

    /// A fault of the provider itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Internal, message)
    }

    /// The provider does not offer this.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Unsupported, message)
    }

    /// A parameter or a request that cannot be right.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::InvalidInput, message)
    }

    /// The request does not prove who sent it.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Unauthenticated, message)
    }

    /// The service refuses our credential.
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Credentials, message)
    }

    /// The service failed, or answered what it should not.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Upstream, message)
    }

    /// The service asks us to come back later.
    pub fn rate_limited(message: impl Into<String>, retry_after: Duration) -> Self {
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::with_code(ErrorCode::RateLimited, message)
        }
    }

    /// The service does not know the thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::NotFound, message)
    }

    /// The host gave the call up.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Cancelled, message)
    }

    /// The host could not give what was asked of it.
    pub fn host(message: impl Into<String>) -> Self {
        Self::with_code(ErrorCode::Host, message)
    }

    /// Adds the service's own words, or whatever else explains the message.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
