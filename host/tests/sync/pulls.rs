//! Pulls: a durable cursor, events once, lost cursors said, timers to the second.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trigger_plugin_abi::codes;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::plugins::sync_facts::{PullFacts, SyncFacts};

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    a_hint_is_followed_by_the_changes_themselves
    a_hint_that_comes_during_a_pull_is_followed_by_another
    every_page_is_read
    a_service_that_promises_more_of_nothing_is_not_asked_for_ever
    a_service_that_asks_for_a_hundred_years_is_asked_again_tomorrow
    a_lost_cursor_is_read_anew_and_said
    a_throttled_pull_waits_as_long_as_it_was_asked_to
    a_subscription_is_pulled_when_its_operator_says
    without_its_operators_word_a_subscription_is_pulled_as_its_provider_declares
    another_word_of_the_operator_is_followed_instead_of_the_one_before
    a_timer_fires_to_the_second_and_not_if_it_was_withdrawn
}

async fn active(fixture: &Fixture, world: &World) -> (triggerd::sync::Engine, SubscriptionId) {
    let engine = engine(world);
    let id = subscribe(fixture, "a", json!({})).await;
    work(&engine).await;
    assert_eq!(world.count("pull"), 1, "a first cursor is fetched");
    (engine, id)
}

/// A push that says only that something changed.
async fn hint(fixture: &Fixture, id: &SubscriptionId) {
    let mut append = fixture.append(b"", None);
    append.request.subscription_id = id.clone();
    append.events.clear();
    append.wake = true;
    fixture.store.append(append).await.expect("appended");
}

async fn changes(fixture: &Fixture) -> BTreeSet<String> {
    let page = PageQuery::first(1000);
    let filter = EventFilter {
        name: Some("change".to_owned()),
        ..EventFilter::default()
    };
    let found = fixture
        .store
        .list_events(&fixture.workspace, &filter, &page)
        .await
        .expect("read");
    let mut told = BTreeSet::new();
    for event in found.items {
        let payload = fixture
            .store
            .event_payload(&fixture.workspace, &event.id)
            .await
            .expect("read")
            .expect("one");
        let payload: Value = serde_json::from_slice(&payload).expect("JSON");
        assert!(
            told.insert(payload["change"].as_str().expect("a text").to_owned()),
            "twice"
        );
    }
    told
}

fn names(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("c{number}")).collect()
}

/// Changes the operator's word, and does what is due then.
async fn set_poll(
    fixture: &Fixture,
    engine: &triggerd::sync::Engine,
    id: &SubscriptionId,
    poll: Option<Poll>,
) {
    let row = read_row(fixture, id).await.subscription;
    let update = SubscriptionUpdate {
        id: id.clone(),
        revision: row.revision,
        parameters: row.parameters,
        properties: row.properties,
        secrets: SecretsUpdate::Keep,
        terms: Terms { poll, ..row.terms },
    };
    fixture
        .apply(vec![Change::UpdateSubscription(update)])
        .await;
    work(engine).await;
}

fn yearly() -> Poll {
    Poll::At {
        cron: "0 0 0 1 1 *".to_owned(),
        timezone: "UTC".to_owned(),
    }
}

async fn without_its_operators_word_a_subscription_is_pulled_as_its_provider_declares(
    fixture: Fixture,
) {
    let hour = std::time::Duration::from_secs(3600);
    for every in [Some(hour), None] {
        let pull = PullFacts {
            every,
            at_start: true,
        };
        let facts = SyncFacts {
            pull: Some(pull),
            ..channels()
        };
        let world = World::new(&fixture, facts);
        let engine = engine(&world);
        let name = format!("by-provider-{}", every.is_some());
        let id = subscribe(&fixture, &name, json!({})).await;
        work(&engine).await;
        let declared = read_row(&fixture, &id).await.upkeep.pull_at;
        assert_eq!(declared.is_some(), every.is_some());
        // The operator's word moves a pull only to where it is sooner, until it was pulled by it.
        set_poll(&fixture, &engine, &id, Some(yearly())).await;
        fixture.advance(2 * 3600);
        work(&engine).await;
        let pull_at = read_row(&fixture, &id).await.upkeep.pull_at;
        assert!(pull_at > Some(fixture.later(86_400)), "{pull_at:?}");
        set_poll(&fixture, &engine, &id, None).await;
        let pull_at = read_row(&fixture, &id).await.upkeep.pull_at;
        match every {
            Some(_) => assert!(pull_at < Some(fixture.later(2 * 3600)), "{pull_at:?}"),
            None => assert_eq!(pull_at, None, "it declares none"),
        }
    }
}

