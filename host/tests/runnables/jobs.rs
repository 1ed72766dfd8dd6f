//! Jobs from ready to their end, over a real store, with real programs and targets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use triggerd::id::VersionId;
use triggerd::jobs::{ExecutorConfig, Tick};
use triggerd::model::{AttemptOutcome, Change, JobState, RunnableKind, RunnableState};

use crate::host::{Host, LEASE, until_idle};
use crate::target::{Answer, Target};

/// A target's spec with one place, a retry after a second, and no jitter.
fn target_spec(target: &Target, more: Value) -> Value {
    let retry = json!({"first_ms": 1000, "jitter": 0.0});
    let mut spec = json!({"url": target.url("/"), "allow": ["127.0.0.0/8"], "retry": retry});
    for (name, value) in more.as_object().expect("an object") {
        spec[name] = value.clone();
    }
    spec
}

#[tokio::test]
async fn a_job_runs_and_keeps_its_attempt_and_result() {
    let host = Host::start().await;
    host.script("echo", "cat; echo heard >&2");
    let runnable = host
        .runnable("f/echo", RunnableKind::Command, json!({"argv": ["echo"]}))
        .await;
    let id = host.add_job(&runnable, 3).await;
    host.executor().tick().await.expect("a tick");
    let job = host.until_state(&id, JobState::Done).await;
    assert_eq!(
        (job.result.as_deref(), job.error),
        (Some(&b"{\"a\":1}"[..]), None)
    );
    let attempts = host.attempts(&id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].outcome, attempts[0].exit_code),
        (AttemptOutcome::Ok, Some(0))
    );
    assert_eq!(attempts[0].stderr.as_deref(), Some(&b"heard\n"[..]));
}

#[tokio::test]
async fn a_failing_job_is_tried_again_with_back_off_and_then_given_up() {
    let host = Host::start().await;
    let mut target = Target::answering("500 Internal Server Error", "", "").await;
    let spec = target_spec(&target, json!({}));
    let runnable = host.runnable("f/broken", RunnableKind::Http, spec).await;
    let id = host.add_job(&runnable, 3).await;
    let executor = host.executor();
    for (attempt, pause_ms) in [(1, 1000), (2, 2000)] {
        executor.tick().await.expect("a tick");
        let job = host
            .until(&id, |job| {
                job.state == JobState::Ready && job.attempts_made == attempt
            })
            .await;
        assert_eq!(job.due_at.0 - host.clock.now().0, pause_ms);
        until_idle(&executor).await;
        host.clock.advance(Duration::from_millis(1));
        let next = executor.tick().await.expect("a tick");
        assert_eq!(
            next,
            Tick::After(Duration::from_millis(pause_ms as u64 - 1))
        );
        host.clock
            .advance(Duration::from_millis(pause_ms as u64 - 1));
    }
    executor.tick().await.expect("a tick");
    let job = host.until_state(&id, JobState::Dead).await;
    assert_eq!(job.error.as_deref(), Some("the target answered 500"));
    let ids = [
        target.seen().await,
        target.seen().await,
        target.seen().await,
    ];
    for seen in ids {
        assert_eq!(
            seen.header("webhook-id"),
            Some(id.as_str()),
            "the id stays the same"
        );
    }
}

#[tokio::test]
async fn a_target_that_is_gone_disables_its_runnable_and_its_jobs_wait() {
    let host = Host::start().await;
    let target = Target::answering("410 Gone", "", "").await;
    let runnable = host
        .runnable(
            "f/gone",
            RunnableKind::Http,
            target_spec(&target, json!({})),
        )
        .await;
    let id = host.add_job(&runnable, 1).await;
    let executor = host.executor();
    executor.tick().await.expect("a tick");
    let job = host
        .until(&id, |job| {
            job.state == JobState::Ready && job.attempts_made == 1
        })
        .await;
    assert!(job.error.is_some_and(|error| error.contains("410")));
    let found = host.find(&runnable.id).await;
    assert_eq!(found.state, RunnableState::Disabled);
    assert!(
        found
            .state_reason
            .is_some_and(|reason| reason.contains("410"))
    );
    until_idle(&executor).await;
    executor.tick().await.expect("a tick");
    assert_eq!(
        (executor.running(), host.job(&id).await.state),
        (0, JobState::Ready)
    );
    host.enable(&runnable.id).await;
    executor.tick().await.expect("a tick");
    host.until(&id, |job| job.attempts_made == 2).await;
}

