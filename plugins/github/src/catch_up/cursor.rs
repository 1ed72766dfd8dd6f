//! How far the delivery log is accounted for.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trigger_plugin_api::prelude::*;

use crate::subscription::OURS_SINCE_MS;

/// Kept by the host as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Of the newest delivery that was seen, by GitHub's clock.
    pub seen_ms: i64,
    /// When the log was last read to its end, by our clock.
    pub read_ms: i64,
    /// A reading of the log that has not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// How many parts the ledger has in the host's state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chunks: usize,
}

/// Part of [`Cursor`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Of the newest delivery of this reading.
    pub newest_ms: i64,
    /// Path of the page to be read next.
    pub next: String,
}

impl Cursor {
    /// Where the pull before ended. The first begins when the webhook became ours, and one that
    /// has lost its cursor at the moment that the host names.
    ///
    /// # Errors
    /// `NOT_FOUND` for a cursor that another version wrote.
    pub fn of(request: &PullRequest, now_ms: i64) -> Result<Self> {
        if let Some(cursor) = &request.cursor {
            return serde_json::from_str(cursor)
                .map_err(|_| Error::not_found("the cursor of the delivery log cannot be read"));
        }
        let properties = &request.subscription.properties;
        let ours_since = properties.get(OURS_SINCE_MS).and_then(Value::as_i64);
        Ok(Self {
            seen_ms: request.since_ms.or(ours_since).unwrap_or(now_ms),
            read_ms: request.since_ms.unwrap_or(now_ms),
            reading: None,
            chunks: 0,
        })
    }

    /// As the host keeps it.
    pub fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes it so
fn is_zero(number: &usize) -> bool {
    *number == 0
}
