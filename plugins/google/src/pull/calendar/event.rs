//! An event of a calendar as it is handed on.

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::change::{Change, Sighting};
use super::record::Record;
use crate::pull::moment::{moment_ms, written};

/// The calendar that events are of.
pub struct Calendar {
    pub id: String,
    pub summary: Option<String>,
    pub zone: Option<String>,
}

impl Calendar {
    fn said(&self) -> Value {
        json!({"id": self.id, "summary": self.summary, "timeZone": self.zone})
    }
}

impl Change {
    /// With all that is known of it.
    pub fn into_event(self, sighting: &Sighting<'_>, calendar: &Calendar) -> PulledEvent {
        let kind = self.kind();
        let mut event = sighting.said.clone();
        let text = |event: &Value, field: &str| Some(event.get(field)?.as_str()?.to_owned());
        let updated = text(&event, "updated");
        let of_series = sighting.head.map(|head| sighting.as_of_series(head));
        let before = sighting.known.or(of_series.as_ref());
        if let (Self::Cancelled, Some(before)) = (&self, before) {
            before.fill(&mut event);
        }
        let id = text(&event, "id").unwrap_or_default();
        // A cancelled event is sure to have an id and nothing else.
        let version = updated
            .clone()
            .or_else(|| text(&event, "etag"))
            .or_else(|| Some(sighting.known?.updated.clone()))
            .unwrap_or_default();
        let mut payload = json!({
            "kind": kind,
            "calendar": calendar.said(),
            "event": event,
            "all_day": is_all_day(&event),
            "caught_up": sighting.resync,
        });
        if let Self::Updated(changed) = self {
            payload["changed"] = json!(changed);
            payload["previous"] = before.map_or(Value::Null, as_previous);
        }
        PulledEvent {
            name: format!("calendar.event_{kind}"),
            payload: payload.to_string().into_bytes(),
            occurred_at_ms: updated.as_deref().and_then(moment_ms),
            delivery_id: Some(format!("{id}:{version}:{kind}")),
        }
    }
}

/// An event begins.
pub fn started(said: &Value, id: &str, start_ms: i64, calendar: &Calendar) -> TimedEvent {
    let payload = json!({
        "kind": "started",
        "calendar": calendar.said(),
        "event": said,
        "all_day": is_all_day(said),
        "starts_at": written(start_ms),
    });
    TimedEvent {
        due_at_ms: start_ms,
        event: PulledEvent {
            name: "calendar.event_started".to_owned(),
            payload: payload.to_string().into_bytes(),
            occurred_at_ms: Some(start_ms),
            delivery_id: Some(format!("{id}:{start_ms}:started")),
        },
    }
}

fn is_all_day(event: &Value) -> bool {
    event.pointer("/start/date").is_some()
}

fn as_previous(record: &Record) -> Value {
    json!({
        "summary": record.summary,
        "location": record.location,
        "start": record.start,
        "end": record.end,
        "status": record.status,
    })
}
