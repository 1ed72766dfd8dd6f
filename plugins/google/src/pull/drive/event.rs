//! An event as it is handed on.

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::access::Difference;
use super::change::Kind;
use super::record::{File, Record};
use crate::pull::moment::moment_ms;

/// What surrounds the events of one sighting.
pub struct Circumstances<'c> {
    /// When Drive noticed the change.
    pub time: Option<&'c str>,
    /// Found by comparing everything.
    pub caught_up: bool,
    pub folders: Vec<String>,
}

/// A file is something else than it was, or new to us.
pub fn of_file(
    kind: Kind,
    file: &File,
    previous: Option<&Record>,
    circumstances: &Circumstances<'_>,
) -> PulledEvent {
    let access = previous
        .map(|before| Difference::between(&before.access, &file.record.access).as_said(&file.said));
    let account = file.said.pointer("/lastModifyingUser/emailAddress");
    let created = || file.said.get("createdTime").and_then(Value::as_str);
    let time = match kind {
        Kind::Created => circumstances.time.or_else(created),
        _ => circumstances.time,
    };
    let payload = json!({
        "kind": kind.as_str(),
        "time": time,
        "account": account,
        "file": file.said,
        "folders": circumstances.folders,
        "previous": previous.map(as_previous),
        "access": access,
        "caught_up": circumstances.caught_up,
    });
    happened(kind, &file.id, &file.record.version, time, &payload)
}

/// A file is gone; all there is of it is what we kept.
pub fn of_gone(
    id: &str,
    record: Option<&Record>,
    circumstances: &Circumstances<'_>,
) -> PulledEvent {
    let payload = json!({
        "kind": Kind::Deleted.as_str(),
        "time": circumstances.time,
        "account": null,
        "file": record.map_or_else(|| json!({ "id": id }), |record| record.as_said(id)),
        "folders": circumstances.folders,
        "previous": record.map(as_previous),
        "access": null,
        "caught_up": circumstances.caught_up,
    });
    // What we never knew has no version; its deletion is told once, at one time.
    let version = record.map(|record| record.version.as_str());
    let version = version.or(circumstances.time).unwrap_or_default();
    happened(Kind::Deleted, id, version, circumstances.time, &payload)
}

/// The version rises with every change of a file, so a file, its version and what happened name one
/// event, however often it is read.
fn happened(
    kind: Kind,
    id: &str,
    version: &str,
    time: Option<&str>,
    payload: &Value,
) -> PulledEvent {
    PulledEvent {
        name: format!("drive.file_{}", kind.as_str()),
        payload: payload.to_string().into_bytes(),
        occurred_at_ms: time.and_then(moment_ms),
        delivery_id: Some(format!("{id}:{version}:{}", kind.as_str())),
    }
}

fn as_previous(record: &Record) -> Value {
    let modified = record.modified_ms.map(crate::pull::moment::written);
    json!({
        "name": record.name,
        "parents": record.parents,
        "trashed": record.trashed,
        "modifiedTime": modified,
    })
}
