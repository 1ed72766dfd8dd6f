//! A credential that is refused: said, left alone, and taken up again when it is good.

use serde_json::{Map, json};
use trigger_plugin_abi::codes;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::secret::Secret;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    a_refused_credential_stops_everything_until_it_is_renewed
    what_another_run_found_shows_at_everything_that_hangs_on_the_credential
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
    let poked = fixture
        .store
        .poke_subscriptions_of_credential(&credential, fixture.now())
        .await;
    assert_eq!(poked.expect("poked"), 3);
    work(&engine).await;
    for id in &ids {
        assert_eq!(
            state(&fixture, id).await,
            (SubscriptionState::Active, String::new())
        );
    }
    assert_eq!(world.hooks().len(), 3);
}

/// A credential, and three subscriptions that hang on it.
async fn three(fixture: &Fixture) -> (CredentialId, Vec<SubscriptionId>) {
    let credential = CredentialId::generate(fixture.now());
    let new = NewCredential {
        id: credential.clone(),
        workspace_id: fixture.workspace.clone(),
        name: "ci".to_owned(),
        provider: "acme".to_owned(),
        integration_id: None,
        kind: CredentialKind::ApiKey,
        fields: Map::new(),
        secrets: Secret::new("{}".to_owned()),
        account_id: None,
        account_name: None,
        scopes: Vec::new(),
        expires_at: None,
        refresh_due_at: None,
    };
    fixture.apply(vec![Change::CreateCredential(new)]).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let id = subscribe(fixture, name, json!({})).await;
        let row = read_row(fixture, &id).await.subscription;
        let update = SubscriptionUpdate {
            id: id.clone(),
            revision: row.revision,
            parameters: row.parameters,
            properties: row.properties,
            secrets: SecretsUpdate::Keep,
            terms: Terms {
                credential_id: Some(credential.clone()),
                ..row.terms
            },
        };
        fixture
            .apply(vec![Change::UpdateSubscription(update)])
            .await;
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
        let poked = fixture
            .store
            .poke_subscriptions_of_credential(&credential, fixture.now())
            .await;
        assert_eq!(poked.expect("poked"), 3);
        work(&engine).await;
        for id in &ids {
            let (state_now, reason) = state(&fixture, id).await;
            assert_eq!(state_now, expected, "{reason}");
            assert!(reason.ends_with(refused.unwrap_or_default()), "{reason}");
        }
    }
    assert_eq!(world.lock().journal.len(), asked, "nothing else was due");
}
