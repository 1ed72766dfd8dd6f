//! When events begin: the starts of the next day, as timers that the host keeps.
//!
//! ```text
//!          read before          now                              until
//!   ─────────────┼───────────────┼─────────────────────────────────┤
//!     nothing    │ missed: due   │ a timer for each; one that is   │ read again
//!     to do      │ at once       │ not there any more is withdrawn │ in half a day
//! ```
//! Calendar expands series itself, with the offset that is right on each day, so no rule of
//! repetition or of summer time is reckoned here.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::event::{Calendar, started};
use super::{FIELDS, Page, short};
use crate::api::{Api, Failure};
use crate::pull::cursor::Starts;
use crate::pull::moment::{field_ms, start_ms, written};

const HOUR_MS: i64 = 3_600_000;
/// How far ahead starts are read; more than twice the time to the next reading, so that one which
/// fails for half a day costs nothing.
const AHEAD_MS: i64 = 25 * HOUR_MS;
const AGAIN_MS: i64 = 12 * HOUR_MS;
/// Of a longer time away, older starts are not made up for.
const BACK_MAX_MS: i64 = 7 * 24 * HOUR_MS;
const LATE_MS: i64 = 300_000;
const PAGES_MAX: usize = 20;
/// Starts on one page of the state.
const KEPT_A_PAGE: usize = 60;

/// A start as it is kept: the event's id and the moment.
type Kept = BTreeMap<String, i64>;

/// Reads the starts anew and sets, replaces and withdraws timers.
pub async fn read(
    api: &Api<'_>,
    path: &str,
    calendar: &Calendar,
    starts: &mut Starts,
    pulled: &mut Pulled,
) -> Result<(), Failure> {
    let now_ms = api.host().now_ms();
    let before = load(api.host(), starts.pages).await?;
    let read_before_ms = starts.read_at_ms.clamp(now_ms - BACK_MAX_MS, now_ms);
    // What was entered for this very minute may have begun just before the last reading; before the
    // first one nothing is made up for.
    let is_first = starts.again_at_ms == 0;
    let from_ms = read_before_ms - if is_first { 0 } else { LATE_MS };
    let mut until_ms = now_ms + AHEAD_MS;
    let (said, complete_to_ms) = list(api, path, calendar, from_ms, until_ms).await?;
    if let Some(complete_to_ms) = complete_to_ms {
        until_ms = complete_to_ms;
        pulled.notes.push(format!(
            "the calendar has more events in a day than are read at once: starts are known until {}",
            written(until_ms)
        ));
    }
    let zone = calendar.zone.as_deref().unwrap_or("UTC");
    let mut kept = Kept::new();
    for event in &said {
        let id = event.get("id").and_then(Value::as_str);
        let start = event.get("start").and_then(|start| start_ms(start, zone));
        let (Some(id), Some(start)) = (id, start) else {
            continue;
        };
        let is_set = before.get(id) == Some(&start);
        let is_missed = start <= now_ms
            && start > from_ms
            && !is_set
            && !was_entered_late(event, start, before.get(id));
        if start > now_ms || is_missed {
            let timer = started(event, id, start, calendar);
            pulled.timers.insert(timer_key(id), Some(timer));
        }
        if start > now_ms || is_set || is_missed {
            kept.insert(id.to_owned(), start);
        }
    }
    // Of what began before the last reading the host knows all; the others are cancelled, or moved
    // out of sight. A timer that has fired already is withdrawn without harm.
    let withdrawn = before
        .iter()
        .filter(|(id, start)| **start > read_before_ms && !kept.contains_key(*id));
    for (id, _) in withdrawn {
        pulled.timers.insert(timer_key(id), None);
    }
    starts.read_at_ms = now_ms;
    starts.again_at_ms = (now_ms + AGAIN_MS).min(until_ms.max(now_ms + HOUR_MS / 60));
    keep(&kept, starts, pulled);
    Ok(())
}

/// Whether an event was entered, or put to this start, when that had passed already. What was
/// entered in the minutes around its start begins all the same.
fn was_entered_late(event: &Value, start_ms: i64, known: Option<&i64>) -> bool {
    let entered = match known {
        Some(_) => "updated",
        None => "created",
    };
    field_ms(event, entered).is_some_and(|entered_ms| entered_ms > start_ms + LATE_MS)
}

/// All that begins before `until_ms` and had not ended at `from_ms`; and, when that is too much, up
/// to when it is complete.
async fn list(
    api: &Api<'_>,
    path: &str,
    calendar: &Calendar,
    from_ms: i64,
    until_ms: i64,
) -> Result<(Vec<Value>, Option<i64>), Failure> {
    // To the second, and an event without length ends when it begins: one second earlier.
    let (from, until) = (written(from_ms - 1000), written(until_ms));
    let fields = format!("nextPageToken,items({FIELDS})");
    let mut said: Vec<Value> = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut query = vec![
            ("fields", fields.as_str()),
            ("maxResults", super::PAGE_SIZE),
            ("singleEvents", "true"),
            ("orderBy", "startTime"),
            ("timeMin", from.as_str()),
            ("timeMax", until.as_str()),
        ];
        if let Some(token) = &token {
            query.push(("pageToken", token));
        }
        let page: Page = api.get(path, &query).await?;
        said.extend(page.items);
        token = page.next_page_token;
        if token.is_none() {
            return Ok((said, None));
        }
    }
    let zone = calendar.zone.as_deref().unwrap_or("UTC");
    let last = said
        .iter()
        .rev()
        .find_map(|event| start_ms(event.get("start")?, zone));
    Ok((said, last))
}

async fn load(host: &Host, pages: u32) -> Result<Kept> {
    let keys: Vec<String> = (0..pages).map(page_key).collect();
    if keys.is_empty() {
        return Ok(Kept::new());
    }
    let pages = host.state_get_many(&keys).await?;
    let kept = pages
        .into_values()
        .filter_map(|page| serde_json::from_value::<Kept>(page).ok());
    Ok(kept.flatten().collect())
}

fn keep(kept: &Kept, starts: &mut Starts, pulled: &mut Pulled) {
    let all: Vec<(&String, &i64)> = kept.iter().collect();
    let mut pages = 0;
    for chunk in all.chunks(KEPT_A_PAGE) {
        let page: BTreeMap<&String, &i64> = chunk.iter().copied().collect();
        pulled.state.insert(page_key(pages), Some(json!(page)));
        pages += 1;
    }
    for unused in pages..starts.pages {
        pulled.state.insert(page_key(unused), None);
    }
    starts.pages = pages;
}

fn page_key(page: u32) -> String {
    format!("starts/{page}")
}

fn timer_key(id: &str) -> String {
    format!("start/{}", short(id))
}
