//! Calendars, their events, and the sync tokens over them.
//! <https://developers.google.com/workspace/calendar/api/guides/sync>

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::channels::{About, Watched};
use super::clock::{parse_ms, rfc3339};
use super::description::Call;
use super::recurrence::{self, moment_ms};
use super::refusal::Refusal;
use super::{ACCOUNT, page_of};

const WEEK_MS: i64 = 7 * 86_400_000;
const YEAR_MS: i64 = 366 * 86_400_000;

/// One event, a series, or one event that was taken out of a series.
pub struct Stored {
    pub said: Map<String, Value>,
    /// The place of its last change.
    changed: u64,
}

/// One calendar.
pub struct Calendar {
    pub zone: String,
    summary: String,
    pub events: BTreeMap<String, Stored>,
    changes: u64,
    valid_from: u64,
    pub updated_ms: i64,
}

/// All calendars of the account, by id.
pub struct Calendars(pub BTreeMap<String, Calendar>);

impl Default for Calendars {
    fn default() -> Self {
        let calendar = |zone: &str, summary: &str| Calendar {
            zone: zone.to_owned(),
            summary: summary.to_owned(),
            events: BTreeMap::new(),
            changes: 0,
            valid_from: 0,
            updated_ms: 0,
        };
        let team = "team@group.calendar.google.com";
        Self(
            [
                (ACCOUNT.to_owned(), calendar("Europe/Berlin", "Ada")),
                (team.to_owned(), calendar("America/New_York", "Team")),
            ]
            .into(),
        )
    }
}

impl Calendar {
    /// Keeps an event as it is now.
    pub fn store(&mut self, at_ms: i64, id: &str, mut said: Map<String, Value>) {
        self.changes += 1;
        self.updated_ms = at_ms;
        said.insert("kind".to_owned(), json!("calendar#event"));
        said.insert("id".to_owned(), json!(id));
        said.insert("updated".to_owned(), json!(rfc3339(at_ms)));
        said.insert("etag".to_owned(), json!(format!("\"{}\"", self.changes)));
        let changed = self.changes;
        self.events.insert(id.to_owned(), Stored { said, changed });
    }

    /// Every token given out so far is too old from now on.
    pub fn expire_cursor(&mut self) {
        self.changes += 1;
        self.valid_from = self.changes;
    }

    /// One event of a series as the rules make it, by its id.
    pub fn instance(&self, id: &str) -> Option<Map<String, Value>> {
        let (series_id, suffix) = id.rsplit_once('_')?;
        let series = &self.events.get(series_id)?.said;
        let all = recurrence::instances(&json!(series), &self.zone, i64::MIN, i64::MAX).ok()?;
        let instance = all.into_iter().find(|each| each.suffix == suffix)?;
        Some(one_of(series, series_id, &instance))
    }

    /// Single events and series as they are, and what was taken out of series.
    fn whole(&self, call: &Call) -> Vec<Value> {
        let deleted = call.is_set("showDeleted");
        let (from_ms, until_ms) = window(call);
        let fits = |stored: &&Stored| {
            let of_series = stored.said.contains_key("recurringEventId");
            if is_cancelled(&stored.said) {
                return deleted || of_series;
            }
            stored.said.contains_key("recurrence") || self.is_in(&stored.said, from_ms, until_ms)
        };
        let whole = self.events.values().filter(fits);
        whole.map(told).collect()
    }

