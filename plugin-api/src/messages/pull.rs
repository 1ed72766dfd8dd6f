//! What a pull is asked and answers: the changes since a cursor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constructor::ExistingSubscription;

/// Asks for what happened since the cursor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PullRequest {
    /// Whose events.
    pub subscription: ExistingSubscription,
    /// What the pull before answered; absent: begin now, with what is new from here on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Without a cursor: it was lost, and what changed since then is wanted as far as the service
    /// can tell, in milliseconds since 1970; absent too: nothing was pulled before.
    #[serde(default)]
    pub since_ms: Option<i64>,
}

/// What happened. The host commits events, cursor, state and timers together.
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
    /// What is kept for the subscription from now on, as [`crate::host::Host::state_get`] reads it;
    /// `null` removes. A key has at most 256 bytes, a value 16 KiB as JSON.
    #[serde(default)]
    pub state: BTreeMap<String, Option<Value>>,
    /// Events that will happen at a known time, each under a key: the same key again replaces one
    /// that is still to come, `null` withdraws it.
    #[serde(default)]
    pub timers: BTreeMap<String, Option<TimedEvent>>,
    /// Pull again within this time, even if nothing wakes us.
    #[serde(default)]
    pub next_in_ms: Option<u64>,
    /// What the operator should know: a resync, a gap; one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// An event that happens at a known time unless it is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// In milliseconds since 1970. One that has passed happens at once.
    pub due_at_ms: i64,
    /// What happens then.
    pub event: PulledEvent,
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
