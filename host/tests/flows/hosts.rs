//! Flows that events begin, and flows that several hosts work on.

use serde_json::json;

use super::harness::{Delivery, Host, Options, SECRET, push};
use super::postgres_harness::Cluster;
use super::{begin, call, called, ended};

const DOCUMENT: &str = "
workspace: default
on_error: f/t/of-workspace
runnables:
- {path: f/t/of-workspace, command: {argv: [./echo.sh]}}
- {path: f/t/of-runnable, command: {argv: [./echo.sh]}}
- {path: f/t/of-trigger, command: {argv: [./echo.sh]}}
- {path: f/t/echo, command: {argv: [./echo.sh]}}
- {path: f/t/fail, command: {argv: [./fail.sh]}, retry: {attempts_max: 1}}
- path: f/t/flow
  on_error: f/t/of-runnable
  flow:
    steps:
    - id: a
      run: f/t/echo
      inputs: {trigger: trigger.name, event: trigger.event.name, ref: args.ref}
    - {id: b, run: f/t/fail, inputs: results.a}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: on-push, subscription: repo, event: push, runnable: f/t/flow, on_error: f/t/of-trigger}
";

#[tokio::test]
async fn an_event_runs_a_flow_and_the_most_specific_error_handler_is_told() {
    let host = Host::start().await;
    host.script("echo.sh", "cat");
    host.script("fail.sh", "echo 'no disk' >&2; exit 3");
    let mut document = DOCUMENT.to_owned();
    let body = push("main");
    for (number, (remove, told)) in [
        ("nothing", "f/t/of-trigger"),
        ("on_error: f/t/of-trigger", "f/t/of-runnable"),
        ("on_error: f/t/of-runnable", "f/t/of-workspace"),
    ]
    .into_iter()
    .enumerate()
    {
        // What a document does not say stays; what it says is nobody is nobody.
        document = document.replace(remove, "on_error: null");
        host.apply(&document);
        let delivery = Delivery {
            event: "push",
            id: &format!("d-{number}"),
            body: &body,
        };
        let endpoint = host.endpoint("repo").await;
        let answer = delivery.send(&endpoint, SECRET).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let error = host
            .item("jobs?cause=error&state=done", |job| job["runnable"] == told)
            .await;
        let said = &error["result"];
        assert_eq!(
            (&said["path"], &said["trigger"]),
            (&json!("f/t/flow"), &json!("on-push"))
        );
        assert_eq!(said["arguments"]["ref"], "refs/heads/main");
        let flow = said["job_id"].as_str().expect("the flow's job");
        let first = host
            .item(&format!("jobs?flow={flow}"), |job| job["step"] == "a")
            .await;
        let expected = json!({"trigger": "on-push", "event": "push", "ref": "refs/heads/main"});
        assert_eq!(first["result"], expected);
    }
    assert_eq!(host.items("jobs?cause=error").await.len(), 3);
}

/// On this database, with so many places.
fn on(database: &str, places: &str) -> Options {
    let variables = [
        ("TRIGGERD_DATABASE", database),
        ("TRIGGERD_RUNNABLES_RUNNING_MAX", places),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Options {
        variables: variables.into(),
        no_plugins: true,
        ..Options::default()
    }
}

#[tokio::test]
async fn several_hosts_work_on_one_flow_and_run_each_step_once() {
    let database = Cluster::shared().database().await;
    let first = Host::start_with(on(&database, "2")).await;
    let second = Host::start_like(&first, on(&database, "8")).await;
    for host in [&first, &second] {
        host.script("echo.sh", "cat");
    }
    first.apply(
        "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
- path: f/t/flow
  flow:
    early_return: a
    steps:
    - {id: a, run: f/t/echo, inputs: {n: args.n}}
    - id: each
      for_each: '[1, 2, 3, 4]'
      concurrency: 4
      steps: [{id: b, run: f/t/echo, inputs: {product: item * results.a.n}}]
    - {id: c, run: f/t/echo, inputs: {all: results.each}}
",
    );
    let mut jobs = Vec::new();
    for number in 0..8 {
        let host = [&first, &second][number % 2];
        jobs.push((number, begin(host, "f/t/flow", &json!({"n": number})).await));
    }
    let early = call(&first, "f/t/flow", &json!({"n": 7})).await;
    assert_eq!(early, (reqwest::StatusCode::OK, json!({"n": 7})));
    for (number, job) in &jobs {
        let shown = ended(&second, job).await;
        let products = [1, 2, 3, 4].map(|n| json!({"product": n * number}));
        assert_eq!(shown["result"], json!({"all": products}), "{shown}");
        let steps = first.items(&format!("jobs?flow={job}&limit=100")).await;
        assert_eq!(steps.len(), 6);
        for step in steps {
            let counts = (&step["state"], &step["attempts"]);
            assert_eq!(counts, (&json!("done"), &json!(1)), "{step}");
        }
    }
}

#[tokio::test]
async fn what_a_full_host_has_no_place_for_is_told_to_another_and_taken_by_it() {
    let database = Cluster::shared().database().await;
    let first = Host::start_with(on(&database, "1")).await;
    let second = Host::start_like(&first, on(&database, "8")).await;
    for host in [&first, &second] {
        host.script("echo.sh", "cat");
        host.script(
            "hold.sh",
            "until [ -e go ]; do [ -e hold.sh ] || exit 1; sleep 0.05; done",
        );
    }
    first.apply(
        "
workspace: default
runnables:
- {path: f/t/hold, command: {argv: [./hold.sh]}}
- {path: f/t/echo, command: {argv: [./echo.sh]}}
- path: f/t/flow
  flow:
    steps:
    - {id: a, run: f/t/echo, inputs: args.n + 1}
    - {id: b, run: f/t/echo, inputs: results.a + 1}
",
    );
    // Its only place is taken: a job whose caller waits begins where it is called.
    let held = called(&first, "run_wait_result/p/f/t/hold?timeout=0.2", &json!({})).await;
    assert_eq!(held.0, reqwest::StatusCode::GATEWAY_TIMEOUT);
    for n in 0..5 {
        let answer = call(&first, "f/t/flow", &json!({"n": n})).await;
        assert_eq!(answer, (reqwest::StatusCode::OK, json!(n + 2)));
    }
    assert!(second.metric("triggerd_hints_heard_total").await >= 1.0);
    assert_eq!(first.metric("triggerd_jobs_running").await, 1.0);
}
