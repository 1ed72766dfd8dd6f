//! Trimming takes what is old and done with, in steps, and nothing else.

use bytes::Bytes;
use triggerd::model::*;

use crate::fixture::{Fixture, host, on_both};

on_both! {
    old_requests_go_when_no_event_needs_them
    the_logs_of_every_workspace_are_trimmed_also_of_deleted_ones
    pending_events_stay_however_old
    an_event_stays_while_an_unfinished_job_needs_its_payload
    finished_jobs_go_with_their_attempts
    attempts_can_go_before_their_jobs
    delivery_ids_go_when_their_window_is_over
    audit_entries_go
    a_deleted_runnable_goes_after_its_jobs
    a_deleted_runnable_stays_while_a_flow_that_goes_on_has_pinned_it
    each_step_takes_no_more_than_asked
}

async fn fail_event(fixture: &Fixture, id: &triggerd::id::EventId) {
    let handling = Handling::Failed {
        reason: "done with".to_owned(),
    };
    let handled = vec![HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id: id.clone(),
        handling,
    }];
    fixture.store.handle_events(handled).await.expect("handled");
}

async fn old_requests_go_when_no_event_needs_them(fixture: Fixture) {
    let event = fixture.event(b"{}").await;
    let mut ping = fixture.append(b"{}", None);
    ping.events.clear();
    fixture.store.append(ping).await.expect("appended");
    let before = fixture.advance(10);
    fixture.event(b"young").await;
    let trim = async || {
        fixture
            .store
            .trim_requests(before, 10)
            .await
            .expect("trimmed")
    };
    assert_eq!(trim().await, 1);
    fail_event(&fixture, &event).await;
    assert_eq!(
        fixture
            .store
            .trim_events(before, 10)
            .await
            .expect("trimmed"),
        1
    );
    assert_eq!(trim().await, 1);
    assert_eq!(trim().await, 0);
}

async fn the_logs_of_every_workspace_are_trimmed_also_of_deleted_ones(fixture: Fixture) {
    let mut gone = Vec::new();
    for name in ["a", "b", "gone"] {
        let workspace = fixture.store.ensure_workspace(name).await.expect("made");
        let mut append = fixture.append(b"{}", None);
        append.request.workspace_id = workspace.id.clone();
        append.queue = Queue::WaitedFor;
        fixture.store.append(append).await.expect("appended");
        gone.push(workspace);
    }
    let gone = gone.pop().expect("the last one");
    let deleted = fixture.store.delete_workspace(&gone).await;
    deleted.expect("deleted");
    let before = fixture.advance(10);
    let trim = async |limit| {
        let events = fixture.store.trim_events(before, limit).await;
        let requests = fixture.store.trim_requests(before, limit).await;
        (events.expect("trimmed"), requests.expect("trimmed"))
    };
    assert_eq!(trim(2).await, (2, 2));
    assert_eq!(trim(2).await, (1, 1));
    assert_eq!(trim(2).await, (0, 0));
}

async fn pending_events_stay_however_old(fixture: Fixture) {
    let event = fixture.event(b"{}").await;
    let before = fixture.advance(1_000_000);
    assert_eq!(
        fixture
            .store
            .trim_events(before, 10)
            .await
            .expect("trimmed"),
        0
    );
    fail_event(&fixture, &event).await;
    assert_eq!(
        fixture
            .store
            .trim_events(before, 10)
            .await
            .expect("trimmed"),
        1
    );
}

async fn an_event_stays_while_an_unfinished_job_needs_its_payload(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"needed").await;
    let job = NewJob {
        event_id: Some(event.clone()),
        arguments: None,
        ..fixture.new_job(&runnable, b"")
    };
    let handled = vec![HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id: event,
        handling: Handling::Handled {
            jobs: vec![job],
            reason: None,
        },
    }];
    fixture.store.handle_events(handled).await.expect("handled");
    let before = fixture.advance(10);
    let trim = async || {
        let events = fixture
            .store
            .trim_events(before, 10)
            .await
            .expect("trimmed");
        let requests = fixture
            .store
            .trim_requests(before, 10)
            .await
            .expect("trimmed");
        (events, requests)
    };
    assert_eq!(trim().await, (0, 0));
    let claimed = fixture.claim(&runnable, &host(), 1).await.remove(0);
    assert_eq!(claimed.arguments, Bytes::from("needed"));
    assert_eq!(trim().await, (0, 0));
    let end = vec![fixture.finished(&claimed.job, Next::Done)];
    fixture.store.finish_attempts(end).await.expect("recorded");
    assert_eq!(trim().await, (1, 1));
}

/// One job that is done, one that runs, one that waits.
async fn three_jobs(fixture: &Fixture) -> [triggerd::id::JobId; 3] {
    let runnable = fixture.runnable("f/a").await;
    let done = fixture.job(&runnable).await;
    let job = fixture.claim(&runnable, &host(), 1).await.remove(0).job;
    let end = vec![fixture.finished(&job, Next::Done)];
    fixture.store.finish_attempts(end).await.expect("recorded");
    let running = fixture.job(&runnable).await;
    fixture.claim(&runnable, &host(), 1).await;
    let waiting = fixture.job(&runnable).await;
    [done, running, waiting]
}

