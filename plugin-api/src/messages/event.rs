//! An event on its way to a trigger: does it fire, and with which variables?

use std::fmt;

use super::Map;
use crate::rules::PreparedTrigger;

/// A trigger as `on_event` gets it, its filters compiled.
pub struct Trigger {
    /// The name of the event that it waits for.
    pub event: String,
    /// What the operator chose, checked against the declaration.
    pub parameters: Map,
    prepared: PreparedTrigger,
}

impl Trigger {
    /// A trigger with the filters that the rules compiled for it.
    pub(crate) fn prepared(event: String, parameters: Map, prepared: PreparedTrigger) -> Self {
        Self {
            event,
            parameters,
            prepared,
        }
    }

    /// What the rules compiled.
    pub(crate) fn rules(&self) -> &PreparedTrigger {
        &self.prepared
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("event", &self.event)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// An event, borrowed from the host for the length of one call.
#[derive(Debug, Clone, Copy)]
pub struct EventCall<'a> {
    /// Its name.
    pub event: &'a str,
    /// What the service said of it, JSON as a rule.
    pub payload: &'a [u8],
    /// When it happened, in milliseconds since 1970.
    pub occurred_at_ms: Option<i64>,
}

/// Whether the trigger fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It does, and this is handed on.
    Fires(Variables),
    /// It does not: the event is not for this trigger.
    NotForThisTrigger,
}

/// What is handed on to the runnable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variables {
    /// The whole payload as it is, which nobody copies.
    Payload,
    /// Other JSON.
    Json(Vec<u8>),
}