    /// Series taken apart.
    fn single(&self, call: &Call) -> Result<Vec<Value>, Refusal> {
        let (from_ms, until_ms) = window(call);
        let until_ms = until_ms.min(from_ms.saturating_add(YEAR_MS));
        let mut single = Vec::new();
        for (id, stored) in &self.events {
            let said = &stored.said;
            if is_cancelled(said) {
                continue;
            }
            if !said.contains_key("recurrence") {
                let of_series = said.get("recurringEventId").and_then(Value::as_str);
                let is_alive = of_series
                    .and_then(|series| self.events.get(series))
                    .is_none_or(|series| !is_cancelled(&series.said));
                if is_alive && self.is_in(said, from_ms, until_ms) {
                    single.push(json!(said));
                }
                continue;
            }
            let instances = recurrence::instances(&json!(said), &self.zone, from_ms, until_ms)
                .map_err(Refusal::malformed)?;
            for instance in instances {
                let instance_id = format!("{id}_{}", instance.suffix);
                if !self.events.contains_key(&instance_id) {
                    single.push(json!(one_of(said, id, &instance)));
                }
            }
        }
        single.sort_by_key(|event| moment_ms(&event["start"], &self.zone));
        Ok(single)
    }

    fn is_in(&self, said: &Map<String, Value>, from_ms: i64, until_ms: i64) -> bool {
        let moment = |name: &str| moment_ms(said.get(name)?, &self.zone);
        moment("end").is_some_and(|end| end > from_ms)
            && moment("start").is_some_and(|start| start < until_ms)
    }
}

impl Calendars {
    pub fn get(&self, call: &Call) -> Result<Value, Refusal> {
        let (id, calendar) = self.found(call)?;
        Ok(json!({
            "kind": "calendar#calendar",
            "id": id,
            "summary": calendar.summary,
            "timeZone": calendar.zone,
        }))
    }

    pub fn list(&self, call: &Call, page_max: Option<usize>) -> Result<Value, Refusal> {
        let all = self.0.iter().map(|(id, calendar)| {
            let mut entry = json!({
                "kind": "calendar#calendarListEntry",
                "id": id,
                "summary": calendar.summary,
                "timeZone": calendar.zone,
                "accessRole": "owner",
            });
            if id == ACCOUNT {
                entry["primary"] = json!(true);
            }
            entry
        });
        let all: Vec<Value> = all.collect();
        let begin = page_token(call)?.map_or(0, |(begin, _)| begin);
        let range = page_of(call, ("maxResults", 100), page_max, begin);
        let mut answer = json!({
            "kind": "calendar#calendarList",
            "items": all.get(begin..range.end.min(all.len())).unwrap_or_default(),
        });
        match range.end < all.len() {
            true => answer["nextPageToken"] = json!(format!("~{}~0", range.end)),
            false => answer["nextSyncToken"] = json!("0"),
        }
        Ok(answer)
    }

    pub fn event(&self, call: &Call) -> Result<Value, Refusal> {
        let (_, calendar) = self.found(call)?;
        let id = call.place("eventId");
        let stored = calendar.events.get(id).map(|stored| stored.said.clone());
        let said = stored.or_else(|| calendar.instance(id));
        said.map(Value::Object)
            .ok_or_else(|| Refusal::not_found("Event"))
    }

    pub fn events(&self, call: &Call, page_max: Option<usize>) -> Result<Value, Refusal> {
        let (_, calendar) = self.found(call)?;
        let sorted = call.query("orderBy") == Some("startTime");
        if sorted && !call.is_set("singleEvents") {
            return Err(Refusal::malformed("orderBy=startTime needs singleEvents"));
        }
        let all = match call.query("syncToken") {
            Some(token) => calendar.since(call, token)?,
            None if call.is_set("singleEvents") => calendar.single(call)?,
            None => calendar.whole(call),
        };
        // The place of the first page, so that what changes while pages are read is told next time.
        let (begin, place) = page_token(call)?.unwrap_or((0, calendar.changes));
        let range = page_of(call, ("maxResults", 250), page_max, begin);
        let mut answer = json!({
            "kind": "calendar#events",
            "summary": calendar.summary,
            "timeZone": calendar.zone,
            "updated": rfc3339(calendar.updated_ms),
            "accessRole": "owner",
            "defaultReminders": [],
            "items": all.get(begin.min(all.len())..range.end.min(all.len())).unwrap_or_default(),
        });
        if range.end < all.len() {
            answer["nextPageToken"] = json!(format!("~{}~{place}", range.end));
        } else if !sorted {
            answer["nextSyncToken"] = json!(place.to_string());
        }
        Ok(answer)
    }

