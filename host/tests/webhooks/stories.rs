//! What takes more than one call to see.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Host, Options};
use super::postgres_harness::Cluster;
use super::{Call, finished, host_with, start, token};

#[tokio::test]
async fn an_asynchronous_call_answers_201_with_the_id_of_its_job() {
    let host = start().await;
    let answer = Call::post(&host, "run/p/f/t/echo")
        .body("{\"a\":1}")
        .send()
        .await;
    assert_eq!(answer.status, 201);
    assert!(answer.kind.starts_with("text/plain"), "{answer:?}");
    assert!(answer.text.starts_with("job_"), "{answer:?}");
    let job = finished(&host, &answer.text).await;
    assert_eq!(job["args"], json!({"a":1}));
    assert_eq!(job["result"], json!({"a":1}));
    assert_eq!(
        (&job["success"], &job["script_path"]),
        (&json!(true), &json!("f/t/echo"))
    );
    let result = host
        .get(&format!(
            "/api/w/default/jobs_u/completed/get_result/{}",
            answer.text
        ))
        .await;
    assert_eq!(result, json!({"a":1}));
    let row = host
        .item("jobs", |job| job["id"] == answer.text.as_str())
        .await;
    assert_eq!(row["cause"], "webhook");
    let request = host
        .item("requests", |row| row["job_id"] == answer.text.as_str())
        .await;
    assert_eq!(request["runnable"], "f/t/echo");
    assert_eq!(
        (&request["outcome"], &request["status"]),
        (&json!("accepted"), &json!(201))
    );
}

#[tokio::test]
async fn a_result_that_is_not_there_yet_is_told_apart() {
    let host = start().await;
    let job = Call::post(&host, "run/p/f/t/wait").send().await.text;
    let at = |what: &str| format!("/api/w/default/jobs_u/completed/{what}/{job}");
    let early = host.request(reqwest::Method::GET, &at("get_result")).send();
    assert_eq!(early.await.expect("an answer").status(), 404);
    let maybe = host.get(&at("get_result_maybe")).await;
    assert_eq!(maybe["completed"], false);
    std::fs::write(host.path("commands/go"), "").expect("a file");
    finished(&host, &job).await;
    let maybe = host.get(&at("get_result_maybe")).await;
    assert_eq!(
        (&maybe["completed"], &maybe["success"], &maybe["result"]),
        (&json!(true), &json!(true), &json!("went"))
    );
}

#[tokio::test]
async fn a_fixed_version_is_run_by_its_hash() {
    let host = start().await;
    let shown = host
        .get("/api/v1/workspaces/default/runnables?limit=100")
        .await;
    let items = shown["items"].as_array().expect("items");
    let echo = items.iter().find(|item| item["path"] == "f/t/first");
    let version = &echo.expect("the runnable")["version"];
    let (hash, id) = (version["hash"].as_str(), version["id"].as_str());
    // Its latest version does something else by now.
    host.apply("{workspace: default, runnables: [{path: f/t/first, command: {argv: [./fail.sh]}, retry: {attempts_max: 1}}]}");
    for named in [hash.expect("a hash"), id.expect("an id")] {
        let answer = Call::post(&host, &format!("run_wait_result/h/{named}"))
            .header("content-type", "multipart/form-data; boundary=B")
            .body("--B\r\ncontent-disposition: form-data; name=f; filename=x\r\n\r\n7\r\n--B--\r\n")
            .send()
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, "7"),
            "{named}"
        );
        let path = format!("run/h/{named}");
        assert_eq!(Call::post(&host, &path).send().await.status, 201);
    }
    let echo = items.iter().find(|item| item["path"] == "f/t/echo");
    let hash = &echo.expect("the runnable")["version"]["hash"];
    let hash = hash.as_str().expect("a hash");
    let path = format!("run_wait_result/h/{hash}?payload=eyJhIjoxfQ");
    let own = token(&host, &["--for", "f/t/echo"]);
    let got = Call::get(&host, &path).token(own).send().await;
    assert_eq!(got.json(), json!({"a":1}));
    let latest = Call::post(&host, "run_wait_result/p/f/t/first")
        .send()
        .await;
    assert_eq!(latest.status, 500);
    let unknown = Call::post(&host, "run_wait_result/h/abc").send().await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_flow_that_is_none_is_told_so() {
    let host = start().await;
    let answer = Call::post(&host, "run/f/f/t/echo").send().await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.json()["detail"]
            .as_str()
            .expect("words")
            .contains("is no flow")
    );
    let answer = Call::get(&host, "run_wait_result/f/f/t/none").send().await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_failed_job_answers_with_its_error() {
    let host = start().await;
    let answer = Call::post(&host, "run_wait_result/p/f/t/fail").send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.kind.as_str()),
        (500, "application/json")
    );
    let error = answer.json();
    assert!(
        error["error"]["message"]
            .as_str()
            .expect("words")
            .contains("CANARY-41")
    );
    let older = Call::post(&host, "run_wait_result/p/f/t/fail?error_status=200")
        .send()
        .await;
    assert_eq!(older.status, 200);
    assert_eq!(older.json()["error"]["name"], "ExecutionErr");
}

