//! What is kept of an event.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pull::fingerprint::{clamped, fingerprint};

const TEXT_BYTES_MAX: usize = 1024;
/// Whom a cancelled event was for is told from here.
const ATTENDEES_MAX: usize = 100;

/// What is kept of an event. Short names: there are as many as events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "u", default)]
    pub updated: String,
    #[serde(rename = "t", default)]
    pub status: String,
    #[serde(rename = "n", default)]
    pub summary: Option<String>,
    #[serde(rename = "l", default)]
    pub location: Option<String>,
    #[serde(rename = "s", default)]
    pub start: Value,
    #[serde(rename = "e", default)]
    pub end: Value,
    #[serde(rename = "o", default)]
    pub organizer: Value,
    #[serde(rename = "w", default)]
    pub attendees: Vec<String>,
    #[serde(rename = "h", default)]
    pub link: Option<String>,
    /// Of the description.
    #[serde(rename = "d", default)]
    pub description: u64,
    /// Of the guests and their answers.
    #[serde(rename = "a", default)]
    pub answers: u64,
    /// Of the rules of a series.
    #[serde(rename = "r", default)]
    pub recurrence: u64,
}

impl Record {
    /// What to keep; `None` for an event that is cancelled.
    pub fn of(said: &Value) -> Option<Self> {
        let text = |field: &str| said.get(field).and_then(Value::as_str);
        if text("status") == Some("cancelled") {
            return None;
        }
        let short = |field: &str| text(field).map(|text| clamped(text, TEXT_BYTES_MAX).to_owned());
        let value = |field: &str| said.get(field).cloned().unwrap_or_default();
        let guests = said.get("attendees").and_then(Value::as_array);
        let guests: Vec<&Value> = guests.into_iter().flatten().collect();
        let answers: Vec<Value> = guests
            .iter()
            .map(|guest| json!([guest.get("email"), guest.get("responseStatus")]))
            .collect();
        let addresses = guests
            .iter()
            .filter_map(|guest| guest.get("email")?.as_str());
        Some(Self {
            updated: text("updated").unwrap_or_default().to_owned(),
            status: text("status").unwrap_or("confirmed").to_owned(),
            summary: short("summary"),
            location: short("location"),
            start: value("start"),
            end: value("end"),
            organizer: value("organizer"),
            attendees: addresses
                .take(ATTENDEES_MAX)
                .map(|address| clamped(address, 128).to_owned())
                .collect(),
            link: text("htmlLink").map(str::to_owned),
            description: fingerprint(&value("description")),
            answers: fingerprint(&Value::Array(answers)),
            recurrence: fingerprint(&value("recurrence")),
        })
    }

    /// What is different, in the words of the trigger's parameter `changed`.
    pub fn differences(&self, after: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut compare = |name, same: bool| {
            if !same {
                changed.push(name);
            }
        };
        compare("time", self.start == after.start && self.end == after.end);
        compare("summary", self.summary == after.summary);
        compare("location", self.location == after.location);
        compare("description", self.description == after.description);
        compare("attendees", self.answers == after.answers);
        compare("status", self.status == after.status);
        compare("recurrence", self.recurrence == after.recurrence);
        if changed.is_empty() {
            changed.push("other");
        }
        changed
    }

    /// What Calendar leaves out of a cancelled event.
    pub fn fill(&self, said: &mut Value) {
        let Some(event) = said.as_object_mut() else {
            return;
        };
        let mut fill = |name: &str, value: Value| {
            if !value.is_null() {
                event.entry(name).or_insert(value);
            }
        };
        fill("summary", json!(self.summary));
        fill("location", json!(self.location));
        fill("start", self.start.clone());
        fill("end", self.end.clone());
        fill("organizer", self.organizer.clone());
        fill("htmlLink", json!(self.link));
        let guests = self.attendees.iter();
        let guests: Vec<Value> = guests.map(|address| json!({ "email": address })).collect();
        if !guests.is_empty() {
            fill("attendees", Value::Array(guests));
        }
    }
}
