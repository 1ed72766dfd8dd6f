//! The way in: requests, deliveries, events.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;
use sqlx::Executor;
use triggerd::id::{EventId, RequestId};
use triggerd::model::*;
use triggerd::store::{Backend, DatabaseConfig, Store};

use crate::fixture::{Fixture, body, on_both, subscription_id};

on_both! {
    an_append_is_read_back_as_it_came
    a_body_of_any_kind_is_read_back_as_it_came
    a_refused_request_is_kept_without_its_body
    a_repeated_delivery_is_kept_as_a_duplicate_without_events
    of_equal_deliveries_in_one_commit_one_is_stored
    an_expired_delivery_may_come_again
    the_same_delivery_of_another_subscription_is_another
    a_repeated_append_changes_nothing
    appends_at_the_same_time_are_all_stored
    an_event_that_no_trigger_waits_for_is_done_when_it_is_kept
    a_row_that_the_database_refuses_harms_no_other
    a_nul_in_a_name_is_kept_as_a_replacement
    requests_are_listed_in_pages_newest_first
    too_much_waiting_is_unavailable_at_once
    what_waits_at_close_is_committed
    a_closed_store_is_unavailable
}

async fn an_append_is_read_back_as_it_came(fixture: Fixture) {
    let mut append = fixture.append(b"{}", Some("d-1"));
    append.request.reason = Some("why".to_owned());
    let id = append.request.id.clone();
    let event_id = append.events[0].id.clone();
    let appended = fixture
        .store
        .append(append.clone())
        .await
        .expect("appended");
    assert_eq!(appended, Appended::Stored { waiting: 1 });

    let request = fixture
        .store
        .request(&fixture.workspace, &id)
        .await
        .expect("read");
    assert_eq!(
        request.expect("it is there"),
        Request {
            id: id.clone(),
            workspace_id: fixture.workspace.clone(),
            subscription_id: Some(subscription_id()),
            runnable_id: None,
            job_id: None,
            provider: "acme".to_owned(),
            method: "POST".to_owned(),
            path: "/webhooks/acme/x".to_owned(),
            query: String::new(),
            headers: serde_json::json!([["content-type", "application/json"]]),
            body_size: 2,
            received_at: fixture.now(),
            outcome: RequestOutcome::Accepted,
            status: 200,
            reason: Some("why".to_owned()),
            delivery_id: Some("d-1".to_owned()),
            events: 1,
        }
    );
    let event = fixture
        .store
        .event(&fixture.workspace, &event_id)
        .await
        .expect("read");
    assert_eq!(
        event.expect("it is there"),
        Event {
            id: event_id,
            workspace_id: fixture.workspace.clone(),
            subscription_id: subscription_id(),
            request_id: Some(id),
            ordinal: 0,
            provider: "acme".to_owned(),
            name: "push".to_owned(),
            occurred_at: None,
            received_at: fixture.now(),
            state: EventState::Pending,
            reason: None,
            matched: 0,
            tries: 0,
            due_at: fixture.now(),
            handled_at: None,
        }
    );
}

async fn a_body_of_any_kind_is_read_back_as_it_came(fixture: Fixture) {
    let mut noise = vec![0u8; 5000];
    triggerd::clock::random(&mut noise);
    for bytes in [
        body(7_700),
        body(600_000),
        noise,
        Vec::new(),
        vec![0xff, 0, 1],
    ] {
        let mut append = fixture.append(&bytes, None);
        append.events.push(NewEvent {
            id: EventId::generate(fixture.now()),
            name: "second".to_owned(),
            payload: Some(Bytes::from(bytes.repeat(2))),
            occurred_at: Some(fixture.now()),
        });
        fixture
            .store
            .append(append.clone())
            .await
            .expect("appended");
        let kept = fixture
            .store
            .request_body(&fixture.workspace, &append.request.id)
            .await
            .expect("read");
        assert_eq!(kept.as_deref(), Some(bytes.as_slice()));
        let first = fixture
            .store
            .event_payload(&fixture.workspace, &append.events[0].id)
            .await
            .expect("read");
        assert_eq!(first.as_deref(), Some(bytes.as_slice()));
        let second = fixture
            .store
            .event_payload(&fixture.workspace, &append.events[1].id)
            .await
            .expect("read");
        assert_eq!(second.as_deref(), Some(bytes.repeat(2).as_slice()));
    }
}

