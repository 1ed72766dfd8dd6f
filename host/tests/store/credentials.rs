//! Integrations and credentials: made, changed, renewed by one host at a time, deleted when free.

use serde_json::json;
use triggerd::clock::Millis;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::secret::Secret;

use crate::fixture::{Fixture, host, on_both, pool};

on_both! {
    an_integration_is_made_changed_and_keeps_its_secret
    what_credentials_use_is_not_deleted
    a_credential_is_found_with_its_secrets
    objects_of_another_workspace_are_not_there
    a_change_makes_a_refused_credential_active_and_fences_renewals
    one_host_renews_and_its_tokens_are_kept
    a_lease_that_is_over_is_taken_and_the_late_refusal_counts_for_nothing
    tokens_that_the_service_gave_are_kept_from_whoever_brings_them_first
    a_failed_renewal_is_due_again
    a_refused_credential_is_due_no_more
    a_refusal_of_an_older_generation_is_passed_over
    due_credentials_are_found_by_their_time
    subscriptions_hold_their_credential_until_it_is_taken_from_them
    of_many_claims_at_once_one_is_granted
    a_refusal_is_noted_and_told_and_wakes_what_hangs_on_it_in_one_commit
    what_waited_for_a_credential_goes_on_in_the_commit_that_makes_it_good
    the_renewal_of_a_good_credential_wakes_nothing
    a_renewal_that_was_cut_off_is_due_at_once_and_remembered
}

async fn a_refusal_is_noted_and_told_and_wakes_what_hangs_on_it_in_one_commit(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let subscription = dependent(&fixture, &id).await;
    let store = &fixture.store;
    let set = Change::SetWorkspaceHook(order());
    let actor = fixture.actor();
    store.apply(&actor, vec![set]).await.expect("set");
    assert!(!is_due_now(&fixture, &subscription).await);
    let refused = store.refuse_credential(&id, 1, "revoked").await;
    assert!(refused.expect("kept"));
    assert!(is_due_now(&fixture, &subscription).await);
    let page = PageQuery::default();
    let audit = store.list_audit(Some(&fixture.workspace), &page).await;
    let mut noted = audit.expect("read").items.into_iter();
    let noted = noted.find(|entry| entry.action == "credential.refused");
    assert_eq!(noted.expect("it is noted").detail["reason"], "revoked");
    let hook = store.workspace_hook(&fixture.workspace).await;
    assert_eq!(hook.expect("read").expect("set").waiting, 1, "it is told");
}

async fn what_waited_for_a_credential_goes_on_in_the_commit_that_makes_it_good(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let store = &fixture.store;
    let refused = store.refuse_credential(&id, 1, "revoked").await;
    assert!(refused.expect("kept"));
    let subscription = dependent(&fixture, &id).await;
    store.reactivate_credential(&id, 1).await.expect("kept");
    assert!(is_due_now(&fixture, &subscription).await);

    let id = credential(&fixture, "away").await;
    let subscription = {
        let fence = claimed(&fixture, &id, 1).await.expect("free");
        let postponed = store.postpone_refresh(&id, fence, Some(fixture.later(5)), "away");
        postponed.await.expect("kept");
        make_room(&fixture, &subscription).await;
        dependent(&fixture, &id).await
    };
    let kept = store.keep_tokens(&tokens(&id, 1, "{}")).await;
    assert!(kept.expect("kept"));
    assert!(is_due_now(&fixture, &subscription).await);
}

/// For another one of its name.
async fn make_room(fixture: &Fixture, id: &SubscriptionId) {
    let gone = Change::ForceDeleteSubscription(id.clone());
    fixture.apply(vec![gone]).await;
}

async fn the_renewal_of_a_good_credential_wakes_nothing(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let subscription = dependent(&fixture, &id).await;
    claimed(&fixture, &id, 1).await.expect("free");
    let kept = fixture.store.keep_tokens(&tokens(&id, 1, "{}")).await;
    assert!(kept.expect("kept"));
    assert!(!is_due_now(&fixture, &subscription).await);
}

