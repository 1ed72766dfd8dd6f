//! What a version says that is a subject of a NATS server.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::outbound::nats::NatsServer;
use crate::outbound::{Cidr, Policy};
use crate::runnables::fields::Fields;
use crate::runnables::spec::{CloudEvents, OUTPUT_DEFAULT, OUTPUT_RANGE, SpecError, read_timeout};

/// So many servers may be named.
const SERVERS_MAX: usize = 16;
const SUBJECT_MAX: usize = 255;
/// The header by which a stream recognises a repetition.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A subject. Stored as `{"url" or "servers", "subject", "jetstream", "reply", "headers", "timeout_ms",
/// "allow", "cloudevents", "response_max"}`.
#[derive(Clone, Debug)]
pub struct NatsSpec {
    /// Tried one after the other.
    pub servers: Vec<NatsServer>,
    /// Where the arguments are published.
    pub subject: String,
    /// What makes an attempt a success.
    pub publish: Publish,
    /// Headers beside those that every message gets.
    pub headers: Vec<(String, String)>,
    /// The time for all of it. 30 s.
    pub timeout: Duration,
    /// Ranges of addresses opened beyond public ones.
    pub allow: Vec<Cidr>,
    /// Whether the arguments travel as a CloudEvent.
    pub cloudevents: CloudEvents,
    /// How many bytes of a reply are kept. 256 KiB.
    pub response_max: usize,
}

/// What makes an attempt a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// A server has the message. Whether anybody listens is not known.
    Plain,
    /// A stream has acknowledged it.
    JetStream,
    /// Whoever listens has replied; the reply is the result.
    Request,
}

impl NatsSpec {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<NatsSpec, SpecError> {
        let allow: Vec<Cidr> = fields
            .take("allow", "a list of ranges like `10.0.0.0/8`")?
            .unwrap_or_default();
        let policy = Policy { allow, hosts: None };
        let mut servers = Vec::new();
        for (field, text) in read_servers(fields)? {
            // What was found is not shown: it may hold a password.
            let server: NatsServer = text.parse().map_err(|expected| {
                SpecError::new(&field, "something else", format!("{expected}"))
            })?;
            server.check(&policy).map_err(|refusal| {
                SpecError::new(&field, refusal.to_string(), "a server that may be reached")
            })?;
            servers.push(server);
        }
        let subject: String = fields.require("subject", "a subject like `orders.new`")?;
        check_subject(&subject)
            .map_err(|expected| SpecError::new("subject", "something else", expected))?;
        Ok(NatsSpec {
            servers,
            subject,
            publish: read_publish(fields)?,
            headers: read_headers(fields)?,
            timeout: read_timeout(fields)?,
            allow: policy.allow,
            cloudevents: fields
                .take("cloudevents", "`none`, `structured` or `binary`")?
                .unwrap_or(CloudEvents::None),
            response_max: fields.number("response_max", OUTPUT_DEFAULT, OUTPUT_RANGE)? as usize,
        })
    }
}

/// Whether messages can be published there; what is expected if not.
pub fn check_subject(subject: &str) -> Result<(), String> {
    let is_token = |token: &str| {
        let is_letter = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '*' | '>');
        !token.is_empty() && token.chars().all(is_letter)
    };
    match subject.len() <= SUBJECT_MAX && subject.split('.').all(is_token) {
        true => Ok(()),
        false => Err(format!(
            "a subject like `orders.new`: words with dots between them, no `*` and `>`, at most \
             {SUBJECT_MAX} letters"
        )),
    }
}

/// Whether a message may carry this header; what is expected if not.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    if name.eq_ignore_ascii_case(MESSAGE_ID) || name.to_ascii_lowercase().starts_with("triggerd-") {
        return Err("a header that the host does not set itself".to_owned());
    }
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("the name of a header".to_owned());
    }
    match http::HeaderValue::from_str(value) {
        Ok(_) => Ok(()),
        Err(_) => Err("one line of visible ASCII".to_owned()),
    }
}

