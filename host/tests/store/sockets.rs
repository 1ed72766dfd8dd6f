//! Connections: one host holds each, and what it lost it keeps nothing of.

use std::time::Duration;

use bytes::Bytes;
use triggerd::clock::Millis;
use triggerd::id::{EventId, HostId};
use triggerd::model::*;
use triggerd::sockets::{LEASE, TAKEOVER_MAX, TICK};

use crate::fixture::{Fixture, host, on_both};

on_both! {
    a_connection_is_held_by_one_host_until_that_falls_silent
    a_connection_of_a_host_that_died_is_taken_over_within_five_seconds
    a_message_of_who_lost_the_connection_is_not_kept
    of_one_commit_only_the_messages_of_holders_are_kept
    a_paused_or_deleted_subscription_has_no_connection
    its_health_is_said_by_who_holds_it
    the_jobs_of_events_are_found_with_their_results
}

async fn held(fixture: &Fixture, host: &HostId) -> Vec<HeldSocket> {
    fixture.store.held_sockets(host).await.expect("read")
}

async fn keep(fixture: &Fixture, host: &HostId) {
    let until = fixture.later(4);
    fixture.store.keep_sockets(host, until).await.expect("kept");
}

async fn claim(fixture: &Fixture, host: &HostId) -> u64 {
    keep(fixture, host).await;
    let claimed = fixture.store.claim_sockets(host, fixture.now(), 10).await;
    claimed.expect("claimed")
}

/// A subscription with an enrolled connection.
async fn subscription(fixture: &Fixture, name: &str) -> Subscription {
    let new = fixture.new_subscription(name);
    fixture.apply(vec![Change::CreateSubscription(new)]).await;
    let enrolled = fixture.store.enroll_sockets("acme", fixture.now()).await;
    assert_eq!(enrolled.expect("enrolled"), 1);
    let found = fixture.store.subscription_by_name(&fixture.workspace, name);
    found.await.expect("read").expect("it is there")
}

fn message(fixture: &Fixture, subscription: &Subscription) -> Append {
    let mut append = fixture.append(b"", None);
    append.request.subscription_id = subscription.id.clone();
    append.request.body = None;
    append.events[0].payload = Some(Bytes::from_static(b"{\"msg\":\"x\"}"));
    append
}

async fn events(fixture: &Fixture) -> usize {
    let (page, filter) = (PageQuery::first(1000), EventFilter::default());
    let found = fixture
        .store
        .list_events(&fixture.workspace, &filter, &page);
    found.await.expect("read").items.len()
}

async fn a_connection_is_held_by_one_host_until_that_falls_silent(fixture: Fixture) {
    subscription(&fixture, "feed").await;
    let again = fixture.store.enroll_sockets("acme", fixture.now()).await;
    assert_eq!(again.expect("enrolled"), 0);
    let (one, other) = (host(), host());
    assert!(
        fixture
            .store
            .are_sockets_free(fixture.now())
            .await
            .expect("read")
    );
    assert_eq!(claim(&fixture, &one).await, 1);
    assert_eq!(claim(&fixture, &other).await, 0);
    assert_eq!(held(&fixture, &one).await[0].fence, 1);
    fixture.advance(3);
    keep(&fixture, &one).await;
    fixture.advance(3);
    assert_eq!(claim(&fixture, &other).await, 0, "its lease was renewed");
    assert!(
        !fixture
            .store
            .are_sockets_free(fixture.now())
            .await
            .expect("read")
    );
    fixture.advance(2);
    assert!(
        fixture
            .store
            .are_sockets_free(fixture.now())
            .await
            .expect("read")
    );
    assert_eq!(claim(&fixture, &other).await, 1);
    assert!(held(&fixture, &one).await.is_empty());
    assert_eq!(held(&fixture, &other).await[0].fence, 2);
    let released = fixture
        .store
        .release_sockets(&other)
        .await
        .expect("released");
    assert_eq!(released, 1);
    assert_eq!(claim(&fixture, &one).await, 1, "at once");
}

async fn a_connection_of_a_host_that_died_is_taken_over_within_five_seconds(fixture: Fixture) {
    subscription(&fixture, "feed").await;
    // Whenever the other host looks between two of its ticks.
    for later in [
        0,
        1,
        TICK.as_millis() as u64 / 2,
        TICK.as_millis() as u64 - 1,
    ] {
        let (one, other) = (host(), host());
        let died = fixture.now();
        let kept = fixture.store.keep_sockets(&one, died.plus(LEASE)).await;
        kept.expect("kept");
        let claim = async |host: &HostId| {
            let claimed = fixture.store.claim_sockets(host, fixture.now(), 10).await;
            claimed.expect("claimed")
        };
        assert_eq!(claim(&one).await, 1);
        fixture.clock.advance(Duration::from_millis(later));
        while claim(&other).await == 0 {
            fixture.clock.advance(TICK);
            assert!(fixture.now().since(died) < TAKEOVER_MAX, "not taken over");
        }
        let took = fixture.now().since(died);
        assert!(took >= LEASE, "it was still held after {took:?}");
        let connecting = TAKEOVER_MAX - took;
        assert!(
            connecting >= TAKEOVER_MAX - LEASE - TICK,
            "{connecting:?} are left"
        );
        let released = fixture.store.release_sockets(&other).await;
        assert_eq!(released.expect("released"), 1);
    }
}