async fn a_renewal_that_was_cut_off_is_due_at_once_and_remembered(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let dead = claim(&fixture, &id, 1);
    let store = &fixture.store;
    let first = store.claim_refresh(&dead).await.expect("asked");
    assert_eq!(first.expect("free").cut_off_at, None);
    let recovered = store.recover_own_refreshes(&dead.owner, fixture.now());
    assert_eq!(recovered.await.expect("recovered"), 1);
    let due = store.due_refreshes(fixture.now(), 10).await.expect("read");
    assert_eq!(due, [(id.clone(), 1)]);
    let again = claim(&fixture, &id, 1);
    let second = store.claim_refresh(&again).await.expect("asked");
    let second = second.expect("the lease is over");
    assert_eq!(second.cut_off_at, Some(fixture.now()));
    // Tried again and failed for now: still remembered.
    let due = Some(fixture.later(5));
    let postponed = store.postpone_refresh(&id, second.fence, due, "away");
    postponed.await.expect("kept");
    let third = store.claim_refresh(&again).await.expect("asked");
    assert_eq!(third.expect("free").cut_off_at, Some(fixture.now()));
    let kept = store.keep_tokens(&tokens(&id, 1, "{}")).await;
    assert!(kept.expect("kept"));
    let fourth = store.claim_refresh(&claim(&fixture, &id, 2)).await;
    assert_eq!(fourth.expect("asked").expect("free").cut_off_at, None);
}

async fn credential(fixture: &Fixture, name: &str) -> CredentialId {
    let new = fixture.new_credential(name);
    let id = new.id.clone();
    fixture.apply(vec![Change::CreateCredential(new)]).await;
    id
}

async fn read(fixture: &Fixture, id: &CredentialId) -> Credential {
    let found = fixture.store.credential(&fixture.workspace, id).await;
    found.expect("read").expect("it is there")
}

async fn secret(fixture: &Fixture, id: &CredentialId) -> String {
    let held = fixture.store.credential_held(id).await;
    let held = held.expect("read").expect("it is there");
    held.secrets.expose().clone()
}

fn claim(fixture: &Fixture, id: &CredentialId, generation: i64) -> RefreshClaim {
    RefreshClaim {
        id: id.clone(),
        generation,
        owner: host(),
        now: fixture.now(),
        lease_until: fixture.later(30),
    }
}

async fn claimed(fixture: &Fixture, id: &CredentialId, generation: i64) -> Option<i64> {
    let claim = claim(fixture, id, generation);
    let lease = fixture.store.claim_refresh(&claim).await.expect("asked");
    lease.map(|lease| lease.fence)
}

/// A subscription that hangs on it, and is due in an hour.
async fn dependent(fixture: &Fixture, credential: &CredentialId) -> SubscriptionId {
    let mut new = fixture.new_subscription("hangs-on-it");
    new.mode = SubscriptionMode::Managed;
    new.terms.credential_id = Some(credential.clone());
    let id = new.id.clone();
    fixture.apply(vec![Change::CreateSubscription(new)]).await;
    let claim = SyncClaim {
        owner: host(),
        now: fixture.now(),
        lease_until: fixture.later(60),
        limit: 1,
        passed_over: Vec::new(),
    };
    let claimed = fixture.store.claim_subscription(&id, &claim).await;
    let claimed = claimed.expect("asked").expect("free");
    let kept = fixture.store.progress_subscription(Progress {
        subscription_id: id.clone(),
        fence: claimed.fence,
        registrations: Vec::new(),
        upkeep: claimed.upkeep,
        health: None,
        adopted: None,
        pulled: None,
        audit: Vec::new(),
        end: End::Release {
            due_at: Some(fixture.later(3600)),
            next_action: None,
        },
    });
    assert!(matches!(kept.await, Ok(Progressed::Kept { .. })));
    id
}

