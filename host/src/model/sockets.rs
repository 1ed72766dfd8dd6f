//! Connections that hosts hold, and what goes back over them.

use bytes::Bytes;

use super::words::JobState;
use crate::id::{EventId, SubscriptionId, WorkspaceId};

/// A connection as a host holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSocket {
    pub subscription_id: SubscriptionId,
    pub workspace_id: WorkspaceId,
    pub provider: String,
    /// Of the subscription: with another one, the connection is made anew.
    pub revision: i64,
    /// Rises with every claim.
    pub fence: i64,
}

/// The jobs that an event caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEnds {
    pub event_id: EventId,
    /// Whether more jobs may come.
    pub is_matched: bool,
    pub jobs: Vec<EventEnd>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEnd {
    pub state: JobState,
    pub result: Option<Bytes>,
    pub error: Option<String>,
}

impl EventEnds {
    /// Whether nothing more will happen to it.
    pub fn is_whole(&self) -> bool {
        self.is_matched && self.jobs.iter().all(|job| job.state.is_final())
    }
}
