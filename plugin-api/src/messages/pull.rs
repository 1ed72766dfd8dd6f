//! What a pull is asked and answers: the changes since a cursor.

use serde::{Deserialize, Serialize};

use super::constructor::ExistingSubscription;

/// Asks for what happened since the cursor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PullRequest {
    /// Whose events.
    pub subscription: ExistingSubscription,
    /// What the pull before answered; absent: begin now, with what is new from here on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// What happened. The host commits events and cursor together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// In the order in which they happened.
    #[serde(default)]
    pub events: Vec<PulledEvent>,
    /// Where the next pull begins.
    pub cursor: String,
    /// There is more: pull again at once.
    #[serde(default)]
    pub more: bool,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledEvent {
    /// The event's name as the declaration has it.
    pub name: String,
    /// What the service said of it; as JSON: base64.
    #[serde(with = "super::base64_bytes")]
    pub payload: Vec<u8>,
    /// When it happened, in milliseconds since 1970.
    #[serde(default)]
    pub occurred_at_ms: Option<i64>,
    /// The service's own name for it, by which a repetition is recognised.
    #[serde(default)]
    pub delivery_id: Option<String>,
}
