//! What is stopped ends: the programs of cancelled jobs and of killed hosts.

mod harness;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Delivery, Host, SECRET, push};
use serde_json::Value;

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/hang, command: {argv: [./hang.sh]}, retry: {attempts_max: 2}}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: on-main, subscription: repo, event: push, parameters: {branches: [main]}, runnable: f/t/hang}
";

/// Says who it is, once inside its group and once outside; hangs only the first time.
const HANG: &str = "
[ -e pids ] && exit 0
setsid sh -c 'echo $$ >>pids; sleep 600' &
sleep 600 & echo $! >>pids
echo $$ >>pids
touch begun
wait";

async fn host_with_a_hanging_job() -> (Host, Vec<String>, Value) {
    let host = Host::start().await;
    host.script("hang.sh", HANG);
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &push("main"),
    };
    let answer = delivery.send(&endpoint, SECRET).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let pids = host
        .until("three processes", async || {
            let text = std::fs::read_to_string(host.path("commands/pids")).ok()?;
            let pids: Vec<String> = text.lines().map(str::to_owned).collect();
            (pids.len() == 3).then_some(pids)
        })
        .await;
    assert!(pids.iter().all(|pid| is_alive(pid)));
    let job = host.item("jobs", |job| job["state"] == "running").await;
    (host, pids, job)
}

/// Whether a process is there and no zombie.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn all_end(host: &Host, pids: &[String]) {
    host.until("the end of all processes", async || {
        (!pids.iter().any(|pid| is_alive(pid))).then_some(())
    })
    .await;
}

async fn outcomes(host: &Host, job: &Value) -> BTreeSet<String> {
    let id = job["id"].as_str().expect("an id");
    let attempts = host.items(&format!("jobs/{id}/attempts")).await;
    let outcome = |attempt: &Value| attempt["outcome"].as_str().expect("a word").to_owned();
    attempts.iter().map(outcome).collect()
}

#[tokio::test]
async fn a_cancelled_job_is_stopped_at_once_and_shows_its_attempt() {
    let (host, pids, job) = host_with_a_hanging_job().await;
    let began = Instant::now();
    host.cli_ok(&["jobs", "cancel", job["id"].as_str().expect("an id")]);
    all_end(&host, &pids).await;
    // Leases are kept every 20 s; whoever waits for that is not quick enough.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(
        outcomes(&host, &job).await,
        BTreeSet::from(["cancelled".to_owned()])
    );
}

#[tokio::test]
async fn programs_of_a_killed_host_do_not_run_beside_their_next_attempt() {
    let (mut host, pids, job) = host_with_a_hanging_job().await;
    host.kill();
    assert!(pids.iter().all(|pid| is_alive(pid)), "nobody ended them");
    host.resume().await;
    assert!(
        !pids.iter().any(|pid| is_alive(pid)),
        "the host serves and they are there"
    );
    host.item("jobs", |job| job["state"] == "done").await;
    let both = BTreeSet::from(["lost".to_owned(), "ok".to_owned()]);
    assert_eq!(outcomes(&host, &job).await, both);
}