#[tokio::test]
async fn past_the_time_504_names_the_job_which_goes_on() {
    let host = start().await;
    let answer = Call::post(&host, "run_wait_result/p/f/t/wait?timeout=0.2")
        .send()
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.kind.as_str()),
        (504, "application/problem+json")
    );
    let job = answer.json()["job"].as_str().expect("the job").to_owned();
    std::fs::write(host.path("commands/go"), "").expect("a file");
    assert_eq!(finished(&host, &job).await["result"], "went");
    let row = host.item("requests", |row| row["status"] == 504).await;
    assert_eq!(row["job_id"], job);
}

#[tokio::test]
async fn the_instances_limit_is_the_smaller_one() {
    let host = host_with(&[("TRIGGERD_WEBHOOKS_WAIT_MAX", "200ms")]).await;
    let started = Instant::now();
    let answer = Call::post(&host, "run_wait_result/p/f/t/wait?timeout=600")
        .send()
        .await;
    assert_eq!(answer.status, 504);
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn who_hangs_up_cancels_only_if_asked() {
    let host = start().await;
    for (query, state) in [("", "running"), ("?cancel_on_disconnect=true", "cancelled")] {
        let call = Call::post(&host, &format!("run_wait_result/p/f/t/wait{query}"));
        let url = format!("{}{}", host.url, call.path);
        let calling = host.client().post(url).bearer_auth(&host.token).send();
        let calling = tokio::spawn(calling);
        let job = host.item("jobs", |job| job["state"] == "running").await;
        calling.abort();
        let id = job["id"].as_str().expect("an id").to_owned();
        if query.is_empty() {
            // The host noticed when it can do something else for the same connection's owner.
            assert!(calling.await.is_err());
            let job = host.get(&format!("/api/w/default/jobs_u/get/{id}")).await;
            assert_eq!(job["state"], state);
            host.cli_ok(&["jobs", "cancel", &id]);
        } else {
            assert_eq!(finished(&host, &id).await["state"], state);
        }
    }
}

#[tokio::test]
async fn a_callers_job_that_is_cancelled_answers_at_once() {
    let host = start().await;
    let (answer, ()) = tokio::join!(
        Call::post(&host, "run_wait_result/p/f/t/wait").send(),
        async {
            let job = host.item("jobs", |job| job["state"] == "running").await;
            host.cli_ok(&["jobs", "cancel", job["id"].as_str().expect("an id")]);
        }
    );
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"]["name"], "Cancelled");
}

#[tokio::test]
async fn the_same_key_gives_the_same_job() {
    let host = start().await;
    let call = |path: &str| Call::post(&host, path).header("Idempotency-Key", "k-1");
    let first = call("run/p/f/t/echo").body("{\"n\":1}").send().await;
    let second = call("run/p/f/t/echo").body("{\"n\":2}").send().await;
    assert_eq!((second.status.as_u16(), &second.text), (201, &first.text));
    let waited = call("run_wait_result/p/f/t/echo")
        .body("{\"n\":3}")
        .send()
        .await;
    assert_eq!(waited.json(), json!({"n":1}));
    let by_query = Call::post(&host, "run/p/f/t/echo?job_id=k-1").send().await;
    assert_eq!(by_query.text, first.text);
    let shown = host.get("/api/w/default/jobs_u/get/k-1").await;
    assert_eq!(shown["id"], first.text.as_str());
    let other = Call::post(&host, "run/p/f/t/echo?job_id=k-2").send().await;
    assert_ne!(other.text, first.text);
    let elsewhere = Call::post(&host, "run/p/f/t/fail?job_id=k-2").send().await;
    assert_ne!(
        elsewhere.text, other.text,
        "another runnable's key is another key"
    );
    assert_eq!(host.items("jobs").await.len(), 3);
    let rows = host.items("requests").await;
    let again = rows.iter().filter(|row| row["outcome"] == "duplicate");
    assert_eq!(again.count(), 3);
}

#[tokio::test]
async fn a_key_of_another_token_is_refused_and_tells_nothing_of_its_job() {
    let host = start().await;
    let tokens = [
        token(&host, &["--for", "f/t/echo"]),
        token(&host, &["--for", "f/t/echo"]),
    ];
    let call = |number: usize, path: &str| {
        Call::post(&host, path)
            .token(tokens[number].clone())
            .header("Idempotency-Key", "k-1")
            .body(format!("{{\"by\":\"CANARY-{number}\"}}"))
            .send()
    };
    let path = "run_wait_result/p/f/t/echo";
    assert_eq!(call(0, path).await.json(), json!({"by":"CANARY-0"}));
    let jobs = host.items("jobs").await;
    let id = jobs[0]["id"].as_str().expect("an id");
    for path in [path, "run/p/f/t/echo"] {
        let refused = call(1, path).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert_eq!(refused.json()["field"], "idempotency-key");
        assert!(!refused.text.contains("CANARY") && !refused.text.contains(id));
    }
    assert_eq!(call(0, path).await.json(), json!({"by":"CANARY-0"}));
    assert_eq!(host.items("jobs").await.len(), 1);
    let row = host.item("requests", |row| row["status"] == 409).await;
    assert_eq!(row["outcome"], "refused");
    // A batch stands for its events as one job does for its call.
    let event = json!({"specversion":"1.0","id":"1","source":"/s","type":"t","data":{}});
    let batch = |number: usize| {
        Call::post(&host, "run/p/f/t/echo?job_id=k-2")
            .token(tokens[number].clone())
            .header("content-type", "application/cloudevents-batch+json")
            .body(json!([event, event]).to_string())
            .send()
    };
    let first = batch(0).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(batch(0).await.text, first.text);
    assert_eq!(batch(1).await.status, 409);
}

#[tokio::test]
async fn who_repeats_a_key_and_hangs_up_cancels_nothing() {
    let host = start().await;
    let path = "run_wait_result/p/f/t/wait?job_id=k-1&cancel_on_disconnect=true";
    let first = tokio::spawn({
        let url = format!("{}/api/w/default/jobs/{path}", host.url);
        host.client().post(url).bearer_auth(&host.token).send()
    });
    host.item("jobs", |job| job["state"] == "running").await;
    let repeated = tokio::spawn({
        let url = format!("{}/api/w/default/jobs/{path}", host.url);
        host.client().post(url).bearer_auth(&host.token).send()
    });
    // Its row is kept before it waits.
    host.item("requests", |row| row["outcome"] == "duplicate")
        .await;
    repeated.abort();
    assert!(repeated.await.is_err(), "it hung up");
    // What is cancelled because of it would be so by the time that others were called and cancelled.
    let other = tokio::spawn({
        let path = "run_wait_result/p/f/t/wait?cancel_on_disconnect=true";
        let url = format!("{}/api/w/default/jobs/{path}", host.url);
        host.client().post(url).bearer_auth(&host.token).send()
    });
    host.item("jobs", |job| job["state"] == "ready").await;
    other.abort();
    host.item("jobs", |job| job["state"] == "cancelled").await;
    std::fs::write(host.path("commands/go"), "").expect("a file");
    let first = first.await.expect("no panic").expect("an answer");
    assert_eq!(first.status(), 200);
    assert_eq!(first.text().await.expect("a body"), "\"went\"");
}

#[tokio::test]
async fn many_at_once_with_one_key_make_one_job() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        let calls = (0..20).map(|_| {
            Call::post(&host, "run_wait_result/p/f/t/echo?job_id=same")
                .body("{\"n\":1}")
                .send()
        });
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.json(), json!({"n":1}));
        }
        assert_eq!(host.items("jobs").await.len(), 1);
    }
}

