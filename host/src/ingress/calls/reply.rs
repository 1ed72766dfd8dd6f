//! From the end of a job to the answer of its synchronous caller.
//!
//! A result that is an object may say how it is answered: `windmill_status_code`,
//! `windmill_content_type` and `windmill_headers` beside its `result`, or the same under `response` as
//! `status_code`, `content_type` and `headers`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::ingress::answer::OURS;
use crate::jobs::Ended;
use crate::model::JobState;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What a result of a type of its own may do in a browser: nothing in our name.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// The names of what an answer says.
#[derive(Clone, Copy)]
struct Names {
    status: &'static str,
    content_type: &'static str,
    headers: &'static str,
}

const FLAT: Names = Names {
    status: "windmill_status_code",
    content_type: "windmill_content_type",
    headers: "windmill_headers",
};
const NESTED: Names = Names {
    status: "status_code",
    content_type: "content_type",
    headers: "headers",
};

/// The answer to one job's caller; `job` is named where it failed.
pub(super) fn of_ended(
    ended: &Ended,
    job: &str,
    error_status: Option<u16>,
) -> Result<Response<Body>, Refusal> {
    if ended.state != JobState::Done {
        let status = error_status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Ok(json_response(
            status,
            failure(ended, job).to_string().into(),
        ));
    }
    if let Some(error) = &ended.error {
        return Err(broken("result".to_owned(), error));
    }
    let result = ended.result.clone().unwrap_or_else(|| "null".into());
    match shaped(&result)? {
        Some(response) => Ok(response),
        None => Ok(json_response(StatusCode::OK, result.into())),
    }
}

/// The answers to all jobs of a batch, in their order.
pub(super) fn of_batch(
    ended: &[Ended],
    jobs: &[String],
    error_status: Option<u16>,
) -> Response<Body> {
    let has_failed = ended.iter().any(|end| end.state != JobState::Done);
    let results: Vec<Box<RawValue>> = ended
        .iter()
        .zip(jobs)
        .map(|(end, job)| result_of(end, job))
        .collect();
    let status = match (has_failed, error_status) {
        (false, _) => StatusCode::OK,
        (true, None) => StatusCode::INTERNAL_SERVER_ERROR,
        (true, Some(status)) => StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
    };
    let body = serde_json::to_vec(&results).expect("invariant: results are JSON");
    json_response(status, body.into())
}