async fn is_due_now(fixture: &Fixture, id: &SubscriptionId) -> bool {
    let row = fixture.store.subscription_upkeep(id).await;
    let row = row.expect("read").expect("it is there");
    row.upkeep.due_at.is_some_and(|due| due <= fixture.now())
}

fn order() -> HookOrder {
    HookOrder {
        url: "https://told.example/".to_owned(),
        secret: Secret::new("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned()),
        allow: Vec::new(),
    }
}

fn tokens(id: &CredentialId, generation: i64, text: &str) -> TokenUpdate {
    TokenUpdate {
        id: id.clone(),
        generation,
        secrets: Secret::new(text.to_owned()),
        scopes: None,
        expires_at: Some(Millis(9)),
        refresh_due_at: Some(Millis(8)),
    }
}

fn update(of: &Credential) -> CredentialUpdate {
    CredentialUpdate {
        id: of.id.clone(),
        revision: of.revision,
        integration_id: None,
        fields: json!({"region": "eu"}).as_object().expect("a map").clone(),
        secrets: Secret::new("{\"k\":\"2\"}".to_owned()),
        account_id: Some("8".to_owned()),
        account_name: Some("bob".to_owned()),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        expires_at: None,
        refresh_due_at: None,
    }
}

async fn an_integration_is_made_changed_and_keeps_its_secret(fixture: Fixture) {
    let new = fixture.new_integration("cloud");
    let id = new.id.clone();
    fixture.apply(vec![Change::CreateIntegration(new)]).await;
    let taken = fixture.new_integration("cloud");
    let taken = vec![Change::CreateIntegration(taken)];
    let error = fixture.store.apply(&fixture.actor(), taken).await;
    assert!(error.expect_err("taken").is_conflict());
    let found = fixture.store.integration(&fixture.workspace, &id).await;
    let found = found.expect("read").expect("it is there");
    assert!(found.has_client_secret);
    let change = |revision, client_secret| {
        vec![Change::UpdateIntegration(IntegrationUpdate {
            is_moved: false,
            id: id.clone(),
            revision,
            base_url: None,
            client_id: Some("client-2".to_owned()),
            client_secret,
        })]
    };
    fixture.apply(change(1, SecretsUpdate::Keep)).await;
    let opened = fixture.store.integration_secret(&id).await.expect("read");
    assert_eq!(opened.expect("kept").expose(), "tiger-lily-42");
    let replaced = SecretsUpdate::Replace(Secret::new("other".to_owned()));
    let actor = fixture.actor();
    let old = fixture
        .store
        .apply(&actor, change(1, replaced.clone()))
        .await;
    assert!(old.expect_err("old").is_conflict());
    fixture.apply(change(2, replaced)).await;
    let opened = fixture.store.integration_secret(&id).await.expect("read");
    assert_eq!(opened.expect("another").expose(), "other");
    fixture.apply(change(3, SecretsUpdate::Remove)).await;
    let page = PageQuery::first(10);
    let listed = fixture
        .store
        .list_integrations(&fixture.workspace, &page)
        .await;
    let listed = listed.expect("listed").items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].client_id.as_deref(), Some("client-2"));
    assert_eq!(
        (&listed[0].base_url, listed[0].has_client_secret),
        (&None, false)
    );
}

async fn what_credentials_use_is_not_deleted(fixture: Fixture) {
    let integration = fixture.new_integration("cloud");
    let mut credential = fixture.new_credential("ci");
    credential.integration_id = Some(integration.id.clone());
    let (id, of) = (integration.id.clone(), credential.id.clone());
    fixture
        .apply(vec![
            Change::CreateIntegration(integration),
            Change::CreateCredential(credential),
        ])
        .await;
    let delete = vec![Change::DeleteIntegration(id.clone())];
    let error = fixture.store.apply(&fixture.actor(), delete).await;
    let error = error.expect_err("in use");
    assert!(
        error.is_conflict() && error.to_string().contains("credentials (ci)"),
        "{error}"
    );
    let names = fixture.store.credentials_of_integration(&id).await;
    assert_eq!(names.expect("read"), ["ci"]);
    fixture
        .apply(vec![
            Change::DeleteCredential(of),
            Change::DeleteIntegration(id),
        ])
        .await;
}

