//! A job as a CloudEvent 1.0, structured or binary (HTTP protocol binding 1.0.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::runnables::job::JobContext;

const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A body and the headers that describe it.
pub(super) struct Content {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The arguments as they are.
pub(super) fn plain(job: &JobContext) -> Content {
    let is_json = as_json(&job.arguments).is_some();
    Content {
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, if is_json { JSON } else { BYTES })]),
        body: job.arguments.clone(),
    }
}

/// One JSON document with the attributes and the arguments.
pub(super) fn structured(job: &JobContext) -> Content {
    let attributes = Attributes::of(job);
    let json = as_json(&job.arguments);
    let document = Document {
        attributes: &attributes,
        datacontenttype: match json {
            Some(_) => "application/json",
            None => "application/octet-stream",
        },
        data: json,
        data_base64: match json {
            Some(_) => None,
            None => Some(STANDARD.encode(&job.arguments)),
        },
    };
    let body = serde_json::to_vec(&document).expect("invariant: texts and read JSON write as JSON");
    Content {
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, STRUCTURED)]),
        body: body.into(),
    }
}

/// The attributes as headers beside the arguments as they are.
pub(super) fn binary(job: &JobContext) -> Content {
    let attributes = Attributes::of(job);
    let mut content = plain(job);
    let pairs = [
        ("ce-specversion", Some(attributes.specversion)),
        ("ce-id", Some(attributes.id)),
        ("ce-source", Some(attributes.source.as_str())),
        ("ce-type", Some(attributes.r#type.as_str())),
        ("ce-subject", attributes.subject),
        ("ce-time", attributes.time.as_deref()),
        ("ce-jobid", Some(attributes.jobid)),
    ];
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        let value = HeaderValue::from_str(&header_encode(value))
            .expect("invariant: encoded values are printable ASCII");
        content.headers.insert(HeaderName::from_static(name), value);
    }
    content
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    attributes: &'a Attributes<'a>,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The context attributes. Source and id together name the event, also over repetitions: the id is
/// the event's, or the job's where no event is the cause.
#[derive(Serialize)]
struct Attributes<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// An extension: the job that this request serves.
    jobid: &'a str,
}

impl<'a> Attributes<'a> {
    fn of(job: &'a JobContext) -> Attributes<'a> {
        let workspace = path_encode(&job.workspace);
        match &job.event {
            Some(event) => Attributes {
                specversion: "1.0",
                id: event.id.as_str(),
                source: format!(
                    "/workspaces/{workspace}/subscriptions/{}",
                    path_encode(&event.subscription)
                ),
                r#type: format!("{}.{}", event.provider, event.name),
                subject: job.trigger.as_deref(),
                time: Some(event.at.to_string()),
                jobid: job.job_id.as_str(),
            },
            None => Attributes {
                specversion: "1.0",
                id: job.job_id.as_str(),
                source: format!(
                    "/workspaces/{workspace}/runnables/{}",
                    path_encode(&job.runnable)
                ),
                r#type: "triggerd.job".to_owned(),
                subject: None,
                time: None,
                jobid: job.job_id.as_str(),
            },
        }
    }
}

fn as_json(arguments: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(arguments).ok()
}

/// Header values percent-encode space, `"`, `%` and everything outside U+0021 to U+007E.
fn header_encode(text: &str) -> String {
    percent_encode(text, |byte| {
        (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'%'
    })
}

/// A source is a URI reference, so names in it are encoded as its path segments are.
fn path_encode(text: &str) -> String {
    percent_encode(text, |byte| {
        byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte)
    })
}

fn percent_encode(text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if is_kept(byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
            encoded
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Millis;
    use crate::id::{EventId, JobId};
    use crate::runnables::job::EventContext;

    fn job(arguments: &'static [u8]) -> JobContext {
        JobContext {
            job_id: JobId::generate(Millis(1)),
            attempt: 1,
            workspace: "default".into(),
            runnable: "f/demo/notify".into(),
            trigger: Some("on main €".into()),
            event: Some(EventContext {
                id: EventId::generate(Millis(1)),
                name: "push".into(),
                provider: "acme".into(),
                subscription: "my repo".into(),
                at: Millis(1_700_000_000_000),
            }),
            arguments: Bytes::from_static(arguments),
        }
    }

    fn is_valid(document: &Value) {
        let schema = include_str!("../../tests/fixtures/cloudevents/cloudevents.schema.json");
        let schema: Value = serde_json::from_str(schema).expect("the fixture reads");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<_> = validator
            .iter_errors(document)
            .map(|e| e.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new());
    }

    #[test]
    fn a_structured_event_satisfies_the_published_schema() {
        let job = job(br#"{"ref": "refs/heads/main", "n": 12345678901234567890123}"#);
        let content = structured(&job);
        let text = std::str::from_utf8(&content.body).expect("text");
        assert!(
            text.contains("12345678901234567890123"),
            "numbers stay as they were"
        );
        let document: Value = serde_json::from_str(text).expect("JSON");
        is_valid(&document);
        assert_eq!(document["type"], "acme.push");
        assert_eq!(
            document["source"],
            "/workspaces/default/subscriptions/my%20repo"
        );
        assert_eq!(document["time"], "2023-11-14T22:13:20.000Z");
        assert_eq!(document["data"]["ref"], "refs/heads/main");
        assert_eq!(
            content.headers["content-type"],
            "application/cloudevents+json"
        );
    }

    #[test]
    fn bytes_that_are_no_json_travel_as_base64() {
        let content = structured(&job(b"a=b\xff"));
        let document: Value = serde_json::from_slice(&content.body).expect("JSON");
        is_valid(&document);
        assert_eq!(document["data_base64"], json!("YT1i/w=="));
        assert_eq!(document["datacontenttype"], "application/octet-stream");
    }

    #[test]
    fn a_binary_event_encodes_its_attributes() {
        let job = job(b"{}");
        let content = binary(&job);
        assert_eq!(content.body, "{}");
        assert_eq!(content.headers["content-type"], "application/json");
        assert_eq!(content.headers["ce-specversion"], "1.0");
        assert_eq!(content.headers["ce-subject"], "on%20main%20%E2%82%AC");
        assert_eq!(
            content.headers["ce-source"],
            "/workspaces/default/subscriptions/my%2520repo"
        );
        assert_eq!(content.headers["ce-jobid"], job.job_id.as_str());
    }

    #[test]
    fn a_job_without_an_event_is_named_by_itself() {
        let job = JobContext {
            event: None,
            trigger: None,
            ..job(b"{}")
        };
        let document: Value = serde_json::from_slice(&structured(&job).body).expect("JSON");
        is_valid(&document);
        assert_eq!(document["id"], job.job_id.as_str());
        assert_eq!(
            document["source"],
            "/workspaces/default/runnables/f/demo/notify"
        );
    }
}
