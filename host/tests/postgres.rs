//! A whole host on PostgreSQL: the same stories, the database away and back, two hosts on one.

mod harness;
#[path = "harness/postgres.rs"]
mod postgres_harness;

use std::collections::BTreeSet;

use harness::{Delivery, Host, Options, SECRET, push};
use postgres_harness::Cluster;

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: all, subscription: repo, event: push, runnable: f/t/echo}
";

fn on(database: &str) -> Options {
    Options {
        variables: vec![("TRIGGERD_DATABASE".to_owned(), database.to_owned())],
        ..Options::default()
    }
}

#[tokio::test]
async fn while_the_database_is_away_senders_hear_503_and_afterwards_all_goes_on() {
    let cluster = Cluster::own();
    let host = Host::start_with(on(&cluster.database().await)).await;
    host.script("echo.sh", "cat");
    host.apply(DOCUMENT);
    let endpoint = host.endpoint("repo").await;
    let body = push("main");
    let send = async |id: &str| {
        let delivery = Delivery {
            event: "push",
            id,
            body: &body,
        };
        delivery.send(&endpoint, SECRET).await.expect("an answer")
    };
    assert_eq!(send("before").await.status(), 200);
    host.item("jobs", |job| job["state"] == "done").await;

    cluster.stop();
    let answer = send("away").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let ready = host
        .client()
        .get(format!("{}/readyz", host.url))
        .send()
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 503);
    let alive = host
        .client()
        .get(format!("{}/healthz", host.url))
        .send()
        .await
        .expect("an answer");
    assert_eq!(alive.status(), 200);

    cluster.resume();
    host.until("the first request that is kept again", async || {
        (send("away").await.status() == 200).then_some(())
    })
    .await;
    host.until("both jobs", async || {
        let jobs = host.items("jobs").await;
        (jobs.len() == 2 && jobs.iter().all(|job| job["state"] == "done")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_hosts_on_one_database_share_the_work_and_double_none() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let first = Host::start_with(on(&database)).await;
    // The second host opens what the first one sealed.
    let second = Host::start_like(&first, on(&database)).await;
    for host in [&first, &second] {
        host.script("echo.sh", "cat >/dev/null");
    }
    first.apply(DOCUMENT);
    let body = push("main");
    let endpoints = [
        first.endpoint("repo").await,
        second.with_own_address(&first.endpoint("repo").await),
    ];
    for number in 0..60 {
        let id = format!("d-{number}");
        let delivery = Delivery {
            event: "push",
            id: &id,
            body: &body,
        };
        let answer = delivery
            .send(&endpoints[number % 2], SECRET)
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    first
        .until("all jobs", async || {
            let jobs = first.all_items("jobs").await;
            let done = jobs.iter().filter(|job| job["state"] == "done").count();
            (done == 60).then_some(())
        })
        .await;
    let jobs = first.all_items("jobs").await;
    let events: BTreeSet<&str> = jobs
        .iter()
        .filter_map(|job| job["event_id"].as_str())
        .collect();
    assert_eq!((jobs.len(), events.len()), (60, 60));
    assert!(
        jobs.iter().all(|job| job["attempts"] == 1),
        "no job ran twice"
    );
}

#[tokio::test]
async fn a_secret_that_was_changed_on_one_host_is_the_others_secret_too() {
    let database = Cluster::shared().database().await;
    let first = Host::start_with(on(&database)).await;
    let second = Host::start_like(&first, on(&database)).await;
    for host in [&first, &second] {
        host.script("echo.sh", "cat >/dev/null");
    }
    first.apply(DOCUMENT);
    let endpoint = second.with_own_address(&first.endpoint("repo").await);
    let body = push("main");
    let send = async |id: &str, secret: &str| {
        let delivery = Delivery {
            event: "push",
            id,
            body: &body,
        };
        let answer = delivery.send(&endpoint, secret).await;
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!(send("d-1", SECRET).await, 200);
    first.apply(&DOCUMENT.replace(SECRET, "another-secret"));
    // The service uses the new one from now on, and nobody else may use the old one.
    assert_eq!(send("d-2", "another-secret").await, 200);
    assert_eq!(send("d-3", SECRET).await, 401);
}