async fn a_credential_is_found_with_its_secrets(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let found = read(&fixture, &id).await;
    assert_eq!(found.scopes, ["repo"]);
    assert_eq!(
        (found.generation, found.state),
        (1, CredentialState::Active)
    );
    let by_name = fixture.store.credential_by_name(&fixture.workspace, "ci");
    assert_eq!(by_name.await.expect("read"), Some(found.clone()));
    let held = fixture.store.credential_held(&id).await;
    let held = held.expect("read").expect("it is there");
    assert_eq!(held.credential, found);
    assert!(held.secrets.expose().contains("tiger-lily-42"));
    let shown = format!("{held:?}");
    assert!(!shown.contains("tiger-lily-42"), "{shown}");
    let page = PageQuery::first(10);
    let listed = fixture
        .store
        .list_credentials(&fixture.workspace, &page)
        .await;
    assert_eq!(listed.expect("listed").items, [found]);
}

async fn objects_of_another_workspace_are_not_there(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let integration = fixture.new_integration("cloud");
    let integration_id = integration.id.clone();
    fixture
        .apply(vec![Change::CreateIntegration(integration)])
        .await;
    let other = fixture.store.insert_workspace("other").await.expect("made");
    let found = fixture.store.credential(&other.id, &id).await;
    assert_eq!(found.expect("read"), None);
    let found = fixture.store.integration(&other.id, &integration_id).await;
    assert_eq!(found.expect("read"), None);
    let actor = Actor {
        workspace_id: other.id,
        token_id: None,
    };
    for change in [
        Change::DeleteCredential(id.clone()),
        Change::DetachCredential(id.clone()),
        Change::UpdateCredential(update(&read(&fixture, &id).await)),
        Change::DeleteIntegration(integration_id),
        Change::CreateCredential(fixture.new_credential("x")),
    ] {
        let error = fixture.store.apply(&actor, vec![change]).await;
        assert!(error.expect_err("not theirs").is_not_found());
    }
    assert!(secret(&fixture, &id).await.contains("tiger-lily-42"));
}

async fn a_change_makes_a_refused_credential_active_and_fences_renewals(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let fence = claimed(&fixture, &id, 1).await.expect("free");
    let refused = fixture.store.refuse_credential(&id, 1, "revoked").await;
    assert!(refused.expect("kept"));
    let found = read(&fixture, &id).await;
    assert_eq!(found.state, CredentialState::NeedsReconnect);
    assert_eq!(found.state_reason.as_deref(), Some("revoked"));
    fixture
        .apply(vec![Change::UpdateCredential(update(&found))])
        .await;
    let changed = read(&fixture, &id).await;
    assert_eq!(changed.state, CredentialState::Active);
    assert_eq!((changed.generation, changed.revision), (2, 2));
    assert_eq!(changed.account_name.as_deref(), Some("bob"));
    assert_eq!(changed.fields["region"], "eu");
    let store = &fixture.store;
    assert!(
        !store
            .keep_tokens(&tokens(&id, 1, "{}"))
            .await
            .expect("asked")
    );
    assert!(
        !store
            .refuse_refresh(&id, fence, "late")
            .await
            .expect("asked")
    );
    let again = vec![Change::UpdateCredential(update(&found))];
    let error = store.apply(&fixture.actor(), again).await.expect_err("old");
    assert!(error.is_conflict());
    assert_eq!(secret(&fixture, &id).await, "{\"k\":\"2\"}");
}