/// Each server with the field that it stands in.
fn read_servers(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, SpecError> {
    const SERVERS: &str = "a list of servers like `nats://nats.example.org:4222`";
    let url: Option<String> = fields.take("url", "a server like `nats://nats.example.org:4222`")?;
    let servers: Option<Vec<String>> = fields.take("servers", SERVERS)?;
    match (url, servers) {
        (Some(url), None) => Ok(vec![("url".to_owned(), url)]),
        (None, Some(servers)) if (1..=SERVERS_MAX).contains(&servers.len()) => {
            let numbered = servers.into_iter().enumerate();
            let named = numbered.map(|(place, text)| (format!("servers[{place}]"), text));
            Ok(named.collect())
        }
        (None, Some(servers)) => {
            let expected = format!("1 to {SERVERS_MAX} servers");
            Err(SpecError::new(
                "servers",
                servers.len().to_string(),
                expected,
            ))
        }
        (None, None) => Err(SpecError::new("url", "nothing", "`url`, or `servers`")),
        (Some(_), Some(_)) => {
            let expected = "one of them: `url` is a list of one";
            Err(SpecError::new("servers", "a list beside `url`", expected))
        }
    }
}

fn read_publish(fields: &mut Fields<'_>) -> Result<Publish, SpecError> {
    let is_stream: Option<bool> = fields.take("jetstream", "true or false")?;
    let is_request: Option<bool> = fields.take("reply", "true or false")?;
    match (is_stream.unwrap_or(false), is_request.unwrap_or(false)) {
        (false, false) => Ok(Publish::Plain),
        (true, false) => Ok(Publish::JetStream),
        (false, true) => Ok(Publish::Request),
        (true, true) => Err(SpecError::new(
            "reply",
            "true beside `jetstream`",
            "one of them: what a stream answers is its acknowledgement",
        )),
    }
}

fn read_headers(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, SpecError> {
    let texts: BTreeMap<String, String> = fields
        .take("headers", "an object of texts")?
        .unwrap_or_default();
    for (name, value) in &texts {
        check_header(name, value).map_err(|expected| {
            let field = format!("headers.{}", name.escape_debug());
            SpecError::new(field, "something else", expected)
        })?;
    }
    Ok(texts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::RunnableKind;
    use crate::runnables::{RunnableSpec, Target};

    fn parse(changes: Value) -> Result<NatsSpec, String> {
        let mut spec = json!({"servers": ["nats://nats.example.org"], "subject": "orders.new"});
        if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
            spec.extend(changes);
        }
        let parsed = RunnableSpec::parse(RunnableKind::Nats, &spec);
        match parsed.map_err(|error| error.to_string())?.target {
            Target::Nats(spec) => Ok(spec),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_subject_says_what_makes_a_success() {
        let publish = |changes| parse(changes).expect("a spec").publish;
        assert_eq!(publish(json!({})), Publish::Plain);
        assert_eq!(publish(json!({"jetstream": true})), Publish::JetStream);
        assert_eq!(
            publish(json!({"reply": true, "jetstream": false})),
            Publish::Request
        );
    }

    #[test]
    fn mistakes_name_their_field_and_show_no_password() {
        for (changes, field) in [
            (json!({"servers": null}), "url:"),
            (json!({"url": "nats://nats.example.org"}), "servers:"),
            (
                json!({"servers": null, "url": "http://nats.example.org"}),
                "url:",
            ),
            (json!({"servers": []}), "servers:"),
            (json!({"servers": ["nats://a:hunter2@b"]}), "servers[0]:"),
            (
                json!({"servers": ["nats://ok.example.org", "nats://127.0.0.1"]}),
                "servers[1]:",
            ),
            (
                json!({"servers": ["nats://169.254.169.254"], "allow": ["0.0.0.0/0"]}),
                "servers[0]:",
            ),
            (json!({"subject": "a.*"}), "subject:"),
            (json!({"subject": "a..b"}), "subject:"),
            (json!({"subject": "a b"}), "subject:"),
            (json!({"subject": "a\r\nPUB x 0"}), "subject:"),
            (json!({"subject": "x".repeat(256)}), "subject:"),
            (json!({"jetstream": true, "reply": true}), "reply:"),
            (
                json!({"headers": {"nats-msg-id": "1"}}),
                "headers.nats-msg-id:",
            ),
            (json!({"headers": {"A": "b\r\nC: d"}}), "headers.A:"),
            (json!({"headers": {"A B": "c"}}), "headers.A B:"),
            (json!({"queue": "q"}), "queue:"),
        ] {
            let mistake = parse(changes).expect_err(field);
            assert!(mistake.starts_with(field), "{field} {mistake}");
            assert!(!mistake.contains("hunter2"), "{mistake}");
        }
    }
}
