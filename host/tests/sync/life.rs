//! Made, changed, paused, ended.

use serde_json::json;
use trigger_plugin_abi::codes;
use triggerd::model::*;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    a_new_subscription_is_made_once_and_is_active
    other_parameters_are_given_to_the_service
    the_events_that_triggers_wait_for_are_asked_for
    a_making_that_failed_after_it_was_made_is_undone_and_done_again
    what_a_host_makes_too_late_is_ended_by_it
    a_refused_making_says_why_and_is_not_repeated_all_the_time
    a_service_that_is_down_is_left_in_peace_and_found_again
    what_is_deleted_is_ended_at_the_service_first
    what_is_gone_at_the_service_already_is_deleted_all_the_same
    a_refused_end_keeps_the_row_and_says_so
    a_paused_subscription_is_kept_alive_and_catches_up
}

async fn a_new_subscription_is_made_once_and_is_active(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({ "repository": "o/r" })).await;
    work(&engine).await;
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(world.count("create"), 1);
    let row = read_row(&fixture, &id).await;
    assert_eq!(row.subscription.state, SubscriptionState::Active);
    assert_eq!(row.upkeep.next_action, Some(SyncAction::Check));
    assert!(row.upkeep.due_at > Some(fixture.later(5 * 3600)));
    let url = format!(
        "https://hooks.example/webhooks/acme/{}",
        row.subscription.endpoint
    );
    assert_eq!(world.hooks()[0].url, url);
    let audit = fixture
        .store
        .list_audit(Some(&fixture.workspace), &PageQuery::default())
        .await;
    let actions: Vec<String> = audit
        .expect("read")
        .items
        .into_iter()
        .map(|one| one.action)
        .collect();
    assert!(
        actions.contains(&"subscription.made".to_owned()),
        "{actions:?}"
    );
}

async fn other_parameters_are_given_to_the_service(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({ "repository": "o/r" })).await;
    work(&engine).await;
    change_parameters(&fixture, &id, json!({ "repository": "o/r", "deep": true })).await;
    work(&engine).await;
    assert_eq!(world.count("update"), 1);
    assert_eq!(world.hooks()[0].parameters["deep"], true);
    assert_one_and_the_same(&fixture, &world, &id).await;
}

async fn the_events_that_triggers_wait_for_are_asked_for(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    assert!(world.hooks()[0].events.is_empty());
    let runnable = fixture.runnable("f/x/y").await;
    let trigger = fixture.new_trigger("t", &id, &runnable.id);
    fixture
        .apply(vec![Change::CreateTrigger(trigger.clone())])
        .await;
    work(&engine).await;
    assert_eq!(world.hooks()[0].events, ["push"]);
    let mut second = fixture.new_trigger("u", &id, &runnable.id);
    second.runnable_id = runnable.id.clone();
    fixture.apply(vec![Change::CreateTrigger(second)]).await;
    work(&engine).await;
    assert_eq!(
        world.count("update"),
        1,
        "the same events are not asked for again"
    );
}

async fn a_making_that_failed_after_it_was_made_is_undone_and_done_again(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    world.fails("create", When::After, codes::UPSTREAM);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    assert_eq!(world.hooks().len(), 1, "the service did it");
    let (state_now, reason) = state(&fixture, &id).await;
    assert_eq!(state_now, SubscriptionState::Pending);
    assert!(reason.contains("said no to create"), "{reason}");
    fixture.advance(10);
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
    assert_eq!(world.lock().journal.len(), 3, "created, deleted, created");
}

async fn a_refused_making_says_why_and_is_not_repeated_all_the_time(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    world.fails("create", When::Before, codes::INVALID_INPUT);
    let id = subscribe(&fixture, "a", json!({ "repository": "wrong" })).await;
    work(&engine).await;
    fixture.advance(600);
    work(&engine).await;
    assert_eq!(world.count("create"), 1);
    let (state_now, reason) = state(&fixture, &id).await;
    assert_eq!(state_now, SubscriptionState::Pending);
    assert!(reason.contains("could not make"), "{reason}");
    assert_eq!(
        read_row(&fixture, &id).await.upkeep.next_action,
        Some(SyncAction::Make)
    );
    change_parameters(&fixture, &id, json!({ "repository": "right" })).await;
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
}