async fn one_host_renews_and_its_tokens_are_kept(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let fence = claimed(&fixture, &id, 1).await;
    assert_eq!(fence, Some(1));
    assert_eq!(claimed(&fixture, &id, 1).await, None, "another host has it");
    let mut given = tokens(&id, 1, "{\"access_token\":\"new\"}");
    given.scopes = Some(vec!["gist".to_owned()]);
    assert!(fixture.store.keep_tokens(&given).await.expect("kept"));
    let found = read(&fixture, &id).await;
    assert_eq!((found.generation, found.lease_expires_at), (2, None));
    assert_eq!(
        (found.expires_at, found.refresh_due_at),
        (Some(Millis(9)), Some(Millis(8)))
    );
    assert_eq!(found.scopes, ["gist"]);
    assert_eq!(secret(&fixture, &id).await, "{\"access_token\":\"new\"}");
    assert_eq!(
        claimed(&fixture, &id, 1).await,
        None,
        "that generation is gone"
    );
    assert_eq!(claimed(&fixture, &id, 2).await, Some(3));
}

async fn a_lease_that_is_over_is_taken_and_the_late_refusal_counts_for_nothing(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let first = claimed(&fixture, &id, 1).await.expect("free");
    fixture.advance(30);
    let second = claimed(&fixture, &id, 1).await.expect("the lease is over");
    assert!(second > first);
    let store = &fixture.store;
    assert!(
        !store
            .refuse_refresh(&id, first, "dead")
            .await
            .expect("asked")
    );
    let due = Some(fixture.later(1));
    store
        .postpone_refresh(&id, first, due, "away")
        .await
        .expect("asked");
    assert_eq!(read(&fixture, &id).await.refresh_failures, 0);
    assert!(
        store
            .refuse_refresh(&id, second, "dead")
            .await
            .expect("kept")
    );
}

async fn tokens_that_the_service_gave_are_kept_from_whoever_brings_them_first(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    claimed(&fixture, &id, 1).await.expect("free");
    fixture.advance(30);
    let second = claimed(&fixture, &id, 1).await.expect("the lease is over");
    let store = &fixture.store;
    // The first was paused beyond its lease, but the service gave it the only living token.
    let late = tokens(&id, 1, "{\"access_token\":\"living\"}");
    assert!(store.keep_tokens(&late).await.expect("kept"));
    let refused = store.refuse_refresh(&id, second, "used already").await;
    assert!(!refused.expect("asked"));
    assert_eq!(read(&fixture, &id).await.state, CredentialState::Active);
    assert_eq!(secret(&fixture, &id).await, "{\"access_token\":\"living\"}");
    let lost = tokens(&id, 1, "{\"access_token\":\"older\"}");
    assert!(!store.keep_tokens(&lost).await.expect("asked"));
}

async fn a_failed_renewal_is_due_again(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let fence = claimed(&fixture, &id, 1).await.expect("free");
    let due = fixture.later(90);
    let store = &fixture.store;
    store
        .postpone_refresh(&id, fence, Some(due), "away")
        .await
        .expect("kept");
    let found = read(&fixture, &id).await;
    assert_eq!(
        (found.refresh_failures, found.refresh_due_at),
        (1, Some(due))
    );
    assert_eq!(found.state, CredentialState::Active);
    assert!(
        claimed(&fixture, &id, 1).await.is_some(),
        "it is free again"
    );
}

async fn a_refused_credential_is_due_no_more(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let fence = claimed(&fixture, &id, 1).await.expect("free");
    let refused = fixture
        .store
        .refuse_refresh(&id, fence, "invalid_grant")
        .await;
    assert!(refused.expect("kept"));
    let due = fixture.store.due_refreshes(fixture.later(3600), 10).await;
    assert_eq!(due.expect("read"), []);
    assert_eq!(fixture.store.next_refresh().await.expect("read"), None);
    assert_eq!(claimed(&fixture, &id, 1).await, None);
}

