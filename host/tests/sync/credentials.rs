//! A credential that is refused: said, left alone, and taken up again when it is good.

use serde_json::json;
use trigger_plugin_abi::codes;
use triggerd::id::*;
use triggerd::model::*;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    a_refused_credential_stops_everything_until_it_is_renewed
    what_another_run_found_shows_at_everything_that_hangs_on_the_credential
    another_credential_takes_over_what_is_there
    a_credential_that_does_not_see_what_is_there_makes_its_own_before_the_other_ends_it
    a_credential_of_another_place_touches_nothing_there_with_the_ids_of_the_old_one
    a_credential_that_was_replaced_because_it_was_revoked_is_not_needed_any_more
    a_credential_with_something_left_to_end_is_not_deleted
}

async fn a_refused_credential_stops_everything_until_it_is_renewed(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let engine = engine(&world);
    let (credential, ids) = three(&fixture).await;
    work(&engine).await;
    assert_eq!(world.hooks().len(), 3);

    for _ in 0..3 {
        world.fails("create", When::Before, codes::CREDENTIALS);
    }
    fixture.advance(18 * 3600);
    work(&engine).await;
    let asked = world.lock().journal.len();
    for id in &ids {
        let (state_now, reason) = state(&fixture, id).await;
        assert_eq!(state_now, SubscriptionState::Degraded);
        assert!(reason.contains("needs reconnecting"), "{reason}");
        let next = read_row(&fixture, id).await.upkeep.next_action;
        assert_eq!(next, Some(SyncAction::Reconnect));
    }
    for _ in 0..100 {
        fixture.advance(60);
        work(&engine).await;
    }
    assert_eq!(
        world.lock().journal.len(),
        asked,
        "the service is not asked again"
    );

    world.lock().faults.clear();
    *world.refused.lock().expect("no panic") = None;
    is_refused(&fixture, &credential).await;
    is_good(&fixture, &credential).await;
    work(&engine).await;
    for id in &ids {
        assert_eq!(
            state(&fixture, id).await,
            (SubscriptionState::Active, String::new())
        );
    }
    assert_eq!(world.hooks().len(), 3);
}

/// Somebody found out, maybe at another host.
async fn is_refused(fixture: &Fixture, credential: &CredentialId) {
    let refused = fixture.store.refuse_credential(credential, 1, "revoked");
    assert!(refused.await.expect("kept"));
}

async fn is_good(fixture: &Fixture, credential: &CredentialId) {
    let good = fixture.store.reactivate_credential(credential, 1);
    good.await.expect("kept");
}

/// A credential, and three subscriptions that hang on it.
async fn three(fixture: &Fixture) -> (CredentialId, Vec<SubscriptionId>) {
    let credential = credential(fixture, "ci", None).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let id = subscribe(fixture, name, json!({})).await;
        give(fixture, &id, &credential).await;
        ids.push(id);
    }
    (credential, ids)
}

async fn what_another_run_found_shows_at_everything_that_hangs_on_the_credential(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    let engine = engine(&world);
    let (credential, ids) = three(&fixture).await;
    work(&engine).await;
    let asked = world.lock().journal.len();

    for (refused, expected) in [
        (Some("revoked"), SubscriptionState::Degraded),
        (None, SubscriptionState::Active),
    ] {
        *world.refused.lock().expect("no panic") = refused.map(str::to_owned);
        match refused {
            Some(_) => is_refused(&fixture, &credential).await,
            None => is_good(&fixture, &credential).await,
        }
        work(&engine).await;
        for id in &ids {
            let (state_now, reason) = state(&fixture, id).await;
            assert_eq!(state_now, expected, "{reason}");
            assert!(reason.ends_with(refused.unwrap_or_default()), "{reason}");
        }
    }
    assert_eq!(world.lock().journal.len(), asked, "nothing else was due");
}

/// One hook, made in the name of the first of two credentials.
async fn with_two(
    fixture: &Fixture,
    world: &World,
    other_place: Option<IntegrationId>,
) -> (SubscriptionId, CredentialId, CredentialId) {
    let first = credential(fixture, "first", None).await;
    let second = credential(fixture, "second", other_place).await;
    let id = subscribe(fixture, "a", json!({})).await;
    give(fixture, &id, &first).await;
    work(&engine(world)).await;
    assert_eq!(world.hooks()[0].owner, first.to_string());
    (id, first, second)
}

/// What the service was asked, without keys.
fn asked(world: &World) -> Vec<String> {
    let state = world.lock();
    let words = state.journal.iter().map(|one| one.split(' ').next());
    words
        .map(|word| word.unwrap_or_default().to_owned())
        .collect()
}

