//! What changed in a calendar, and when its events begin.
//!
//! State: `e/<event>` is what we know of an event or a series; `starts/<n>` are the starts that the
//! host has timers for. A series is one thing here; only its starts are read one by one.
//! <https://developers.google.com/workspace/calendar/api/guides/sync>

mod change;
mod event;
mod record;
mod starts;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

use self::change::Sighting;
use self::event::Calendar;
use self::record::Record;
use super::cursor::{CalendarCursor, Cursor, Starts};
use super::moment::{field_ms, moment_ms, written};
use super::{counted_from_ms, foreign_cursor};
use crate::api::{Api, Failure, encoded};

/// What ended earlier is not listed at the beginning.
const LISTED_BACK_MS: i64 = 30 * 24 * 3_600_000;
/// As many events are kept of one calendar; of the others is told what their times tell.
const EVENTS_MAX: u32 = 20_000;
const PAGE_SIZE: &str = "250";
/// What Calendar is asked to say of an event, and what an event hands on.
const FIELDS: &str = "id,etag,status,htmlLink,hangoutLink,created,updated,summary,description,location,\
creator,organizer,start,end,recurrence,recurringEventId,originalStartTime,transparency,visibility,\
iCalUID,sequence,eventType,attendees(email,displayName,responseStatus,optional,self,resource)";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Value>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    updated: Option<String>,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    next_sync_token: Option<String>,
}

/// One step: one page of changes, and after the last one the starts when they may be others.
pub async fn pull(api: &Api<'_>, request: &PullRequest, id: &str) -> Result<Pulled, Failure> {
    let mut pulled = Pulled::default();
    let mut cursor = match request.cursor.as_deref().map(Cursor::parse).transpose()? {
        Some(Cursor::Calendar(cursor)) => *cursor,
        Some(Cursor::File | Cursor::Drive(_)) => return Err(foreign_cursor()),
        None => begin(api, request, &mut pulled),
    };
    let path = format!("/calendar/v3/calendars/{}/events", encoded(id));
    let page = list(api, &path, &cursor).await?;
    let calendar = Calendar {
        id: id.to_owned(),
        summary: page.summary.clone(),
        zone: page.time_zone.clone(),
    };
    take_in(api, &mut cursor, &page, &calendar, &mut pulled).await?;
    pulled.more = page.next_page_token.is_some();
    cursor.page = page.next_page_token;
    if !pulled.more {
        cursor.sync = page.next_sync_token.or(cursor.sync);
        cursor.from = None;
        cursor.resync = false;
        cursor.at_ms = cursor.seen_ms;
        let now_ms = api.host().now_ms();
        if cursor.dirty || now_ms >= cursor.starts.again_at_ms {
            starts::read(api, &path, &calendar, &mut cursor.starts, &mut pulled).await?;
            cursor.dirty = false;
        }
        let again_in_ms = cursor.starts.again_at_ms - now_ms;
        pulled.next_in_ms = u64::try_from(again_in_ms).ok();
    }
    pulled.cursor = Cursor::Calendar(Box::new(cursor)).to_text();
    Ok(pulled)
}

fn begin(api: &Api<'_>, request: &PullRequest, pulled: &mut Pulled) -> CalendarCursor {
    let at_ms = counted_from_ms(api, request);
    if request.since_ms.is_some() {
        pulled.notes.push(format!(
            "Calendar did not know any more where reading had stopped: everything is compared anew, and what changed since {} is reported",
            written(at_ms)
        ));
    }
    CalendarCursor {
        sync: None,
        page: None,
        from: Some(written(at_ms - LISTED_BACK_MS)),
        resync: request.since_ms.is_some(),
        at_ms,
        seen_ms: at_ms,
        known: 0,
        dirty: true,
        starts: Starts {
            read_at_ms: at_ms,
            again_at_ms: 0,
            pages: 0,
        },
    }
}

/// Compares each event with what we knew of it.
async fn take_in(
    api: &Api<'_>,
    cursor: &mut CalendarCursor,
    page: &Page,
    calendar: &Calendar,
    pulled: &mut Pulled,
) -> Result<()> {
    let mut known = load(api.host(), &page.items).await?;
    for said in &page.items {
        let Some(id) = said.get("id").and_then(Value::as_str) else {
            continue;
        };
        let head = said.get("recurringEventId").and_then(Value::as_str);
        let sighting = Sighting {
            said,
            known: known.get(id),
            head: head.and_then(|head| known.get(head)),
            at_ms: cursor.at_ms,
            listed: cursor.sync.is_none(),
            resync: cursor.resync,
            unkept: cursor.known >= EVENTS_MAX,
        };
        let changed = sighting.change();
        let event = changed.map(|change| change.into_event(&sighting, calendar));
        let was_known = sighting.known.is_some();
        pulled.events.extend(event);
        cursor.dirty = true;
        let kept = Record::of(said);
        match kept {
            Some(_) if !was_known && cursor.known >= EVENTS_MAX => {}
            Some(record) => {
                cursor.known += u32::from(!was_known);
                pulled
                    .state
                    .insert(key(id), Some(serde_json::json!(record)));
                known.insert(id.to_owned(), record);
            }
            None => {
                cursor.known -= u32::from(was_known && cursor.known > 0);
                if was_known {
                    pulled.state.insert(key(id), None);
                    known.remove(id);
                }
            }
        }
        if let Some(updated_ms) = field_ms(said, "updated") {
            cursor.seen_ms = cursor.seen_ms.max(updated_ms);
        }
    }
    let updated = page.updated.as_deref().and_then(moment_ms);
    cursor.seen_ms = cursor.seen_ms.max(updated.unwrap_or_default());
    Ok(())
}

/// What we know of these events, and of the series that they are of.
async fn load(host: &Host, items: &[Value]) -> Result<BTreeMap<String, Record>> {
    let ids = items
        .iter()
        .flat_map(|said| [said.get("id"), said.get("recurringEventId")])
        .filter_map(|id| id?.as_str());
    let ids: BTreeMap<String, &str> = ids.map(|id| (key(id), id)).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<String> = ids.keys().cloned().collect();
    let kept = host.state_get_many(&keys).await?;
    let known = kept.into_iter().filter_map(|(key, record)| {
        let id = (*ids.get(&key)?).to_owned();
        Some((id, serde_json::from_value(record).ok()?))
    });
    Ok(known.collect())
}

/// A page of the log of changes, or at the beginning of what there is. Apart from the tokens both
/// must be asked for with the same words.
async fn list(api: &Api<'_>, path: &str, cursor: &CalendarCursor) -> Result<Page, Failure> {
    let fields = format!("nextPageToken,nextSyncToken,summary,timeZone,updated,items({FIELDS})");
    let mut query = vec![
        ("fields", fields.as_str()),
        ("maxResults", PAGE_SIZE),
        ("showDeleted", "true"),
    ];
    match (&cursor.sync, &cursor.from) {
        (Some(sync), _) => query.push(("syncToken", sync)),
        (None, Some(from)) => query.push(("timeMin", from)),
        (None, None) => {}
    }
    if let Some(page) = &cursor.page {
        query.push(("pageToken", page));
    }
    api.get(path, &query).await
}

/// Ids of Calendar's can be longer than a key.
fn key(id: &str) -> String {
    format!("e/{}", short(id))
}

fn short(id: &str) -> String {
    match id.len() {
        0..=200 => id.to_owned(),
        _ => format!("{:016x}", super::fingerprint::fingerprint(&Value::from(id))),
    }
}