#[tokio::test]
async fn a_batch_makes_a_job_for_each_event_or_none() {
    let host = start().await;
    let event =
        |id: &str| json!({"specversion":"1.0","id":id,"source":"/s","type":"t","data":{"id":id}});
    let send = async |events: serde_json::Value| {
        Call::post(&host, "run/p/f/t/echo")
            .header("content-type", "application/cloudevents-batch+json")
            .body(events.to_string())
            .send()
            .await
    };
    assert_eq!(send(json!([event("1"), {"id":"2"}])).await.status, 400);
    assert_eq!(host.items("jobs").await.len(), 0);
    let answer = send(json!([event("1"), event("2"), event("3")])).await;
    assert_eq!(answer.status, 201);
    let jobs = answer.json();
    let jobs = jobs.as_array().expect("ids");
    assert_eq!(jobs.len(), 3);
    let last = finished(&host, jobs[2].as_str().expect("an id")).await;
    assert_eq!(last["result"]["id"], "3");
    for (count, status) in [(1000, 201), (1001, 413)] {
        let events: Vec<_> = (0..count).map(|n: u32| event(&n.to_string())).collect();
        assert_eq!(send(events.into()).await.status, status, "{count} events");
    }
    let empty = send(json!([])).await;
    assert_eq!((empty.status.as_u16(), empty.json()), (201, json!([])));
}