async fn another_word_of_the_operator_is_followed_instead_of_the_one_before(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    let minutes = std::time::Duration::from_secs(300);
    set_poll(&fixture, &engine, &id, Some(Poll::Every(minutes))).await;
    let pull_at = async || {
        read_row(&fixture, &id)
            .await
            .upkeep
            .pull_at
            .expect("a time")
    };
    let first = pull_at().await;
    // The same word again puts nothing off; the time is spread anew, and the sooner one holds.
    set_poll(&fixture, &engine, &id, Some(Poll::Every(minutes))).await;
    assert!(pull_at().await <= first);
    set_poll(&fixture, &engine, &id, Some(yearly())).await;
    let new_year = pull_at().await;
    assert_eq!(new_year.0 % 86_400_000, 0, "{new_year}");
    // What is to be pulled now is not forgotten by it.
    hint(&fixture, &id).await;
    set_poll(&fixture, &engine, &id, Some(Poll::Every(minutes))).await;
    assert_eq!(world.count("pull"), 2);
}

async fn a_subscription_is_pulled_when_its_operator_says(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    let set = async |poll: Poll| set_poll(&fixture, &engine, &id, Some(poll)).await;
    set(Poll::Every(std::time::Duration::from_secs(60))).await;
    assert_eq!(world.count("pull"), 1, "not at once");
    for pulls in 2..=4 {
        fixture.advance(67);
        work(&engine).await;
        assert_eq!(world.count("pull"), pulls);
    }
    // At the full minutes; the clock of the tests starts at 20 s past one.
    set(Poll::At {
        cron: "0 * * * * *".to_owned(),
        timezone: "UTC".to_owned(),
    })
    .await;
    let due = read_row(&fixture, &id)
        .await
        .upkeep
        .pull_at
        .expect("a time");
    assert_eq!(
        (due.0 % 60_000, due.since(fixture.now()).as_secs() < 60),
        (0, true)
    );
    fixture.clock.set(due);
    work(&engine).await;
    assert_eq!(world.count("pull"), 5);
}

async fn a_hint_is_followed_by_the_changes_themselves(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    work(&engine).await;
    assert_eq!(world.count("pull"), 1, "without a hint nothing is read");
    world.happens("c0");
    hint(&fixture, &id).await;
    work(&engine).await;
    assert_eq!(changes(&fixture).await, names(1));
    assert_eq!(
        read_row(&fixture, &id).await.upkeep.cursor.as_deref(),
        Some("1")
    );
}

async fn a_hint_that_comes_during_a_pull_is_followed_by_another(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    hint(&fixture, &id).await;
    let claim = SyncClaim {
        owner: HostId::generate(fixture.now()),
        now: fixture.now(),
        lease_until: fixture.later(60),
        limit: 1,
        passed_over: Vec::new(),
    };
    let held = fixture
        .store
        .claim_due_subscriptions(&claim)
        .await
        .expect("claimed")
        .remove(0);
    world.happens("c0");
    hint(&fixture, &id).await;
    // The run that read before the hint ends without knowing of it.
    let mut upkeep = held.upkeep.clone();
    upkeep.pull_at = None;
    let done = Progress {
        subscription_id: id.clone(),
        fence: held.fence,
        registrations: Vec::new(),
        upkeep,
        health: None,
        adopted: None,
        pulled: None,
        audit: Vec::new(),
        end: End::Release {
            due_at: None,
            next_action: None,
        },
    };
    fixture
        .store
        .progress_subscription(done)
        .await
        .expect("kept");
    work(&engine).await;
    assert_eq!(changes(&fixture).await, names(1));
}

