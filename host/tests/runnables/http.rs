//! HTTP targets: what they are told, and what their answers mean.

use std::time::Duration;

use serde_json::{Value, json};
use triggerd::model::{AttemptOutcome, RunnableKind};
use triggerd::runnables::{
    AttemptReport, CommandDirs, JobContext, Retry, RunnableSecrets, RunnableSpec, SigningSecret,
};
use triggerd::secret::Secret;

use crate::target::{Answer, Target};
use crate::{job, runner};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_SECRET: &str = "whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn run(target: &Target, more: Value, secrets: Value, job: &JobContext) -> AttemptReport {
    let mut spec = json!({"url": target.url("/hook"), "allow": ["127.0.0.0/8"]});
    for (name, value) in more.as_object().expect("an object") {
        spec[name] = value.clone();
    }
    let spec = RunnableSpec::parse(RunnableKind::Http, &spec).expect("a spec");
    let secrets = RunnableSecrets::parse(&Secret::new(secrets.to_string())).expect("secrets");
    runner(CommandDirs::default())
        .run(&spec, &secrets, job)
        .await
}

async fn answer(status: &str, headers: &str, body: &str) -> AttemptReport {
    let target = Target::answering(status, headers, body).await;
    run(&target, json!({}), json!({}), &job("{}")).await
}