#[tokio::test]
async fn what_is_deleted_after_use_leaves_only_id_times_and_status() {
    let host = start().await;
    let body = "{\"k\":\"CANARY-41\"}";
    let paths = ["secret", "secret-fail"];
    for path in paths {
        let path = format!("run_wait_result/p/f/t/{path}?include_query=q&q=CANARY-41&job_id=once");
        let answer = Call::post(&host, &path).body(body).send().await;
        assert!(answer.text.contains("CANARY-41"), "{answer:?}");
    }
    for path in paths {
        let wiped = host
            .until("the job is wiped", async || {
                let runnable = format!("f/t/{path}");
                let jobs = host.items(&format!("jobs?runnable={runnable}")).await;
                let id = jobs[0]["id"].as_str().expect("an id").to_owned();
                let job = host.get(&format!("/api/w/default/jobs_u/get/{id}")).await;
                job["args"].is_null().then_some(id)
            })
            .await;
        let all = [
            host.get(&format!("/api/w/default/jobs_u/get/{wiped}"))
                .await,
            host.get(&format!("/api/v1/workspaces/default/jobs/{wiped}"))
                .await,
            host.get(&format!("/api/v1/workspaces/default/jobs/{wiped}/attempts"))
                .await,
            json!(host.items("requests").await),
        ];
        for shown in all {
            assert!(!shown.to_string().contains("CANARY-41"), "{shown}");
        }
        let again = format!("run_wait_result/p/f/t/{path}?job_id=once");
        let answer = Call::post(&host, &again).send().await;
        assert_eq!(answer.status, 410, "{answer:?}");
    }
}

