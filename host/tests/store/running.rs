//! Jobs: claims, leases, attempts, recovery, replay, cancellation.

use std::collections::HashSet;

use bytes::Bytes;
use triggerd::clock::Millis;
use triggerd::id::{JobId, RunnableId, VersionId};
use triggerd::model::*;

use crate::fixture::{Fixture, body, host, on_both, pool};

on_both! {
    due_jobs_are_claimed_oldest_first
    a_claim_brings_all_that_is_needed_to_run
    two_hosts_never_claim_the_same_job
    a_finished_job_shows_its_result_and_its_attempt
    a_failed_job_is_due_again_or_dead
    who_comes_home_with_an_old_fence_is_told
    of_two_ends_in_one_commit_only_the_holder_counts
    recording_an_attempt_again_is_harmless
    a_lost_lease_gives_the_job_back
    a_lost_lease_of_the_last_attempt_leaves_it_dead
    an_extended_lease_is_not_lost
    at_start_own_jobs_come_back_at_once
    a_released_job_is_ready_and_its_attempt_not_counted
    runnables_with_due_jobs_are_found
    jobs_of_a_disabled_runnable_wait
    the_next_due_job_is_found
    a_cancelled_job_does_not_run_and_its_attempt_is_late
    a_replay_is_a_new_job_that_names_its_origin
    a_replay_without_its_event_is_refused
    an_attempt_that_was_not_the_jobs_fault_is_granted_anew
    a_job_whose_event_is_no_longer_kept_is_dead_in_plain_sight
    a_job_whose_arguments_do_not_read_is_dead_and_stops_no_other
    jobs_are_filtered
    hosts_are_noted
    what_a_clock_put_off_that_was_set_back_is_due_again
}

async fn finish(fixture: &Fixture, job: &Job, next: Next) -> bool {
    let finished = vec![fixture.finished(job, next)];
    fixture
        .store
        .finish_attempts(finished)
        .await
        .expect("recorded")[0]
}

async fn due_jobs_are_claimed_oldest_first(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(fixture.job(&runnable).await);
        fixture.advance(1);
    }
    let mut future = fixture.new_job(&runnable, b"{}");
    future.due_at = fixture.later(1);
    fixture.store.insert_job(future).await.expect("inserted");

    let owner = host();
    let claimed = fixture.claim(&runnable, &owner, 3).await;
    let claimed: Vec<&JobId> = claimed.iter().map(|claimed| &claimed.job.id).collect();
    assert_eq!(claimed, [&ids[0], &ids[1], &ids[2]]);
    assert_eq!(fixture.claim(&runnable, &owner, 3).await.len(), 1);
    assert_eq!(fixture.claim(&runnable, &owner, 3).await.len(), 0);
}

async fn a_claim_brings_all_that_is_needed_to_run(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let payload = body(7_000);
    let event = fixture.event(&payload).await;
    let from_event = NewJob {
        cause: JobCause::Event,
        event_id: Some(event),
        arguments: None,
        ..fixture.new_job(&runnable, b"")
    };
    let own = fixture.new_job(&runnable, &body(3_000));
    fixture
        .store
        .insert_job(from_event.clone())
        .await
        .expect("inserted");
    fixture
        .store
        .insert_job(own.clone())
        .await
        .expect("inserted");

    let owner = host();
    let claimed = fixture.claim(&runnable, &owner, 10).await;
    let of = |id: &JobId| {
        let job = claimed.iter().find(|claimed| claimed.job.id == *id);
        job.expect("it was claimed").clone()
    };
    assert_eq!(of(&from_event.id).arguments, payload);
    assert_eq!(of(&own.id).arguments, body(3_000));
    let job = of(&own.id).job;
    assert_eq!(job.state, JobState::Running);
    assert_eq!(job.version_id, runnable.version_id);
    assert_eq!((job.fence, job.attempts_made), (1, 1));
    assert_eq!(job.lease_owner, Some(owner));
    assert_eq!(job.lease_expires_at, Some(fixture.later(30)));
    assert_eq!(job.started_at, Some(fixture.now()));
    assert_eq!(fixture.read_job(&own.id).await, job);
}

