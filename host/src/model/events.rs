//! Events: one row for each thing that happened.

use bytes::Bytes;

use super::jobs::NewJob;
use super::words::EventState;
use crate::clock::Millis;
use crate::id::{EventId, RequestId, SubscriptionId, WorkspaceId};

/// An event of the log; its payload is asked for apart (`Store::event_payload`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub workspace_id: WorkspaceId,
    pub subscription_id: SubscriptionId,
    pub request_id: Option<RequestId>,
    /// The place in its request.
    pub ordinal: u32,
    pub provider: String,
    pub name: String,
    pub occurred_at: Option<Millis>,
    pub received_at: Millis,
    pub state: EventState,
    pub reason: Option<String>,
    /// How many triggers it fired; 0 with `handled` is an unmatched event.
    pub matched: u32,
    /// How often matching was tried and put off.
    pub tries: u32,
    pub due_at: Millis,
    pub handled_at: Option<Millis>,
}

/// An event of an [`Append`](super::Append); workspace, subscription, provider, the time it was
/// received and its place come from there.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub id: EventId,
    pub name: String,
    /// None: the request's body is the payload.
    pub payload: Option<Bytes>,
    pub occurred_at: Option<Millis>,
}

/// An event that waits to be matched, with its payload.
#[derive(Clone, Debug)]
pub struct PendingEvent {
    pub event: Event,
    pub payload: Bytes,
}

/// The outcome of matching one event.
#[derive(Clone, Debug)]
pub struct HandledEvent {
    pub workspace_id: WorkspaceId,
    pub id: EventId,
    pub handling: Handling,
}

/// What is to become of a pending event.
#[derive(Clone, Debug)]
pub enum Handling {
    /// A job for each matching trigger; none: unmatched, and `reason` may say why.
    Handled {
        jobs: Vec<NewJob>,
        reason: Option<String>,
    },
    /// Given up: it is kept and shown, and the queue moves on.
    Failed { reason: String },
    /// Put off, and a try is used up: the plugin failed.
    Deferred { due_at: Millis, reason: String },
    /// Put off without a try: the provider is not there to be asked.
    Waiting { due_at: Millis, reason: String },
}

/// Which events are wanted; an absent field does not matter.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub subscription_id: Option<SubscriptionId>,
    pub request_id: Option<RequestId>,
    pub name: Option<String>,
    pub state: Option<EventState>,
    /// True: only those that fired at least one trigger. False: only those that fired none.
    pub matched: Option<bool>,
}
