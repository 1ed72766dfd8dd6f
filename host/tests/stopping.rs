//! What is stopped ends: the programs of cancelled jobs and of killed hosts, and hosts themselves.

mod harness;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Delivery, Host, Options, SECRET, push, signature};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
    hanging_job_on(Host::start().await).await
}

async fn hanging_job_on(host: Host) -> (Host, Vec<String>, Value) {
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

/// A webhook of which the host has only the first half.
async fn half_sent(host: &Host, body: &[u8]) -> TcpStream {
    let endpoint = host.endpoint("repo").await;
    let rest = endpoint.trim_start_matches("http://");
    let (address, path) = rest.split_once('/').expect("a path");
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         x-github-event: push\r\nx-github-delivery: d-half\r\nx-hub-signature-256: {}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        signature(SECRET, body),
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&body[..100]).await.expect("sent");
    stream.flush().await.expect("sent");
    stream
}

#[tokio::test]
async fn a_request_in_flight_when_the_host_is_stopped_is_answered_and_its_job_runs_later() {
    let mut host = Host::start().await;
    host.script("hang.sh", "cat >/dev/null");
    host.apply(DOCUMENT);
    let body = push("main");
    let mut stream = half_sent(&host, &body).await;
    // The head is read when a later request was answered.
    host.items("jobs").await;
    host.ask_to_end();
    host.stops_listening().await;
    stream.write_all(&body[100..]).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(host.ends_well());
    host.resume().await;
    host.item("jobs", |job| job["state"] == "done").await;
}

#[tokio::test]
async fn who_waits_for_a_result_when_the_host_is_stopped_gets_it_or_hears_that_the_job_goes_on() {
    let mut host = Host::start_with(Options {
        variables: vec![("TRIGGERD_DRAIN".to_owned(), "3s".to_owned())],
        ..Options::default()
    })
    .await;
    host.script(
        "hang.sh",
        "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo 7",
    );
    host.apply(&DOCUMENT.replace("retry:", "concurrency: 1, retry:"));
    let call = || {
        let path = "/api/w/default/jobs/run_wait_result/p/f/t/hang";
        let call = host.request(reqwest::Method::POST, path).json(&1).send();
        tokio::spawn(async move {
            let answer = call.await.expect("an answer");
            (
                answer.status().as_u16(),
                answer.text().await.expect("a body"),
            )
        })
    };
    let first = call();
    host.item("jobs", |job| job["state"] == "running").await;
    // There is one place, which the first one has.
    let second = call();
    host.item("jobs", |job| job["state"] == "ready").await;
    host.ask_to_end();
    host.stops_listening().await;
    std::fs::write(host.path("commands/go"), "").expect("released");
    assert_eq!(first.await.expect("answered"), (200, "7".to_owned()));
    let (status, problem) = second.await.expect("answered");
    assert_eq!(status, 504, "{problem}");
    assert!(problem.contains("goes on when it is back"), "{problem}");
    assert!(problem.contains("job_"), "{problem}");
    assert!(host.ends_well());
    host.resume().await;
    host.until("both jobs", async || {
        let jobs = host.items("jobs").await;
        jobs.iter().all(|job| job["state"] == "done").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_outlasts_the_drain_is_ended_and_given_back() {
    let options = Options {
        variables: vec![("TRIGGERD_DRAIN".to_owned(), "200ms".to_owned())],
        ..Options::default()
    };
    let (mut host, pids, job) = hanging_job_on(Host::start_with(options).await).await;
    let began = Instant::now();
    assert!(host.terminate(), "the host ends by itself");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!pids.iter().any(|pid| is_alive(pid)));
    host.resume().await;
    let after = host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(after["id"], job["id"]);
    let both = BTreeSet::from(["lost".to_owned(), "ok".to_owned()]);
    assert_eq!(outcomes(&host, &job).await, both);
}

#[tokio::test]
async fn a_second_signal_ends_the_host_at_once_and_its_jobs_run_again() {
    let (mut host, pids, job) = host_with_a_hanging_job().await;
    host.ask_to_end();
    host.stops_listening().await;
    let began = Instant::now();
    host.ask_to_end();
    assert!(!host.ends_well(), "it says that it did not end well");
    // The drain would have waited for 25 s.
    assert!(began.elapsed() < Duration::from_secs(10));
    host.resume().await;
    assert!(!pids.iter().any(|pid| is_alive(pid)));
    let after = host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(after["id"], job["id"]);
}
