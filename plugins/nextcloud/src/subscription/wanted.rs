//! A hook as we want it: one for each event that is chosen or waited for.

use serde_json::{Map, Value, json};
use trigger_plugin_api::prelude::*;

use super::hook::Hook;
use crate::class::EventClass;
use crate::event_filter::{self, FilterParameters};

/// The header that proves that a delivery is a hook's of ours.
pub const SECRET_HEADER: &str = "X-Trigger-Secret";
/// The header that says which making a hook belongs to.
pub const KEY_HEADER: &str = "X-Trigger-Registration";

/// What all hooks of one making share.
#[derive(Clone, Copy)]
pub struct Making<'m> {
    /// Where Nextcloud sends.
    pub url: &'m str,
    /// What it sends in the secret header.
    pub secret: &'m str,
    /// `reg_…`; empty when the host gave none.
    pub key: &'m str,
}

/// What a hook shall be.
pub struct Wanted {
    pub class: EventClass,
    url: String,
    filter: Map<String, Value>,
    secret: String,
    key: String,
}

/// The hooks that parameters and triggers ask for. Events that the parameters name come before those
/// that triggers wait for.
///
/// # Errors
/// `INVALID_INPUT` for a parameter that cannot be right, and when nobody names an event.
pub fn all(
    declared: &Declared,
    making: Making<'_>,
    parameters: &Map<String, Value>,
    waited_for: &[String],
) -> Result<Vec<Wanted>> {
    let mut names = event_filter::texts(parameters, "events")?;
    if names.is_empty() {
        names = waited_for.to_vec();
    }
    let mut classes: Vec<EventClass> = Vec::new();
    for name in &names {
        let class = EventClass::of(declared, name)?;
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    if classes.is_empty() {
        return Err(Error::invalid_input(
            "nothing says which events are wanted: name them in parameters.events, or make a trigger that waits for one; Nextcloud has no hook for everything",
        ));
    }
    let filter = FilterParameters::of(parameters)?;
    event_filter::validate(&classes, &filter)?;
    let wanted = classes.into_iter().map(|class| {
        Ok(Wanted {
            filter: event_filter::of(&class, &filter)?,
            class,
            url: making.url.to_owned(),
            secret: making.secret.to_owned(),
            key: making.key.to_owned(),
        })
    });
    wanted.collect()
}

impl Wanted {
    /// The body that makes it, and the one that changes it: Nextcloud replaces the whole hook.
    pub fn body(&self) -> Value {
        let mut headers = Map::from_iter([(SECRET_HEADER.to_owned(), json!(self.secret))]);
        if !self.key.is_empty() {
            headers.insert(KEY_HEADER.to_owned(), json!(self.key));
        }
        json!({
            "httpMethod": "POST",
            "uri": self.url,
            "event": self.class.class,
            "eventFilter": match self.filter.is_empty() {
                true => Value::Null,
                false => Value::Object(self.filter.clone()),
            },
            // It misses what is written over WebDAV; users are filtered by eventFilter and by triggers.
            "userIdFilter": null,
            "headers": headers,
            "authMethod": "none",
            "authData": null,
            "tokenNeeded": null,
        })
    }

    /// How the server's hook differs, field by field. Shows no secret.
    pub fn differences(&self, hook: &Hook) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut differs = |field: &str, ours: Value, theirs: Value| {
            if ours != theirs {
                drift.push(Drift {
                    field: field.to_owned(),
                    ours,
                    theirs,
                });
            }
        };
        differs("uri", json!(self.url), json!(hook.uri));
        let event = hook.event.trim_start_matches('\\');
        differs("event", json!(self.class.class), json!(event));
        differs("eventFilter", json!(self.filter), json!(hook.event_filter));
        differs("httpMethod", json!("POST"), json!(hook.http_method));
        let user = hook.user_id_filter.as_deref().unwrap_or_default();
        differs("userIdFilter", json!(""), json!(user));
        let method = hook.auth_method.as_deref().unwrap_or("none");
        differs("authMethod", json!("none"), json!(method));
        differs("tokenNeeded", json!({}), json!(hook.token_needed));
        let secret = match hook.header(SECRET_HEADER) {
            Some(secret) if secret == self.secret => "ours",
            Some(_) => "another",
            None => "none",
        };
        differs(
            "headers",
            json!({ SECRET_HEADER: "ours" }),
            json!({ SECRET_HEADER: secret }),
        );
        if !self.key.is_empty() {
            differs(
                "headers",
                json!({ KEY_HEADER: self.key }),
                json!({ KEY_HEADER: hook.key() }),
            );
        }
        drift
    }
}
