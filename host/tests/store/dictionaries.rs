//! Bodies of one kind are compressed against one of them, and all are read back as they came.

use bytes::Bytes;
use futures_util::FutureExt as _;
use sqlx::Row;
use triggerd::id::{EventId, RequestId};
use triggerd::model::*;

use crate::fixture::{Fixture, body, on_both, pool};

on_both! {
    what_comes_often_takes_little_room_and_is_read_back_as_it_came
    each_kind_has_its_own
    what_was_refused_or_brings_no_event_becomes_none
    a_body_that_came_before_becomes_none
    after_a_day_another_takes_its_place
    a_host_that_starts_reads_what_was_written_and_makes_its_own
    one_stays_until_the_requests_of_its_day_are_gone
    one_that_is_lost_fails_its_events_in_plain_sight
    one_that_is_taken_away_in_use_is_put_back
    who_hangs_up_leaves_the_dictionary_of_what_is_kept
}

const HOUR: u64 = 3600;

/// A body of a kind: long, and with something of its own.
fn of_kind(number: u32) -> Vec<u8> {
    let common = String::from_utf8(body(7_700)).expect("text");
    format!(r#"{{"number":{number},"repository":{common}}}"#).into_bytes()
}

/// How a request's body stands in its row.
#[derive(Debug, PartialEq)]
struct Kept {
    dictionary: Option<String>,
    bytes: usize,
}

async fn kept(fixture: &Fixture, id: &RequestId) -> Kept {
    let row = sqlx::query("select dictionary_id, body from requests where id = $1")
        .bind(id.as_str())
        .fetch_one(&pool(fixture).await)
        .await
        .expect("it is there");
    let bytes: Option<Vec<u8>> = row.get("body");
    Kept {
        dictionary: row.get("dictionary_id"),
        bytes: bytes.map_or(0, |bytes| bytes.len()),
    }
}

async fn dictionaries(fixture: &Fixture) -> Vec<String> {
    let rows = sqlx::query("select id from dictionaries order by id");
    let rows = rows.fetch_all(&pool(fixture).await).await.expect("read");
    rows.iter().map(|row| row.get("id")).collect()
}

async fn keep(fixture: &Fixture, append: Append) -> RequestId {
    let id = append.request.id.clone();
    fixture.store.append(append).await.expect("appended");
    id
}

async fn read(fixture: &Fixture, id: &RequestId) -> Option<Bytes> {
    let body = fixture.store.request_body(&fixture.workspace, id).await;
    body.expect("it reads")
}

/// The dictionary of a body of this kind that comes now.
async fn used_now(fixture: &Fixture, number: u32) -> Option<String> {
    let id = keep(fixture, fixture.append(&of_kind(number), None)).await;
    assert_eq!(read(fixture, &id).await.as_deref(), Some(&*of_kind(number)));
    kept(fixture, &id).await.dictionary
}

async fn what_comes_often_takes_little_room_and_is_read_back_as_it_came(fixture: Fixture) {
    let mut events = Vec::new();
    for number in 0..5 {
        let append = fixture.append(&of_kind(number), None);
        let event = append.events[0].id.clone();
        let id = keep(&fixture, append).await;
        let kept = kept(&fixture, &id).await;
        match number {
            // The first may be the last of its kind, and the second becomes the dictionary.
            0 | 1 => {
                assert_eq!(kept.dictionary, None);
                assert!(kept.bytes > 1_000, "{kept:?}");
            }
            _ => {
                assert_eq!(kept.dictionary, dictionaries(&fixture).await.pop());
                assert!(kept.bytes < 200, "{kept:?}");
            }
        }
        assert_eq!(
            read(&fixture, &id).await.as_deref(),
            Some(&*of_kind(number))
        );
        events.push(event);
    }
    assert_eq!(dictionaries(&fixture).await.len(), 1);

    let pending = fixture.store.pending_events(fixture.now(), 10).await;
    let pending = pending.expect("read");
    assert_eq!(pending.len(), events.len());
    for (number, event) in (0..).zip(&events) {
        let one = pending.iter().find(|pending| pending.event.id == *event);
        assert_eq!(one.expect("it is due").payload, of_kind(number));
        let payload = fixture.store.event_payload(&fixture.workspace, event);
        assert_eq!(payload.await.expect("read"), Some(of_kind(number).into()));
    }
    assert_eq!(
        arguments_of_a_job(&fixture, &events[4], None).await,
        of_kind(4)
    );
    let own = Bytes::from_static(br#"{"its":"own"}"#);
    assert_eq!(
        arguments_of_a_job(&fixture, &events[3], Some(own.clone())).await,
        own
    );
}

/// What a claimed job of this event runs with.
async fn arguments_of_a_job(fixture: &Fixture, event: &EventId, arguments: Option<Bytes>) -> Bytes {
    let runnable = fixture
        .runnable(&format!("f/{}", arguments.is_some()))
        .await;
    let job = NewJob {
        event_id: Some(event.clone()),
        arguments: arguments.clone(),
        ..fixture.new_job(&runnable, b"")
    };
    let id = job.id.clone();
    let handled = vec![HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id: event.clone(),
        handling: Handling::Handled {
            jobs: vec![job],
            reason: None,
        },
    }];
    fixture.store.handle_events(handled).await.expect("handled");
    let read = fixture.store.job_arguments(&id).await.expect("read");
    let claimed = fixture.claim(&runnable, &crate::fixture::host(), 1).await;
    assert_eq!(Some(&claimed[0].arguments), read.as_ref());
    read.expect("it has some")
}

async fn each_kind_has_its_own(fixture: Fixture) {
    let mut used = Vec::new();
    for (subscription, event) in [("1", "push"), ("1", "issues"), ("2", "push")] {
        let mut last = None;
        for number in 0..3 {
            let mut append = fixture.append(&of_kind(number), None);
            let id = format!("sub_0000000000000000000000000{subscription}");
            append.request.subscription_id = id.parse().expect("an id");
            append.events[0].name = event.to_owned();
            last = Some(keep(&fixture, append).await);
        }
        used.push(kept(&fixture, &last.expect("three came")).await.dictionary);
    }
    used.sort();
    let made: Vec<Option<String>> = dictionaries(&fixture).await.into_iter().map(Some).collect();
    assert_eq!((used.len(), used), (3, made));
}

async fn what_was_refused_or_brings_no_event_becomes_none(fixture: Fixture) {
    for number in 0..4 {
        let mut refused = fixture.append(&of_kind(number), None);
        refused.request.outcome = RequestOutcome::Refused;
        keep(&fixture, refused).await;
        let mut ping = fixture.append(&of_kind(number), None);
        ping.events.clear();
        keep(&fixture, ping).await;
        keep(&fixture, fixture.append(b"{}", None)).await;
    }
    assert_eq!(dictionaries(&fixture).await, [""; 0]);
}

async fn a_body_that_came_before_becomes_none(fixture: Fixture) {
    keep(&fixture, fixture.append(&of_kind(0), Some("a"))).await;
    for _ in 0..3 {
        let again = keep(&fixture, fixture.append(&of_kind(0), Some("a"))).await;
        assert_eq!(read(&fixture, &again).await, None);
    }
    assert_eq!(dictionaries(&fixture).await, [""; 0]);
    assert_eq!(used_now(&fixture, 1).await, None);
    assert!(used_now(&fixture, 2).await.is_some());
}

async fn after_a_day_another_takes_its_place(fixture: Fixture) {
    used_now(&fixture, 0).await;
    used_now(&fixture, 1).await;
    let first = used_now(&fixture, 2).await.expect("it is used");
    fixture.advance(24 * HOUR);
    assert_eq!(used_now(&fixture, 3).await, Some(first.clone()));
    fixture.advance(1);
    assert_eq!(used_now(&fixture, 4).await, None);
    let second = used_now(&fixture, 5).await.expect("it is used");
    assert_eq!(dictionaries(&fixture).await, [first, second]);
    // Of what comes once in an hour none is made.
    fixture.advance(25 * HOUR);
    for number in 6..9 {
        assert_eq!(used_now(&fixture, number).await, None);
        fixture.advance(HOUR);
    }
    assert_eq!(dictionaries(&fixture).await.len(), 2);
}

async fn a_host_that_starts_reads_what_was_written_and_makes_its_own(mut fixture: Fixture) {
    let mut requests = Vec::new();
    for number in 0..6 {
        if number == 3 {
            fixture.advance(1);
            fixture.reopen().await;
        }
        requests.push(keep(&fixture, fixture.append(&of_kind(number), None)).await);
    }
    let [first, second] = &dictionaries(&fixture).await[..] else {
        panic!("each host has one");
    };
    let used = [None, None, Some(first), None, None, Some(second)];
    for ((number, id), dictionary) in (0..).zip(&requests).zip(used) {
        assert_eq!(read(&fixture, id).await.as_deref(), Some(&*of_kind(number)));
        assert_eq!(kept(&fixture, id).await.dictionary.as_ref(), dictionary);
    }
}

async fn one_stays_until_the_requests_of_its_day_are_gone(fixture: Fixture) {
    used_now(&fixture, 0).await;
    used_now(&fixture, 1).await;
    fixture.advance(24 * HOUR);
    let append = fixture.append(&of_kind(2), None);
    let (event, last) = (append.events[0].id.clone(), keep(&fixture, append).await);
    assert!(kept(&fixture, &last).await.dictionary.is_some());
    let trim = async |before| {
        let events = fixture.store.trim_events(before, 10).await;
        let requests = fixture.store.trim_requests(before, 10).await;
        let gone = fixture.store.trim_dictionaries(before, 10).await;
        (
            events.expect("trimmed"),
            requests.expect("trimmed"),
            gone.expect("trimmed"),
        )
    };
    // The first is older, too, but needs nothing.
    let pending = fixture.store.pending_events(fixture.now(), 10).await;
    let pending = pending.expect("read");
    let second = pending.iter().find(|one| one.payload == of_kind(1));
    fail(&fixture, second.expect("it is due").event.id.clone()).await;
    assert_eq!(
        trim(fixture.now()).await,
        (1, 1, 0),
        "one of its day is there"
    );
    assert_eq!(
        trim(fixture.later(2 * HOUR)).await,
        (0, 0, 0),
        "it is needed"
    );
    assert_eq!(read(&fixture, &last).await.as_deref(), Some(&*of_kind(2)));
    fail(&fixture, event).await;
    assert_eq!(
        trim(fixture.later(HOUR)).await,
        (1, 1, 0),
        "its day is not over"
    );
    assert_eq!(trim(fixture.later(HOUR + 1)).await, (0, 0, 1));
    assert_eq!(dictionaries(&fixture).await, [""; 0]);
}

async fn fail(fixture: &Fixture, id: EventId) {
    let handled = vec![HandledEvent {
        workspace_id: fixture.workspace.clone(),
        id,
        handling: Handling::Failed {
            reason: "done with".to_owned(),
        },
    }];
    fixture.store.handle_events(handled).await.expect("handled");
}

async fn one_that_is_lost_fails_its_events_in_plain_sight(fixture: Fixture) {
    let mut requests = Vec::new();
    for number in 0..3 {
        requests.push(keep(&fixture, fixture.append(&of_kind(number), None)).await);
    }
    let deleted = sqlx::query("delete from dictionaries");
    let deleted = deleted.execute(&pool(&fixture).await).await;
    deleted.expect("deleted");
    let last = &requests[2];
    let error = fixture.store.request_body(&fixture.workspace, last).await;
    error.expect_err("it needs what is lost");
    let pending = fixture.store.pending_events(fixture.now(), 10).await;
    assert_eq!(pending.expect("read").len(), 2, "the others are read");
    let filter = EventFilter {
        request_id: Some(last.clone()),
        ..EventFilter::default()
    };
    let page = PageQuery::first(1);
    let listed = fixture
        .store
        .list_events(&fixture.workspace, &filter, &page);
    let event = listed
        .await
        .expect("listed")
        .items
        .pop()
        .expect("its event");
    assert_eq!(event.state, EventState::Failed);
    assert_eq!(
        event.reason.as_deref(),
        Some("its payload does not read from the store")
    );
}

async fn one_that_is_taken_away_in_use_is_put_back(fixture: Fixture) {
    used_now(&fixture, 0).await;
    used_now(&fixture, 1).await;
    let before = keep(&fixture, fixture.append(&of_kind(2), None)).await;
    let there = dictionaries(&fixture).await;
    let deleted = sqlx::query("delete from dictionaries");
    let deleted = deleted.execute(&pool(&fixture).await).await;
    deleted.expect("deleted");
    assert_eq!(used_now(&fixture, 3).await.as_ref(), Some(&there[0]));
    assert_eq!(dictionaries(&fixture).await, there);
    assert_eq!(read(&fixture, &before).await.as_deref(), Some(&*of_kind(2)));
}

async fn who_hangs_up_leaves_the_dictionary_of_what_is_kept(fixture: Fixture) {
    used_now(&fixture, 0).await;
    let append = fixture.append(&of_kind(1), None);
    let id = append.request.id.clone();
    // It is on its way when it is not waited for any more.
    drop(fixture.store.append(append).now_or_never());
    used_now(&fixture, 2).await;
    assert_eq!(read(&fixture, &id).await.as_deref(), Some(&*of_kind(1)));
    assert!(used_now(&fixture, 3).await.is_some());
    assert_eq!(dictionaries(&fixture).await.len(), 1);
}
