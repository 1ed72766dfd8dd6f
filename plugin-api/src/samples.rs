//! Genuine requests of a service, embedded beside the declaration: for `triggerd send`, for tests,
//! and for whoever wants to see what an event looks like.
//!
//! `samples/<event>.json`, `samples/<event>.<anything>.json` and `samples/<event>/<anything>.json`
//! are bodies; the same names with `.http` are whole requests. `<event>` is the longest declared
//! name that fits. Samples are unsigned: the host signs them by the declared rule.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trigger_plugin_abi::bundle::Bundle;

use crate::declaration::Declaration;
use crate::http_file::parse_request;
use crate::messages::OwnedRequest;
use crate::rules::pointer::{Pointer, Segment};
use crate::rules::source::Source;
use crate::rules::time::Unit;
use crate::rules::vocabulary::{EventName, TimestampSource};
use crate::{Error, Result};

/// One sample.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// The declared event that it is of.
    pub event: String,
    /// Its file.
    pub file: String,
    #[serde(skip)]
    content: Vec<u8>,
}

/// As what a sample is to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleOptions {
    /// Which of the event's samples, from 0.
    pub index: usize,
    /// The delivery id, put where the declaration reads it.
    pub delivery_id: Option<String>,
    /// The moment of sending, in milliseconds since 1970, put where the declaration reads it.
    pub now_ms: Option<i64>,
}

/// The samples of a bundle, and the files that belong to no event.
pub(crate) fn collect_samples(bundle: &Bundle, events: &[&str]) -> (Vec<Sample>, Vec<String>) {
    let mut samples = Vec::new();
    let mut strays = Vec::new();
    for (path, content) in bundle.under("samples/") {
        let name = path.trim_start_matches("samples/");
        let Some(stem) = name
            .strip_suffix(".json")
            .or_else(|| name.strip_suffix(".http"))
        else {
            continue;
        };
        let fits = |event: &&&str| {
            stem.strip_prefix(**event)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
        };
        match events.iter().filter(fits).max_by_key(|event| event.len()) {
            Some(event) => samples.push(Sample {
                event: (*event).to_owned(),
                file: path.to_owned(),
                content: content.to_vec(),
            }),
            None => strays.push(path.to_owned()),
        }
    }
    samples.sort_by(|a, b| (&a.event, &a.file).cmp(&(&b.event, &b.file)));
    (samples, strays)
}

/// The request of a sample, with what the declaration's rules look for.
pub(crate) fn prepare_sample(
    declaration: &Declaration,
    sample: &Sample,
    options: &SampleOptions,
) -> Result<OwnedRequest> {
    let rules = &declaration.rules;
    let mut request = if sample.file.ends_with(".http") {
        parse_request(&sample.content)
            .map_err(|error| Error::internal(format!("{}: {error}", sample.file)))?
    } else {
        OwnedRequest {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
            body: sample.content.clone(),
            received_at_ms: 0,
        }
    };
    request.received_at_ms = options.now_ms.unwrap_or_default();
    if let Some(EventName::At(Source::Header(header))) = &rules.event
        && request.as_request().headers.get(header).is_none()
    {
        let names = declaration
            .event(&sample.event)
            .map(|event| event.rules.when.names.as_slice())
            .unwrap_or_default();
        let name = names.first().unwrap_or(&sample.event);
        request
            .headers
            .push((header.clone(), name.clone().into_bytes()));
    }
    if let (Some(id), Some(rule)) = (&options.delivery_id, &rules.delivery_id) {
        put(&mut request, &rule.source, Value::from(id.as_str()))?;
    }
    let timestamp = rules
        .verify
        .as_ref()
        .and_then(|rule| rule.timestamp.as_ref());
    if let (Some(now_ms), Some((TimestampSource::Json(pointer), unit))) =
        (options.now_ms, timestamp)
    {
        let now = match unit {
            Unit::Seconds => now_ms.div_euclid(1000),
            Unit::Milliseconds | Unit::Rfc3339 => now_ms,
        };
        put_json(&mut request, pointer, Value::from(now))?;
    }
    Ok(request)
}

fn put(request: &mut OwnedRequest, source: &Source, value: Value) -> Result<()> {
    let text = value.as_str().unwrap_or_default().to_owned();
    match source {
        Source::Header(name) => {
            request
                .headers
                .retain(|(each, _)| !each.eq_ignore_ascii_case(name));
            request.headers.push((name.clone(), text.into_bytes()));
        }
        Source::Query(name) => {
            let separator = if request.query.is_empty() { "" } else { "&" };
            request.query = format!("{}{separator}{name}={text}", request.query);
        }
        Source::Json(pointer) => put_json(request, pointer, value)?,
    }
    Ok(())
}

/// Writes into the body, which is written anew in its own order.
fn put_json(request: &mut OwnedRequest, pointer: &Pointer, value: Value) -> Result<()> {
    let mut body: Value = serde_json::from_slice(&request.body).map_err(|error| {
        Error::internal("a sample's body is not JSON").with_detail(error.to_string())
    })?;
    let mut place = &mut body;
    for segment in pointer.segments() {
        let Segment::Name(name) = segment else {
            return Ok(());
        };
        let next = match place {
            Value::Object(object) => Some(object.entry(name.clone()).or_insert(Value::Null)),
            Value::Array(items) => name
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index)),
            _ => None,
        };
        place = match next {
            Some(next) => next,
            None => return Ok(()),
        };
    }
    *place = value;
    request.body = body.to_string().into_bytes();
    Ok(())
}
