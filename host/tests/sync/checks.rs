//! Checks: missing and drifted, by each policy.

use serde_json::json;
use triggerd::id::SubscriptionId;
use triggerd::model::*;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    what_is_missing_is_made_again
    what_is_missing_is_only_reported_if_that_is_wanted
    drift_is_repaired
    what_was_sent_elsewhere_is_read_after_the_repair
    drift_is_adopted
    drift_that_cannot_be_adopted_is_said
    drift_is_only_reported_if_that_is_wanted
}

async fn policy(fixture: &Fixture, id: &SubscriptionId, policy: Policy) {
    let row = read_row(fixture, id).await.subscription;
    let update = SubscriptionUpdate {
        id: id.clone(),
        revision: row.revision,
        parameters: row.parameters,
        properties: row.properties,
        secrets: SecretsUpdate::Keep,
        terms: Terms {
            policy,
            ..row.terms
        },
    };
    fixture
        .apply(vec![Change::UpdateSubscription(update)])
        .await;
}

async fn active(fixture: &Fixture, world: &World) -> (triggerd::sync::Engine, SubscriptionId) {
    let engine = engine(world);
    let id = subscribe(fixture, "a", json!({ "deep": false })).await;
    work(&engine).await;
    (engine, id)
}

fn alter(world: &World) {
    let mut state = world.lock();
    let hook = state.hooks.values_mut().next().expect("a hook");
    hook.parameters.insert("deep".to_owned(), json!(true));
}

async fn what_is_missing_is_made_again(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (engine, id) = active(&fixture, &world).await;
    world.lock().hooks.clear();
    fixture.advance(7 * 3600);
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
    let notes = read_row(&fixture, &id).await.upkeep.notes;
    assert!(notes[0].text.contains("made again"), "{notes:?}");
}

async fn what_is_missing_is_only_reported_if_that_is_wanted(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (engine, id) = active(&fixture, &world).await;
    policy(
        &fixture,
        &id,
        Policy {
            missing: OnMissing::Report,
            drift: OnDrift::Repair,
        },
    )
    .await;
    world.lock().hooks.clear();
    fixture.advance(7 * 3600);
    work(&engine).await;
    assert!(world.hooks().is_empty());
    let (state_now, reason) = state(&fixture, &id).await;
    assert_eq!(state_now, SubscriptionState::Degraded);
    assert!(reason.contains("does not know it any more"), "{reason}");
    // The operator thinks better of it.
    policy(&fixture, &id, Policy::default()).await;
    fixture
        .store
        .poke_subscription(&id, Poke::Check, fixture.now())
        .await
        .expect("poked");
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
}

async fn drift_is_repaired(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (engine, id) = active(&fixture, &world).await;
    world.lock().hooks.values_mut().next().expect("a hook").url = "https://evil.example".to_owned();
    fixture.advance(7 * 3600);
    work(&engine).await;
    assert!(world.hooks()[0].url.starts_with("https://hooks.example/"));
    let row = read_row(&fixture, &id).await;
    assert!(row.upkeep.drift.is_empty());
    assert!(
        row.upkeep.notes[0]
            .text
            .contains("repaired at the service: url")
    );
    assert_eq!(row.subscription.state, SubscriptionState::Active);
    assert_eq!(
        world.count("pull"),
        0,
        "hooks that cannot be read are not read"
    );
}

async fn what_was_sent_elsewhere_is_read_after_the_repair(fixture: Fixture) {
    let mut facts = channels();
    facts.check_every = Some(6 * HOUR);
    let world = World::new(&fixture, facts);
    let (engine, _) = active(&fixture, &world).await;
    world.lock().hooks.values_mut().next().expect("a hook").url = "https://evil.example".to_owned();
    world.happens("unheard");
    fixture.advance(7 * 3600);
    work(&engine).await;
    assert!(world.hooks()[0].url.starts_with("https://hooks.example/"));
    let filter = EventFilter::default();
    let page = PageQuery::default();
    let events = fixture
        .store
        .list_events(&fixture.workspace, &filter, &page);
    assert_eq!(events.await.expect("read").items.len(), 1);
}

async fn drift_is_adopted(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (engine, id) = active(&fixture, &world).await;
    policy(
        &fixture,
        &id,
        Policy {
            missing: OnMissing::Recreate,
            drift: OnDrift::Adopt,
        },
    )
    .await;
    alter(&world);
    world.lock().adopts = true;
    fixture.advance(7 * 3600);
    work(&engine).await;
    let row = read_row(&fixture, &id).await;
    assert_eq!(row.subscription.parameters["deep"], true);
    assert_eq!(row.subscription.state, SubscriptionState::Active);
    assert_eq!(world.count("update"), 0, "the service is left as it is");
}

async fn drift_that_cannot_be_adopted_is_said(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (engine, id) = active(&fixture, &world).await;
    policy(
        &fixture,
        &id,
        Policy {
            missing: OnMissing::Recreate,
            drift: OnDrift::Adopt,
        },
    )
    .await;
    alter(&world);
    fixture.advance(7 * 3600);
    work(&engine).await;
    let (state_now, reason) = state(&fixture, &id).await;
    assert_eq!(state_now, SubscriptionState::Degraded);
    assert!(reason.contains("cannot be adopted"), "{reason}");
}

async fn drift_is_only_reported_if_that_is_wanted(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (engine, id) = active(&fixture, &world).await;
    policy(
        &fixture,
        &id,
        Policy {
            missing: OnMissing::Recreate,
            drift: OnDrift::Report,
        },
    )
    .await;
    alter(&world);
    fixture.advance(7 * 3600);
    work(&engine).await;
    let row = read_row(&fixture, &id).await;
    assert_eq!(row.subscription.state, SubscriptionState::Degraded);
    let drift = &row.upkeep.drift[0];
    assert_eq!(drift.field, "parameters");
    assert_eq!(
        (&drift.ours["deep"], &drift.theirs["deep"]),
        (&json!(false), &json!(true))
    );
    // Someone puts it right at the service.
    world
        .lock()
        .hooks
        .values_mut()
        .next()
        .expect("a hook")
        .parameters
        .insert("deep".to_owned(), json!(false));
    fixture.advance(7 * 3600);
    work(&engine).await;
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
}