#[tokio::test]
async fn a_request_is_signed_with_every_secret() {
    let mut target = Target::answering("200 OK", "", "").await;
    let job = job(r#"{"ref": "main"}"#);
    let secrets =
        json!({"secret": [SECRET, NEXT_SECRET], "headers": {"Authorization": "Bearer x"}});
    let report = run(
        &target,
        json!({"headers": {"X-Team": "ops"}}),
        secrets,
        &job,
    )
    .await;
    assert!(report.is_ok(), "{report:?}");
    let seen = target.seen().await;
    assert!(seen.head.starts_with("POST /hook HTTP/1.1"));
    assert_eq!(seen.body, br#"{"ref": "main"}"#);
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("x-team"), Some("ops"));
    assert_eq!(seen.header("authorization"), Some("Bearer x"));
    assert_eq!(seen.header("webhook-id"), Some(job.job_id.as_str()));
    let timestamp: i64 = seen
        .header("webhook-timestamp")
        .expect("a time")
        .parse()
        .expect("seconds");
    let expected: Vec<_> = [SECRET, NEXT_SECRET]
        .map(|secret| SigningSecret::parse(secret).expect("a secret"))
        .iter()
        .map(|secret| secret.sign(job.job_id.as_str(), timestamp, &seen.body))
        .collect();
    assert_eq!(
        seen.header("webhook-signature"),
        Some(expected.join(" ").as_str())
    );
}

#[tokio::test]
async fn without_a_secret_nothing_claims_to_be_signed() {
    let mut target = Target::answering("200 OK", "", "").await;
    let job = job("{}");
    run(&target, json!({}), json!({}), &job).await;
    let seen = target.seen().await;
    assert_eq!(seen.header("webhook-signature"), None);
    assert_eq!(seen.header("webhook-id"), Some(job.job_id.as_str()));
}

#[tokio::test]
async fn a_job_travels_as_a_cloudevent_on_request() {
    let mut target = Target::answering("200 OK", "", "").await;
    let job = job(r#"{"ref": "main"}"#);
    run(
        &target,
        json!({"cloudevents": "structured"}),
        json!({}),
        &job,
    )
    .await;
    let seen = target.seen().await;
    assert_eq!(
        seen.header("content-type"),
        Some("application/cloudevents+json")
    );
    let document: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(document["type"], "acme.push");
    assert_eq!(document["data"], json!({"ref": "main"}));
    run(&target, json!({"cloudevents": "binary"}), json!({}), &job).await;
    let seen = target.seen().await;
    assert_eq!(seen.header("ce-type"), Some("acme.push"));
    assert_eq!(seen.body, br#"{"ref": "main"}"#);
}

#[tokio::test]
async fn a_method_without_a_body_carries_none() {
    let mut target = Target::answering("200 OK", "", "").await;
    run(&target, json!({"method": "GET"}), json!({}), &job("{}")).await;
    let seen = target.seen().await;
    assert!(seen.head.starts_with("GET "));
    assert!(seen.body.is_empty());
    assert_eq!(seen.header("content-type"), None);
}

#[tokio::test]
async fn a_success_keeps_json_or_text_as_its_result() {
    let json = answer("200 OK", "", r#"{"id": 7}"#).await;
    assert_eq!(
        (json.http_status, json.result.as_deref()),
        (Some(200), Some(&br#"{"id": 7}"#[..]))
    );
    let text = answer("202 Accepted", "", "queued").await;
    assert_eq!(text.result.as_deref(), Some(&b"\"queued\""[..]));
    let nothing = answer("204 No Content", "", "").await;
    assert!(nothing.is_ok() && nothing.result.is_none());
}

#[tokio::test]
async fn a_failure_keeps_what_the_target_said() {
    let report = answer("500 Internal Server Error", "", "out of order").await;
    assert_eq!(
        (report.outcome, report.http_status),
        (AttemptOutcome::Failed, Some(500))
    );
    assert_eq!(report.stdout.as_deref(), Some(&b"out of order"[..]));
    assert_eq!((report.result, report.retry), (None, Retry::Policy));
}

#[tokio::test]
async fn a_redirect_is_a_failure() {
    let mut target = Target::answering("307 Temporary Redirect", "location: /other\r\n", "").await;
    let report = run(&target, json!({}), json!({}), &job("{}")).await;
    assert_eq!(
        (report.outcome, report.http_status),
        (AttemptOutcome::Failed, Some(307))
    );
    target.seen().await;
    assert!(!target.has_seen_more());
}

#[tokio::test]
async fn a_target_that_is_gone_disables_its_runnable() {
    assert_eq!(answer("410 Gone", "", "").await.retry, Retry::DisableTarget);
}

#[tokio::test]
async fn retry_after_is_obeyed_where_it_means_something() {
    let wait = |seconds| Retry::After(Duration::from_secs(seconds));
    let header = "retry-after: 120\r\n";
    assert_eq!(
        answer("429 Too Many Requests", header, "").await.retry,
        wait(120)
    );
    assert_eq!(
        answer("503 Service Unavailable", header, "").await.retry,
        wait(120)
    );
    assert_eq!(
        answer("503 Service Unavailable", "", "").await.retry,
        Retry::Policy
    );
    assert_eq!(
        answer("500 Internal Server Error", header, "").await.retry,
        Retry::Policy
    );
}

#[tokio::test]
async fn a_long_answer_is_kept_up_to_its_limit() {
    let endless = Answer::Endless {
        head: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        chunk: vec![b'7'; 64 * 1024],
    };
    let target = Target::start(endless).await;
    let report = run(&target, json!({"response_max": 4}), json!({}), &job("{}")).await;
    assert!(report.is_ok(), "{report:?}");
    assert_eq!(
        report.result.as_deref(),
        Some(&b"\"7777\""[..]),
        "half a number is no number"
    );
}

#[tokio::test]
async fn a_slow_target_is_cut_off_at_its_deadline() {
    let drip = Answer::Drip {
        head: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        tick: Duration::from_millis(20),
    };
    let target = Target::start(drip).await;
    let report = run(&target, json!({"timeout_ms": 150}), json!({}), &job("{}")).await;
    assert_eq!(
        (report.outcome, report.retry),
        (AttemptOutcome::Timeout, Retry::Policy)
    );
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let target = Target::answering("200 OK", "", "").await;
    let url = format!("http://localhost:{}/", target.address.port());
    let report = run(
        &target,
        json!({"url": url, "allow": []}),
        json!({}),
        &job("{}"),
    )
    .await;
    assert_eq!(report.outcome, AttemptOutcome::Refused);
    assert!(report.error.expect("an error").contains("loopback"));
}
