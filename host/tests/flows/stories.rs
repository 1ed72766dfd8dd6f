//! What takes more than one call to see.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{begin, call, called, ended, start, step_in, steps};

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
- {path: f/t/fail, command: {argv: [./fail.sh]}, retry: {attempts_max: 1}}
- {path: f/t/wait, command: {argv: [./wait.sh]}}
- path: f/t/waits
  flow: {steps: [{id: a, run: f/t/wait}, {id: b, run: f/t/echo}]}
- path: f/t/outer
  flow: {steps: [{id: inner, run: f/t/waits}, {id: after, run: f/t/echo, inputs: {got: results.inner}}]}
- path: f/t/itself
  flow: {steps: [{id: again, run: f/t/itself}]}
- path: f/t/slow
  flow:
    steps:
    - {id: a, run: f/t/echo, inputs: {x: \"args.list.map(a, args.list.map(b, a * b))\"}}
- path: f/t/fails
  flow: {steps: [{id: a, run: f/t/fail}]}
";

async fn host() -> super::harness::Host {
    let host = start().await;
    host.script("echo.sh", "cat");
    host.script("fail.sh", "echo 'no disk' >&2; exit 3");
    host.script(
        "wait.sh",
        "for i in $(seq 1200); do [ -e go ] && break; sleep 0.05; done; echo '\"went\"'",
    );
    host.apply(DOCUMENT);
    host
}

#[tokio::test]
async fn a_cancelled_flow_ends_what_it_runs() {
    let host = host().await;
    let job = begin(&host, "f/t/outer", &json!({})).await;
    let inner = step_in(&host, &job, "inner", "waiting").await;
    let inner = inner["id"].as_str().expect("an id").to_owned();
    let leaf = step_in(&host, &inner, "a", "running").await;
    host.cli_ok(&["jobs", "cancel", &job]);
    for id in [&job, &inner, leaf["id"].as_str().expect("an id")] {
        assert_eq!(ended(&host, id).await["state"], "cancelled");
    }
    host.until("the program's end", async || {
        let found = std::fs::read_dir("/proc").expect("processes").flatten();
        let script = host.path("commands").join("wait.sh");
        let script = script.to_string_lossy().into_owned();
        let runs = found.into_iter().any(|process| {
            let line = std::fs::read_to_string(process.path().join("cmdline"));
            line.is_ok_and(|line| line.contains(&script))
        });
        (!runs).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_step_that_is_cancelled_ends_its_flow() {
    let host = host().await;
    let job = begin(&host, "f/t/waits", &json!({})).await;
    let step = step_in(&host, &job, "a", "running").await;
    host.cli_ok(&["jobs", "cancel", step["id"].as_str().expect("an id")]);
    let shown = ended(&host, &job).await;
    assert_eq!(shown["error"], "step `a`: it was cancelled");
}

#[tokio::test]
async fn a_flow_can_be_a_step_of_another() {
    let host = host().await;
    let job = begin(&host, "f/t/outer", &json!({"x": 1})).await;
    step_in(&host, &job, "inner", "waiting").await;
    std::fs::write(host.path("commands/go"), "").expect("a file");
    let shown = ended(&host, &job).await;
    assert_eq!(shown["result"], json!({"got": {"x": 1}}));
}

#[tokio::test]
async fn a_flow_that_runs_itself_ends() {
    let host = host().await;
    let (status, body) = call(&host, "f/t/itself", &json!({})).await;
    assert_eq!(status, 500);
    let error = body["error"]["message"].as_str().expect("words");
    assert!(error.contains("does one of them run itself?"), "{error}");
}

#[tokio::test]
async fn a_flow_whose_results_are_too_large_together_ends_and_says_so() {
    let host = start().await;
    host.script("large.sh", "head -c 9000000 /dev/zero | tr '\\0' x");
    host.apply(
        "
runnables:
- {path: f/t/large, command: {argv: [./large.sh], stdout_max: 10MiB}}
- path: f/t/two
  flow:
    steps:
    - {id: a, run: f/t/large}
    - {id: b, run: f/t/large}
    - {id: c, run: f/t/large}
",
    );
    let job = begin(&host, "f/t/two", &json!({})).await;
    let shown = ended(&host, &job).await;
    let error = shown["error"].as_str().expect("words");
    assert!(
        error.starts_with("the results of its steps have 180000"),
        "{error}"
    );
    assert_eq!(steps(&host, &job).len(), 2, "the third is not begun");
}

#[tokio::test]
async fn a_slow_expression_fails_its_step_and_holds_nobody() {
    let host = host().await;
    let list: Vec<u32> = (0..3_000).collect();
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(begin(&host, "f/t/slow", &json!({"list": list})).await);
    }
    let started = Instant::now();
    let (status, _) = called(&host, "run_wait_result/p/f/t/echo", &json!({})).await;
    assert_eq!(status, 200);
    assert!(started.elapsed() < Duration::from_secs(20));
    for job in slow {
        let shown = ended(&host, &job).await;
        let error = shown["error"].as_str().expect("words");
        assert!(error.contains("it is too slow"), "{error}");
    }
}

#[tokio::test]
async fn a_failed_flow_answers_with_its_error_and_its_jobs_show_where() {
    let host = host().await;
    let (status, body) = call(&host, "f/t/fails", &json!({})).await;
    assert_eq!(status, 500);
    let error = body["error"]["message"].as_str().expect("words");
    assert!(
        error.starts_with("step `a`: ") && error.contains("no disk"),
        "{error}"
    );
    let job = body["job"].as_str().expect("the job");
    let states: Vec<_> = steps(&host, job)
        .iter()
        .map(|step| step["state"].clone())
        .collect();
    assert_eq!(states, [json!("dead")]);
    let printed = host.cli_ok(&["jobs", "show", job]);
    assert!(printed.contains("no disk"), "{printed}");
}

#[tokio::test]
async fn flows_that_fail_in_a_row_do_not_make_others_wait() {
    let host = host().await;
    for _ in 0..8 {
        let started = Instant::now();
        let (status, _) = call(&host, "f/t/fails", &json!({})).await;
        assert_eq!(status, 500);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    let jobs = host.items("jobs?runnable=f/t/fails&state=dead").await;
    assert_eq!(jobs.len(), 8);
}

#[tokio::test]
async fn versions_are_those_of_when_the_flow_began() {
    let host = host().await;
    let job = begin(&host, "f/t/waits", &json!({"n": 1})).await;
    step_in(&host, &job, "a", "running").await;
    host.apply("{workspace: default, runnables: [{path: f/t/echo, command: {argv: [./fail.sh]}}]}");
    std::fs::write(host.path("commands/go"), "").expect("a file");
    assert_eq!(ended(&host, &job).await["result"], json!({"n": 1}));
}

#[tokio::test]
async fn flows_and_other_runnables_are_called_at_paths_of_their_own() {
    let host = host().await;
    std::fs::write(host.path("commands/go"), "").expect("a file");
    let (status, body) = called(&host, "run/p/f/t/waits", &json!({})).await;
    assert_eq!(status, 422);
    let detail = body["detail"].as_str().expect("words");
    assert!(detail.contains("/jobs/run/f/f/t/waits"), "{detail}");
    let (status, _) = called(&host, "run/f/f/t/echo", &json!({})).await;
    assert_eq!(status, 422);
    let shown = host
        .get("/api/v1/workspaces/default/runnables?limit=100")
        .await;
    let items = shown["items"].as_array().expect("items");
    let flow = items
        .iter()
        .find(|item| item["path"] == "f/t/waits")
        .expect("the flow");
    assert_eq!(flow["version"]["kind"], "flow");
    let hash = flow["version"]["hash"].as_str().expect("a hash");
    let by_hash = called(
        &host,
        &format!("run_wait_result/h/{hash}"),
        &json!({"x": 1}),
    )
    .await;
    assert_eq!(by_hash, (reqwest::StatusCode::OK, json!({"x": 1})));
    // What it is called as, the flow itself tells.
    let token = host.cli_ok(&["token", "create", "--for", "f/t/waits"]);
    host.cli_ok(&["token", "create", "--for", "f/t/waits", "--flow"]);
    let refused = host.cli(&["token", "create", "--for", "f/t/echo", "--flow"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("`f/t/echo` is no flow"),
        "{said}"
    );
    let path = "/api/w/default/jobs/run_wait_result/f/f/t/waits";
    let request = host.client().get(format!("{}{path}", host.url));
    let answer = request
        .bearer_auth(token.trim())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let job = begin(&host, "f/t/waits", &json!({})).await;
    ended(&host, &job).await;
    let seen = host.get(&format!("/api/w/default/jobs_u/get/{job}")).await;
    assert_eq!(seen["job_kind"], "flow");
}

#[tokio::test]
async fn a_failing_error_handler_does_not_call_itself() {
    let host = host().await;
    host.apply("{workspace: default, on_error: f/t/fail, runnables: []}");
    let (status, _) = called(&host, "run_wait_result/p/f/t/fail", &json!({"n": 1})).await;
    assert_eq!(status, 500);
    let told = host
        .item("jobs?cause=error", |job| job["state"] == "dead")
        .await;
    assert_eq!(told["runnable"], "f/t/fail");
    let handlers = host.items("error-handlers").await;
    let handler = json!({"scope": "workspace", "of": "default", "on_error": "f/t/fail"});
    assert_eq!(handlers, [handler]);
    // Another one that fails later is told of, and the first handler's end was not.
    let (_, body) = called(&host, "run_wait_result/p/f/t/fail", &json!({"n": 2})).await;
    let second = body["job"].as_str().expect("the job").to_owned();
    host.item("jobs?cause=error", |job| {
        job["state"] == "dead" && job["origin_job_id"] == second.as_str()
    })
    .await;
    assert_eq!(host.items("jobs?cause=error").await.len(), 2);
    host.apply("{workspace: default, on_error: null, runnables: []}");
    let (_, body) = called(&host, "run_wait_result/p/f/t/fail", &json!({"n": 3})).await;
    assert!(body["job"].is_string());
    host.apply("{workspace: default, on_error: f/t/echo, runnables: []}");
    let (_, body) = called(&host, "run_wait_result/p/f/t/fail", &json!({"n": 4})).await;
    let fourth = body["job"].as_str().expect("the job").to_owned();
    let told = host
        .item("jobs?cause=error", |job| job["state"] == "done")
        .await;
    assert_eq!(told["origin_job_id"], fourth.as_str());
    assert_eq!(told["result"]["arguments"], json!({"n": 4}));
    let error = told["result"]["error"].as_str().expect("words");
    assert!(error.contains("no disk"), "{error}");
}
