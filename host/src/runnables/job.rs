//! What an attempt is told about the job it serves.

use bytes::Bytes;

use crate::clock::Millis;
use crate::id::{EventId, JobId};

/// The job, in the words that its runnable sees.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// The same over all attempts of the job: what a target recognises a repetition by.
    pub job_id: JobId,
    /// Counts from 1.
    pub attempt: u32,
    /// The workspace's name.
    pub workspace: String,
    /// The runnable's path.
    pub runnable: String,
    /// The trigger's name, if one fired.
    pub trigger: Option<String>,
    /// The event, if one is the cause.
    pub event: Option<EventContext>,
    /// What is handed over; JSON as a rule, any bytes in principle.
    pub arguments: Bytes,
}

/// The event that caused a job.
#[derive(Clone, Debug)]
pub struct EventContext {
    /// Its id in the log.
    pub id: EventId,
    /// Its name, as its provider declares it.
    pub name: String,
    /// The provider.
    pub provider: String,
    /// The subscription's name.
    pub subscription: String,
    /// When it happened, or else when it was received.
    pub at: Millis,
}