    pub fn watched(&self, call: &Call) -> Result<Watched, Refusal> {
        let (id, _) = self.found(call)?;
        Ok(Watched {
            uri: format!("https://www.googleapis.com/calendar/v3/calendars/{id}/events?alt=json"),
            about: About::Calendar(id.to_owned()),
            lifetime_max_ms: WEEK_MS,
        })
    }

    fn found(&self, call: &Call) -> Result<(&str, &Calendar), Refusal> {
        let id = match call.place("calendarId") {
            "primary" => ACCOUNT,
            id => id,
        };
        let found = self.0.get_key_value(id);
        found
            .map(|(id, calendar)| (id.as_str(), calendar))
            .ok_or_else(|| Refusal::new(404, "notFound", "Not Found"))
    }
}

impl Calendar {
    fn since(&self, call: &Call, token: &str) -> Result<Vec<Value>, Refusal> {
        let forbidden = [
            "iCalUID",
            "orderBy",
            "privateExtendedProperty",
            "q",
            "sharedExtendedProperty",
            "timeMin",
            "timeMax",
            "updatedMin",
        ];
        if let Some(name) = forbidden.iter().find(|name| call.query(name).is_some()) {
            return Err(Refusal::malformed(format!(
                "Sync token cannot be used with {name}"
            )));
        }
        if call.query("showDeleted") == Some("false") {
            return Err(Refusal::malformed("a sync shows what is deleted"));
        }
        let place: u64 = token.parse().map_err(|_| Refusal {
            location: Some("syncToken".to_owned()),
            ..Refusal::new(400, "invalid", "Invalid sync token value.")
        })?;
        if place < self.valid_from {
            return Err(Refusal::gone("syncToken"));
        }
        let mut changed: Vec<&Stored> = self
            .events
            .values()
            .filter(|stored| stored.changed > place)
            .collect();
        changed.sort_by_key(|stored| stored.changed);
        Ok(changed.into_iter().map(told).collect())
    }
}

/// Of what is cancelled only the id is sure to be told, and of what series it was.
fn told(stored: &Stored) -> Value {
    if !is_cancelled(&stored.said) {
        return json!(stored.said);
    }
    let sure = [
        "kind",
        "etag",
        "id",
        "status",
        "recurringEventId",
        "originalStartTime",
    ];
    let told = stored
        .said
        .iter()
        .filter(|(name, _)| sure.contains(&name.as_str()));
    Value::Object(
        told.map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

fn one_of(
    series: &Map<String, Value>,
    series_id: &str,
    instance: &recurrence::Instance,
) -> Map<String, Value> {
    let mut said = series.clone();
    said.remove("recurrence");
    said.insert(
        "id".to_owned(),
        json!(format!("{series_id}_{}", instance.suffix)),
    );
    said.insert("recurringEventId".to_owned(), json!(series_id));
    said.insert("start".to_owned(), instance.start.clone());
    said.insert("end".to_owned(), instance.end.clone());
    said.insert("originalStartTime".to_owned(), instance.start.clone());
    said
}

fn is_cancelled(said: &Map<String, Value>) -> bool {
    said.get("status")
        .is_some_and(|status| status == "cancelled")
}

fn window(call: &Call) -> (i64, i64) {
    let bound = |name: &str| call.query(name).and_then(parse_ms);
    (
        bound("timeMin").unwrap_or(i64::MIN),
        bound("timeMax").unwrap_or(i64::MAX),
    )
}

fn page_token(call: &Call) -> Result<Option<(usize, u64)>, Refusal> {
    let Some(token) = call.query("pageToken") else {
        return Ok(None);
    };
    let mut parts = token.trim_start_matches('~').split('~');
    let begin = parts.next().and_then(|begin| begin.parse().ok());
    let place = parts.next().and_then(|place| place.parse().ok());
    begin
        .zip(place)
        .map(Some)
        .ok_or_else(|| Refusal::malformed(format!("`{token}` is no page token")))
}