async fn another_credential_takes_over_what_is_there(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (id, _, second) = with_two(&fixture, &world, None).await;
    give(&fixture, &id, &second).await;
    work(&engine(&world)).await;
    assert_eq!(asked(&world), ["create", "update"]);
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(world.hooks()[0].owner, second.to_string());
    let held = fixture.store.registrations(&id).await.expect("read");
    assert_eq!(held[0].credential_id.as_ref(), Some(&second));
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
}

async fn a_credential_that_does_not_see_what_is_there_makes_its_own_before_the_other_ends_it(
    fixture: Fixture,
) {
    let world = World::new(&fixture, hooks());
    let (id, _, second) = with_two(&fixture, &world, None).await;
    world.lock().hides_from_others = true;
    give(&fixture, &id, &second).await;
    work(&engine(&world)).await;
    assert_eq!(asked(&world), ["create", "update", "create", "delete"]);
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(world.hooks()[0].owner, second.to_string());
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
}

async fn a_credential_of_another_place_touches_nothing_there_with_the_ids_of_the_old_one(
    fixture: Fixture,
) {
    let world = World::new(&fixture, hooks());
    let place = IntegrationId::generate(fixture.now());
    let new = NewIntegration {
        id: place.clone(),
        workspace_id: fixture.workspace.clone(),
        name: "elsewhere".to_owned(),
        provider: "acme".to_owned(),
        base_url: Some("https://elsewhere.example".to_owned()),
        client_id: None,
        client_secret: None,
    };
    fixture.apply(vec![Change::CreateIntegration(new)]).await;
    let (id, first, second) = with_two(&fixture, &world, Some(place)).await;
    let engine = engine(&world);
    // Its making there fails for a while: nothing is asked about the one of the old place either.
    for _ in 0..3 {
        world.fails("create", When::Before, codes::INVALID_INPUT);
    }
    give(&fixture, &id, &second).await;
    work(&engine).await;
    fixture.advance(7 * 3600);
    work(&engine).await;
    let before = asked(&world);
    assert!(
        before
            .iter()
            .skip(1)
            .all(|word| word == "create" || word == "delete"),
        "{before:?}"
    );
    assert_eq!(
        world.hooks()[0].owner,
        first.to_string(),
        "it is left as it is"
    );
    world.lock().faults.clear();
    fixture.advance(7 * 3600);
    work(&engine).await;
    let told = asked(&world);
    assert_eq!(told[told.len() - 2..], ["create", "delete"]);
    assert!(!told.contains(&"update".to_owned()), "{told:?}");
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(world.hooks()[0].owner, second.to_string());
    assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
}

async fn a_credential_that_was_replaced_because_it_was_revoked_is_not_needed_any_more(
    fixture: Fixture,
) {
    let mut facts = channels();
    facts.pull = None;
    let world = World::new(&fixture, facts);
    let (id, first, second) = with_two(&fixture, &world, None).await;
    world.refused_alone.lock().expect("no panic").push(first);
    // The service cannot change what is there, so that the old one has to be ended.
    world.fails("update", When::Before, codes::UNSUPPORTED);
    give(&fixture, &id, &second).await;
    work(&engine(&world)).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    assert_eq!(world.hooks()[0].owner, second.to_string());
    assert_eq!(
        state(&fixture, &id).await,
        (SubscriptionState::Active, String::new())
    );
}

async fn a_credential_with_something_left_to_end_is_not_deleted(fixture: Fixture) {
    let world = World::new(&fixture, hooks());
    let (id, first, second) = with_two(&fixture, &world, None).await;
    world.lock().hides_from_others = true;
    world.fails("delete", When::Before, codes::UPSTREAM);
    give(&fixture, &id, &second).await;
    work(&engine(&world)).await;
    assert_eq!(world.hooks().len(), 2, "the old one could not be ended yet");
    let actor = Actor {
        workspace_id: fixture.workspace.clone(),
        token_id: None,
    };
    let delete = || vec![Change::DeleteCredential(first.clone())];
    let refused = fixture.store.apply(&actor, delete()).await;
    let refused = refused.expect_err("it is in use").to_string();
    assert!(refused.contains("used by subscriptions (a)"), "{refused}");
    fixture.advance(60);
    work(&engine(&world)).await;
    assert_one_and_the_same(&fixture, &world, &id).await;
    fixture
        .store
        .apply(&actor, delete())
        .await
        .expect("it is free");
}