async fn a_service_that_is_down_is_left_in_peace_and_found_again(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    for _ in 0..200 {
        world.fails("create", When::Before, codes::UPSTREAM);
    }
    // A day, looked at every minute.
    for _ in 0..24 * 60 {
        fixture.advance(60);
        engine.tick().await.expect("a tick");
        engine.settled().await;
    }
    let tried = world.count("create");
    assert!((20..100).contains(&tried), "{tried} tries in a day");
    world.lock().faults.clear();
    fixture.advance(3600);
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
}

async fn what_is_deleted_is_ended_at_the_service_first(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    fixture
        .apply(vec![Change::DeleteSubscription(id.clone())])
        .await;
    assert!(read_row(&fixture, &id).await.subscription.is_deleting);
    engine.run_now(&id).await.expect("done");
    assert!(world.hooks().is_empty());
    assert!(
        fixture
            .store
            .subscription_upkeep(&id)
            .await
            .expect("read")
            .is_none()
    );
}

async fn what_is_gone_at_the_service_already_is_deleted_all_the_same(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    world.lock().hooks.clear();
    fixture
        .apply(vec![Change::DeleteSubscription(id.clone())])
        .await;
    work(&engine).await;
    assert!(
        fixture
            .store
            .subscription_upkeep(&id)
            .await
            .expect("read")
            .is_none()
    );
}

async fn a_refused_end_keeps_the_row_and_says_so(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    world.fails("delete", When::Before, codes::INVALID_INPUT);
    fixture
        .apply(vec![Change::DeleteSubscription(id.clone())])
        .await;
    work(&engine).await;
    let (_, reason) = state(&fixture, &id).await;
    assert!(
        reason.contains("cannot be ended at the service"),
        "{reason}"
    );
    assert!(reason.contains("said no to delete"), "{reason}");
    fixture
        .apply(vec![Change::ForceDeleteSubscription(id.clone())])
        .await;
    assert!(
        fixture
            .store
            .subscription_upkeep(&id)
            .await
            .expect("read")
            .is_none()
    );
}

async fn a_paused_subscription_is_kept_alive_and_catches_up(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    let pulls = world.count("pull");
    let switch = |state| Change::SetSubscriptionState {
        id: id.clone(),
        state,
        reason: None,
    };
    fixture.apply(vec![switch(SubscriptionState::Paused)]).await;
    world.happens("while it was paused");
    for _ in 0..48 {
        fixture.advance(3600);
        work(&engine).await;
        assert_eq!(world.hooks().len(), 1);
    }
    assert_eq!(world.count("pull"), pulls, "nothing is read");
    assert!(world.count("create") >= 3, "it is renewed");
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Paused);
    fixture.apply(vec![switch(SubscriptionState::Active)]).await;
    work(&engine).await;
    assert_eq!(world.count("pull"), pulls + 1);
    let events = fixture
        .store
        .list_events(
            &fixture.workspace,
            &EventFilter::default(),
            &PageQuery::default(),
        )
        .await;
    assert_eq!(events.expect("read").items.len(), 1);
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
}

/// A host stands still between its commit and its call, for longer than its lease.
async fn what_a_host_makes_too_late_is_ended_by_it(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let id = subscribe(&fixture, "a", json!({})).await;
    let (go_on, held) = tokio::sync::oneshot::channel();
    *world.held.lock().expect("no panic") = Some(held);
    let late = engine(&world);
    late.tick().await.expect("a tick");
    while world.held.lock().expect("no panic").is_some() {
        tokio::task::yield_now().await;
    }
    fixture.advance(700);
    work(&engine(&world)).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    go_on.send(()).expect("it waits");
    late.settled().await;
    assert_eq!(world.count("create"), 2);
    assert_one_and_the_same(&fixture, &world, &id).await;
}
