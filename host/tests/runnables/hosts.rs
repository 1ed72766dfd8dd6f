//! Two hosts on one PostgreSQL: who has no place for a job tells the other one, which has no timer here.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use triggerd::id::HostId;
use triggerd::jobs::{Executor, ExecutorConfig, Tick};
use triggerd::model::{JobState, RunnableKind};

use crate::host::Host;
use crate::postgres_harness::Cluster;
use crate::target::{Answer, Target};

/// Ticks when it is woken and at no other time.
async fn tick_when_woken(executor: Executor, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        executor.tick().await.expect("a tick");
    }
}

#[tokio::test]
async fn what_a_host_has_no_place_for_another_one_takes_when_it_is_told() {
    let host = Host::on_postgres(Cluster::shared().database().await).await;
    let silent = Target::start(Answer::Silence).await;
    let spec = json!({"url": silent.url("/"), "allow": ["127.0.0.0/8"], "timeout_ms": 600_000});
    let held = host.runnable("f/held", RunnableKind::Http, spec).await;
    host.script("echo", "cat");
    let spec = json!({"argv": ["echo"]});
    let echo = host.runnable("f/echo", RunnableKind::Command, spec).await;

    let wake = Arc::new(Notify::new());
    let other = host.executor_woken_by(Arc::clone(&wake), ExecutorConfig::default());
    let hints = host.store.hear_hints().await.expect("listening");
    let (mut hints, hearing) = (hints.expect("there are other hosts"), other.clone());
    let listening = tokio::spawn(async move {
        let nobody = HostId::generate(triggerd::clock::Millis(1));
        while hints.next(&nobody).await.is_ok() {
            hearing.hear();
        }
    });
    let ticking = tokio::spawn(tick_when_woken(other.clone(), wake));

    let one_place = ExecutorConfig {
        running_max: 1,
        ..ExecutorConfig::default()
    };
    let full = host.executor_with(one_place);
    let holding = host.add_job(&held, 1).await;
    full.tick().await.expect("a tick");
    host.until_state(&holding, JobState::Running).await;
    for _ in 0..3 {
        let job = host.add_job(&echo, 1).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(120));
        // It tells at most ten times a second, and says when it is to be asked again.
        let telling = async {
            loop {
                ticks.tick().await;
                full.tick().await.expect("a tick");
            }
        };
        tokio::select! {
            () = telling => {}
            job = host.until_state(&job, JobState::Done) => assert_eq!(job.attempts_made, 1),
        }
    }
    assert_eq!(
        (full.running(), host.job(&holding).await.state),
        (1, JobState::Running)
    );
    listening.abort();
    ticking.abort();
    host.store.close().await;
}

#[tokio::test]
async fn two_full_hosts_do_not_keep_each_other_awake() {
    let host = Host::on_postgres(Cluster::shared().database().await).await;
    let silent = Target::start(Answer::Silence).await;
    let spec = json!({"url": silent.url("/"), "allow": ["127.0.0.0/8"], "timeout_ms": 600_000});
    let held = host.runnable("f/held", RunnableKind::Http, spec).await;
    for _ in 0..3 {
        host.add_job(&held, 1).await;
    }
    let full = host.executor_with(ExecutorConfig {
        running_max: 1,
        ..ExecutorConfig::default()
    });
    full.tick().await.expect("a tick");
    let hints = host.store.hear_hints().await.expect("listening");
    let mut hints = hints.expect("there are other hosts");
    let nobody = HostId::generate(triggerd::clock::Millis(1));
    // Told by another one, it finds nothing to take, and tells nobody for a while.
    full.hear();
    let tick = full.tick().await.expect("a tick");
    assert_eq!(tick, Tick::After(Duration::from_secs(1)));
    let marker = HostId::generate(triggerd::clock::Millis(2));
    host.store.hint_jobs(&marker).await.expect("told");
    // What it had told would have come before.
    assert_eq!(hints.next(&nobody).await.expect("heard"), Some(marker));
    host.store.close().await;
}
