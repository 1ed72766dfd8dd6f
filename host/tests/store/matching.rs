//! Pending events and what matching made of them.

use std::time::Duration;

use bytes::Bytes;
use triggerd::clock::Millis;
use triggerd::id::{EventId, TriggerId};
use triggerd::model::*;

use crate::fixture::{Fixture, on_both, pool};

on_both! {
    pending_events_come_oldest_first_with_their_payload
    a_handled_event_has_a_job_for_each_trigger
    handling_again_makes_no_second_job
    two_hosts_that_handle_one_event_make_its_jobs_once
    an_event_that_nothing_matched_is_handled
    a_failed_event_says_why_and_waits_no_longer
    a_deferred_event_comes_back_when_it_is_due
    an_event_whose_payload_does_not_read_stops_no_other
    events_are_filtered
}

fn job_of(fixture: &Fixture, runnable: &Runnable, event: &EventId, trigger: &TriggerId) -> NewJob {
    NewJob {
        cause: JobCause::Event,
        event_id: Some(event.clone()),
        trigger_id: Some(trigger.clone()),
        arguments: None,
        ..fixture.new_job(runnable, b"")
    }
}

async fn handle(fixture: &Fixture, id: &EventId, handling: Handling) {
    let handled = vec![HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id: id.clone(),
        handling,
    }];
    fixture.store.handle_events(handled).await.expect("handled");
}

async fn read(fixture: &Fixture, id: &EventId) -> Event {
    let event = fixture.store.event(&fixture.workspace, id).await;
    event.expect("read").expect("it is there")
}

async fn jobs_of(fixture: &Fixture, event: &EventId) -> Vec<Job> {
    let filter = JobFilter {
        event_id: Some(event.clone()),
        ..JobFilter::default()
    };
    let page = fixture
        .store
        .list_jobs(&fixture.workspace, &filter, &PageQuery::default())
        .await;
    page.expect("listed").items
}

async fn pending(fixture: &Fixture) -> Vec<EventId> {
    let events = fixture
        .store
        .pending_events(fixture.now(), 100)
        .await
        .expect("read");
    events.into_iter().map(|event| event.event.id).collect()
}

async fn pending_events_come_oldest_first_with_their_payload(fixture: Fixture) {
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(fixture.event(text.as_bytes()).await);
        fixture.advance(1);
    }
    let events = fixture
        .store
        .pending_events(fixture.now(), 2)
        .await
        .expect("read");
    let found: Vec<(&EventId, &Bytes)> = events
        .iter()
        .map(|event| (&event.event.id, &event.payload))
        .collect();
    assert_eq!(
        found,
        [
            (&ids[0], &Bytes::from("one")),
            (&ids[1], &Bytes::from("two"))
        ]
    );
    let before = Millis(fixture.now().0 - 10_000);
    assert!(
        fixture
            .store
            .pending_events(before, 10)
            .await
            .expect("read")
            .is_empty()
    );
}

async fn a_handled_event_has_a_job_for_each_trigger(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"payload").await;
    let triggers = [0, 1].map(|_| TriggerId::generate(fixture.now()));
    let mut jobs: Vec<NewJob> = triggers
        .iter()
        .map(|trigger| job_of(&fixture, &runnable, &event, trigger))
        .collect();
    jobs[1].arguments = Some(Bytes::from("its own"));
    let handling = Handling::Handled {
        jobs: jobs.clone(),
        reason: None,
    };
    fixture.advance(5);
    handle(&fixture, &event, handling).await;

    let row = read(&fixture, &event).await;
    assert_eq!((row.state, row.matched), (EventState::Handled, 2));
    assert_eq!(row.handled_at, Some(fixture.now()));
    assert!(pending(&fixture).await.is_empty());
    assert_eq!(jobs_of(&fixture, &event).await.len(), 2);
    let arguments = [&jobs[0].id, &jobs[1].id].map(|id| fixture.store.job_arguments(id));
    let arguments: Vec<_> = futures_util::future::join_all(arguments).await;
    let arguments: Vec<Bytes> = arguments
        .into_iter()
        .map(|one| one.expect("read").expect("some"))
        .collect();
    assert_eq!(arguments, ["payload", "its own"]);
}

async fn handling_again_makes_no_second_job(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"{}").await;
    let trigger = TriggerId::generate(fixture.now());
    for _ in 0..2 {
        // Each time with a job id of its own, as after a crash between matching and commit.
        let handling = Handling::Handled {
            jobs: vec![job_of(&fixture, &runnable, &event, &trigger)],
            reason: None,
        };
        handle(&fixture, &event, handling).await;
    }
    assert_eq!(jobs_of(&fixture, &event).await.len(), 1);
}