/// A flow makes such jobs: it pinned the runnable before that was deleted.
#[tokio::test]
async fn a_target_that_is_gone_ends_the_jobs_of_a_deleted_runnable() {
    let host = Host::start().await;
    let target = Target::answering("410 Gone", "", "").await;
    let spec = target_spec(&target, json!({}));
    let runnable = host.runnable("f/gone", RunnableKind::Http, spec).await;
    host.apply(Change::DeleteRunnable(runnable.id.clone()))
        .await;
    let id = host.add_job(&runnable, 3).await;
    host.executor().tick().await.expect("a tick");
    let job = host.until(&id, |job| {
        job.attempts_made == 1 && job.lease_owner.is_none()
    });
    let job = job.await;
    assert_eq!(job.state, JobState::Dead);
    assert!(job.error.is_some_and(|error| error.contains("410")));
    assert_eq!(host.find(&runnable.id).await.state, RunnableState::Enabled);
}

#[tokio::test]
async fn jobs_of_a_runnable_that_was_disabled_and_deleted_come_to_their_end() {
    let host = Host::start().await;
    host.script("echo", "cat");
    let runnable = host
        .runnable("f/echo", RunnableKind::Command, json!({"argv": ["echo"]}))
        .await;
    let disable = Change::SetRunnableState {
        id: runnable.id.clone(),
        state: RunnableState::Disabled,
        reason: None,
    };
    host.apply(disable).await;
    host.apply(Change::DeleteRunnable(runnable.id.clone()))
        .await;
    let id = host.add_job(&runnable, 3).await;
    host.executor().tick().await.expect("a tick");
    host.until_state(&id, JobState::Done).await;
}

