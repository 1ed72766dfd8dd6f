//! Nothing that was answered 2xx is lost: kills at random moments, ends, restarts.

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Delivery, Host, Options, SECRET, push};
use serde_json::Value;
use triggerd::kill_points::{Step, VARIABLE};

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/note, command: {argv: [./note.sh]}, concurrency: 2}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: on-push, subscription: repo, event: push, runnable: f/t/note}
";

/// A number below `bound` that differs from run to run; the test prints it when it fails.
fn any_number(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    triggerd::clock::random(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}

/// What `triggerd send` was answered 2xx for before the host died under it.
struct Sent {
    accepted: usize,
    request_ids: Vec<String>,
}

/// Sends genuine samples by the command that users send them by, kills the host meanwhile, and
/// waits for the command's account.
async fn send_and_kill(host: &mut Host) -> Sent {
    let arguments = ["send", "github", "push", "--to", "repo", "--count", "2000"];
    let sending = host.start_cli(&[&arguments[..], &["--concurrency", "16", "--json"]].concat());
    let (send, kill) = tokio::join!(
        tokio::task::spawn_blocking(move || sending.wait_with_output().expect("the client ends")),
        async {
            let accepted = "triggerd_requests_total{outcome=\"accepted\"}";
            let has_begun = async || (host.metric(accepted).await > 0.0).then_some(());
            host.until("a first answer", has_begun).await;
            tokio::time::sleep(Duration::from_millis(any_number(300))).await;
            host.kill();
        }
    );
    let ((), output) = (kill, send.expect("the client ends"));
    let account: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let ids = account["request_ids"].as_array().expect("a list");
    Sent {
        accepted: account["accepted"].as_u64().expect("a number") as usize,
        request_ids: ids
            .iter()
            .map(|id| id.as_str().expect("an id").to_owned())
            .collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_nothing_that_was_answered_2xx() {
    let mut host = Host::start().await;
    host.script("note.sh", "cat >/dev/null");
    host.apply(DOCUMENT);
    let (mut accepted, mut answered) = (0, BTreeSet::new());
    for _ in 0..20 {
        let sent = send_and_kill(&mut host).await;
        accepted += sent.accepted;
        answered.extend(sent.request_ids);
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
        .filter_map(|row| row["id"].as_str())
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
    // Of an answer that was cut off after its first line the id is not known, but it counts.
    assert!(accepted <= kept.len(), "{accepted} of {}", kept.len());

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
    // Killed between the claim and the script's first line, the next run would be the endless one.
    let runs = host.path("commands/runs");
    let began = |job: &Value| job["state"] == "running" && runs.exists();
    let before = host.item("jobs", began).await;
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

/// A push that does not become small when it is packed.
fn large_push() -> Vec<u8> {
    let mut noise = vec![0; 30_000];
    triggerd::clock::random(&mut noise);
    let mut value: Value = serde_json::from_slice(&push("main")).expect("the sample");
    value["noise"] = hex::encode(noise).into();
    serde_json::to_vec(&value).expect("JSON")
}

/// Writes fail in the middle of commits, some of them half done; what was refused is sent again, as
/// services do.
#[tokio::test]
async fn a_full_disk_is_answered_503_keeps_nothing_by_halves_and_heals_by_itself() {
    let mut host = Host::start_with(Options {
        outlives_file_limit: true,
        ..Options::default()
    })
    .await;
    host.script("note.sh", "cat >/dev/null");
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let log = std::fs::metadata(host.path("data/triggerd.db-wal")).expect("SQLite's log");
    host.limit_files(Some(log.len() + 800_000));
    let send = async |id: usize, body: &[u8]| {
        let id = format!("d-{id}");
        let delivery = Delivery {
            event: "push",
            id: &id,
            body,
        };
        delivery.send(&endpoint, SECRET).await.expect("an answer")
    };
    let (mut kept, mut refused) = (0, Vec::new());
    for id in 0..40 {
        let body = large_push();
        let answer = send(id, &body).await;
        if answer.status() == 200 {
            kept += 1;
            continue;
        }
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        refused.push((id, body));
    }
    assert!(kept > 0 && refused.len() > 20, "{kept} were kept");
    let ready = async || {
        let asked = host.client().get(format!("{}/readyz", host.url)).send();
        asked.await.expect("an answer").status()
    };
    assert_eq!(ready().await, 503);

    host.limit_files(None);
    for (id, body) in &refused {
        assert_eq!(send(*id, body).await.status(), 200);
    }
    assert_eq!(ready().await, 200);
    host.until("the end of all jobs", async || {
        let done = host.all_items("jobs").await;
        let is_done = |job: &Value| job["state"] == "done";
        (done.len() == 40 && done.iter().all(is_done)).then_some(())
    })
    .await;
    let requests = host.all_items("requests").await;
    let accepted = |row: &&Value| row["outcome"] == "accepted";
    assert_eq!(requests.iter().filter(accepted).count(), 40);
    assert_eq!(
        requests.len(),
        40,
        "none is a duplicate of one that was refused"
    );
    assert_eq!(host.all_items("events").await.len(), 40);
    assert!(host.terminate(), "the host ends by itself");
    assert_eq!(integrity_of(&host).await, "ok");
}

async fn integrity_of(host: &Host) -> String {
    let url = format!("sqlite:{}", host.path("data/triggerd.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.expect("opened");
    let checked = sqlx::query_scalar("pragma integrity_check");
    checked.fetch_one(&pool).await.expect("checked")
}

#[tokio::test]
async fn a_host_whose_log_takes_nothing_more_goes_on() {
    let host = Host::start_with(Options {
        log: Some("/dev/full".into()),
        ..Options::default()
    })
    .await;
    host.script("note.sh", "cat >/dev/null");
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &push("main"),
    };
    // What is refused is logged too.
    let refused = delivery.send(&endpoint, "another").await;
    assert_eq!(refused.expect("an answer").status(), 401);
    let kept = delivery.send(&endpoint, SECRET).await;
    assert_eq!(kept.expect("an answer").status(), 200);
    host.item("jobs", |job| job["state"] == "done").await;
}

/// The end falls at each labelled step between a request and the end of its job. Whatever its sender
/// heard, it sends again as services do, and one job is done.
#[tokio::test]
async fn a_kill_at_any_step_loses_nothing_and_doubles_nothing() {
    for step in Step::ALL {
        let mut host = Host::start_with(Options {
            variables: vec![(VARIABLE.to_owned(), format!("{step:?}"))],
            ..Options::default()
        })
        .await;
        host.script("note.sh", "echo $TRIGGERD_JOB_ID >>ledger");
        host.apply(DOCUMENT);
        let endpoint = host.endpoint("repo").await;
        let body = push("main");
        let delivery = Delivery {
            event: "push",
            id: "d-1",
            body: &body,
        };
        let answer = delivery.send(&endpoint, SECRET).await;
        let was_answered = answer.is_ok_and(|answer| answer.status() == 200);
        let comes_after = matches!(step, Step::Matched | Step::Attempted | Step::Marked);
        assert!(comes_after || !was_answered, "{step:?}: answered too early");
        host.ended_by_itself();
        host.forget_variables();
        host.resume().await;
        if !was_answered {
            let endpoint = host.with_own_address(&endpoint);
            let again = delivery.send(&endpoint, SECRET).await.expect("an answer");
            assert_eq!(again.status(), 200, "{step:?}");
        }
        let job = host.item("jobs", |job| job["state"] == "done").await;
        assert_eq!(host.items("jobs").await.len(), 1, "{step:?}");
        assert_eq!(host.items("events").await.len(), 1, "{step:?}");
        let ledger = std::fs::read_to_string(host.path("commands/ledger")).expect("it ran");
        let runs: Vec<&str> = ledger.lines().collect();
        assert!(
            runs.iter().all(|run| *run == job["id"]),
            "{step:?}: {runs:?}"
        );
        let ran_before = matches!(step, Step::Attempted | Step::Marked);
        assert_eq!(runs.len(), 1 + usize::from(ran_before), "{step:?}");
        assert_eq!(integrity_of(&host).await, "ok", "{step:?}");
    }
}