async fn two_hosts_never_claim_the_same_job(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    for _ in 0..60 {
        fixture.job(&runnable).await;
    }
    let owners = [host(), host()];
    let claims = (0..20).map(|turn| fixture.claim(&runnable, &owners[turn % 2], 5));
    let claimed = futures_util::future::join_all(claims).await;
    let ids: Vec<JobId> = claimed
        .into_iter()
        .flatten()
        .map(|claimed| claimed.job.id)
        .collect();
    let distinct: HashSet<&JobId> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (60, 60));
}

async fn a_finished_job_shows_its_result_and_its_attempt(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let end = fixture.finished(&job, Next::Done);
    assert_eq!(
        fixture
            .store
            .finish_attempts(vec![end.clone()])
            .await
            .expect("recorded"),
        [true]
    );

    let done = fixture.read_job(&id).await;
    assert_eq!(done.state, JobState::Done);
    assert_eq!(done.result, Some(Bytes::from("\"fine\"")));
    assert_eq!(
        (done.lease_owner, done.finished_at),
        (None, Some(fixture.now()))
    );
    let attempts = fixture.store.list_attempts(&id).await.expect("listed");
    assert_eq!(
        attempts,
        [Attempt {
            id: end.attempt.id,
            job_id: id,
            number: 1,
            fence: 1,
            host_id: end.attempt.host_id,
            started_at: fixture.now(),
            finished_at: fixture.now(),
            outcome: AttemptOutcome::Ok,
            exit_code: Some(0),
            signal: None,
            http_status: None,
            stdout: Some(Bytes::from("out")),
            stderr: None,
            result: Some(Bytes::from("\"fine\"")),
            error: None,
        }]
    );
}

async fn a_failed_job_is_due_again_or_dead(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let owner = host();
    let job = fixture.claim(&runnable, &owner, 1).await.remove(0).job;
    let due_at = fixture.later(7);
    assert!(finish(&fixture, &job, Next::Retry { due_at }).await);
    let retry = fixture.read_job(&id).await;
    assert_eq!((retry.state, retry.due_at), (JobState::Ready, due_at));
    assert_eq!(
        (retry.error.as_deref(), retry.finished_at),
        (Some("exit code 1"), None)
    );
    assert!(fixture.claim(&runnable, &owner, 1).await.is_empty());

    fixture.advance(7);
    let job = fixture.claim(&runnable, &owner, 1).await.remove(0).job;
    assert_eq!((job.fence, job.attempts_made), (2, 2));
    assert!(finish(&fixture, &job, Next::Dead).await);
    let dead = fixture.read_job(&id).await;
    assert_eq!(
        (dead.state, dead.finished_at),
        (JobState::Dead, Some(fixture.now()))
    );
    let attempts = fixture.store.list_attempts(&id).await.expect("listed");
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
}

/// One host is paused beyond its lease, another takes over, the first one comes back.
async fn who_comes_home_with_an_old_fence_is_told(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let paused = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    fixture.advance(31);
    let recovered = fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    assert_eq!(recovered.len(), 1);
    let taken = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    assert_eq!(taken.fence, 2);

    assert!(!finish(&fixture, &paused, Next::Dead).await);
    assert_eq!(fixture.read_job(&id).await.state, JobState::Running);
    assert!(finish(&fixture, &taken, Next::Done).await);
    assert!(!finish(&fixture, &paused, Next::Dead).await);
    assert_eq!(fixture.read_job(&id).await.state, JobState::Done);
    let attempts = fixture.store.list_attempts(&id).await.expect("listed");
    let outcomes: Vec<AttemptOutcome> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost, AttemptOutcome::Ok]);
}

async fn of_two_ends_in_one_commit_only_the_holder_counts(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let paused = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    fixture.advance(31);
    fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    let holder = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let ends = vec![
        fixture.finished(&paused, Next::Dead),
        fixture.finished(&holder, Next::Done),
    ];
    assert_eq!(
        fixture.store.finish_attempts(ends).await.expect("recorded"),
        [false, true]
    );
    assert_eq!(fixture.read_job(&id).await.state, JobState::Done);
}

async fn recording_an_attempt_again_is_harmless(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let end = fixture.finished(&job, Next::Done);
    for _ in 0..2 {
        let held = fixture
            .store
            .finish_attempts(vec![end.clone()])
            .await
            .expect("recorded");
        assert_eq!(held, [true]);
    }
    assert_eq!(
        fixture
            .store
            .list_attempts(&id)
            .await
            .expect("listed")
            .len(),
        1
    );
}

