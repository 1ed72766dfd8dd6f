//! A webhook as we want it, and as GitHub describes it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

/// GitHub's word for every event there is.
const ALL: &str = "*";
/// Sent to every webhook without being asked for, and refused when it is.
const UNASKED: &str = "ping";

/// What the webhook shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where GitHub sends.
    pub url: String,
    /// Never empty.
    pub events: BTreeSet<String>,
    /// `json` or `form`.
    pub content_type: &'static str,
    /// Whether GitHub leaves our certificate unchecked.
    pub insecure_ssl: bool,
}

/// What GitHub says of a webhook. Unknown fields are GitHub's business.
#[derive(Debug, Clone, Deserialize)]
pub struct Hook {
    pub id: u64,
    #[serde(default)]
    pub active: bool,
    #[serde(default)]
    pub events: BTreeSet<String>,
    #[serde(default)]
    pub config: HookConfig,
    /// When it was made or last changed.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// How the last delivery was answered; only repositories' webhooks have it.
    #[serde(default)]
    pub last_response: Option<LastResponse>,
}

/// Part of [`Hook`].
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HookConfig {
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub content_type: Option<String>,
    /// `"0"`, `"1"`, 0 or 1.
    #[serde(default)]
    insecure_ssl: Value,
    /// Stars, if there is one.
    #[serde(default)]
    pub secret: Option<String>,
}

/// Part of [`Hook`].
#[derive(Debug, Clone, Deserialize)]
pub struct LastResponse {
    /// An HTTP status; absent before the first delivery.
    #[serde(default)]
    pub code: Option<u16>,
    #[serde(default)]
    pub message: Option<String>,
}

impl Wanted {
    /// What parameters and triggers ask for. Events that the parameters name come before those
    /// that triggers wait for; where nobody names any, all.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a parameter of the wrong kind.
    pub fn of(url: &str, parameters: &Map, waited_for: &[String]) -> Result<Self> {
        let mut events = chosen_events(parameters)?;
        if events.is_empty() {
            events.extend(waited_for.iter().cloned());
        }
        events.remove(UNASKED);
        if events.is_empty() || events.contains(ALL) {
            events = BTreeSet::from([ALL.to_owned()]);
        }
        Ok(Self {
            url: url.to_owned(),
            events,
            content_type: content_type(parameters)?,
            insecure_ssl: match parameters.get("insecure_ssl") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(insecure)) => *insecure,
                Some(other) => return Err(wrong("insecure_ssl", other, "true or false")),
            },
        })
    }

    /// The body that makes it.
    pub fn new_hook(&self, secret: &str) -> Value {
        json!({
            "name": "web",
            "active": true,
            "events": self.events,
            "config": self.config(secret),
        })
    }

    /// The body that changes it. GitHub replaces the whole `config`: without the secret in it, the
    /// webhook would have none.
    pub fn change(&self, secret: &str) -> Value {
        json!({
            "active": true,
            "events": self.events,
            "config": self.config(secret),
        })
    }

    /// Its `config` alone, which is all that an app's webhook has.
    pub fn config(&self, secret: &str) -> Value {
        json!({
            "url": self.url,
            "content_type": self.content_type,
            "insecure_ssl": if self.insecure_ssl { "1" } else { "0" },
            "secret": secret,
        })
    }
}

impl Hook {
    /// Whether it sends to this address.
    pub fn sends_to(&self, url: &str) -> bool {
        self.config.url.as_deref() == Some(url)
    }

    /// As the host lists it.
    pub fn into_held(self) -> HeldSubscription {
        let content_type = self.config.content_type.unwrap_or_default();
        HeldSubscription {
            external_id: self.id.to_string(),
            endpoint_url: self.config.url.unwrap_or_default(),
            events: self.events.into_iter().collect(),
            active: self.active,
            properties: Map::from_iter([("content_type".to_owned(), json!(content_type))]),
        }
    }
}

impl HookConfig {
    /// Whether GitHub leaves the certificate unchecked.
    pub fn is_insecure(&self) -> bool {
        match &self.insecure_ssl {
            Value::String(text) => text == "1",
            Value::Number(number) => number.as_u64() == Some(1),
            _ => false,
        }
    }
}

fn chosen_events(parameters: &Map) -> Result<BTreeSet<String>> {
    match parameters.get("events") {
        None | Some(Value::Null) => Ok(BTreeSet::new()),
        Some(Value::String(event)) => Ok(BTreeSet::from([event.clone()])),
        Some(Value::Array(events)) => events
            .iter()
            .map(|event| match event {
                Value::String(event) => Ok(event.clone()),
                other => Err(wrong("events", other, "a list of event names")),
            })
            .collect(),
        Some(other) => Err(wrong("events", other, "a list of event names")),
    }
}

fn content_type(parameters: &Map) -> Result<&'static str> {
    match parameters.get("content_type") {
        None | Some(Value::Null) => Ok("json"),
        Some(Value::String(text)) if text == "json" => Ok("json"),
        Some(Value::String(text)) if text == "form" => Ok("form"),
        Some(other) => Err(wrong("content_type", other, "`json` or `form`")),
    }
}

fn wrong(parameter: &str, found: &Value, expected: &str) -> Error {
    Error::invalid_input(format!(
        "parameters.{parameter} is {found}, but must be {expected}"
    ))
}
