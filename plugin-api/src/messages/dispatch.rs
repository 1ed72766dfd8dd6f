//! What a provider reads out of a request: events, an answer, and how to recognise it again.

/// The reading of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventDispatch {
    /// In the order in which they happened; none for a ping, a challenge or a mere hint.
    pub events: Vec<DispatchedEvent>,
    /// What the service is answered; absent: 200 with an empty body.
    pub reply: Option<Reply>,
    /// The service's own name for this delivery, by which a repetition is recognised.
    pub delivery_id: Option<String>,
    /// How long a delivery id is remembered, in milliseconds; absent: as long as the host likes.
    pub delivery_window_ms: Option<u64>,
    /// The push carries no data: the host should pull now.
    pub wake: bool,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchedEvent {
    /// The event's name as the declaration has it, or the service's own for an undeclared one.
    pub name: String,
    /// What the service said of it.
    pub payload: Payload,
    /// When it happened, if the request says so, in milliseconds since 1970.
    pub occurred_at_ms: Option<i64>,
}

/// What an event carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The request's body as it came, which nobody copies.
    Body,
    /// Other bytes, JSON as a rule.
    Bytes(Vec<u8>),
}

/// An answer to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// An HTTP status, 200 to 599.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// At most a few kilobytes.
    pub body: Vec<u8>,
}

impl EventDispatch {
    /// One event that carries the request's body.
    pub fn body(name: impl Into<String>) -> Self {
        let event = DispatchedEvent {
            name: name.into(),
            payload: Payload::Body,
            occurred_at_ms: None,
        };
        Self {
            events: vec![event],
            ..Self::default()
        }
    }

    /// Nothing happened, and the service is told so.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Nothing happened, and the service gets this answer (a challenge, as a rule).
    #[must_use]
    pub fn reply(reply: Reply) -> Self {
        Self {
            reply: Some(reply),
            ..Self::default()
        }
    }

    /// Adds the delivery id.
    #[must_use]
    pub fn with_delivery_id(mut self, delivery_id: impl Into<String>) -> Self {
        self.delivery_id = Some(delivery_id.into());
        self
    }
}