/// The result of an ended job as JSON: what it said, or why it did not work.
pub(super) fn result_of(ended: &Ended, job: &str) -> Box<RawValue> {
    let result = ended
        .result
        .as_deref()
        .filter(|_| ended.state == JobState::Done);
    let text = match result {
        Some(result) => String::from_utf8_lossy(result).into_owned(),
        None if ended.state == JobState::Done => "null".to_owned(),
        None => failure(ended, job).to_string(),
    };
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn failure(ended: &Ended, job: &str) -> Value {
    // One that failed and says nothing of it any more was to leave no trace.
    let (name, silent) = match ended.state {
        JobState::Cancelled => ("Cancelled", "the job was cancelled"),
        _ => ("ExecutionErr", "the job failed; why was deleted after use"),
    };
    let message = ended.error.as_deref().unwrap_or(silent);
    json!({ "error": { "name": name, "message": message }, "job": job })
}

fn json_response(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// An answer that a result shapes itself. `None`: it does not.
pub(super) fn shaped(result: &[u8]) -> Result<Option<Response<Body>>, Refusal> {
    let mentions = |name: &str| {
        let name = name.as_bytes();
        result.windows(name.len()).any(|window| window == name)
    };
    if result.first() != Some(&b'{') || !(mentions("windmill_") || mentions("response")) {
        return Ok(None);
    }
    let Ok(object) = serde_json::from_slice::<IndexMap<String, Box<RawValue>>>(result) else {
        return Ok(None);
    };
    let Some((said, names, at)) = said(&object) else {
        return Ok(None);
    };
    let field = |name: &str| format!("{at}/{name}");
    let status = match said.get(names.status) {
        None | Some(Value::Null) => None,
        Some(code) => Some(
            read_status(code)
                .ok_or_else(|| broken(field(names.status), "expected a status from 200 to 599"))?,
        ),
    };
    let content_type = match said.get(names.content_type) {
        None | Some(Value::Null) => None,
        Some(kind) => {
            let kind = kind
                .as_str()
                .and_then(|kind| HeaderValue::from_str(kind).ok());
            let wrong = || broken(field(names.content_type), "expected a content type");
            Some(kind.ok_or_else(wrong)?)
        }
    };
    let headers = match said.get(names.headers) {
        None | Some(Value::Null) => HeaderMap::new(),
        Some(headers) => read_headers(headers, &field(names.headers))?,
    };
    let body = object
        .get("result")
        .map(|result| body_of(result, content_type.is_some()));
    let absent = match body {
        Some(_) => StatusCode::OK,
        None => StatusCode::NO_CONTENT,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status.unwrap_or(absent);
    if body.is_some() {
        let kind = content_type.clone().unwrap_or(JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response.headers_mut().extend(headers);
    if content_type.is_some() || !is_json(response.headers()) {
        response
            .headers_mut()
            .append(header::CONTENT_SECURITY_POLICY, SANDBOX);
        response
            .headers_mut()
            .insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    }
    *response.body_mut() = Body::from(body.unwrap_or_default());
    Ok(Some(response))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| *kind == JSON)
}

/// What keeps an answer that is no JSON from acting in a browser in our name; none for JSON.
pub(super) fn sandbox_for(content_type: &str) -> Option<(String, String)> {
    let is_json = JSON.as_bytes() == content_type.as_bytes();
    let sandbox = || String::from_utf8_lossy(SANDBOX.as_bytes()).into_owned();
    (!is_json).then(|| (header::CONTENT_SECURITY_POLICY.to_string(), sandbox()))
}

/// What an object says about its answer, under which names, and where.
fn said(
    object: &IndexMap<String, Box<RawValue>>,
) -> Option<(Map<String, Value>, Names, &'static str)> {
    let read = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    let flat: Map<String, Value> = [FLAT.status, FLAT.content_type, FLAT.headers]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), read(object.get(*name)?)?)))
        .collect();
    if !flat.is_empty() {
        return Some((flat, FLAT, ""));
    }
    // A result may well have a `response` of its own, which then is no such thing.
    let is_ours = object
        .keys()
        .all(|key| key == "response" || key == "result");
    let response = object.get("response").filter(|_| is_ours)?;
    let Value::Object(nested) = read(response)? else {
        return None;
    };
    let names = [NESTED.status, NESTED.content_type, NESTED.headers];
    let is_said = !nested.is_empty() && nested.keys().all(|key| names.contains(&key.as_str()));
    is_said.then_some((nested, NESTED, "/response"))
}

/// A text of a type of its own is sent as it is, anything else as JSON.
fn body_of(result: &RawValue, has_type: bool) -> Vec<u8> {
    let text = has_type
        .then(|| serde_json::from_str::<String>(result.get()).ok())
        .flatten();
    text.map_or_else(|| result.get().as_bytes().to_vec(), String::into_bytes)
}

fn read_status(code: &Value) -> Option<StatusCode> {
    let code = code.as_u64().filter(|code| (200..=599).contains(code))?;
    StatusCode::from_u16(u16::try_from(code).ok()?).ok()
}

fn read_headers(headers: &Value, field: &str) -> Result<HeaderMap, Refusal> {
    let Value::Object(headers) = headers else {
        return Err(broken(field.to_owned(), "expected an object of texts"));
    };
    let mut read = HeaderMap::new();
    for (name, value) in headers {
        let field = || format!("{field}/{name}");
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err(broken(field(), "expected a text")),
        };
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (parsed, HeaderValue::from_str(&text)) else {
            return Err(broken(field(), "expected a header: one line, no NUL"));
        };
        if OURS.contains(&name.as_str()) || name == header::SET_COOKIE {
            return Err(broken(field(), "this header is the host's own"));
        }
        // The map holds no more names than some thousands.
        if read.try_append(name, value).is_err() {
            return Err(broken(field(), "there are too many headers"));
        }
    }
    Ok(read)
}

fn broken(field: String, detail: &str) -> Refusal {
    let detail = format!("the job worked, but its result cannot be answered with: {detail}");
    Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, detail).at(field)
}