async fn finished_jobs_go_with_their_attempts(fixture: Fixture) {
    let [done, running, waiting] = three_jobs(&fixture).await;
    assert_eq!(
        fixture
            .store
            .trim_jobs(fixture.now(), 10)
            .await
            .expect("too young"),
        0
    );
    let before = fixture.advance(1_000_000);
    assert_eq!(
        fixture.store.trim_jobs(before, 10).await.expect("trimmed"),
        1
    );
    assert_eq!(
        fixture
            .store
            .job(&fixture.workspace, &done)
            .await
            .expect("read"),
        None
    );
    assert!(
        fixture
            .store
            .list_attempts(&done)
            .await
            .expect("listed")
            .is_empty()
    );
    assert_eq!(fixture.read_job(&running).await.state, JobState::Running);
    assert_eq!(fixture.read_job(&waiting).await.state, JobState::Ready);
}

async fn attempts_can_go_before_their_jobs(fixture: Fixture) {
    let [done, ..] = three_jobs(&fixture).await;
    let before = fixture.advance(10);
    assert_eq!(
        fixture
            .store
            .trim_attempts(before, 10)
            .await
            .expect("trimmed"),
        1
    );
    assert!(
        fixture
            .store
            .list_attempts(&done)
            .await
            .expect("listed")
            .is_empty()
    );
    assert_eq!(fixture.read_job(&done).await.state, JobState::Done);
}

async fn delivery_ids_go_when_their_window_is_over(fixture: Fixture) {
    for number in 0..3 {
        let append = fixture.append(b"{}", Some(&format!("d-{number}")));
        fixture.store.append(append).await.expect("appended");
    }
    // All of them, two at a time.
    let trim = async || {
        let (mut counts, mut place) = (Vec::new(), None);
        loop {
            let trimmed = fixture.store.trim_deliveries(fixture.now(), place, 2).await;
            let (count, next) = trimmed.expect("trimmed");
            counts.push(count);
            place = next;
            if place.is_none() {
                return counts;
            }
        }
    };
    fixture.advance(3599);
    assert_eq!(trim().await, [0, 0]);
    fixture.advance(1);
    let later = fixture.append(b"{}", Some("d-1x"));
    fixture.store.append(later).await.expect("appended");
    assert_eq!(trim().await, [2, 1, 0]);
    assert_eq!(trim().await, [0]);
}

async fn audit_entries_go(fixture: Fixture) {
    fixture.runnable("f/a").await;
    let before = fixture.advance(10);
    fixture.runnable("f/b").await;
    assert_eq!(
        fixture.store.trim_audit(before, 10).await.expect("trimmed"),
        1
    );
    assert_eq!(
        fixture.store.trim_audit(before, 10).await.expect("trimmed"),
        0
    );
}

async fn a_deleted_runnable_goes_after_its_jobs(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    fixture.job(&runnable).await;
    fixture
        .apply(vec![Change::DeleteRunnable(runnable.id.clone())])
        .await;
    let before = fixture.advance(10);
    assert_eq!(
        fixture
            .store
            .trim_runnables(before, 10)
            .await
            .expect("trimmed"),
        0
    );
    assert_eq!(
        fixture.store.trim_jobs(before, 10).await.expect("trimmed"),
        1
    );
    assert_eq!(
        fixture
            .store
            .trim_runnables(before, 10)
            .await
            .expect("trimmed"),
        1
    );
    let version = fixture
        .store
        .runnable_version(&runnable.version_id)
        .await
        .expect("read");
    assert!(version.is_none());
}

async fn a_deleted_runnable_stays_while_a_flow_that_goes_on_has_pinned_it(fixture: Fixture) {
    let (flow, step) = (
        fixture.runnable("f/flow").await,
        fixture.runnable("f/a").await,
    );
    fixture.job(&flow).await;
    let mut begun = fixture.claim(&flow, &host(), 1).await;
    let begun = begun.remove(0).job;
    let pin = Pin {
        runnable_id: step.id.clone(),
        version_id: step.version_id.clone(),
    };
    let advance = Advance {
        job_id: begun.id.clone(),
        workspace_id: begun.workspace_id.clone(),
        fence: begun.fence,
        // It goes on at once.
        pokes: -1,
        pins: Pins::from([("f/a".to_owned(), pin)]),
        answer: None,
        steps: Vec::new(),
        at: fixture.now(),
    };
    assert!(fixture.store.advance_flow(advance).await.expect("advanced"));
    fixture
        .apply(vec![Change::DeleteRunnable(step.id.clone())])
        .await;
    let before = fixture.advance(10);
    let trim = async || {
        let trimmed = fixture.store.trim_runnables(before, 10).await;
        trimmed.expect("trimmed")
    };
    assert_eq!(trim().await, 0, "its version is still to be run");
    let flow = fixture.claim(&flow, &host(), 1).await.remove(0).job;
    let end = vec![fixture.finished(&flow, Next::Done)];
    fixture.store.finish_attempts(end).await.expect("recorded");
    assert_eq!(trim().await, 1);
}

async fn each_step_takes_no_more_than_asked(fixture: Fixture) {
    for _ in 0..5 {
        let event = fixture.event(b"{}").await;
        fail_event(&fixture, &event).await;
    }
    let before = fixture.advance(10);
    let mut steps = Vec::new();
    while steps.last() != Some(&0) {
        steps.push(fixture.store.trim_events(before, 2).await.expect("trimmed"));
    }
    assert_eq!(steps, [2, 2, 1, 0]);
}