async fn a_message_of_who_lost_the_connection_is_not_kept(fixture: Fixture) {
    let feed = subscription(&fixture, "feed").await;
    let (one, other) = (host(), host());
    claim(&fixture, &one).await;
    let kept = fixture
        .store
        .append_message(message(&fixture, &feed), 1)
        .await;
    assert_eq!(kept.expect("kept"), Appended::Stored { waiting: 1 });
    fixture.advance(5);
    claim(&fixture, &other).await;
    let late = fixture
        .store
        .append_message(message(&fixture, &feed), 1)
        .await;
    assert_eq!(late.expect("answered"), Appended::Fenced);
    assert_eq!(events(&fixture).await, 1);
    let kept = fixture
        .store
        .append_message(message(&fixture, &feed), 2)
        .await;
    assert_eq!(kept.expect("kept"), Appended::Stored { waiting: 1 });
}

async fn of_one_commit_only_the_messages_of_holders_are_kept(fixture: Fixture) {
    let feed = subscription(&fixture, "feed").await;
    claim(&fixture, &host()).await;
    let appends = (0..30).map(|number| {
        let (store, message) = (fixture.store.clone(), message(&fixture, &feed));
        // Requests of others go along, whatever becomes of the messages.
        async move {
            match number % 3 {
                0 => store.append_message(message, 1).await,
                1 => store.append_message(message, 7).await,
                _ => store.append(message).await,
            }
        }
    });
    let appended = futures_util::future::join_all(appends).await;
    for (number, appended) in appended.into_iter().enumerate() {
        let expected = match number % 3 {
            1 => Appended::Fenced,
            _ => Appended::Stored { waiting: 1 },
        };
        assert_eq!(appended.expect("answered"), expected, "{number}");
    }
    assert_eq!(events(&fixture).await, 20);
}

async fn a_paused_or_deleted_subscription_has_no_connection(fixture: Fixture) {
    let feed = subscription(&fixture, "feed").await;
    let host = host();
    claim(&fixture, &host).await;
    let set = |state| {
        vec![Change::SetSubscriptionState {
            id: feed.id.clone(),
            state,
            reason: None,
        }]
    };
    fixture.apply(set(SubscriptionState::Paused)).await;
    assert!(held(&fixture, &host).await.is_empty());
    fixture.apply(set(SubscriptionState::Active)).await;
    assert_eq!(held(&fixture, &host).await.len(), 1);
    fixture
        .apply(vec![Change::DeleteSubscription(feed.id)])
        .await;
    assert!(held(&fixture, &host).await.is_empty());
}

async fn its_health_is_said_by_who_holds_it(fixture: Fixture) {
    let feed = subscription(&fixture, "feed").await;
    let (one, other) = (host(), host());
    claim(&fixture, &one).await;
    let before = held(&fixture, &one).await.remove(0);
    let note = async |held: &HeldSocket, state, reason| {
        let noted = fixture
            .store
            .note_socket(held, state, reason, fixture.now());
        noted.await.expect("noted")
    };
    assert!(note(&before, SubscriptionState::Degraded, Some("closed")).await);
    let read = async || {
        let found = fixture
            .store
            .subscription(&fixture.workspace, &feed.id)
            .await;
        let found = found.expect("read").expect("there");
        (found.state, found.state_reason)
    };
    assert_eq!(
        read().await,
        (SubscriptionState::Degraded, Some("closed".to_owned()))
    );
    fixture.advance(5);
    claim(&fixture, &other).await;
    let after = held(&fixture, &other).await.remove(0);
    assert!(note(&after, SubscriptionState::Active, None).await);
    assert!(!note(&before, SubscriptionState::Degraded, Some("late")).await);
    assert_eq!(read().await, (SubscriptionState::Active, None));
}

async fn the_jobs_of_events_are_found_with_their_results(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let event = fixture.event(b"{}").await;
    let gone = EventId::generate(Millis(1));
    let asked = [event.clone(), gone.clone()];
    let ends = fixture
        .store
        .ends_of_events(&fixture.workspace, &asked)
        .await
        .expect("read");
    assert_eq!((&ends[0].event_id, ends[0].is_whole()), (&event, false));
    assert!(
        ends[1].is_whole() && ends[1].jobs.is_empty(),
        "what is gone is whole"
    );
    let job = NewJob {
        cause: JobCause::Event,
        event_id: Some(event.clone()),
        ..fixture.new_job(&runnable, b"{}")
    };
    let handled = HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id: event.clone(),
        handling: Handling::Handled {
            jobs: vec![job],
            reason: None,
        },
    };
    fixture
        .store
        .handle_events(vec![handled])
        .await
        .expect("handled");
    let ends = fixture
        .store
        .ends_of_events(&fixture.workspace, &asked)
        .await
        .expect("read");
    assert!(!ends[0].is_whole(), "its job has not ended");
    let claimed = fixture.claim(&runnable, &host(), 1).await;
    let finished = vec![fixture.finished(&claimed[0].job, Next::Done)];
    fixture.store.finish_attempts(finished).await.expect("kept");
    let ends = fixture
        .store
        .ends_of_events(&fixture.workspace, &asked)
        .await
        .expect("read");
    assert!(ends[0].is_whole());
    let end = &ends[0].jobs[0];
    assert_eq!(
        (end.state, end.result.as_deref()),
        (JobState::Done, Some(&b"\"fine\""[..]))
    );
}
