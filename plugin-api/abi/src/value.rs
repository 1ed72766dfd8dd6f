//! What calls take and give, in plain Rust; the layouts that cross are made from these.

use std::fmt;

use crate::codes;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// One of [`codes`].
    pub code: u32,
    /// One sentence for the operator.
    pub message: String,
    /// More of it; of a panic, its place.
    pub detail: Option<String>,
    /// For [`codes::RATE_LIMITED`]: not sooner than this, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl CallError {
    /// An error with a message alone.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            retry_after_ms: None,
        }
    }

    /// Whether the provider panicked.
    #[must_use]
    pub const fn is_panic(&self) -> bool {
        self.code == codes::PANIC
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", codes::name(self.code), self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CallError {}

/// The provider's reading of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// In the order in which they happened.
    pub events: Vec<DispatchedEvent>,
    /// What the service is answered; absent: 200 with an empty body.
    pub reply: Option<Reply>,
    /// By which a repetition is recognised.
    pub delivery_id: Option<String>,
    /// How long it is remembered.
    pub delivery_window_ms: Option<u64>,
    /// The push carries no data: pull now.
    pub wake: bool,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchedEvent {
    /// Its name.
    pub name: String,
    /// What the service said of it; absent: the request's body as it came.
    pub payload: Option<Vec<u8>>,
    /// Milliseconds since 1970.
    pub occurred_at_ms: Option<i64>,
}

/// An answer to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// An HTTP status; whoever sends it checks that it is one.
    pub status: u16,
    /// Names and values; as above.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// An event, borrowed for the length of one call.
#[derive(Debug, Clone, Copy)]
pub struct EventCall<'a> {
    /// Its name.
    pub event: &'a str,
    /// What the service said of it.
    pub payload: &'a [u8],
    /// Milliseconds since 1970.
    pub occurred_at_ms: Option<i64>,
}

/// Whether a trigger fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It does, with these variables as JSON; absent: the payload as it is.
    Fires(Option<Vec<u8>>),
    /// It does not.
    NotForThisTrigger,
}