async fn a_refused_request_is_kept_without_its_body(fixture: Fixture) {
    let mut append = fixture.append(b"forged", None);
    append.request.body = None;
    append.request.outcome = RequestOutcome::Refused;
    append.events.clear();
    fixture
        .store
        .append(append.clone())
        .await
        .expect("appended");
    let id = append.request.id;
    assert_eq!(
        fixture
            .store
            .request_body(&fixture.workspace, &id)
            .await
            .expect("read"),
        None
    );
    let request = fixture
        .store
        .request(&fixture.workspace, &id)
        .await
        .expect("read");
    assert_eq!(request.expect("it is there").body_size, 6);
}

async fn a_repeated_delivery_is_kept_as_a_duplicate_without_events(fixture: Fixture) {
    let first = fixture.append(b"{}", Some("d-1"));
    let again = fixture.append(b"{}", Some("d-1"));
    fixture.store.append(first.clone()).await.expect("appended");
    let appended = fixture.store.append(again.clone()).await.expect("appended");
    assert_eq!(
        appended,
        Appended::Duplicate {
            request_id: first.request.id
        }
    );
    let row = fixture
        .store
        .request(&fixture.workspace, &again.request.id)
        .await;
    let row = row.expect("read").expect("it is there");
    assert_eq!((row.outcome, row.events), (RequestOutcome::Duplicate, 0));
    let event = fixture
        .store
        .event(&fixture.workspace, &again.events[0].id)
        .await;
    assert_eq!(event.expect("read"), None);
}

async fn of_equal_deliveries_in_one_commit_one_is_stored(fixture: Fixture) {
    let appends: Vec<Append> = (0..50)
        .map(|_| fixture.append(b"{}", Some("d-1")))
        .collect();
    let appended = join_all(appends.iter().map(|one| fixture.store.append(one.clone()))).await;
    let appended: Vec<Appended> = appended
        .into_iter()
        .map(|one| one.expect("appended"))
        .collect();
    let stored: Vec<&RequestId> = appends
        .iter()
        .zip(&appended)
        .filter(|(_, appended)| matches!(appended, Appended::Stored { .. }))
        .map(|(append, _)| &append.request.id)
        .collect();
    assert_eq!(stored.len(), 1);
    let others = appended
        .iter()
        .filter(|one| matches!(one, Appended::Duplicate { request_id } if request_id == stored[0]));
    assert_eq!(others.count(), 49);
    let events = fixture
        .store
        .pending_events(fixture.now(), 100)
        .await
        .expect("read");
    assert_eq!(events.len(), 1);
}

async fn an_expired_delivery_may_come_again(fixture: Fixture) {
    fixture
        .store
        .append(fixture.append(b"{}", Some("d-1")))
        .await
        .expect("appended");
    fixture.advance(3600);
    let again = fixture.append(b"{}", Some("d-1"));
    let appended = fixture.store.append(again.clone()).await.expect("appended");
    assert_eq!(appended, Appended::Stored { waiting: 1 });
    let third = fixture
        .store
        .append(fixture.append(b"{}", Some("d-1")))
        .await
        .expect("appended");
    assert_eq!(
        third,
        Appended::Duplicate {
            request_id: again.request.id
        }
    );
}

async fn the_same_delivery_of_another_subscription_is_another(fixture: Fixture) {
    let mut other = fixture.append(b"{}", Some("d-1"));
    other.request.subscription_id = triggerd::id::SubscriptionId::generate(fixture.now());
    let appends = [fixture.append(b"{}", Some("d-1")), other];
    for appended in join_all(appends.map(|one| fixture.store.append(one))).await {
        assert_eq!(appended.expect("appended"), Appended::Stored { waiting: 1 });
    }
}

