//! What is kept of calls, and for how long: keys for a day, and nothing of what is deleted after use,
//! whichever host answers and whichever one wipes.

use serde_json::{Value, json};
use sqlx::{AnyPool, Executor, Row};

use super::harness::Host;
use super::postgres_harness::Cluster;
use super::{Call, beside, finished, host_with};

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn a_key_stands_for_its_job_for_24_hours() {
    let database = Cluster::shared().database().await;
    for postgres in [None, Some(database.as_str())] {
        let variables: Vec<_> = postgres
            .map(|url| ("TRIGGERD_DATABASE", url))
            .into_iter()
            .collect();
        let host = host_with(&variables).await;
        let pool = host.database(postgres).await;
        let call = async || {
            let call = Call::post(&host, "run/p/f/t/echo").header("Idempotency-Key", "k-1");
            let answer = call.body("{}").send().await;
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.text
        };
        let first = call().await;
        let window = "select k.expires_at - j.created_at from call_keys k \
                      join jobs j on j.id = k.jobs";
        let window: i64 = pool.fetch_one(window).await.expect("a row").get(0);
        // The call came a little before its job was made.
        assert!(
            (24 * HOUR_MS - 60_000..=24 * HOUR_MS).contains(&window),
            "{window}"
        );
        // As if it had been made so long ago.
        let age = async |hours: i64| {
            let moved = format!(
                "update call_keys set expires_at = expires_at - {}",
                hours * HOUR_MS
            );
            pool.execute(sqlx::AssertSqlSafe(moved))
                .await
                .expect("moved");
        };
        age(23).await;
        assert_eq!(call().await, first, "after 23 hours it is the same job");
        age(1).await;
        let second = call().await;
        assert_ne!(second, first, "after 24 hours it is another job");
        assert_eq!(call().await, second, "for which the key stands now");
        pool.close().await;
    }
}

#[tokio::test]
async fn a_key_that_outlives_its_job_says_so_at_once() {
    let host = host_with(&[]).await;
    let pool = host.database(None).await;
    let call = async |path: &str| {
        let path = format!("{path}/p/f/t/echo?job_id=k-1");
        Call::post(&host, &path).body("{}").send().await
    };
    assert_eq!(call("run_wait_result").await.status, 200);
    for table in ["attempts", "jobs"] {
        let emptied = format!("delete from {table}");
        let done = pool.execute(sqlx::AssertSqlSafe(emptied)).await;
        done.expect("deleted");
    }
    for path in ["run_wait_result", "run"] {
        let gone = call(path).await;
        assert_eq!(gone.status, 410, "{gone:?}");
        assert_eq!(gone.json()["field"], "idempotency-key");
    }
    host.until("both are in the log as they were answered", async || {
        let rows = host.items("requests").await;
        let gone = rows.iter().filter(|row| row["status"] == 410).count();
        (gone == 2).then_some(())
    })
    .await;
    pool.close().await;
}

#[tokio::test]
async fn what_is_deleted_after_use_is_not_handed_on_by_who_tells_of_it_nor_by_its_path() {
    let database = Cluster::shared().database().await;
    for postgres in [None, Some(database.as_str())] {
        let variables: Vec<_> = postgres
            .map(|url| ("TRIGGERD_DATABASE", url))
            .into_iter()
            .collect();
        let host = host_with(&variables).await;
        host.apply(
            "
workspace: default
on_error: f/t/echo
runnables:
- path: f/t/secret-flow
  delete_after_use: true
  flow: {steps: [{id: one, run: f/t/fail, inputs: {k: args.k}}]}
routes:
- {name: s, path: '/hooks/s/{k}', auth: none, mode: sync, runnable: f/t/secret-fail}
",
        );
        let body = "{\"k\":\"CANARY-41\"}";
        let called = Call {
            path: "/hooks/s/CANARY-41".to_owned(),
            ..Call::post(&host, "").token(None)
        };
        assert_eq!(called.send().await.status, 500);
        let flow = Call::post(&host, "run_wait_result/f/f/t/secret-flow").body(body);
        assert_eq!(flow.send().await.status, 500);
        let told = host
            .until("both are told of", async || {
                let told = host.items("jobs?runnable=f/t/echo&state=done").await;
                (told.len() >= 2).then_some(told)
            })
            .await;
        for job in &told {
            let id = job["id"].as_str().expect("an id");
            let shown = host.get(&format!("/api/w/default/jobs_u/get/{id}")).await;
            assert_eq!(shown["args"]["error"], "deleted after use", "{shown}");
            assert!(shown["args"]["arguments"].is_null(), "{shown}");
            assert!(!shown.to_string().contains("CANARY-41"), "{shown}");
        }
        let rows = json!(host.items("requests").await);
        assert!(!rows.to_string().contains("CANARY-41"), "{rows}");
        assert!(rows.to_string().contains("/hooks/s/{k}"), "{rows}");
        // That it failed is left of it, and not that it was cancelled.
        let failed = host.items("jobs?runnable=f/t/secret-fail").await;
        let id = failed[0]["id"].as_str().expect("an id");
        let shown = host
            .until("the job is wiped", async || {
                let shown = host.get(&format!("/api/w/default/jobs_u/get/{id}")).await;
                shown["args"].is_null().then_some(shown)
            })
            .await;
        let error = &shown["result"]["error"];
        assert_eq!(
            (&error["name"], &error["message"]),
            (
                &json!("ExecutionErr"),
                &json!("the job failed; why was deleted after use")
            )
        );
    }
}