async fn every_page_is_read(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    world.lock().page = 7;
    for name in names(250) {
        world.happens(&name);
    }
    hint(&fixture, &id).await;
    work(&engine).await;
    assert_eq!(changes(&fixture).await, names(250));
}

async fn a_lost_cursor_is_read_anew_and_said(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    for name in ["c0", "c1", "c2"] {
        world.happens(name);
        hint(&fixture, &id).await;
        work(&engine).await;
        fixture.advance(1);
    }
    world.happens("c3");
    world.lock().oldest_cursor = 4;
    hint(&fixture, &id).await;
    work(&engine).await;
    assert_eq!(
        changes(&fixture).await,
        names(4),
        "those that were read before do not come again"
    );
    let row = read_row(&fixture, &id).await;
    assert!(
        row.upkeep.notes[0].text.contains("the cursor was lost"),
        "{:?}",
        row.upkeep.notes
    );
    assert_eq!(row.upkeep.cursor.as_deref(), Some("4"));
    assert!(world.lock().journal.contains(&"pull since".to_owned()));
}

async fn a_throttled_pull_waits_as_long_as_it_was_asked_to(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    let mut error = trigger_plugin_abi::host::CallError::new(codes::RATE_LIMITED, "slow down");
    error.retry_after_ms = Some(60_000);
    world.lock().faults.push_back(("pull", When::Before, error));
    world.happens("c0");
    hint(&fixture, &id).await;
    for _ in 0..59 {
        work(&engine).await;
        hint(&fixture, &id).await;
        fixture.advance(1);
    }
    assert_eq!(
        world.count("pull"),
        2,
        "the one before, and the one that was refused"
    );
    assert_eq!(
        state(&fixture, &id).await.0,
        SubscriptionState::Active,
        "that is no trouble"
    );
    fixture.advance(10);
    work(&engine).await;
    assert_eq!(changes(&fixture).await, names(1));
}

async fn a_timer_fires_to_the_second_and_not_if_it_was_withdrawn(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    let at = fixture.later(90).0;
    for key in ["a", "b"] {
        world.lock().timers.insert(key.to_owned(), Some(at));
    }
    hint(&fixture, &id).await;
    work(&engine).await;
    world.lock().timers.insert("b".to_owned(), None);
    hint(&fixture, &id).await;
    work(&engine).await;
    let started = async || {
        let filter = EventFilter {
            name: Some("started".to_owned()),
            ..EventFilter::default()
        };
        let found = fixture
            .store
            .list_events(&fixture.workspace, &filter, &PageQuery::default())
            .await;
        found.expect("read").items
    };
    for _ in 0..89 {
        fixture.advance(1);
        engine.fire_timers().await.expect("a tick");
    }
    assert!(started().await.is_empty());
    fixture.advance(1);
    engine.fire_timers().await.expect("a tick");
    engine.fire_timers().await.expect("a tick");
    let events = started().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].received_at.0, at);
}

async fn a_service_that_promises_more_of_nothing_is_not_asked_for_ever(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    world.lock().promises_more = true;
    let asked = world.count("pull");
    world.happens("a change");
    hint(&fixture, &id).await;
    work(&engine).await;
    assert!(
        world.count("pull") - asked <= 2,
        "{:?}",
        world.lock().journal
    );
    assert_eq!(changes(&fixture).await.len(), 1);
}

async fn a_service_that_asks_for_a_hundred_years_is_asked_again_tomorrow(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = active(&fixture, &world).await;
    let error = trigger_plugin_abi::host::CallError {
        retry_after_ms: Some(u64::MAX),
        ..trigger_plugin_abi::host::CallError::new(codes::RATE_LIMITED, "slow down")
    };
    world.lock().faults.push_back(("pull", When::Before, error));
    hint(&fixture, &id).await;
    work(&engine).await;
    let due = read_row(&fixture, &id).await.upkeep.due_at.expect("a time");
    assert!(
        due > fixture.later(23 * 3600) && due < fixture.later(27 * 3600),
        "{due}"
    );
}
