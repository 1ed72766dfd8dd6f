//! The `socket` of a subscription in a document: where its connection leads and what is said there.

use serde_json::{Map, Value};
use url::Url;

use super::catalog::{Catalog, SocketTerms};
use super::document::note;
use super::fields::{Fields, found};
use super::mistake::Mistake;
use super::subscription::SubscriptionEntry;
use super::wanted::WantedSubscription;
use super::words;
use crate::model::runnables_of_socket;
use crate::outbound::is_of_handshake;
use crate::sockets::spec::{PARAMETER, SECRET_HEADER};
use crate::units::parse_duration;
use crate::yaml::pointer_join;

/// So many messages are said first at most.
const OPENINGS_MAX: usize = 100;
const MESSAGE_MAX: u64 = 16 << 20;

/// As it is wanted: what is kept in clear, and the headers that are sealed.
#[derive(Clone, PartialEq)]
pub struct SocketEntry {
    pub said: Map<String, Value>,
    /// By name.
    pub secret_headers: Map<String, Value>,
}

/// Reads the section; none if there is none, or if it has mistakes.
pub(super) fn read(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Option<SocketEntry> {
    let value = fields.value("socket")?;
    let pointer = fields.pointer_of("socket");
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let before = mistakes.len();
    match fields.value("url") {
        Some(Value::String(text)) => note(address(text), &fields, "url", mistakes),
        Some(other) => asked(other, &fields.pointer_of("url"), mistakes),
        None => mistakes.push(Mistake::value(pointer.clone(), "`url` is missing")),
    }
    let secret_headers = headers("secret_headers", &mut fields, mistakes);
    headers("headers", &mut fields, mistakes);
    openings(&mut fields, mistakes);
    heartbeat(&mut fields, mistakes);
    let reply = fields.value("reply");
    let reply = reply.and_then(|reply| Fields::open(reply, format!("{pointer}/reply"), mistakes));
    if let Some(mut reply) = reply {
        reply.flag("results", mistakes);
        reply.flag("errors", mistakes);
        reply.finish(mistakes);
    }
    fields.duration_ms("idle", mistakes);
    fields.size("message_max", MESSAGE_MAX, mistakes);
    let ranges = fields.texts("allow", mistakes).unwrap_or_default();
    for (index, range) in ranges.iter().enumerate() {
        if let Err(expected) = words::network(range) {
            let at = format!("{pointer}/allow/{index}");
            mistakes.push(Mistake::value(at, format!("`allow`: expected {expected}")));
        }
    }
    fields.finish(mistakes);
    let mut said = value.as_object().cloned().unwrap_or_default();
    said.remove("secret_headers");
    said.retain(|_, value| !value.is_null());
    (mistakes.len() == before).then(|| SocketEntry {
        said,
        secret_headers: secret_headers.unwrap_or_default(),
    })
}

/// Adds the section to what is wanted, where the provider leaves it to the operator.
pub(super) fn add(
    entry: &SubscriptionEntry,
    catalog: &dyn Catalog,
    mut wanted: WantedSubscription,
    mistakes: &mut Vec<Mistake>,
) -> Option<WantedSubscription> {
    let terms = catalog.socket_terms(&entry.provider);
    let Some(socket) = &entry.socket else {
        if terms == SocketTerms::Open {
            let message = "`socket` is missing: where the connection leads";
            mistakes.push(Mistake::value(entry.pointer.clone(), message));
            return None;
        }
        return Some(wanted);
    };
    if terms != SocketTerms::Open {
        let at = format!("{}/socket", entry.pointer);
        let message = match terms {
            SocketTerms::Declared => "its provider says itself where the connection leads",
            _ => "its provider does not speak over a connection",
        };
        mistakes.push(Mistake::value(at, format!("`socket`: {message}")));
        return None;
    }
    let said = Value::Object(socket.said.clone());
    wanted.parameters.insert(PARAMETER.to_owned(), said);
    for (name, value) in &socket.secret_headers {
        let name = format!("{SECRET_HEADER}{name}");
        wanted.secrets.insert(name, value.clone());
    }
    Some(wanted)
}

/// Every runnable that a connection of a document asks, with where in the document.
pub(super) fn runs_of(entry: &SubscriptionEntry) -> Vec<(String, String)> {
    let Some(socket) = &entry.socket else {
        return Vec::new();
    };
    let said = Value::Object(socket.said.clone());
    let runs = runnables_of_socket(&said).into_iter();
    runs.map(|(pointer, path)| {
        (
            format!("{}/socket{pointer}", entry.pointer),
            path.to_owned(),
        )
    })
    .collect()
}

fn address(text: &str) -> Result<(), String> {
    let form = "an address like wss://stream.example.org/ws, without user and password";
    let url = Url::parse(text).map_err(|_| form.to_owned())?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    match matches!(url.scheme(), "ws" | "wss") && url.has_host() && !has_user {
        true => Ok(()),
        false => Err(form.to_owned()),
    }
}

/// `{runnable, arguments}`.
fn asked(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) {
    let Some(mut fields) = Fields::open(value, pointer, mistakes) else {
        return;
    };
    if let Some(path) = fields.text("runnable", mistakes) {
        note(words::path(path), &fields, "runnable", mistakes);
    }
    fields.map("arguments", mistakes);
    fields.finish(mistakes);
}

fn headers(
    key: &'static str,
    fields: &mut Fields<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Map<String, Value>> {
    let headers = fields.text_map(key, mistakes)?;
    let pointer = fields.pointer_of(key);
    for (name, value) in headers {
        let at = pointer_join(&pointer, name);
        let form = match is_of_handshake(name) {
            true => Err("a header that is not set by the handshake itself".to_owned()),
            false => words::header_name(name),
        };
        let value = value.as_str().map_or(Ok(()), words::header_value);
        for expected in [form, value].into_iter().filter_map(Result::err) {
            let message = format!("`{name}`: expected {expected}");
            mistakes.push(Mistake::value(at.clone(), message));
        }
    }
    Some(headers.clone())
}

fn openings(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) {
    let Some(list) = fields.list("initial_messages", mistakes) else {
        return;
    };
    let pointer = fields.pointer_of("initial_messages");
    if list.len() > OPENINGS_MAX {
        let message = format!("`initial_messages`: expected at most {OPENINGS_MAX}");
        mistakes.push(Mistake::value(pointer.clone(), message));
    }
    for (index, item) in list.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        match item.as_object() {
            Some(map) if map.contains_key("message") => {
                for key in map.keys().filter(|key| *key != "message") {
                    let known = vec!["message".to_owned()];
                    mistakes.push(Mistake::unknown_key(pointer_join(&at, key), key, known));
                }
            }
            Some(_) => asked(item, &at, mistakes),
            None => {
                let message = format!(
                    "found {}, expected {{message: …}} or {{runnable: …, arguments: …}}",
                    found(item)
                );
                mistakes.push(Mistake::value(at, message));
            }
        }
    }
}

fn heartbeat(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) {
    let Some(value) = fields.value("heartbeat") else {
        return;
    };
    let pointer = fields.pointer_of("heartbeat");
    let Some(mut heartbeat) = Fields::open(value, pointer, mistakes) else {
        return;
    };
    heartbeat.text("message", mistakes);
    heartbeat.text_if_any("state", mistakes);
    if let Some(every) = heartbeat.text("every", mistakes) {
        let long_enough = parse_duration(every).is_some_and(|every| every.as_secs() >= 1);
        let form = match long_enough {
            true => Ok(()),
            false => Err("a duration like 30s, at least a second".to_owned()),
        };
        note(form, &heartbeat, "every", mistakes);
    }
    heartbeat.finish(mistakes);
}
