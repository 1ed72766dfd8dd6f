//! Flows, as their users see them: a whole host, the documents of `examples/flows`, kills.

#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each test file uses its own part of the harness")]
#[path = "../harness/postgres.rs"]
mod postgres_harness;

mod durable;
mod examples;
mod hosts;
mod loops;
mod refusals;
mod stories;

use harness::{Host, Options};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A host without providers.
async fn start() -> Host {
    start_with(&[]).await
}

async fn start_with(variables: &[(&str, &str)]) -> Host {
    let variables = variables.iter();
    Host::start_with(Options {
        variables: variables
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        no_plugins: true,
        ..Options::default()
    })
    .await
}

/// Calls a flow and waits for its answer.
async fn call(host: &Host, path: &str, arguments: &Value) -> (StatusCode, Value) {
    called(host, &format!("run_wait_result/f/{path}"), arguments).await
}

/// Starts a flow; returns its job's id.
async fn begin(host: &Host, path: &str, arguments: &Value) -> String {
    let request = host.request(Method::POST, &format!("/api/w/default/jobs/run/f/{path}"));
    let answer = request.body(arguments.to_string()).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 201);
    answer.text().await.expect("an id")
}

async fn called(host: &Host, path: &str, arguments: &Value) -> (StatusCode, Value) {
    let request = host.request(Method::POST, &format!("/api/w/default/jobs/{path}"));
    let answer = request.body(arguments.to_string()).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

/// Waits for a job's end; returns it.
async fn ended(host: &Host, job: &str) -> Value {
    host.until("the job's end", async || {
        let shown = host
            .get(&format!("/api/v1/workspaces/default/jobs/{job}"))
            .await;
        let state = shown["state"].as_str().expect("a state");
        ["done", "dead", "cancelled"]
            .contains(&state)
            .then_some(shown)
    })
    .await
}

/// The steps of a flow's job, as the client shows them, in the order in which they began.
fn steps(host: &Host, job: &str) -> Vec<Value> {
    let printed = host.cli_ok(&["jobs", "show", job, "--json"]);
    let shown: Value = serde_json::from_str(&printed).expect("JSON");
    let mut steps = shown["steps"].as_array().cloned().unwrap_or_default();
    steps.reverse();
    steps
}

/// Waits until a step of a flow is in a state; returns its job.
async fn step_in(host: &Host, flow: &str, step: &str, state: &str) -> Value {
    host.item(&format!("jobs?flow={flow}&limit=500"), |job| {
        job["step"] == step && job["state"] == state
    })
    .await
}