#[tokio::test]
async fn the_list_of_requests_shows_method_and_path_and_no_token() {
    let host = host_with(&[]).await;
    let text = super::token(&host, &["--for", "f/t/echo"]);
    let payload = "payload=eyJuIjoxfQ";
    let path = format!("run_wait_result/p/f/t/echo?token={text}&{payload}");
    let answer = Call::get(&host, &path).token(None).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let printed = host.cli_ok(&["requests"]);
    let line = "GET /api/w/default/jobs/run_wait_result/p/f/t/echo ";
    assert!(printed.contains(line), "{printed}");
    assert!(
        !printed.contains(&text) && !printed.contains('?'),
        "{printed}"
    );
    let row = &host.items("requests").await[0];
    assert_eq!(
        (&row["method"], &row["query"]),
        (&json!("GET"), &json!("token=[masked]&payload=[arguments]"))
    );
}

/// All that two hosts show of a job, and what the database holds of it.
async fn all_of(hosts: [&Host; 2], pool: &AnyPool, job: &str) -> String {
    let mut shown = Vec::new();
    for host in hosts {
        for path in [
            format!("/api/w/default/jobs_u/get/{job}"),
            format!("/api/v1/workspaces/default/jobs/{job}"),
            format!("/api/v1/workspaces/default/jobs/{job}/attempts"),
        ] {
            shown.push(host.get(&path).await);
        }
    }
    for query in [
        "select arguments, result, answer from jobs where id = ",
        "select stdout, stderr, result from attempts where job_id = ",
    ] {
        let query = format!("{query}'{job}'");
        let rows = pool.fetch_all(sqlx::AssertSqlSafe(query)).await;
        for row in rows.expect("rows") {
            for column in 0..3 {
                let held: Option<Vec<u8>> = row.get(column);
                shown.push(held.map_or(Value::Null, |held| {
                    String::from_utf8_lossy(&held).into_owned().into()
                }));
            }
        }
    }
    json!(shown).to_string()
}

#[tokio::test]
async fn what_is_deleted_after_use_is_wiped_whichever_host_ran_it_and_whichever_is_left() {
    let database = Cluster::shared().database().await;
    let one_place = ("TRIGGERD_RUNNABLES_RUNNING_MAX", "1");
    let first = host_with(&[("TRIGGERD_DATABASE", &database), one_place]).await;
    let second = beside(&first, &database, &[]).await;
    let pool = first.database(Some(&database)).await;
    let wiped = async |hosts: [&Host; 2], job: &str| {
        hosts[1]
            .until("the job is wiped", async || {
                let shown = hosts[1]
                    .get(&format!("/api/w/default/jobs_u/get/{job}"))
                    .await;
                shown["args"].is_null().then_some(())
            })
            .await;
        let shown = all_of(hosts, &pool, job).await;
        assert!(!shown.contains("CANARY-41"), "{shown}");
        assert!(
            shown.contains("started_at") && shown.contains("finished_at"),
            "{shown}"
        );
    };
    let only_job = async |state: &str| {
        let jobs = second.items("jobs?runnable=f/t/secret-wait").await;
        let job = jobs.iter().find(|job| job["state"] == state)?;
        Some(job["id"].as_str().expect("an id").to_owned())
    };
    second.script(
        "secret-wait.sh",
        "until [ -e go ]; do [ -e wait.sh ] || exit 1; sleep 0.05; done; cat",
    );
    second.apply(
        "
workspace: default
runnables:
- {path: f/t/secret-wait, command: {argv: [./secret-wait.sh]}, delete_after_use: true}
",
    );

    // The caller's host has no place free, so the other one runs the job; the caller's wipes it.
    let busy = Call::post(&first, "run_wait_result/p/f/t/wait?timeout=0.3");
    assert_eq!(busy.send().await.status, 504);
    std::fs::write(second.path("commands/go"), "").expect("a file");
    let body = "{\"k\":\"CANARY-41\"}";
    let answer = Call::post(&first, "run_wait_result/p/f/t/secret-wait").body(body);
    let answer = answer.send().await;
    assert!(answer.text.contains("CANARY-41"), "{answer:?}");
    let job = only_job("done").await.expect("the job");
    wiped([&first, &second], &job).await;

    // The caller's host dies before it could answer: the one that is left wipes.
    std::fs::remove_file(second.path("commands/go")).expect("removed");
    let path = format!(
        "{}/api/w/default/jobs/run_wait_result/p/f/t/secret-wait",
        first.url
    );
    let calling = first
        .client()
        .post(path)
        .bearer_auth(&first.token)
        .body(body)
        .send();
    let calling = tokio::spawn(calling);
    let job = second
        .until("the job runs", async || only_job("running").await)
        .await;
    let mut first = first;
    first.kill();
    assert!(calling.await.expect("no panic").is_err(), "nobody answered");
    std::fs::write(second.path("commands/go"), "").expect("a file");
    finished(&second, &job).await;
    wiped([&second, &second], &job).await;
    pool.close().await;
}
