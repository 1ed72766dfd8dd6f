//! Leases: renewed ahead, make before break, and found again after a long absence.

use std::time::Duration;

use serde_json::json;
use trigger_plugin_abi::codes;
use triggerd::clock::Millis;
use triggerd::id::HostId;
use triggerd::model::*;
use triggerd::plugins::sync_facts::{PullFacts, Renewal, SyncFacts};
use triggerd::sync::EngineConfig;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    a_new_channel_lives_before_the_old_one_is_ended
    a_lease_that_can_be_extended_is_extended
    a_renewal_that_fails_is_repeated_until_it_works
    a_service_that_is_down_for_a_day_is_caught_up_with
    a_host_that_was_down_for_three_lifetimes_catches_up
    a_clock_that_jumped_a_day_renews_each_once
    a_clock_that_was_put_back_while_the_host_was_down_is_noticed_at_its_start
    what_a_clock_put_off_that_ran_ahead_is_done_when_it_is_put_back
    a_lease_from_before_the_clock_was_put_back_holds_nothing_up
    a_service_that_knows_no_renewal_gets_a_new_one
    a_change_that_was_refused_is_not_forgotten_by_a_renewal
}

async fn a_new_channel_lives_before_the_old_one_is_ended(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    let first = world.hooks()[0].key.clone();
    let due = read_row(&fixture, &id)
        .await
        .upkeep
        .renew_at
        .expect("a time");
    assert!(due <= fixture.later(18 * 3600) && due > fixture.later(16 * 3600));
    // The old one cannot be ended at first: both are held, and both verify.
    world.fails("delete", When::Before, codes::UPSTREAM);
    fixture.advance(18 * 3600);
    work(&engine).await;
    let held = fixture.store.registrations(&id).await.expect("read");
    let states: Vec<RegistrationState> = held.iter().map(|one| one.state).collect();
    assert_eq!(states, [RegistrationState::Live, RegistrationState::Old]);
    assert_eq!(held[1].id.as_str(), first);
    assert_eq!(world.hooks().len(), 2);
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
    fixture.advance(60);
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_ne!(world.hooks()[0].key, first);
    assert_ne!(held[0].secrets.expose(), held[1].secrets.expose());
}

async fn a_lease_that_can_be_extended_is_extended(fixture: Fixture) {
    let mut facts = channels();
    let lease = facts.lease.as_mut().expect("a lease");
    lease.renew = Renewal::Refresh;
    let world = World::new(&fixture, facts);
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    for _ in 0..72 {
        work(&engine).await;
        assert_eq!(world.hooks().len(), 1, "there is no gap");
        fixture.advance(3600);
    }
    assert_eq!(world.count("create"), 1);
    assert!((3..6).contains(&world.count("refresh")));
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
}

async fn a_renewal_that_fails_is_repeated_until_it_works(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    for _ in 0..6 {
        world.fails("create", When::Before, codes::UPSTREAM);
    }
    fixture.advance(18 * 3600);
    let mut was_degraded = false;
    for _ in 0..120 {
        work(&engine).await;
        was_degraded |= state(&fixture, &id).await.0 == SubscriptionState::Degraded;
        fixture.advance(60);
    }
    assert!(was_degraded, "it is said");
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
    assert!(world.count("create") <= 8, "{:?}", world.lock().journal);
}

