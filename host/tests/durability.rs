//! Nothing that was answered 2xx is lost: kills at random moments, ends, restarts.

mod harness;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use harness::{Delivery, Host, SECRET, push};
use serde_json::Value;
use tokio::sync::Mutex;

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/note, command: {argv: [./note.sh]}, concurrency: 2}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: on-main, subscription: repo, event: push, parameters: {branches: [main]}, runnable: f/t/note}
";

/// A number below `bound` that differs from run to run; the test prints it when it fails.
fn any_number(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    triggerd::clock::random(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}

/// Sends deliveries until the host dies; returns the ids that were answered 2xx.
async fn send_until_killed(endpoint: &str, round: u32, count: usize) -> BTreeSet<String> {
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let body: Arc<[u8]> = push("main").into();
    let signature = harness::signature(SECRET, &body);
    let client = harness::client();
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..16 {
        let (answered, body, signature) =
            (Arc::clone(&answered), Arc::clone(&body), signature.clone());
        let (endpoint, client) = (endpoint.to_owned(), client.clone());
        senders.spawn(async move {
            for number in 0..count / 16 {
                let id = format!("{round}-{sender}-{number}");
                let request = client
                    .post(&endpoint)
                    .header("X-GitHub-Event", "push")
                    .header("X-GitHub-Delivery", &id)
                    .header("X-Hub-Signature-256", &signature)
                    .header("Content-Type", "application/json")
                    .body(body.to_vec());
                match request.send().await {
                    Ok(response) if response.status().is_success() => {
                        answered.lock().await.insert(id);
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
    }
    while senders.join_next().await.is_some() {}
    Arc::try_unwrap(answered)
        .expect("all senders ended")
        .into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_nothing_that_was_answered_2xx() {
    let mut host = Host::start().await;
    host.script("note.sh", "cat >/dev/null");
    host.apply(DOCUMENT);
    let mut answered = BTreeSet::new();
    for round in 0..20 {
        let endpoint = host.endpoint("repo").await;
        let sending = tokio::spawn(async move { send_until_killed(&endpoint, round, 2000).await });
        tokio::time::sleep(Duration::from_millis(20 + any_number(180))).await;
        host.kill();
        answered.extend(sending.await.expect("the senders end"));
        host.resume().await;
    }
    assert!(
        answered.len() > 100,
        "only {} were answered: the load is too small to tell",
        answered.len()
    );
    let requests = host.all_items("requests").await;
    let kept: BTreeSet<&str> = requests
        .iter()
        .filter(|row| row["outcome"] == "accepted")
        .filter_map(|row| row["delivery_id"].as_str())
        .collect();
    let lost: Vec<&String> = answered
        .iter()
        .filter(|id| !kept.contains(id.as_str()))
        .collect();
    assert_eq!(
        lost,
        Vec::<&String>::new(),
        "answered 2xx and not in the log"
    );

    // Every kept request has one event, and every event exactly one job; all come to an end.
    let events = host
        .until("the end of matching", async || {
            let events = host.all_items("events").await;
            events
                .iter()
                .all(|event| event["state"] == "handled")
                .then_some(events)
        })
        .await;
    assert_eq!(events.len(), kept.len());
    let jobs = host.all_items("jobs").await;
    let of_events: BTreeSet<&str> = jobs
        .iter()
        .filter_map(|job| job["event_id"].as_str())
        .collect();
    assert_eq!(
        (jobs.len(), of_events.len()),
        (events.len(), events.len()),
        "one job for each event"
    );
    host.until("the end of some jobs", async || {
        let done = host
            .get("/api/v1/workspaces/default/jobs?state=done&limit=100")
            .await;
        (done["items"].as_array().map_or(0, Vec::len) >= 100).then_some(())
    })
    .await;
    assert!(
        host.get("/api/v1/workspaces/default/jobs?state=dead").await["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
}

#[tokio::test]
async fn a_job_that_ran_when_the_host_died_is_run_again() {
    let mut host = Host::start().await;
    host.script(
        "note.sh",
        "echo x >>runs; [ $(wc -l <runs) -gt 1 ] && exit 0; while [ -e runs ]; do sleep 0.2; done",
    );
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let body = push("main");
    Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    let before = host.item("jobs", |job| job["state"] == "running").await;
    host.kill();
    host.resume().await;
    let after = host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(
        before["id"], after["id"],
        "the job keeps its id over attempts"
    );
    let id = after["id"].as_str().expect("an id");
    let attempts = host.items(&format!("jobs/{id}/attempts")).await;
    let outcomes: BTreeSet<&str> = attempts
        .iter()
        .filter_map(|attempt| attempt["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, BTreeSet::from(["lost", "ok"]));
}

#[tokio::test]
async fn sigterm_lets_a_running_job_end() {
    let mut host = Host::start().await;
    host.script(
        "note.sh",
        "touch started; while [ ! -e go ]; do sleep 0.05; done; echo '\"ended\"'",
    );
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let body = push("main");
    Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    host.item("jobs", |job| job["state"] == "running").await;
    let go = host.path("commands/go");
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        std::fs::write(go, "").expect("released");
    });
    assert!(host.terminate(), "the host ends by itself");
    release.join().expect("released");
    host.resume().await;
    let jobs: Vec<Value> = host.items("jobs").await;
    assert_eq!(
        (&jobs[0]["state"], &jobs[0]["result"]),
        (&"done".into(), &"ended".into())
    );
}

#[tokio::test]
async fn two_hosts_on_one_file_are_refused() {
    let host = Host::start().await;
    let second = host.cli(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        host.path("data").to_str().expect("a path"),
    ]);
    assert!(!second.status.success());
    let said = harness::text(&second.stderr);
    assert!(
        said.contains("already") || said.contains("another"),
        "{said}"
    );
}