#[tokio::test]
async fn a_token_for_one_runnable_runs_it_and_nothing_else() {
    let host = start().await;
    let text = token(&host, &["--for", "f/t/echo"]);
    let call = |path: &str| Call::post(&host, path).token(text.clone()).send();
    let answer = call("run_wait_result/p/f/t/echo").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for path in [
        "run/p/f/t/fail",
        "run/p/f/t/none",
        "run/f/f/t/echo",
        "run/h/abc",
    ] {
        assert_eq!(call(path).await.status, 403, "{path}");
    }
    // By its hash a version is run too, and others are not.
    for (named, status) in [("f/t/fail", 403), ("f/t/echo", 201)] {
        let items = host.items("runnables?limit=100").await;
        let found = items.iter().find(|item| item["path"] == named);
        let hash = &found.expect("the runnable")["version"]["hash"];
        let hash = hash.as_str().expect("a hash");
        assert_eq!(
            call(&format!("run/h/{hash}")).await.status,
            status,
            "{named}"
        );
    }
    for path in [
        "/api/v1/workspaces/default/jobs",
        "/api/v1/tokens",
        "/api/v1/workspaces",
    ] {
        let asked = host
            .client()
            .get(format!("{}{path}", host.url))
            .bearer_auth(&text);
        assert_eq!(
            asked.send().await.expect("an answer").status(),
            403,
            "{path}"
        );
    }
    // It may ask for what it started itself, and for no other job.
    let (own, other) = (
        call("run/p/f/t/echo").await.text,
        Call::post(&host, "run/p/f/t/echo").send().await.text,
    );
    finished(&host, &own).await;
    for (job, status) in [(own, 200), (other, 404)] {
        let url = format!(
            "{}/api/w/default/jobs_u/completed/get_result/{job}?token={text}",
            host.url
        );
        let asked = host.client().get(url).send().await.expect("an answer");
        assert_eq!(asked.status(), status);
    }
    let listed = host.get("/api/v1/tokens").await;
    let listed = listed["items"].as_array().expect("items");
    let own = listed
        .iter()
        .find(|token| token["runs"]["path"] == "f/t/echo");
    let id = own.expect("the token")["id"].as_str().expect("an id");
    host.cli_ok(&["token", "revoke", id]);
    assert_eq!(call("run/p/f/t/echo").await.status, 401);
}

