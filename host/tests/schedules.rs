//! Whole hosts with schedules: to the second, once on two hosts, made up for after a kill.

mod harness;
#[allow(dead_code, reason = "other tests stop their cluster")]
#[path = "harness/postgres.rs"]
mod postgres_harness;

use std::collections::BTreeSet;

use harness::{Host, Options};
use jiff::Timestamp;
use postgres_harness::Cluster;
use serde_json::Value;
use sqlx::Executor;

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
schedules:
- {name: each-second, cron: '* * * * * *', timezone: Europe/Berlin, runnable: f/t/echo, arguments: {depth: 2}, overlap: true, missed: all}
";

fn options(database: Option<&str>) -> Options {
    let variable = database.map(|url| ("TRIGGERD_DATABASE".to_owned(), url.to_owned()));
    Options {
        variables: variable.into_iter().collect(),
        no_plugins: true,
        ..Options::default()
    }
}

/// The times that the jobs are for, and how much later they were made.
async fn times(host: &Host) -> Vec<(Timestamp, f64)> {
    let mut times = Vec::new();
    for job in host.all_items("jobs").await {
        assert_eq!(job["cause"], "schedule");
        let id = job["id"].as_str().expect("an id");
        let job = host
            .get(&format!("/api/v1/workspaces/default/jobs/{id}"))
            .await;
        assert_eq!(job["arguments"]["depth"], 2);
        let trigger = &job["arguments"]["trigger"];
        assert_eq!(trigger["kind"], "schedule");
        let time = |value: &Value| -> Timestamp {
            value.as_str().expect("a text").parse().expect("a time")
        };
        let due = time(&trigger["schedule"]["scheduled_for"]);
        let late = time(&job["created_at"]).duration_since(due);
        times.push((due, late.as_secs_f64()));
    }
    times
}

fn distinct(times: &[(Timestamp, f64)]) -> BTreeSet<Timestamp> {
    times.iter().map(|(due, _)| *due).collect()
}

#[tokio::test]
async fn each_second_is_run_for_once_on_two_hosts() {
    let database = Cluster::shared().database().await;
    let first = Host::start_with(options(Some(&database))).await;
    let second = Host::start_like(&first, options(Some(&database))).await;
    for host in [&first, &second] {
        host.script("echo.sh", "cat");
    }
    first.apply(DOCUMENT);
    first
        .until("six jobs", async || {
            let jobs = first.all_items("jobs").await;
            let done = jobs.iter().filter(|job| job["state"] == "done").count();
            (done >= 6).then_some(())
        })
        .await;
    first.cli_ok(&["schedules", "pause", "each-second"]);
    let times = times(&first).await;
    let seconds = distinct(&times);
    assert_eq!(seconds.len(), times.len(), "no second twice");
    let (from, to) = (seconds.first().expect("one"), seconds.last().expect("one"));
    let spanned = to.duration_since(*from).as_secs() as usize + 1;
    assert_eq!(seconds.len(), spanned, "no second left out: {seconds:?}");
    assert!(times.iter().all(|(_, late)| *late >= 0.0), "{times:?}");
    let in_time = times.iter().filter(|(_, late)| *late < 2.0).count();
    assert!(in_time * 2 > times.len(), "{times:?}");
}

#[tokio::test]
async fn what_a_killed_host_missed_is_made_up_for_and_nothing_twice() {
    let mut host = Host::start_with(options(None)).await;
    host.script("echo.sh", "cat");
    host.apply(DOCUMENT);
    let shown = host.cli_ok(&["schedules", "show", "each-second"]);
    assert!(shown.contains("NEXT TIMES"), "{shown}");
    assert!(host.cli_ok(&["schedules"]).contains("each-second"));
    for _ in 0..3 {
        let before = host.all_items("jobs").await.len();
        host.until("two more jobs", async || {
            (host.all_items("jobs").await.len() >= before + 2).then_some(())
        })
        .await;
        host.kill();
        host.resume().await;
    }
    let before = host.all_items("jobs").await.len();
    host.until("one more job", async || {
        (host.all_items("jobs").await.len() > before).then_some(())
    })
    .await;
    host.cli_ok(&["schedules", "pause", "each-second"]);
    let times = times(&host).await;
    let seconds = distinct(&times);
    let (from, to) = (seconds.first().expect("one"), seconds.last().expect("one"));
    assert_eq!(seconds.len(), times.len(), "no second twice");
    let spanned = to.duration_since(*from).as_secs() as usize + 1;
    assert_eq!(seconds.len(), spanned, "no second left out");
}

/// It was known where the schedule was saved: the host was moved, or its system's zones were changed.
#[tokio::test]
async fn a_time_zone_that_is_not_known_any_more_is_said_and_nothing_runs() {
    let mut host = Host::start_with(options(None)).await;
    host.script("echo.sh", "cat");
    host.apply(DOCUMENT);
    host.kill();
    let pool = host.database(None).await;
    pool.execute("delete from jobs").await.expect("deleted");
    pool.execute("update schedules set timezone = 'Atlantis/Poseidonis'")
        .await
        .expect("changed");
    pool.close().await;
    host.resume().await;
    let shown = host
        .until("a time that was skipped", async || {
            let schedules = host.items("schedules").await;
            (schedules[0]["skipped"] == 1).then(|| schedules[0].clone())
        })
        .await;
    assert_eq!(
        shown["skip_reason"],
        "its time zone is not known on the host that looked at it"
    );
    assert_eq!(shown["next"], serde_json::json!([]));
    assert!(host.cli_ok(&["schedules"]).contains("each-second"));
    assert!(host.all_items("jobs").await.is_empty());
}