async fn a_lost_lease_gives_the_job_back(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    fixture.claim(&runnable, &host(), 1).await;
    fixture.advance(29);
    assert!(
        fixture
            .store
            .recover_jobs(fixture.now())
            .await
            .expect("none yet")
            .is_empty()
    );
    fixture.advance(1);
    let recovered = fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    assert_eq!(
        recovered,
        [Recovered {
            job_id: id.clone(),
            runnable_id: runnable.id.clone(),
            state: JobState::Ready,
        }]
    );
    let job = fixture.read_job(&id).await;
    assert_eq!((job.state, job.attempts_made), (JobState::Ready, 1));
    assert_eq!(job.error.as_deref(), Some("the host that ran it went away"));
    let attempts = fixture.store.list_attempts(&id).await.expect("listed");
    assert_eq!(attempts[0].outcome, AttemptOutcome::Lost);
}

async fn a_lost_lease_of_the_last_attempt_leaves_it_dead(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let mut job = fixture.new_job(&runnable, b"{}");
    job.attempts_max = 1;
    let id = job.id.clone();
    fixture.store.insert_job(job).await.expect("inserted");
    fixture.claim(&runnable, &host(), 1).await;
    fixture.advance(30);
    let recovered = fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    assert_eq!(recovered[0].state, JobState::Dead);
    assert_eq!(fixture.read_job(&id).await.finished_at, Some(fixture.now()));
}

async fn an_extended_lease_is_not_lost(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    fixture.job(&runnable).await;
    let claimed = fixture.claim(&runnable, &host(), 1).await;
    fixture.advance(29);
    let (id, fence) = (claimed[0].job.id.clone(), claimed[0].job.fence);
    let extend = |fence, until| {
        fixture
            .store
            .extend_leases(vec![(id.clone(), fence)], until)
    };
    let gone = extend(fence, fixture.later(30)).await.expect("extended");
    assert_eq!(gone, []);
    let gone = extend(fence - 1, fixture.later(99)).await.expect("none");
    assert_eq!(gone, std::slice::from_ref(&id));
    fixture.advance(29);
    assert!(
        fixture
            .store
            .recover_jobs(fixture.now())
            .await
            .expect("none")
            .is_empty()
    );
    fixture.advance(1);
    assert_eq!(
        fixture
            .store
            .recover_jobs(fixture.now())
            .await
            .expect("one")
            .len(),
        1
    );
}

async fn at_start_own_jobs_come_back_at_once(mut fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let owner = host();
    fixture.claim(&runnable, &owner, 1).await;
    fixture.reopen().await;
    let recovered = fixture
        .store
        .recover_own_jobs(&owner, fixture.now())
        .await
        .expect("recovered");
    assert_eq!(recovered.len(), 1);
    assert_eq!(fixture.read_job(&id).await.state, JobState::Ready);
}

async fn a_released_job_is_ready_and_its_attempt_not_counted(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let id = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let release = vec![(id.clone(), job.fence)];
    fixture
        .store
        .release_jobs(release, fixture.later(5))
        .await
        .expect("released");
    let released = fixture.read_job(&id).await;
    assert_eq!(
        (released.state, released.attempts_made),
        (JobState::Ready, 0)
    );
    assert_eq!(released.due_at, fixture.later(5));
    assert!(!finish(&fixture, &job, Next::Done).await);
}

async fn runnables_with_due_jobs_are_found(fixture: Fixture) {
    let (a, b, c) = (
        fixture.runnable("f/a").await,
        fixture.runnable("f/b").await,
        fixture.runnable("f/c").await,
    );
    for _ in 0..3 {
        fixture.job(&a).await;
        fixture.job(&b).await;
    }
    let mut future = fixture.new_job(&c, b"{}");
    future.due_at = fixture.later(10);
    fixture.store.insert_job(future).await.expect("inserted");

    let ready = async || -> HashSet<RunnableId> {
        let ready = fixture.store.runnables_with_ready_jobs(fixture.now()).await;
        ready
            .expect("found")
            .into_iter()
            .map(|ready| ready.runnable_id)
            .collect()
    };
    assert_eq!(ready().await, HashSet::from([a.id.clone(), b.id.clone()]));
    fixture.claim(&a, &host(), 10).await;
    assert_eq!(ready().await, HashSet::from([b.id.clone()]));
    fixture.advance(10);
    assert_eq!(ready().await, HashSet::from([b.id, c.id]));
}

