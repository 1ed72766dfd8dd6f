//! Which event a difference is: created, updated or cancelled.

use serde_json::Value;

use super::record::Record;
use crate::pull::moment::field_ms;

/// One look at one event.
pub struct Sighting<'s> {
    pub said: &'s Value,
    /// What we knew of it.
    pub known: Option<&'s Record>,
    /// What we knew of the series that it is of.
    pub head: Option<&'s Record>,
    /// What is newer is new.
    pub at_ms: i64,
    /// In a listing of what there is: it may have been there for long.
    pub listed: bool,
    /// In a listing because the place was lost.
    pub resync: bool,
    /// There are more events than we keep.
    pub unkept: bool,
}

/// What happened to an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Updated(Vec<&'static str>),
    Cancelled,
}

impl Change {
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated(_) => "updated",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Sighting<'_> {
    /// What happened, if anything that is to be told.
    pub fn change(&self) -> Option<Change> {
        let Some(after) = Record::of(self.said) else {
            return self.cancellation();
        };
        if let Some(before) = self.known {
            let same = before.updated == after.updated && *before == after;
            return (!same).then(|| Change::Updated(before.differences(&after)));
        }
        // The one event that was taken out of a series was created with the series.
        let is_of_series = self.text("recurringEventId").is_some();
        if !is_of_series && self.is_since("created") {
            return Some(Change::Created);
        }
        if self.listed && !self.is_since("updated") {
            return None;
        }
        Some(Change::Updated(match self.head {
            Some(head) => self.as_of_series(head).differences(&after),
            None => vec!["other"],
        }))
    }

    /// As an event of the series would be by the rules of the series.
    pub fn as_of_series(&self, head: &Record) -> Record {
        let mut expected = head.clone();
        // How long it lasts by the rules is not known without reckoning; a moved end alone shows
        // in nothing but the time of the change.
        if let Some(after) = Record::of(self.said) {
            expected.end = after.end;
            expected.recurrence = after.recurrence;
        }
        expected.start = self
            .said
            .get("originalStartTime")
            .cloned()
            .unwrap_or_default();
        expected
    }

    /// Of a cancelled event Calendar tells hardly more than the id: one that we know neither itself
    /// nor by its series was made and cancelled between two looks, or ended long ago.
    fn cancellation(&self) -> Option<Change> {
        let is_new = !self.listed || (self.resync && self.is_since("updated"));
        let is_of_known = self.head.is_some() || self.unkept;
        (self.known.is_some() || (is_new && is_of_known)).then_some(Change::Cancelled)
    }

    fn is_since(&self, field: &str) -> bool {
        field_ms(self.said, field).is_some_and(|moment| moment >= self.at_ms)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.said.get(field)?.as_str()
    }
}
