//! An entry of the delivery log, as GitHub describes it.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::instant_ms;

/// One attempt at delivering one event.
#[derive(Debug, Clone, Deserialize)]
pub struct Delivery {
    /// Of the attempt.
    pub id: u64,
    /// Of the event; all attempts at it carry the same one.
    pub guid: String,
    delivered_at: String,
    /// Whether somebody asked for it.
    #[serde(default)]
    pub redelivery: bool,
    /// The answer's, or one that GitHub gives to a connection that failed; 0 when there is none.
    #[serde(default)]
    status_code: i64,
    #[serde(default)]
    event: String,
}

impl Delivery {
    /// When it was sent.
    ///
    /// # Errors
    /// `UPSTREAM` when that is not a moment.
    pub fn at_ms(&self) -> Result<i64> {
        instant_ms(&self.delivered_at).ok_or_else(|| {
            Error::upstream(format!(
                "GitHub says that a delivery was sent at `{}`, which is no moment",
                self.delivered_at
            ))
        })
    }

    /// Whether we have it. GitHub counts redirects as well, and follows none.
    pub fn has_arrived(&self) -> bool {
        (200..300).contains(&self.status_code)
    }

    /// Whether it says that something happened.
    pub fn is_event(&self) -> bool {
        self.event != "ping"
    }
}