async fn jobs_of_a_disabled_runnable_wait(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    fixture.job(&runnable).await;
    let gone = Some("the target answered 410".to_owned());
    fixture
        .store
        .set_runnable_state(&runnable.id, RunnableState::Disabled, gone.clone())
        .await
        .expect("set");
    let row = fixture
        .store
        .runnable(&fixture.workspace, &runnable.id)
        .await
        .expect("read");
    let row = row.expect("it is there");
    assert_eq!(
        (row.state, row.state_reason),
        (RunnableState::Disabled, gone)
    );
    let now = fixture.now();
    assert!(
        fixture
            .store
            .runnables_with_ready_jobs(now)
            .await
            .expect("found")
            .is_empty()
    );
    let before = Millis(now.0 - 1);
    assert_eq!(
        fixture.store.next_job_due(before).await.expect("read"),
        None
    );
}

async fn the_next_due_job_is_found(fixture: Fixture) {
    assert_eq!(
        fixture
            .store
            .next_job_due(fixture.now())
            .await
            .expect("read"),
        None
    );
    for (path, seconds) in [("f/a", 20), ("f/b", 10), ("f/c", 0)] {
        let runnable = fixture.runnable(path).await;
        let mut job = fixture.new_job(&runnable, b"{}");
        job.due_at = fixture.later(seconds);
        fixture.store.insert_job(job).await.expect("inserted");
    }
    let next = fixture
        .store
        .next_job_due(fixture.now())
        .await
        .expect("read");
    assert_eq!(next, Some(fixture.later(10)));
}

async fn a_cancelled_job_does_not_run_and_its_attempt_is_late(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let running = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let ready = fixture.job(&runnable).await;
    for id in [&running, &ready] {
        let cancelled = fixture
            .store
            .cancel_job(&fixture.workspace, id)
            .await
            .expect("cancelled");
        assert_eq!(cancelled.state, JobState::Cancelled);
        let again = fixture.store.cancel_job(&fixture.workspace, id).await;
        assert!(again.expect_err("it ended").is_conflict());
    }
    assert!(fixture.claim(&runnable, &host(), 10).await.is_empty());
    let history = async || {
        let attempts = fixture.store.list_attempts(&running).await;
        attempts.expect("listed")
    };
    let cut_off = history().await;
    assert_eq!(cut_off.len(), 1);
    assert_eq!(
        (cut_off[0].outcome, cut_off[0].number, cut_off[0].fence),
        (AttemptOutcome::Cancelled, 1, job.fence)
    );
    assert_eq!(Some(&cut_off[0].host_id), job.lease_owner.as_ref());
    let never_ran = fixture.store.list_attempts(&ready).await.expect("listed");
    assert_eq!(never_ran, []);
    assert!(!finish(&fixture, &job, Next::Done).await);
    assert_eq!(history().await, cut_off, "an attempt is never changed");
    assert_eq!(fixture.read_job(&running).await.state, JobState::Cancelled);

    let elsewhere = fixture
        .store
        .ensure_workspace("elsewhere")
        .await
        .expect("made");
    let error = fixture
        .store
        .cancel_job(&elsewhere.id, &ready)
        .await
        .expect_err("not theirs");
    assert!(error.is_not_found());
}