async fn a_repeated_append_changes_nothing(fixture: Fixture) {
    for delivery in [None, Some("d-1")] {
        let append = fixture.append(b"{}", delivery);
        let twice = [append.clone(), append.clone()].map(|one| fixture.store.append(one));
        for appended in join_all(twice).await {
            assert_eq!(appended.expect("appended"), Appended::Stored { waiting: 1 });
        }
        let again = fixture.store.append(append).await.expect("appended");
        assert_eq!(again, Appended::Stored { waiting: 1 });
    }
    let events = fixture
        .store
        .pending_events(fixture.now(), 100)
        .await
        .expect("read");
    assert_eq!(events.len(), 2);
}

async fn appends_at_the_same_time_are_all_stored(fixture: Fixture) {
    let appends: Vec<Append> = (0..500)
        .map(|number| fixture.append(&body(number * 10), Some(&format!("d-{number}"))))
        .collect();
    for appended in join_all(appends.iter().map(|one| fixture.store.append(one.clone()))).await {
        assert_eq!(appended.expect("appended"), Appended::Stored { waiting: 1 });
    }
    let events = fixture
        .store
        .pending_events(fixture.now(), 1000)
        .await
        .expect("read");
    let found: HashSet<&EventId> = events.iter().map(|event| &event.event.id).collect();
    assert!(
        appends
            .iter()
            .all(|append| found.contains(&append.events[0].id))
    );
    let payload = |id: &EventId| {
        let event = events.iter().find(|event| event.event.id == *id);
        event.expect("it is there").payload.clone()
    };
    for append in &appends {
        assert_eq!(Some(payload(&append.events[0].id)), append.request.body);
    }
}

async fn an_event_that_no_trigger_waits_for_is_done_when_it_is_kept(fixture: Fixture) {
    let subscription = fixture.new_subscription("waits");
    let runnable = fixture.new_runnable("f/a");
    let trigger = fixture.new_trigger("on-push", &subscription.id, &runnable.id);
    let mut off = fixture.new_trigger("off", &subscription.id, &runnable.id);
    (off.event, off.enabled) = ("pull".to_owned(), false);
    let mut append = fixture.append(b"{}", Some("d-1"));
    append.request.subscription_id = subscription.id.clone();
    append.queue = Queue::WaitedFor;
    append.events[0].name = "pull".to_owned();
    append.events.push(NewEvent {
        id: EventId::generate(fixture.now()),
        name: "push".to_owned(),
        payload: None,
        occurred_at: None,
    });
    let [pull, push] = [&append.events[0].id, &append.events[1].id].map(EventId::clone);
    let changes = vec![
        Change::CreateSubscription(subscription),
        Change::CreateRunnable(runnable),
        Change::CreateTrigger(trigger),
        Change::CreateTrigger(off),
    ];
    fixture.apply(changes).await;
    let appended = fixture.store.append(append).await.expect("appended");
    assert_eq!(appended, Appended::Stored { waiting: 1 });

    let waiting = fixture.store.pending_events(fixture.now(), 10).await;
    let waiting: Vec<EventId> = waiting
        .expect("read")
        .into_iter()
        .map(|event| event.event.id)
        .collect();
    assert_eq!(waiting, [push]);
    let done = fixture.store.event(&fixture.workspace, &pull).await;
    let done = done.expect("read").expect("it is there");
    assert_eq!((done.state, done.matched), (EventState::Handled, 0));
    assert_eq!(done.handled_at, Some(fixture.now()));
    assert_eq!(
        done.reason.as_deref(),
        Some("no trigger waits for this event")
    );
}

async fn a_row_that_the_database_refuses_harms_no_other(fixture: Fixture) {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(fixture.config.url.expose())
        .await
        .expect("a connection of our own");
    let poison = match fixture.store.backend() {
        Backend::Sqlite => {
            "create trigger poison before insert on requests when new.path = '/poison' \
             begin select raise(abort, 'poison'); end"
        }
        Backend::Postgres => "alter table requests add constraint poison check (path <> '/poison')",
    };
    pool.execute(sqlx::raw_sql(poison)).await.expect("made");
    pool.close().await;

    let mut appends: Vec<Append> = (0..10).map(|_| fixture.append(b"{}", None)).collect();
    appends[4].request.path = "/poison".to_owned();
    let appended = join_all(appends.into_iter().map(|one| fixture.store.append(one))).await;
    for (number, appended) in appended.into_iter().enumerate() {
        match number {
            4 => assert!(!appended.expect_err("refused").is_unavailable()),
            _ => assert_eq!(appended.expect("appended"), Appended::Stored { waiting: 1 }),
        }
    }
}