async fn two_hosts_that_handle_one_event_make_its_jobs_once(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"{}").await;
    let trigger = TriggerId::generate(fixture.now());
    let all = (0..20).map(|_| {
        let handling = Handling::Handled {
            jobs: vec![job_of(&fixture, &runnable, &event, &trigger)],
            reason: None,
        };
        handle(&fixture, &event, handling)
    });
    futures_util::future::join_all(all).await;
    assert_eq!(jobs_of(&fixture, &event).await.len(), 1);
    assert_eq!(read(&fixture, &event).await.matched, 1);
}

async fn an_event_that_nothing_matched_is_handled(fixture: Fixture) {
    let event = fixture.event(b"{}").await;
    let handling = Handling::Handled {
        jobs: Vec::new(),
        reason: Some("no trigger waits for it".to_owned()),
    };
    handle(&fixture, &event, handling).await;
    let row = read(&fixture, &event).await;
    assert_eq!((row.state, row.matched), (EventState::Handled, 0));
    assert_eq!(row.reason.as_deref(), Some("no trigger waits for it"));
}

async fn a_failed_event_says_why_and_waits_no_longer(fixture: Fixture) {
    let event = fixture.event(b"{}").await;
    let other = fixture.event(b"{}").await;
    let handling = Handling::Failed {
        reason: "nested too deeply".to_owned(),
    };
    handle(&fixture, &event, handling).await;
    let row = read(&fixture, &event).await;
    assert_eq!(row.state, EventState::Failed);
    assert_eq!(row.reason.as_deref(), Some("nested too deeply"));
    assert_eq!(pending(&fixture).await, [other]);
}

async fn a_deferred_event_comes_back_when_it_is_due(fixture: Fixture) {
    let event = fixture.event(b"{}").await;
    let due_at = fixture.later(60);
    for _ in 0..2 {
        let handling = Handling::Deferred {
            due_at,
            reason: "the provider is not loaded".to_owned(),
        };
        handle(&fixture, &event, handling).await;
    }
    assert!(pending(&fixture).await.is_empty());
    assert_eq!(
        fixture
            .store
            .next_event_due(fixture.now())
            .await
            .expect("read"),
        Some(due_at)
    );
    // To wait for a provider that is away is no try.
    let handling = Handling::Waiting {
        due_at,
        reason: "the provider is not loaded".to_owned(),
    };
    handle(&fixture, &event, handling).await;
    let row = read(&fixture, &event).await;
    assert_eq!((row.state, row.tries), (EventState::Pending, 2));

    fixture.clock.advance(Duration::from_secs(60));
    assert_eq!(pending(&fixture).await, [event]);
    assert_eq!(
        fixture
            .store
            .next_event_due(fixture.now())
            .await
            .expect("read"),
        None
    );
}

async fn an_event_whose_payload_does_not_read_stops_no_other(fixture: Fixture) {
    let (broken, whole) = (fixture.event(b"a").await, fixture.event(b"b").await);
    let request = read(&fixture, &broken)
        .await
        .request_id
        .expect("its request");
    sqlx::query("update requests set body = $1, encoding = 'lz4' where id = $2")
        .bind(vec![0xffu8; 9])
        .bind(request.as_str())
        .execute(&pool(&fixture).await)
        .await
        .expect("broken");
    assert_eq!(pending(&fixture).await, [whole]);
    let row = read(&fixture, &broken).await;
    assert_eq!(row.state, EventState::Failed);
    assert_eq!(
        row.reason.as_deref(),
        Some("its payload does not read from the store")
    );
}

async fn events_are_filtered(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let (fired, unmatched, waiting) = (
        fixture.event(b"{}").await,
        fixture.event(b"{}").await,
        fixture.event(b"{}").await,
    );
    let trigger = TriggerId::generate(fixture.now());
    let jobs = vec![job_of(&fixture, &runnable, &fired, &trigger)];
    handle(&fixture, &fired, Handling::Handled { jobs, reason: None }).await;
    let nothing = Handling::Handled {
        jobs: Vec::new(),
        reason: None,
    };
    handle(&fixture, &unmatched, nothing).await;

    let handled = EventFilter {
        state: Some(EventState::Handled),
        name: Some("push".to_owned()),
        ..EventFilter::default()
    };
    let list = async |filter: EventFilter| -> Vec<EventId> {
        let query = PageQuery::default();
        let page = fixture
            .store
            .list_events(&fixture.workspace, &filter, &query);
        page.await
            .expect("listed")
            .items
            .into_iter()
            .map(|event| event.id)
            .collect()
    };
    let matched = |matched| EventFilter {
        matched: Some(matched),
        ..handled.clone()
    };
    assert_eq!(list(matched(true)).await, [fired]);
    assert_eq!(list(matched(false)).await, [unmatched]);
    let request_id = read(&fixture, &waiting).await.request_id;
    let of_request = EventFilter {
        request_id,
        ..EventFilter::default()
    };
    assert_eq!(list(of_request).await, [waiting]);
    let other_name = EventFilter {
        name: Some("pull".to_owned()),
        ..EventFilter::default()
    };
    assert!(list(other_name).await.is_empty());
}