async fn a_replay_is_a_new_job_that_names_its_origin(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let origin = fixture.new_job(&runnable, b"[1]");
    fixture
        .store
        .insert_job(origin.clone())
        .await
        .expect("inserted");
    let replay = Replay {
        id: JobId::generate(fixture.now()),
        version_id: runnable.version_id.clone(),
        attempts_max: 9,
    };
    let made = fixture
        .store
        .replay_job(&fixture.workspace, &origin.id, replay.clone())
        .await;
    let made = made.expect("made");
    assert_eq!(
        (made.cause, made.state),
        (JobCause::Replay, JobState::Ready)
    );
    assert_eq!((&made.id, made.attempts_max), (&replay.id, 9));
    assert_eq!(made.origin_job_id.as_ref(), Some(&origin.id));
    let arguments = fixture.store.job_arguments(&made.id).await.expect("read");
    assert_eq!(arguments.as_deref(), Some(b"[1]".as_slice()));

    let unknown = Replay {
        id: JobId::generate(fixture.now()),
        version_id: VersionId::generate(fixture.now()),
        attempts_max: 9,
    };
    let missing = JobId::generate(fixture.now());
    let error = fixture
        .store
        .replay_job(&fixture.workspace, &origin.id, unknown)
        .await;
    assert!(error.expect_err("another runnable's version").is_conflict());
    let error = fixture
        .store
        .replay_job(&fixture.workspace, &missing, replay);
    assert!(error.await.expect_err("no such job").is_not_found());
}

async fn an_attempt_that_was_not_the_jobs_fault_is_granted_anew(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let mut job = fixture.new_job(&runnable, b"{}");
    job.attempts_max = 1;
    let id = job.id.clone();
    fixture.store.insert_job(job).await.expect("inserted");
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let due_at = fixture.now();
    assert!(finish(&fixture, &job, Next::Again { due_at }).await);
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    assert_eq!((job.attempts_made, job.attempts_max), (2, 2));
    assert!(finish(&fixture, &job, Next::Retry { due_at }).await);
    assert_eq!(fixture.read_job(&id).await.attempts_max, 2);
}

/// On SQLite and PostgreSQL alike: an empty payload is one thing, a lost one another.
async fn a_job_whose_event_is_no_longer_kept_is_dead_in_plain_sight(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"{}").await;
    let job = NewJob {
        event_id: Some(event.clone()),
        arguments: None,
        ..fixture.new_job(&runnable, b"")
    };
    fixture.store.insert_job(job.clone()).await.expect("made");
    sqlx::query("delete from events")
        .execute(&pool(&fixture).await)
        .await
        .expect("deleted");
    assert!(fixture.claim(&runnable, &host(), 1).await.is_empty());
    let dead = fixture.read_job(&job.id).await;
    assert_eq!(dead.state, JobState::Dead);
    assert!(
        dead.error
            .is_some_and(|error| error.contains("not in the store"))
    );
}

async fn a_replay_without_its_event_is_refused(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"{}").await;
    let job = NewJob {
        event_id: Some(event.clone()),
        arguments: None,
        ..fixture.new_job(&runnable, b"")
    };
    fixture
        .store
        .insert_job(job.clone())
        .await
        .expect("inserted");
    let replay = || Replay {
        id: JobId::generate(fixture.now()),
        version_id: runnable.version_id.clone(),
        attempts_max: 1,
    };
    let made = fixture
        .store
        .replay_job(&fixture.workspace, &job.id, replay())
        .await;
    assert_eq!(made.expect("made").event_id, Some(event.clone()));

    for claimed in fixture.claim(&runnable, &host(), 10).await {
        finish(&fixture, &claimed.job, Next::Done).await;
    }
    let handling = Handling::Failed {
        reason: "done with".to_owned(),
    };
    let handled = vec![HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id: event,
        handling,
    }];
    fixture.store.handle_events(handled).await.expect("handled");
    assert_eq!(
        fixture
            .store
            .trim_events(fixture.later(1), 10)
            .await
            .expect("trimmed"),
        1
    );
    let error = fixture
        .store
        .replay_job(&fixture.workspace, &job.id, replay())
        .await;
    assert!(error.expect_err("nothing to replay").is_conflict());
}

async fn a_job_whose_arguments_do_not_read_is_dead_and_stops_no_other(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let (broken, whole) = (fixture.job(&runnable).await, fixture.job(&runnable).await);
    sqlx::query("update jobs set arguments = $1, encoding = 'lz4' where id = $2")
        .bind(vec![0xffu8; 9])
        .bind(broken.as_str())
        .execute(&pool(&fixture).await)
        .await
        .expect("broken");
    let claimed = fixture.claim(&runnable, &host(), 10).await;
    let claimed: Vec<&JobId> = claimed.iter().map(|claimed| &claimed.job.id).collect();
    assert_eq!(claimed, [&whole]);
    let dead = fixture.read_job(&broken).await;
    assert_eq!(dead.state, JobState::Dead);
    assert_eq!(
        dead.error.as_deref(),
        Some("its arguments are not in the store, or do not read")
    );
    let attempts = fixture.store.list_attempts(&broken).await.expect("listed");
    assert_eq!(attempts[0].outcome, AttemptOutcome::Refused);
}

