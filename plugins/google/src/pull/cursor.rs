//! Where reading stopped, as the host keeps it between two steps.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::foreign_cursor;
use crate::api::Failure;

/// One for each kind of thing that is watched.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Cursor {
    File,
    Drive(Box<DriveCursor>),
    Calendar(Box<CalendarCursor>),
}

/// In a Drive, a shared drive or a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriveCursor {
    /// The watched folder by its real id.
    pub root: Option<String>,
    pub subfolders: bool,
    /// The shared drive whose changes are read.
    pub drive: Option<String>,
    pub phase: Phase,
    /// Where changes are read from, now or after the listing.
    pub token: String,
    /// What is newer than this is new, in milliseconds by Google's clock. Stands still until the
    /// changes are read to their end: each file is in them once, at the place of its last change.
    pub at_ms: i64,
    /// The newest change so far, which is `at_ms` next.
    pub seen_ms: i64,
    /// Folders that are still to be looked into: `scan/<next>` to `scan/<end>`.
    pub scan: Scan,
}

/// What is done with the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Everything is listed. `resync`: because the place was lost.
    Listing {
        resync: bool,
    },
    /// What we knew and did not find in the listing is looked for, from this page of ids on.
    Sweeping {
        page: u32,
    },
    Reading,
}

/// Folders that are still to be looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    pub next: u32,
    pub end: u32,
    /// How many of them the running listing is about.
    pub taken: u32,
    /// The next page of the running listing.
    pub page: Option<String>,
}

/// In a calendar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalendarCursor {
    /// Absent while everything is listed.
    pub sync: Option<String>,
    /// The next page of the running listing.
    pub page: Option<String>,
    /// For a listing of everything: the earliest end of an event that is listed.
    pub from: Option<String>,
    /// Because the place was lost.
    pub resync: bool,
    /// What is newer than this is new, in milliseconds by Google's clock.
    pub at_ms: i64,
    /// The newest change so far, which is `at_ms` next.
    pub seen_ms: i64,
    /// How many events are kept in the state.
    pub known: u32,
    /// Something changed, so the starts must be read again.
    pub dirty: bool,
    pub starts: Starts,
}

/// The starts that the host has timers for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// When they were read, in milliseconds by the host's clock.
    pub read_at_ms: i64,
    /// When they must be read again.
    pub again_at_ms: i64,
    /// How many pages of the state list them.
    pub pages: u32,
}

impl Cursor {
    /// Reads what [`Cursor::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|_| foreign_cursor())
    }

    /// As the host keeps it.
    pub fn to_text(&self) -> String {
        json!(self).to_string()
    }
}