/// Its channel ends meanwhile, and changes happen that nobody is told of.
async fn a_service_that_is_down_for_a_day_is_caught_up_with(fixture: Fixture) {
    let mut facts = channels();
    facts.check_every = Some(6 * HOUR);
    let world = World::new(&fixture, facts);
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    fixture.advance(17 * 3600 / 2);
    work(&engine).await;
    world.lock().is_down = true;
    let asked = world.lock().journal.len();
    for minute in 0..24 * 60 {
        world.happens(&format!("change {minute}"));
        fixture.advance(60);
        engine.tick().await.expect("a tick");
        engine.settled().await;
    }
    let tried = world.lock().journal.len() - asked;
    assert!((20..200).contains(&tried), "{tried} tries in a day");
    assert!(world.hooks().is_empty(), "its channel ended meanwhile");
    let (degraded, reason) = state(&fixture, &id).await;
    assert_eq!(degraded, SubscriptionState::Degraded);
    assert!(
        reason.contains("ended at") && reason.contains("503"),
        "{reason}"
    );
    let row = read_row(&fixture, &id).await;
    assert!(
        row.upkeep.due_at <= Some(fixture.later(3600)),
        "it is tried again soon"
    );

    world.lock().is_down = false;
    fixture.advance(3600);
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
    let page = PageQuery::first(1000);
    let mut events = 0;
    let mut query = page;
    loop {
        let filter = EventFilter::default();
        let found = fixture
            .store
            .list_events(&fixture.workspace, &filter, &query)
            .await;
        let found = found.expect("read");
        events += found.items.len();
        match found.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(events, 24 * 60, "each once");
}

async fn a_host_that_was_down_for_three_lifetimes_catches_up(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let first = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&first).await;
    drop(first);
    for number in 0..250 {
        world.happens(&format!("change {number}"));
    }
    fixture.advance(3 * 24 * 3600);
    assert!(world.hooks().is_empty(), "its channel ended long ago");
    let second = engine(&world);
    work(&second).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
    let page = PageQuery::first(1000);
    let events = fixture
        .store
        .list_events(&fixture.workspace, &EventFilter::default(), &page)
        .await;
    assert_eq!(events.expect("read").items.len(), 250, "each once");
}

async fn a_clock_that_jumped_a_day_renews_each_once(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let engine = engine(&world);
    for number in 0..20 {
        subscribe(&fixture, &format!("s{number}"), json!({})).await;
    }
    work(&engine).await;
    assert_eq!(world.count("create"), 20);
    fixture.advance(24 * 3600);
    for _ in 0..5 {
        work(&engine).await;
        fixture.advance(60);
    }
    assert_eq!(world.count("create"), 40);
    assert_eq!(world.hooks().len(), 20);

    // Put back again: nothing is renewed too late by the true time.
    let before = fixture.now();
    fixture.clock.set(Millis(before.0 - 24 * 3_600_000));
    work(&engine).await;
    for hour in 0..40 {
        fixture.advance(3600);
        work(&engine).await;
        assert_eq!(world.hooks().len(), 20, "hour {hour}");
    }
}

async fn a_clock_that_was_put_back_while_the_host_was_down_is_noticed_at_its_start(
    fixture: Fixture,
) {
    let world = World::new(&fixture, hooks());
    let owner = HostId::generate(fixture.now());
    let first = engine_as(&world, owner.clone(), EngineConfig::default());
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&first).await;
    let noted = fixture.store.note_host(&owner, fixture.now()).await;
    noted.expect("noted");
    let pokes = async || read_row(&fixture, &id).await.upkeep.pokes;
    let before = pokes().await;

    let again = engine_as(&world, owner.clone(), EngineConfig::default());
    again.recover().await.expect("recovered");
    work(&again).await;
    assert_eq!(pokes().await, before, "nothing happened to the clock");

    let day_before = fixture.now().0 - 24 * 3_600_000;
    fixture.clock.set(Millis(day_before));
    let again = engine_as(&world, owner, EngineConfig::default());
    again.recover().await.expect("recovered");
    work(&again).await;
    assert_eq!(
        pokes().await,
        before + 1,
        "what is due too late is looked at"
    );
}

