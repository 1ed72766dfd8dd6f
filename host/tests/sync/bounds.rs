//! What a plugin hands back too large: refused as a whole, or cut, and never kept as it came.

use serde_json::{Value, json};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::Drift;
use triggerd::id::SubscriptionId;
use triggerd::model::*;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

const MEGABYTE: usize = 1 << 20;

on_both! {
    an_answer_that_is_too_large_is_refused_and_what_was_made_is_ended
    a_cursor_that_is_too_large_is_refused_with_its_events
    an_error_that_is_too_long_is_cut
    a_difference_that_is_too_large_is_not_shown_as_it_is
    notes_that_are_too_long_or_too_many_are_cut
    state_that_is_too_large_is_refused_with_its_events
}

async fn an_answer_that_is_too_large_is_refused_and_what_was_made_is_ended(fixture: Fixture) {
    for answer_len in [65 << 10, 17 * MEGABYTE] {
        let world = World::new(&fixture, hooks());
        let engine = engine(&world);
        world.lock().answer_len = answer_len;
        let id = subscribe(&fixture, &format!("a{answer_len}"), json!({})).await;
        work(&engine).await;
        let (state_now, reason) = state(&fixture, &id).await;
        assert_eq!(state_now, SubscriptionState::Pending);
        assert!(reason.contains("found an answer of"), "{reason}");
        let held = fixture.store.registrations(&id).await.expect("read");
        assert!(held.iter().all(|one| one.properties.is_empty()));
        world.lock().answer_len = 0;
        fixture.advance(60);
        work(&engine).await;
        assert_eq!((world.count("create"), world.count("delete")), (2, 1));
        assert_one_and_the_same(&fixture, &world, &id).await;
    }
}

/// One that was pulled once, from where there was nothing.
async fn pulled(fixture: &Fixture, world: &World) -> (triggerd::sync::Engine, SubscriptionId) {
    let engine = engine(world);
    let id = subscribe(fixture, "a", json!({})).await;
    work(&engine).await;
    assert!(read_row(fixture, &id).await.upkeep.cursor.is_some());
    world.happens("one");
    (engine, id)
}

async fn pull_again(fixture: &Fixture, engine: &triggerd::sync::Engine, id: &SubscriptionId) {
    let poked = fixture
        .store
        .poke_subscription(id, Poke::Everything, fixture.now());
    poked.await.expect("poked");
    work(engine).await;
}

async fn events(fixture: &Fixture) -> usize {
    let page = PageQuery::first(100);
    let found = fixture
        .store
        .list_events(&fixture.workspace, &EventFilter::default(), &page)
        .await;
    found.expect("read").items.len()
}

async fn a_cursor_that_is_too_large_is_refused_with_its_events(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = pulled(&fixture, &world).await;
    let before = read_row(&fixture, &id).await.upkeep.cursor;
    world.lock().cursor_len = 65 << 10;
    pull_again(&fixture, &engine, &id).await;
    let upkeep = read_row(&fixture, &id).await.upkeep;
    assert_eq!(upkeep.cursor, before);
    let error = upkeep.last_error.unwrap_or_default();
    assert!(error.contains("found a cursor of 66561 bytes"), "{error}");
    assert_eq!(events(&fixture).await, 0);
    world.lock().cursor_len = 0;
    pull_again(&fixture, &engine, &id).await;
    assert_eq!(
        events(&fixture).await,
        1,
        "it comes with the next good cursor"
    );
}

async fn an_error_that_is_too_long_is_cut(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let error = CallError {
        detail: Some("é".repeat(MEGABYTE)),
        ..CallError::new(
            codes::UPSTREAM,
            "a page of the service ".repeat(MEGABYTE / 20),
        )
    };
    world
        .lock()
        .faults
        .push_back(("create", When::Before, error));
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    let row = read_row(&fixture, &id).await;
    let kept = row.upkeep.last_error.unwrap_or_default();
    assert!(kept.contains("a page of the service"), "{kept}");
    assert!(
        kept.chars().count() < 700,
        "{} characters",
        kept.chars().count()
    );
    let reason = row.subscription.state_reason.unwrap_or_default();
    assert!(
        reason.chars().count() < 700,
        "{} characters",
        reason.chars().count()
    );
}

async fn a_difference_that_is_too_large_is_not_shown_as_it_is(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    let row = read_row(&fixture, &id).await.subscription;
    let update = SubscriptionUpdate {
        id: id.clone(),
        revision: row.revision,
        parameters: row.parameters,
        properties: row.properties,
        secrets: SecretsUpdate::Keep,
        terms: Terms {
            policy: Policy {
                drift: OnDrift::Report,
                ..row.terms.policy
            },
            ..row.terms
        },
    };
    fixture
        .apply(vec![Change::UpdateSubscription(update)])
        .await;
    let drift = (0..500).map(|number| Drift {
        field: format!("{number}{}", "f".repeat(10_000)),
        ours: Value::from("short"),
        theirs: Value::from("x".repeat(10_000)),
    });
    world.lock().drift = drift.collect();
    fixture.advance(7 * 3600);
    work(&engine).await;
    let shown = read_row(&fixture, &id).await.upkeep.drift;
    assert_eq!(shown.len(), 50);
    assert_eq!(shown[0].field.chars().count(), 300);
    assert_eq!(shown[0].ours, "short");
    assert_eq!(shown[0].theirs, "a value of 10002 bytes");
    let (_, reason) = state(&fixture, &id).await;
    assert!(reason.chars().count() < 700, "{reason}");
}

async fn notes_that_are_too_long_or_too_many_are_cut(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = pulled(&fixture, &world).await;
    let notes = (0..1000).map(|number| format!("{number} {}", "n".repeat(5000)));
    world.lock().notes = notes.collect();
    pull_again(&fixture, &engine, &id).await;
    let notes = read_row(&fixture, &id).await.upkeep.notes;
    assert_eq!(notes.len(), 20);
    assert!(notes.iter().all(|note| note.text.chars().count() == 500));
    assert!(notes[19].text.starts_with("999 "), "the newest stay");
}

async fn state_that_is_too_large_is_refused_with_its_events(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let (engine, id) = pulled(&fixture, &world).await;
    for (key, value) in [
        ("k".repeat(257), json!("small")),
        ("key".to_owned(), json!("x".repeat(16 << 10))),
    ] {
        world.lock().kept = [(key.clone(), Some(value))].into();
        pull_again(&fixture, &engine, &id).await;
        let error = read_row(&fixture, &id).await.upkeep.last_error;
        let error = error.unwrap_or_default();
        assert!(error.contains("bytes to keep under a key of"), "{error}");
        let kept = fixture.store.subscription_state(&id, &[key]).await;
        assert!(kept.expect("read").is_empty());
        assert_eq!(events(&fixture).await, 0);
    }
    world.lock().kept.clear();
    pull_again(&fixture, &engine, &id).await;
    assert_eq!(events(&fixture).await, 1);
}