#[tokio::test]
async fn a_slow_runnable_does_not_hold_up_another() {
    let host = Host::start().await;
    let silent = Target::start(Answer::Silence).await;
    let quick = Target::answering("200 OK", "", "").await;
    let spec = target_spec(&silent, json!({"concurrency": 100}));
    let slow = host.runnable("f/slow", RunnableKind::Http, spec).await;
    for _ in 0..20 {
        host.add_job(&slow, 1).await;
    }
    let config = ExecutorConfig {
        running_max: 8,
        ..ExecutorConfig::default()
    };
    let executor = host.executor_with(config);
    executor.tick().await.expect("a tick");
    assert_eq!(executor.running(), 6, "a quarter is kept for others");
    let other = host
        .runnable(
            "f/quick",
            RunnableKind::Http,
            target_spec(&quick, json!({})),
        )
        .await;
    for _ in 0..5 {
        let id = host.add_job(&other, 1).await;
        // As often as places come back: the one before may be shown as done before its place is free.
        let ticking = async {
            loop {
                executor.tick().await.expect("a tick");
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = ticking => {}
            _ = host.until_state(&id, JobState::Done) => {}
        }
    }
    assert!(!executor.drain(Duration::ZERO).await);
}

#[tokio::test]
async fn a_dead_target_costs_its_waiting_jobs_no_attempts() {
    let host = Host::start().await;
    let target = Target::start(Answer::HangUp).await;
    let spec = target_spec(&target, json!({"concurrency": 2}));
    let runnable = host.runnable("f/dead", RunnableKind::Http, spec).await;
    let mut jobs = Vec::new();
    for _ in 0..20 {
        jobs.push(host.add_job(&runnable, 5).await);
    }
    let executor = host.executor();
    for _ in 0..20 {
        executor.tick().await.expect("a tick");
        until_idle(&executor).await;
    }
    let asked = target.connections.load(Ordering::SeqCst);
    assert!((5..=6).contains(&asked), "asked {asked} times");
    let mut attempts = 0;
    for id in &jobs {
        attempts += host.job(id).await.attempts_made;
    }
    assert_eq!(attempts as usize, asked);
    host.clock.advance(Duration::from_secs(2));
    executor.tick().await.expect("a tick");
    assert!(executor.running() <= 1, "one probe at a time");
}

#[tokio::test]
async fn a_job_whose_host_went_away_is_taken_over_and_the_late_host_changes_nothing() {
    let host = Host::start().await;
    let silent = Target::start(Answer::Silence).await;
    let runnable = host
        .runnable(
            "f/slow",
            RunnableKind::Http,
            target_spec(&silent, json!({})),
        )
        .await;
    let id = host.add_job(&runnable, 5).await;
    let (first, second) = (host.executor(), host.executor());
    first.tick().await.expect("a tick");
    assert_eq!(host.job(&id).await.state, JobState::Running);
    second.keep().await.expect("kept");
    assert_eq!(
        host.job(&id).await.state,
        JobState::Running,
        "its lease still holds"
    );
    host.clock.advance(LEASE + Duration::from_secs(1));
    second.keep().await.expect("kept");
    second.tick().await.expect("a tick");
    let taken = host.job(&id).await;
    assert_eq!(
        (taken.state, taken.attempts_made, taken.fence),
        (JobState::Running, 2, 2)
    );
    // The first comes back, is told, and stops what it ran.
    first.keep().await.expect("kept");
    until_idle(&first).await;
    assert_eq!(host.job(&id).await, taken);
    let outcomes: Vec<_> = host
        .attempts(&id)
        .await
        .iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost]);
}

#[tokio::test]
async fn leases_are_extended_for_as_long_as_the_host_lives() {
    let host = Host::start().await;
    let silent = Target::start(Answer::Silence).await;
    let runnable = host
        .runnable(
            "f/slow",
            RunnableKind::Http,
            target_spec(&silent, json!({})),
        )
        .await;
    let id = host.add_job(&runnable, 5).await;
    let (first, second) = (host.executor(), host.executor());
    first.tick().await.expect("a tick");
    for _ in 0..5 {
        host.clock.advance(first.keep_interval());
        first.keep().await.expect("kept");
        second.keep().await.expect("kept");
    }
    let job = host.job(&id).await;
    assert_eq!((job.state, job.fence), (JobState::Running, 1));
}

#[tokio::test]
async fn a_restart_takes_back_what_was_running_at_once() {
    let host = Host::start().await;
    let silent = Target::start(Answer::Silence).await;
    let runnable = host
        .runnable(
            "f/slow",
            RunnableKind::Http,
            target_spec(&silent, json!({})),
        )
        .await;
    let id = host.add_job(&runnable, 5).await;
    let first = host.executor();
    first.tick().await.expect("a tick");
    assert_eq!(host.executor().recover().await.expect("recovered"), 1);
    assert_eq!(host.job(&id).await.state, JobState::Ready);
}

