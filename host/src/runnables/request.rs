//! Asking an HTTP target once, signed after Standard Webhooks 1.0.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::clock::Millis;
use crate::model::AttemptOutcome;
use crate::outbound::{BodyLimit, Outbound, OutboundError, OutboundRequest, OutboundResponse};
use crate::runnables::cloudevents;
use crate::runnables::job::JobContext;
use crate::runnables::report::{AttemptReport, Retry};
use crate::runnables::retry_after::retry_after;
use crate::runnables::secrets::RunnableSecrets;
use crate::runnables::spec::{CloudEvents, HttpSpec};

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("triggerd/", env!("CARGO_PKG_VERSION")));
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Sends the job and reads the answer, all within the target's timeout.
pub(super) async fn run(
    spec: &HttpSpec,
    secrets: &RunnableSecrets,
    outbound: &Outbound,
    job: &JobContext,
    now: Millis,
) -> AttemptReport {
    let request = compose(spec, secrets, job, now);
    match outbound.send(&spec.egress(), request).await {
        Ok(response) => of_response(response, now),
        Err(error) => of_error(&error),
    }
}

fn compose(
    spec: &HttpSpec,
    secrets: &RunnableSecrets,
    job: &JobContext,
    now: Millis,
) -> OutboundRequest {
    let mut content = match spec.cloudevents {
        CloudEvents::None => cloudevents::plain(job),
        CloudEvents::Structured => cloudevents::structured(job),
        CloudEvents::Binary => cloudevents::binary(job),
    };
    if matches!(spec.method, Method::GET | Method::DELETE) {
        content.body = Bytes::new();
        content.headers.remove(header::CONTENT_TYPE);
    }
    let mut headers = HeaderMap::from_iter([(header::USER_AGENT, USER_AGENT)]);
    headers.extend(content.headers);
    headers.extend(spec.headers.clone());
    headers.extend(HeaderMap::from_iter(secrets.headers.iter().cloned()));
    headers.extend(signed(secrets, job, now, &content.body));
    OutboundRequest {
        method: spec.method.clone(),
        url: spec.url.clone(),
        headers,
        body: content.body,
        timeout: spec.timeout,
        body_limit: BodyLimit::Truncate(spec.response_max),
    }
}

/// The id is the job's, the same over all attempts, and the timestamp the attempt's. Without a
/// secret they stand there unsigned, so that a target can still recognise a repetition.
fn signed(secrets: &RunnableSecrets, job: &JobContext, now: Millis, body: &[u8]) -> HeaderMap {
    let id = job.job_id.as_str();
    let timestamp = now.0.div_euclid(1000);
    let signatures: Vec<_> = secrets
        .signing
        .iter()
        .map(|secret| secret.sign(id, timestamp, body))
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
    let texts = [
        (WEBHOOK_ID, id.to_owned()),
        (WEBHOOK_SIGNATURE, signatures.join(" ")),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            let value = HeaderValue::try_from(text)
                .expect("invariant: ids and signatures are printable ASCII");
            headers.insert(name, value);
        }
    }
    headers
}

fn of_response(response: OutboundResponse, now: Millis) -> AttemptReport {
    let status = response.status;
    let report = if status.is_success() {
        AttemptReport::ok_saying(&response.body, !response.truncated, "response_max")
    } else {
        let kept = (!response.body.is_empty()).then(|| response.body.clone());
        AttemptReport {
            stdout: kept,
            retry: retry_of(&response, now),
            ..AttemptReport::not_ok(AttemptOutcome::Failed, explain(status))
        }
    };
    AttemptReport {
        http_status: Some(status.as_u16()),
        ..report
    }
}

fn retry_of(response: &OutboundResponse, now: Millis) -> Retry {
    match response.status {
        StatusCode::GONE => Retry::DisableTarget,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            retry_after(&response.headers, now).map_or(Retry::Policy, Retry::After)
        }
        _ => Retry::Policy,
    }
}

fn explain(status: StatusCode) -> String {
    if status == StatusCode::GONE {
        return "the target answered 410: it is gone for good".to_owned();
    }
    if status.is_redirection() {
        return format!(
            "the target answered {}: redirects are not followed; name the final URL",
            status.as_u16()
        );
    }
    format!("the target answered {}", status.as_u16())
}

fn of_error(error: &OutboundError) -> AttemptReport {
    let outcome = match error {
        OutboundError::Refused(_) | OutboundError::Invalid { .. } => AttemptOutcome::Refused,
        OutboundError::Timeout { .. } => AttemptOutcome::Timeout,
        _ => AttemptOutcome::Failed,
    };
    AttemptReport::not_ok(outcome, error.chain())
}