async fn a_nul_in_a_name_is_kept_as_a_replacement(fixture: Fixture) {
    let mut append = fixture.append(b"{}", None);
    append.events[0].name = "pu\0sh".to_owned();
    fixture.store.append(append).await.expect("appended");
    let events = fixture
        .store
        .pending_events(fixture.now(), 1)
        .await
        .expect("read");
    assert_eq!(events[0].event.name, "pu\u{fffd}sh");
}

async fn requests_are_listed_in_pages_newest_first(fixture: Fixture) {
    let mut expected = Vec::new();
    for number in 0..7 {
        fixture.advance(1);
        let mut append = fixture.append(b"{}", None);
        if number % 2 == 0 {
            append.request.outcome = RequestOutcome::Refused;
            expected.push(append.request.id.clone());
        }
        fixture.store.append(append).await.expect("appended");
    }
    expected.reverse();
    let filter = RequestFilter {
        subscription_id: Some(subscription_id()),
        outcome: Some(RequestOutcome::Refused),
        delivery_id: None,
    };
    let mut query = PageQuery::first(3);
    let mut found = Vec::new();
    loop {
        let page = fixture
            .store
            .list_requests(&fixture.workspace, &filter, &query)
            .await;
        let page = page.expect("listed");
        assert!(page.items.len() <= 3);
        found.extend(page.items.into_iter().map(|request| request.id));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);

    let elsewhere = fixture
        .store
        .ensure_workspace("elsewhere")
        .await
        .expect("made");
    let page = fixture
        .store
        .list_requests(&elsewhere.id, &filter, &PageQuery::default())
        .await;
    assert!(page.expect("listed").items.is_empty());
}

async fn too_much_waiting_is_unavailable_at_once(mut fixture: Fixture) {
    fixture.config.queue_bytes_max = 100;
    fixture.reopen().await;
    let (first, second) = tokio::join!(
        fixture.store.append(fixture.append(b"{}", None)),
        fixture.store.append(fixture.append(b"{}", None)),
    );
    assert_eq!(first.expect("it fits"), Appended::Stored { waiting: 1 });
    assert!(second.expect_err("it does not").is_unavailable());
    let third = fixture.store.append(fixture.append(b"{}", None)).await;
    assert_eq!(
        third.expect("it fits again"),
        Appended::Stored { waiting: 1 }
    );
}

async fn what_waits_at_close_is_committed(mut fixture: Fixture) {
    let appends: Vec<Append> = (0..20).map(|_| fixture.append(b"{}", None)).collect();
    let all = join_all(appends.into_iter().map(|one| fixture.store.append(one)));
    let (appended, ()) = tokio::join!(all, fixture.store.close());
    assert!(appended.into_iter().all(|one| one.is_ok()));
    fixture.reopen().await;
    let events = fixture
        .store
        .pending_events(fixture.now(), 100)
        .await
        .expect("read");
    assert_eq!(events.len(), 20);
}

async fn a_closed_store_is_unavailable(fixture: Fixture) {
    fixture.store.close().await;
    let error = fixture
        .store
        .append(fixture.append(b"{}", None))
        .await
        .expect_err("closed");
    assert!(error.is_unavailable());
    assert!(
        fixture
            .store
            .ping()
            .await
            .expect_err("closed")
            .is_unavailable()
    );
}

/// Not on both: the address itself.
#[tokio::test]
async fn an_address_that_is_not_understood_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = triggerd::seal::KeyRing::load(folder.path(), None).expect("keys");
    let clock = triggerd::clock::Clock::system();
    let config = DatabaseConfig::new("mysql://me:hunter2@localhost/db");
    let error = Store::open(config, keys, clock)
        .await
        .err()
        .expect("refused");
    assert!(
        error
            .to_string()
            .contains("expected `sqlite:PATH` or `postgres://")
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}