#[tokio::test]
async fn draining_waits_for_what_runs_and_then_stops_it() {
    let host = Host::start().await;
    host.script("nap", "sleep 0.2; echo rested");
    host.script("hang", "sleep 600");
    let nap = host
        .runnable("f/nap", RunnableKind::Command, json!({"argv": ["nap"]}))
        .await;
    let id = host.add_job(&nap, 1).await;
    let executor = host.executor();
    executor.tick().await.expect("a tick");
    assert!(
        executor.drain(Duration::from_secs(20)).await,
        "it ended by itself"
    );
    assert_eq!(host.job(&id).await.state, JobState::Done);

    let hang = host
        .runnable("f/hang", RunnableKind::Command, json!({"argv": ["hang"]}))
        .await;
    let id = host.add_job(&hang, 1).await;
    let executor = host.executor();
    executor.tick().await.expect("a tick");
    assert!(
        !executor.drain(Duration::from_millis(50)).await,
        "it had to be stopped"
    );
    let job = host.job(&id).await;
    assert_eq!(
        job.state,
        JobState::Ready,
        "stopping the host is no reason to give a job up"
    );
    assert_eq!(host.attempts(&id).await[0].outcome, AttemptOutcome::Lost);
    assert_eq!((job.attempts_made, job.attempts_max), (1, 2));
    let late = host.add_job(&hang, 1).await;
    executor.tick().await.expect("a tick");
    assert_eq!(
        host.job(&late).await.state,
        JobState::Ready,
        "nothing more is claimed"
    );
}

#[tokio::test]
async fn what_is_claimed_while_the_host_stops_is_given_back_unrun() {
    let host = Host::start().await;
    host.script("nap", "sleep 0.1");
    let nap = host
        .runnable("f/nap", RunnableKind::Command, json!({"argv": ["nap"]}))
        .await;
    let id = host.add_job(&nap, 1).await;
    let executor = host.executor();
    let (ticked, is_done) = tokio::join!(executor.tick(), executor.drain(Duration::from_secs(20)));
    ticked.expect("a tick");
    assert!(is_done);
    let job = host.job(&id).await;
    assert_eq!((job.state, job.attempts_made), (JobState::Ready, 0));
    assert_eq!(host.attempts(&id).await, []);
}

#[tokio::test]
async fn the_attempt_of_a_cancelled_job_is_stopped() {
    let host = Host::start().await;
    host.script("hang", "sleep 600");
    let hang = host
        .runnable("f/hang", RunnableKind::Command, json!({"argv": ["hang"]}))
        .await;
    let id = host.add_job(&hang, 5).await;
    let executor = host.executor();
    executor.tick().await.expect("a tick");
    host.store
        .cancel_job(&host.workspace, &id)
        .await
        .expect("cancelled");
    executor.keep().await.expect("kept");
    until_idle(&executor).await;
    assert_eq!(host.job(&id).await.state, JobState::Cancelled);
    let outcomes: Vec<_> = host
        .attempts(&id)
        .await
        .iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(outcomes, [AttemptOutcome::Cancelled]);
}

#[tokio::test]
async fn a_version_that_cannot_be_read_fails_in_plain_sight() {
    let host = Host::start().await;
    let spec = json!({"argv": ["x"], "shell": true});
    let runnable = host.runnable("f/odd", RunnableKind::Command, spec).await;
    let unread = host.add_job(&runnable, 5).await;
    let version = VersionId::generate(host.clock.now());
    let absent = host.add_job_of(&runnable, version, 5).await;
    let executor = host.executor();
    for _ in 0..2 {
        executor.tick().await.expect("a tick");
        until_idle(&executor).await;
    }
    for id in [&unread, &absent] {
        let job = host.job(id).await;
        assert_eq!(job.state, JobState::Dead);
        assert!(
            job.error
                .is_some_and(|error| error.starts_with("the version cannot be run: "))
        );
    }
}

#[tokio::test]
async fn a_runnable_stays_within_its_concurrency() {
    let host = Host::start().await;
    let silent = Target::start(Answer::Silence).await;
    let spec = target_spec(&silent, json!({"concurrency": 3}));
    let runnable = host.runnable("f/slow", RunnableKind::Http, spec).await;
    for _ in 0..10 {
        host.add_job(&runnable, 1).await;
    }
    let executor = host.executor();
    for _ in 0..3 {
        executor.tick().await.expect("a tick");
    }
    assert_eq!(executor.running(), 3);
}