#[tokio::test]
async fn a_users_token_needs_the_scope_and_the_workspace() {
    let host = start().await;
    host.cli_ok(&["workspace", "create", "other"]);
    let run = token(&host, &["runs", "--scope", "run"]);
    let read = token(&host, &["reads", "--scope", "read"]);
    let foreign = token(
        &host,
        &["foreign", "--scope", "run", "--workspace", "other"],
    );
    for (token, status) in [(run, 201), (read, 403), (foreign, 404)] {
        let answer = Call::post(&host, "run/p/f/t/echo")
            .token(token)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told_apart() {
    let host = start().await;
    let bad = format!("tdt_{}", "a".repeat(43));
    let mut answers = Vec::new();
    for path in [
        "run/p/f/t/echo",
        "run/p/f/t/none",
        "run/f/x",
        "run_wait_result/h/abc",
    ] {
        for token in [None, Some(bad.clone()), Some("nonsense".to_owned())] {
            let answer = Call::post(&host, path).token(token).body("{}").send().await;
            answers.push((answer.status.as_u16(), answer.text));
        }
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(answers[0].0, 401);
    assert_eq!(
        host.items("requests").await.len(),
        0,
        "nobody's calls leave no rows"
    );
}

#[tokio::test]
async fn a_token_in_the_query_works_and_is_shown_nowhere() {
    let host = start().await;
    let text = token(&host, &["--for", "f/t/echo"]);
    let path = format!("run_wait_result/p/f/t/echo?token={text}");
    let answer = Call::post(&host, &path).token(None).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let path = format!("run/p/f/t/fail?token={text}");
    assert_eq!(
        Call::post(&host, &path).token(None).send().await.status,
        403
    );
    let row = host
        .item("requests", |row| row["runnable"] == "f/t/echo")
        .await;
    assert_eq!(row["query"], "token=[masked]");
    let rows = serde_json::Value::from(host.items("requests").await).to_string();
    let metrics = host.client().get(format!("{}/metrics", host.url));
    let metrics = metrics
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    for shown in [rows, metrics, host.log()] {
        assert!(!shown.contains(&text), "the token is shown");
    }
    host.until("its last use is shown", async || {
        let listed = host.get("/api/v1/tokens").await;
        let used = listed["items"]
            .as_array()?
            .iter()
            .any(|token| token["runs"]["path"] == "f/t/echo" && !token["last_used_at"].is_null());
        used.then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_answered_201_is_run_after_a_kill() {
    let mut host = start().await;
    let job = Call::post(&host, "run/p/f/t/wait").send().await.text;
    let waiting = Call::post(&host, "run/p/f/t/wait").send().await.text;
    host.kill();
    std::fs::write(host.path("commands/go"), "").expect("a file");
    host.resume().await;
    for job in [job, waiting] {
        assert_eq!(finished(&host, &job).await["result"], "went");
    }
}

#[tokio::test]
async fn a_call_that_is_waited_for_is_run_after_a_kill_too() {
    let mut host = start().await;
    let url = format!("{}/api/w/default/jobs/run_wait_result/p/f/t/wait", host.url);
    let calling = tokio::spawn(host.client().post(url).bearer_auth(&host.token).send());
    let job = host.item("jobs", |job| job["state"] == "running").await;
    host.kill();
    assert!(
        calling.await.expect("no panic").is_err(),
        "the connection broke"
    );
    std::fs::write(host.path("commands/go"), "").expect("a file");
    host.resume().await;
    let job = finished(&host, job["id"].as_str().expect("an id")).await;
    assert_eq!(job["result"], "went");
}

#[tokio::test]
async fn the_end_of_a_job_on_another_host_is_seen_too() {
    let database = Cluster::shared().database().await;
    let on = |places: &str| Options {
        variables: vec![
            ("TRIGGERD_DATABASE".to_owned(), database.clone()),
            (
                "TRIGGERD_RUNNABLES_RUNNING_MAX".to_owned(),
                places.to_owned(),
            ),
        ],
        no_plugins: true,
        ..Options::default()
    };
    let first = host_with(&[
        ("TRIGGERD_DATABASE", &database),
        ("TRIGGERD_RUNNABLES_RUNNING_MAX", "1"),
    ])
    .await;
    let second = Host::start_like(&first, on("4")).await;
    for name in ["echo.sh", "wait.sh"] {
        std::fs::copy(
            first.path("commands").join(name),
            second.path("commands").join(name),
        )
        .expect("copied");
    }
    // The first host's only place is taken.
    let busy = Call::post(&first, "run_wait_result/p/f/t/wait?timeout=0.3")
        .send()
        .await;
    assert_eq!(busy.status, 504);
    let answer = Call::post(&first, "run_wait_result/p/f/t/echo?timeout=30")
        .body("{\"a\":1}")
        .send()
        .await;
    assert_eq!(answer.json(), json!({"a":1}));
    for host in [&first, &second] {
        std::fs::write(host.path("commands/go"), "").expect("a file");
    }
}

#[tokio::test]
async fn while_the_database_is_away_callers_hear_503() {
    let cluster = Cluster::own();
    let database = cluster.database().await;
    let host = host_with(&[("TRIGGERD_DATABASE", &database)]).await;
    assert_eq!(Call::post(&host, "run/p/f/t/echo").send().await.status, 201);
    cluster.stop();
    for path in ["run/p/f/t/echo", "run_wait_result/p/f/t/echo"] {
        let answer = Call::post(&host, path).send().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    cluster.resume();
    let again = host
        .until("calls are taken again", async || {
            let answer = Call::post(&host, "run_wait_result/p/f/t/echo").send().await;
            (answer.status == 200).then_some(answer)
        })
        .await;
    assert_eq!(again.json(), json!({}));
}

#[tokio::test]
async fn what_calls_are_answered_is_as_the_document_says() {
    let host = start().await;
    let document = host.get("/api/openapi.json").await;
    let calls = "/api/w/{workspace}/jobs/run";
    let (path, wait) = (
        format!("{calls}/p/{{path}}"),
        format!("{calls}_wait_result/p/{{path}}"),
    );
    let flow = format!("{calls}_wait_result/f/{{path}}");
    let get = "/api/w/{workspace}/jobs_u/get/{id}";
    for (method, described, call) in [
        (
            "post",
            path.as_str(),
            Call::post(&host, "run/p/f/t/echo").body("{}"),
        ),
        (
            "post",
            &path,
            Call::post(&host, "run/p/f/t/nobody").body("{}"),
        ),
        (
            "post",
            &wait,
            Call::post(&host, "run_wait_result/p/f/t/echo").body("{\"a\":1}"),
        ),
        (
            "post",
            &wait,
            Call::post(&host, "run_wait_result/p/f/t/echo").body("{"),
        ),
        (
            "post",
            &wait,
            Call::post(&host, "run_wait_result/p/f/t/fail").body("{}"),
        ),
        (
            "get",
            &wait,
            Call::get(&host, "run_wait_result/p/f/t/wait?timeout=0.1"),
        ),
        (
            "post",
            &flow,
            Call::post(&host, "run_wait_result/f/f/t/echo").body("{}"),
        ),
        (
            "get",
            get,
            Call::get(&host, "../jobs_u/get/job_00000000000000000000000000"),
        ),
    ] {
        let operation = &document["paths"][described][method];
        assert!(operation.is_object(), "{method} {described}");
        let answer = call.send().await;
        let answers = &operation["responses"];
        let said = match &answers[answer.status.as_str()] {
            Value::Null => &answers["default"],
            said => said,
        };
        let kind = answer.kind.split(';').next().expect("a type");
        let content = &said["content"][kind];
        assert!(
            content.is_object(),
            "{method} {described}: {answer:?} {said}"
        );
        if kind == "application/problem+json" {
            assert_eq!(
                content["schema"]["$ref"],
                "#/components/schemas/RefusedCall"
            );
            let schema = &document["components"]["schemas"]["RefusedCall"];
            let told = answer.json();
            for name in told.as_object().expect("an object").keys() {
                assert!(schema["properties"][name].is_object(), "{name}: {told}");
            }
            for name in schema["required"].as_array().expect("a list") {
                let name = name.as_str().expect("a name");
                assert!(!told[name].is_null(), "{name}: {told}");
            }
        }
    }
    let items = document["paths"].as_object().expect("paths").values();
    let operations = items.flat_map(|item| item.as_object().expect("an item").values());
    let ids = operations.map(|one| one["operationId"].as_str().expect("an id"));
    let mut ids: Vec<&str> = ids.collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each operation has an id of its own");
    let hooks = document["paths"]["/hooks/{path}"].as_object().expect("it");
    for method in ["get", "post", "put", "patch", "delete"] {
        assert!(
            hooks[method]["responses"]["default"].is_object(),
            "{method}"
        );
    }
    assert!(document["paths"][&path]["post"]["requestBody"].is_object());
    assert!(document["components"]["schemas"]["Problem"].is_object());
}