async fn a_refusal_of_an_older_generation_is_passed_over(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    assert!(
        fixture
            .store
            .keep_tokens(&tokens(&id, 1, "{}"))
            .await
            .expect("kept")
    );
    let store = &fixture.store;
    assert!(!store.refuse_credential(&id, 1, "old").await.expect("asked"));
    assert!(store.refuse_credential(&id, 2, "now").await.expect("kept"));
    assert!(
        !store
            .refuse_credential(&id, 2, "twice")
            .await
            .expect("asked")
    );
    assert_eq!(
        read(&fixture, &id).await.state_reason.as_deref(),
        Some("now")
    );
}

async fn due_credentials_are_found_by_their_time(fixture: Fixture) {
    let first = credential(&fixture, "a").await;
    let mut later = fixture.new_credential("b");
    later.refresh_due_at = Some(fixture.later(61));
    let later_id = later.id.clone();
    let mut never = fixture.new_credential("c");
    never.refresh_due_at = None;
    fixture
        .apply(vec![
            Change::CreateCredential(later),
            Change::CreateCredential(never),
        ])
        .await;
    let store = &fixture.store;
    let due = async |now| store.due_refreshes(now, 10).await.expect("read");
    assert_eq!(due(fixture.later(59)).await, []);
    assert_eq!(due(fixture.later(60)).await, [(first.clone(), 1)]);
    assert_eq!(
        due(fixture.later(99)).await,
        [(first.clone(), 1), (later_id, 1)]
    );
    assert_eq!(
        store.next_refresh().await.expect("read"),
        Some(fixture.later(60))
    );
    claimed(&fixture, &first, 1).await.expect("free");
    assert_eq!(due(fixture.later(29)).await, []);
    assert_eq!(
        store.next_refresh().await.expect("read"),
        Some(fixture.later(61))
    );
    let until = fixture.later(50);
    store
        .throttle_credential(&first, until)
        .await
        .expect("kept");
    store
        .throttle_credential(&first, fixture.later(5))
        .await
        .expect("kept");
    assert_eq!(read(&fixture, &first).await.throttled_until, Some(until));
}

async fn subscriptions_hold_their_credential_until_it_is_taken_from_them(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let subscription = fixture.new_subscription("my-repo");
    let subscription_id = subscription.id.clone();
    fixture
        .apply(vec![Change::CreateSubscription(subscription)])
        .await;
    let pool = pool(&fixture).await;
    let set = sqlx::query("update subscriptions set credential_id = $1 where id = $2");
    let set = set.bind(id.as_str()).bind(subscription_id.as_str());
    set.execute(&pool).await.expect("set");
    let names = fixture.store.subscriptions_of_credential(&id).await;
    assert_eq!(names.expect("read"), ["my-repo"]);
    let delete = vec![Change::DeleteCredential(id.clone())];
    let error = fixture.store.apply(&fixture.actor(), delete).await;
    let error = error.expect_err("in use");
    assert!(
        error.to_string().contains("subscriptions (my-repo)"),
        "{error}"
    );
    fixture
        .apply(vec![
            Change::DetachCredential(id.clone()),
            Change::DeleteCredential(id),
        ])
        .await;
    let left = fixture
        .store
        .subscription(&fixture.workspace, &subscription_id)
        .await;
    let left = left.expect("read").expect("it stays");
    assert_eq!(left.state, SubscriptionState::Degraded);
    assert!(
        left.state_reason
            .expect("a reason")
            .contains("`ci` was deleted")
    );
}

async fn of_many_claims_at_once_one_is_granted(fixture: Fixture) {
    let id = credential(&fixture, "ci").await;
    let claims = (0..32).map(|_| claimed(&fixture, &id, 1));
    let granted = futures_util::future::join_all(claims).await;
    assert_eq!(granted.iter().flatten().count(), 1);
}