async fn what_a_clock_put_off_that_ran_ahead_is_done_when_it_is_put_back(fixture: Fixture) {
    let facts = SyncFacts {
        pull: Some(PullFacts {
            every: Some(Duration::from_secs(3600)),
            at_start: true,
        }),
        ..hooks()
    };
    let world = World::new(&fixture, facts);
    let engine = engine(&world);
    let (id, failing) = (
        subscribe(&fixture, "a", json!({})).await,
        subscribe(&fixture, "b", json!({})).await,
    );
    work(&engine).await;
    let before = fixture.now();
    fixture.advance(2 * 365 * 86_400);
    work(&engine).await;
    let upkeep = async |id| read_row(&fixture, id).await.upkeep;
    assert!(upkeep(&id).await.check_at > Some(fixture.now()));
    // One fails while the clock is ahead.
    fixture.advance(7 * 3600);
    world.fails("pull", When::Before, codes::UPSTREAM);
    work(&engine).await;
    let (checks, pulls) = (world.count("check"), world.count("pull"));

    fixture.clock.set(before);
    work(&engine).await;
    assert_eq!(world.count("check"), checks + 2, "each is checked");
    assert_eq!(world.count("pull"), pulls + 2, "and pulled");
    for id in [&id, &failing] {
        let upkeep = upkeep(id).await;
        assert!(upkeep.check_at < Some(fixture.later(7 * 3600)));
        assert!(upkeep.pull_at < Some(fixture.later(2 * 3600)));
        assert!(upkeep.retry_at < Some(fixture.later(3600)));
    }
}

async fn a_lease_from_before_the_clock_was_put_back_holds_nothing_up(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let id = subscribe(&fixture, "a", json!({})).await;
    let dead = SyncClaim {
        owner: HostId::generate(fixture.now()),
        now: fixture.now(),
        lease_until: fixture.later(600),
        limit: 1,
        passed_over: Vec::new(),
    };
    let claimed = fixture.store.claim_subscription(&id, &dead).await;
    assert!(claimed.expect("asked").is_some());
    let day_before = fixture.now().0 - 24 * 3_600_000;
    fixture.clock.set(Millis(day_before));
    engine(&world).run_now(&id).await.expect("it is free");
    assert_one_and_the_same(&fixture, &world, &id).await;
    // What is due is found in the same way.
    let until = fixture.later(2 * 24 * 3600);
    let dead = SyncClaim {
        lease_until: until,
        ..dead
    };
    let claimed = fixture.store.claim_subscription(&id, &dead).await;
    assert!(claimed.expect("asked").is_some());
    let poked = fixture
        .store
        .poke_subscription(&id, Poke::Look, fixture.now());
    poked.await.expect("poked");
    let late = SyncClaim {
        now: fixture.now(),
        lease_until: fixture.later(600),
        ..dead
    };
    let due = fixture.store.claim_due_subscriptions(&late).await;
    assert_eq!(due.expect("asked").len(), 1);
}

async fn a_service_that_knows_no_renewal_gets_a_new_one(fixture: Fixture) {
    let mut facts = channels();
    facts.lease.as_mut().expect("a lease").renew = Renewal::Refresh;
    let world = World::new(&fixture, facts);
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({})).await;
    work(&engine).await;
    // It ended behind our back: the service knows nothing of it when it is renewed.
    world.lock().hooks.clear();
    fixture.advance(18 * 3600);
    work(&engine).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    let notes = read_row(&fixture, &id).await.upkeep.notes;
    assert!(
        notes[0].text.contains("does not know it any more"),
        "{notes:?}"
    );
}

async fn a_change_that_was_refused_is_not_forgotten_by_a_renewal(fixture: Fixture) {
    let mut facts = channels();
    let lease = facts.lease.as_mut().expect("a lease");
    lease.renew = Renewal::Refresh;
    // It is renewed while the change waits to be tried again.
    lease.lifetime = HOUR;
    lease.renew_before = HOUR / 2;
    let world = World::new(&fixture, facts);
    let engine = engine(&world);
    let id = subscribe(&fixture, "a", json!({ "repository": "one" })).await;
    work(&engine).await;
    world.fails("update", When::Before, codes::INVALID_INPUT);
    change_parameters(&fixture, &id, json!({ "repository": "two" })).await;
    work(&engine).await;
    fixture.advance(31 * 60);
    work(&engine).await;
    assert_eq!(world.count("refresh"), 1);
    let held = fixture.store.registrations(&id).await.expect("read");
    assert_eq!(
        held[0].parameters["repository"], "one",
        "as the service has it"
    );
    fixture.advance(29 * 60);
    work(&engine).await;
    fixture.advance(10 * 60);
    work(&engine).await;
    assert_eq!(world.hooks()[0].parameters["repository"], "two");
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
}
