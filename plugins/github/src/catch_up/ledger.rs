//! The deliveries that failed and are not known to have arrived since.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::delivery::Delivery;

/// After the first time that a delivery was asked for again, doubled each time after it.
const BACKOFF_MS: i64 = 10 * 60_000;
const BACKOFF_MAX_MS: i64 = 6 * 3_600_000;
/// So that one value of the host's state stays under 16 KiB.
const CHUNK: usize = 120;
/// A day of a delivery every 17 seconds.
const ENTRIES_MAX: usize = 5_000;

/// By their GUIDs.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    left_out: usize,
}

/// One event, over all attempts at delivering it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Of the newest attempt.
    id: u64,
    /// When the oldest and the newest attempt were made, as far as they were seen.
    first_ms: i64,
    last_ms: i64,
    /// How often it was asked for again.
    asked: u32,
    /// When it may be asked for again.
    due_ms: i64,
    /// It has arrived, or cannot: kept until the log is not read down to it any more, so that its
    /// older attempts are not taken for losses.
    settled: bool,
}

/// What shall be asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    pub guid: String,
    pub id: u64,
}

/// An entry in the host's state: an array, which is short.
type Row = (String, u64, i64, i64, u32, i64, bool);

impl Ledger {
    /// Reads the parts that the pull before has left.
    ///
    /// # Errors
    /// `HOST` when the store cannot be reached.
    pub async fn read(host: &Host, chunks: usize) -> Result<Self> {
        if chunks == 0 {
            return Ok(Self::default());
        }
        let keys: Vec<String> = (0..chunks).map(key).collect();
        let values = host.state_get_many(&keys).await?;
        let rows = values
            .into_values()
            .filter_map(|value| serde_json::from_value::<Vec<Row>>(value).ok())
            .flatten();
        Ok(Self {
            entries: rows.map(Entry::of_row).collect(),
            left_out: 0,
        })
    }

    /// Takes in an entry of the log. They come newest first, some of them a second time.
    pub fn note(&mut self, delivery: &Delivery, at_ms: i64, now_ms: i64) {
        if !delivery.is_event() {
            return;
        }
        let arrived = delivery.has_arrived();
        if let Some(entry) = self.entries.get_mut(&delivery.guid) {
            entry.settled |= arrived;
            entry.first_ms = entry.first_ms.min(at_ms);
            if at_ms > entry.last_ms {
                entry.last_ms = at_ms;
                entry.id = delivery.id;
            }
            return;
        }
        // Only an attempt that was asked for has others before it.
        if arrived && !delivery.redelivery {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.left_out += usize::from(!arrived);
            return;
        }
        let entry = Entry {
            id: delivery.id,
            first_ms: at_ms,
            last_ms: at_ms,
            asked: 0,
            due_ms: now_ms,
            settled: arrived,
        };
        self.entries.insert(delivery.guid.clone(), entry);
    }

    /// What may be asked for now, in the order in which it first happened.
    pub fn due(&self, now_ms: i64, count_max: usize) -> Vec<Due> {
        let mut due: Vec<(&String, &Entry)> = self
            .open()
            .filter(|(_, entry)| entry.is_due(now_ms))
            .collect();
        due.sort_by_key(|(_, entry)| (entry.first_ms, entry.id));
        due.into_iter()
            .take(count_max)
            .map(|(guid, entry)| Due {
                guid: guid.clone(),
                id: entry.id,
            })
            .collect()
    }

    /// It was asked for. Answers whether for the first time.
    pub fn sent(&mut self, guid: &str, now_ms: i64) -> bool {
        let Some(entry) = self.entries.get_mut(guid) else {
            return false;
        };
        let wait_ms = BACKOFF_MS.saturating_mul(1 << entry.asked.min(10));
        entry.due_ms = now_ms + wait_ms.min(BACKOFF_MAX_MS);
        entry.asked += 1;
        entry.asked == 1
    }

    /// There is nothing more to be done about it.
    pub fn settle(&mut self, guid: &str, now_ms: i64) {
        if let Some(entry) = self.entries.get_mut(guid) {
            entry.settle(now_ms);
        }
    }

    /// Gives up what first failed before this, and counts it.
    pub fn expire(&mut self, before_ms: i64, now_ms: i64) -> usize {
        let entries = self.entries.values_mut();
        let expired = entries.filter(|entry| !entry.settled && entry.first_ms < before_ms);
        expired.map(|entry| entry.settle(now_ms)).count()
    }

    /// Lets go of what is settled, down to where the log is read next time.
    pub fn forget_settled(&mut self, floor_ms: i64) {
        self.entries
            .retain(|_, entry| !entry.settled || entry.last_ms >= floor_ms);
    }

    /// How many failed deliveries found no place.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// When the next may be asked for.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.open().map(|(_, entry)| entry.due_ms).min()
    }

    /// As it goes into the host's state, which holds so many parts now; and how many it takes.
    pub fn written(&self, chunks_now: usize) -> (BTreeMap<String, Option<Value>>, usize) {
        let rows: Vec<Row> = self.entries.iter().map(Entry::row).collect();
        let parts: Vec<&[Row]> = rows.chunks(CHUNK).collect();
        let state = (0..parts.len().max(chunks_now))
            .map(|number| (key(number), parts.get(number).map(|part| json!(part))))
            .collect();
        (state, parts.len())
    }

    fn open(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(|(_, entry)| !entry.settled)
    }
}

impl Entry {
    /// A moment that lies too far ahead is from a clock that was wrong.
    fn is_due(&self, now_ms: i64) -> bool {
        !(now_ms + 1..=now_ms + BACKOFF_MAX_MS).contains(&self.due_ms)
    }

    /// An attempt that is under way may still show in the log.
    fn settle(&mut self, now_ms: i64) {
        self.settled = true;
        self.last_ms = self.last_ms.max(now_ms);
    }

    fn row((guid, entry): (&String, &Self)) -> Row {
        (
            guid.clone(),
            entry.id,
            entry.first_ms,
            entry.last_ms,
            entry.asked,
            entry.due_ms,
            entry.settled,
        )
    }

    fn of_row((guid, id, first_ms, last_ms, asked, due_ms, settled): Row) -> (String, Self) {
        let entry = Self {
            id,
            first_ms,
            last_ms,
            asked,
            due_ms,
            settled,
        };
        (guid, entry)
    }
}

fn key(number: usize) -> String {
    format!("redeliver.{number}")
}
