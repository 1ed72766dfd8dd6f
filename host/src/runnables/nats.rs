//! Publishing a job's arguments to a subject once.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;

use crate::model::AttemptOutcome;
use crate::outbound::nats::{
    Nats, NatsError, NatsExpects, NatsMessage, NatsReply, NatsTaken, NatsTarget,
};
use crate::runnables::cloudevents;
use crate::runnables::job::JobContext;
use crate::runnables::nats_spec::{MESSAGE_ID, NatsSpec, Publish};
use crate::runnables::report::{AttemptReport, Retry};
use crate::runnables::secrets::RunnableSecrets;
use crate::runnables::spec::CloudEvents;

/// By which a service says that it could not do what it was asked (ADR-32).
const SERVICE_ERROR: &str = "Nats-Service-Error";
const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Sends the job and waits for what makes it a success, all within the target's timeout.
pub(super) async fn run(
    spec: &NatsSpec,
    secrets: &RunnableSecrets,
    nats: &Nats,
    job: &JobContext,
) -> AttemptReport {
    let target = NatsTarget {
        servers: spec.servers.clone(),
        allow: spec.allow.clone(),
        login: secrets.login.clone(),
    };
    match nats.send(&target, compose(spec, job)).await {
        Ok(NatsTaken::Taken) => AttemptReport::ok(None),
        Ok(NatsTaken::Reply(reply)) if spec.publish == Publish::JetStream => of_ack(&reply),
        Ok(NatsTaken::Reply(reply)) => of_reply(&reply, spec.response_max),
        Err(error) => of_error(&error, spec.publish),
    }
}

fn compose(spec: &NatsSpec, job: &JobContext) -> NatsMessage {
    let content = match spec.cloudevents {
        CloudEvents::None => cloudevents::plain(job),
        CloudEvents::Structured => cloudevents::structured(job),
        CloudEvents::Binary => cloudevents::binary(job),
    };
    let header = |name: &str, value: String| (name.to_owned(), value);
    let mut headers = vec![
        // The same over all attempts, so that a stream keeps a repetition once.
        header(MESSAGE_ID, job.job_id.as_str().to_owned()),
        header("Triggerd-Attempt", job.attempt.to_string()),
    ];
    headers.extend(as_they_are_written(&content.headers, &spec.headers));
    headers.extend(spec.headers.clone());
    NatsMessage {
        subject: spec.subject.clone(),
        headers,
        payload: content.body,
        expects: match spec.publish {
            Publish::Plain => NatsExpects::Taken,
            Publish::JetStream | Publish::Request => NatsExpects::Reply,
        },
        timeout: spec.timeout,
    }
}

/// The headers of the content, but for those that the runnable sets otherwise. Case counts here.
fn as_they_are_written(content: &HeaderMap, others: &[(String, String)]) -> Vec<(String, String)> {
    let is_free = |name: &str| {
        !others
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    content
        .iter()
        .filter(|(name, _)| is_free(name.as_str()))
        .filter_map(|(name, value)| {
            let name = match name.as_str() {
                "content-type" => "Content-Type",
                name => name,
            };
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect()
}

#[derive(Deserialize)]
struct Ack {
    stream: Option<String>,
    error: Option<AckError>,
}

#[derive(Deserialize)]
struct AckError {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    description: String,
}

/// What a stream says: where it keeps the message, or why it does not.
fn of_ack(reply: &NatsReply) -> AttemptReport {
    let said: Option<Ack> = serde_json::from_slice(&reply.payload).ok();
    let error = match said {
        Some(Ack {
            stream: Some(_),
            error: None,
        }) => return AttemptReport::ok(Some(reply.payload.clone())),
        Some(Ack {
            error: Some(error), ..
        }) => format!(
            "the stream does not take the message: {} ({})",
            error.description, error.code
        ),
        _ => "what answered is no stream: is one there that takes this subject?".to_owned(),
    };
    AttemptReport {
        stdout: kept(&reply.payload, usize::MAX),
        ..AttemptReport::not_ok(AttemptOutcome::Failed, error)
    }
}

fn of_reply(reply: &NatsReply, max: usize) -> AttemptReport {
    let payload = kept(&reply.payload, max).unwrap_or_default();
    let code = reply.header(SERVICE_ERROR_CODE);
    if let (None, None) = (reply.header(SERVICE_ERROR), code) {
        let is_whole = payload.len() == reply.payload.len();
        return AttemptReport::ok_saying(&payload, is_whole, "response_max");
    }
    let error = reply.header(SERVICE_ERROR).unwrap_or("no reason given");
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    AttemptReport {
        stdout: kept(&payload, max),
        is_of_this_job: true,
        ..AttemptReport::not_ok(
            AttemptOutcome::Failed,
            format!("the service could not do it: {error}{code}"),
        )
    }
}

fn kept(payload: &Bytes, max: usize) -> Option<Bytes> {
    (!payload.is_empty()).then(|| payload.slice(..payload.len().min(max)))
}

fn of_error(error: &NatsError, publish: Publish) -> AttemptReport {
    let outcome = match error {
        NatsError::Timeout { .. } => AttemptOutcome::Timeout,
        error if error.is_refused() => AttemptOutcome::Refused,
        _ => AttemptOutcome::Failed,
    };
    let words = match (error, publish) {
        (NatsError::NoResponders, Publish::JetStream) => {
            "no stream takes this subject, or JetStream is not enabled".to_owned()
        }
        _ => error.chain(),
    };
    let report = AttemptReport::not_ok(outcome, words);
    match error {
        // It will not become smaller.
        NatsError::TooLarge { .. } => AttemptReport {
            retry: Retry::Never,
            is_of_this_job: true,
            ..report
        },
        _ => report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(payload: &'static str, headers: &[(&str, &str)]) -> NatsReply {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        NatsReply {
            headers: headers.iter().map(own).collect(),
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    #[test]
    fn only_what_names_its_stream_is_an_acknowledgement() {
        let good = r#"{"stream":"ORDERS","seq":7,"duplicate":true}"#;
        let report = of_ack(&reply(good, &[]));
        assert_eq!(report.result.as_deref(), Some(good.as_bytes()));
        let full =
            r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#;
        for (payload, said) in [
            (full, "maximum messages exceeded (503)"),
            ("{}", "no stream"),
            ("thanks", "no stream"),
            ("", "no stream"),
        ] {
            let report = of_ack(&reply(payload, &[]));
            let error = report.error.expect("it did not work");
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_reply_is_the_result_unless_it_says_that_it_is_an_error() {
        let result = |payload, max| of_reply(&reply(payload, &[]), max).result;
        assert_eq!(
            result(r#"{"a": 1}"#, 100).as_deref(),
            Some(&br#"{"a": 1}"#[..])
        );
        assert_eq!(result("done", 100).as_deref(), Some(&b"\"done\""[..]));
        assert_eq!(result("123", 2).as_deref(), Some(&b"\"12\""[..]));
        assert_eq!(result("", 100), None);
        let headers = [
            ("nats-service-error", "no such order"),
            (SERVICE_ERROR_CODE, "404"),
        ];
        let failed = of_reply(&reply("{}", &headers), 100);
        let error = failed.error.as_deref().expect("an error");
        assert_eq!(error, "the service could not do it: no such order (404)");
        assert!(
            !failed.is_targets_trouble(),
            "it answers, others may fare better"
        );
    }
}