async fn hosts_are_noted(fixture: Fixture) {
    let (old, current) = (host(), host());
    fixture
        .store
        .note_host(&old, fixture.now())
        .await
        .expect("noted");
    let start = fixture.advance(100);
    fixture
        .store
        .note_host(&current, start)
        .await
        .expect("noted");
    let seen_at = fixture.advance(10);
    fixture
        .store
        .note_host(&current, seen_at)
        .await
        .expect("noted");
    assert_eq!(
        fixture.store.list_hosts(start).await.expect("listed"),
        [Host {
            id: current,
            started_at: start,
            seen_at,
        }]
    );
}

async fn jobs_are_filtered(fixture: Fixture) {
    let (a, b) = (fixture.runnable("f/a").await, fixture.runnable("f/b").await);
    let of_a = fixture.job(&a).await;
    let of_b = fixture.job(&b).await;
    fixture.claim(&b, &host(), 1).await;
    let list = async |filter: JobFilter| -> Vec<JobId> {
        let query = PageQuery::default();
        let page = fixture.store.list_jobs(&fixture.workspace, &filter, &query);
        page.await
            .expect("listed")
            .items
            .into_iter()
            .map(|job| job.id)
            .collect()
    };
    let running = JobFilter {
        state: Some(JobState::Running),
        cause: Some(JobCause::Test),
        ..JobFilter::default()
    };
    assert_eq!(list(running).await, [of_b]);
    let by_runnable = JobFilter {
        runnable_id: Some(a.id),
        ..JobFilter::default()
    };
    assert_eq!(list(by_runnable).await, [of_a]);
    let by_cause = JobFilter {
        cause: Some(JobCause::Schedule),
        ..JobFilter::default()
    };
    assert!(list(by_cause).await.is_empty());
    let counts = [JobState::Ready, JobState::Running].map(|state| fixture.store.count_jobs(state));
    for count in counts {
        assert_eq!(count.await.expect("counted"), 1);
    }
}

async fn what_a_clock_put_off_that_was_set_back_is_due_again(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let before = fixture.now();
    let on_purpose = NewJob {
        due_at: fixture.later(3600),
        ..fixture.new_job(&runnable, b"{}")
    };
    let tried = fixture.job(&runnable).await;
    fixture.advance(365 * 24 * 3600);
    let claimed = fixture.claim(&runnable, &host(), 1).await;
    let again = Next::Retry {
        due_at: fixture.later(60),
    };
    assert!(finish(&fixture, &claimed[0].job, again).await);
    let running = fixture.job(&runnable).await;
    assert_eq!(fixture.claim(&runnable, &host(), 1).await.len(), 1);
    let made = fixture.job(&runnable).await;
    let event = fixture.event(b"{}").await;

    fixture.clock.set(before);
    fixture.advance(5);
    let insert = fixture.store.insert_job(on_purpose.clone());
    insert.await.expect("inserted");
    let owner = host();
    assert_eq!(fixture.claim(&runnable, &owner, 10).await.len(), 0);
    let catch_up = async || {
        let moved = fixture.store.catch_up_with_clock(fixture.now()).await;
        moved.expect("moved")
    };
    assert_eq!(catch_up().await, 4);
    assert_eq!(catch_up().await, 0, "once");
    let claimed = fixture.claim(&runnable, &owner, 10).await;
    let ids: HashSet<&JobId> = claimed.iter().map(|claimed| &claimed.job.id).collect();
    assert_eq!(ids, HashSet::from([&tried, &made]));
    let pending = fixture.store.pending_events(fixture.now(), 10).await;
    assert_eq!(pending.expect("read")[0].event.id, event);
    fixture.advance(61);
    fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    let recovered = fixture.read_job(&running).await;
    assert_eq!(recovered.state, JobState::Ready, "its host is gone");
    assert_eq!(
        fixture.read_job(&on_purpose.id).await.due_at,
        on_purpose.due_at
    );
}
