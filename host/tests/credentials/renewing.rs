//! Renewing: once for all tasks and hosts, ahead of the end, stopped by a refusal, not by a failure.

use std::time::Duration;

use serde_json::json;
use triggerd::credentials::{CallRefusal, Credentials, Renewal};
use triggerd::model::{Change, Credential, CredentialState, PageQuery};

use crate::authority::Style;
use crate::fixture::{Fixture, new_key};

/// Two hosts with sixteen tasks each renew the same generation at once.
async fn race(fixture: Fixture) {
    let kept = fixture.connected("me").await;
    let hosts = [fixture.credentials.clone(), fixture.another().await];
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let (credentials, id) = (hosts[number % 2].clone(), kept.id.clone());
            let generation = kept.generation;
            tokio::spawn(async move { credentials.renew(&id, generation).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Renewal::Renewed);
    }
    for credentials in &hosts {
        assert_eq!(fixture.call(credentials, &kept.id).await, 200);
    }
    assert_eq!(fixture.authority.refreshed(), (1, 0, 0));
    assert_eq!(fixture.read("me").await.generation, kept.generation + 1);
    assert_eq!(fixture.metrics.credential_renewals.value("renewed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_tasks_in_two_hosts_one_renews_on_sqlite() {
    race(Fixture::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_tasks_in_two_hosts_one_renews_on_postgres() {
    race(Fixture::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_find_it_over_all_wait_for_one_renewal() {
    let fixture = Fixture::postgres().await;
    let kept = fixture.connected("me").await;
    fixture.advance(3600);
    let hosts = [fixture.credentials.clone(), fixture.another().await];
    let calls = (0..32).map(|number| fixture.call(&hosts[number % 2], &kept.id));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(fixture.authority.refreshed(), (1, 0, 0));
}

async fn tick(credentials: &Credentials) -> Duration {
    let pause = credentials.tick().await.expect("looked");
    credentials.ended().await;
    pause
}

#[tokio::test]
async fn what_is_due_is_renewed_without_anybody_asking() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    fixture.advance(2600);
    tick(&fixture.credentials).await;
    assert_eq!(fixture.authority.book().refreshes, 0, "it is not due yet");
    fixture.advance(700);
    tick(&fixture.credentials).await;
    assert_eq!(fixture.authority.book().refreshes, 1);
    let renewed = fixture.read("me").await;
    assert!(renewed.expires_at > kept.expires_at);
    tick(&fixture.credentials).await;
    assert_eq!(fixture.authority.book().refreshes, 1, "once is enough");
}

async fn renew(fixture: &Fixture, kept: &Credential) -> Renewal {
    fixture.credentials.renew(&kept.id, kept.generation).await
}

#[tokio::test]
async fn a_refused_grant_stops_and_asks_to_reconnect() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    fixture.authority.book().revoke_all();
    let ended = renew(&fixture, &kept).await;
    let Renewal::Refused(reason) = ended else {
        panic!("{ended:?}");
    };
    assert!(reason.contains("`invalid_grant`"), "{reason}");
    assert!(
        !reason.contains("canary"),
        "the service's echo holds the token: {reason}"
    );
    let now = fixture.read("me").await;
    assert_eq!(now.state, CredentialState::NeedsReconnect);
    assert_eq!(now.state_reason, Some(reason));

    fixture.advance(7200);
    tick(&fixture.credentials).await;
    assert!(matches!(renew(&fixture, &kept).await, Renewal::Refused(_)));
    let call = fixture.credentials.for_call(&kept.id).await;
    assert!(
        matches!(call, Err(CallRefusal::NeedsReconnect { .. })),
        "{call:?}"
    );
    assert_eq!(fixture.authority.book().refreshes, 1, "it stopped trying");
    let page = PageQuery::default();
    let audit = fixture.store.list_audit(Some(&fixture.workspace), &page);
    let audit = audit.await.expect("read").items;
    assert!(
        audit
            .iter()
            .any(|entry| entry.action == "credential.refused")
    );
    assert_eq!(fixture.metrics.credential_renewals.value("refused"), 1);

    fixture.connected("me").await;
    let call = fixture
        .credentials
        .for_call(&kept.id)
        .await
        .expect("good again");
    assert!(!call.for_plugin().values.contains_key("access_token"));
    assert_eq!(
        call.base_url.as_deref(),
        Some(fixture.authority.url.as_str())
    );
}

#[tokio::test]
async fn the_declaration_says_which_errors_are_refusals() {
    let declared = json!({"refused": ["invalid_request"]});
    let fixture = Fixture::declaring(declared).await;
    let kept = fixture.connected("me").await;
    {
        let mut book = fixture.authority.book();
        book.style = Style::ErrorIn200;
        book.refusal = Some("invalid_request");
        book.revoke_all();
    }
    assert!(matches!(renew(&fixture, &kept).await, Renewal::Refused(_)));

    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    {
        let mut book = fixture.authority.book();
        book.refusal = Some("invalid_client");
        book.revoke_all();
    }
    assert!(matches!(renew(&fixture, &kept).await, Renewal::Failed(_)));
    assert_eq!(fixture.read("me").await.state, CredentialState::Active);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_later_and_marks_nothing() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    for style in [Style::Away, Style::Page500, Style::Redirect] {
        fixture.authority.book().style = style;
        // Beyond the longest pause between tries.
        fixture.advance(1200);
        assert!(
            matches!(renew(&fixture, &kept).await, Renewal::Failed(_)),
            "{style:?}"
        );
    }
    let now = fixture.read("me").await;
    assert_eq!(
        (now.state, now.refresh_failures),
        (CredentialState::Active, 3)
    );
    assert!(now.state_reason.is_some(), "it is shown why");
    assert_eq!(fixture.authority.book().refreshes, 3);
    // At once again: the service is given its time, and the caller is told.
    assert!(matches!(renew(&fixture, &kept).await, Renewal::Failed(_)));
    assert_eq!(fixture.authority.book().refreshes, 3);
    let over = fixture.credentials.attachment(&kept.id).await;
    assert!(
        matches!(over, Err(CallRefusal::NotNow { .. })),
        "its tokens are over"
    );

    fixture.authority.book().style = Style::Json;
    fixture.advance(1200);
    tick(&fixture.credentials).await;
    let healed = fixture.read("me").await;
    assert_eq!((healed.refresh_failures, healed.state_reason), (0, None));
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
}

#[tokio::test]
async fn while_the_service_is_away_a_living_token_is_used_on() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    fixture.authority.book().style = Style::Away;
    fixture.advance(3300);
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
    assert_eq!(fixture.authority.book().refreshes, 1);
}

#[tokio::test]
async fn a_renewal_goes_on_when_who_asked_for_it_is_gone() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    let gate = fixture.authority.gate.clone();
    let closed = gate.forget_permits(usize::MAX >> 3);
    assert!(closed > 0);
    let asking = {
        let (credentials, id) = (fixture.credentials.clone(), kept.id.clone());
        let generation = kept.generation;
        tokio::spawn(async move { credentials.renew(&id, generation).await })
    };
    // Until the renewal has its lease.
    while fixture.read("me").await.lease_expires_at.is_none() {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.expect_err("aborted").is_cancelled());
    gate.add_permits(1);
    fixture.credentials.ended().await;
    assert_eq!(fixture.read("me").await.generation, kept.generation + 1);
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
}

#[tokio::test]
async fn a_host_that_fell_silent_is_taken_over_and_its_late_tokens_win() {
    let fixture = Fixture::postgres().await;
    let kept = fixture.connected("me").await;
    let gate = fixture.authority.gate.clone();
    gate.forget_permits(usize::MAX >> 3);
    let first = {
        let (credentials, id) = (fixture.credentials.clone(), kept.id.clone());
        let generation = kept.generation;
        tokio::spawn(async move { credentials.renew(&id, generation).await })
    };
    while fixture.read("me").await.lease_expires_at.is_none() {
        tokio::task::yield_now().await;
    }
    // Its lease is over while its request is on the way; another host asks as well.
    fixture.advance(61);
    let lease = fixture.read("me").await.lease_expires_at;
    let second = {
        let (credentials, id) = (fixture.another().await, kept.id.clone());
        let generation = kept.generation;
        tokio::spawn(async move { credentials.renew(&id, generation).await })
    };
    while fixture.read("me").await.lease_expires_at == lease {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    let ended = [
        first.await.expect("no panic"),
        second.await.expect("no panic"),
    ];
    assert!(ended.contains(&Renewal::Renewed), "{ended:?}");
    let now = fixture.read("me").await;
    assert_eq!(now.state, CredentialState::Active, "{:?}", now.state_reason);
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
    assert_eq!(
        fixture.authority.book().dead_refreshes,
        1,
        "one came too late at the service"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_no_renewal() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    fixture.authority.book().style = Style::Away;
    assert!(matches!(renew(&fixture, &kept).await, Renewal::Failed(_)));
    fixture.authority.book().style = Style::Json;
    let ended = renew(&fixture, &kept).await;
    assert!(matches!(ended, Renewal::Failed(_)), "it is given its time");
    let day_before = fixture.clock.now().0 - 86_400_000;
    fixture.clock.set(triggerd::clock::Millis(day_before));
    assert_eq!(renew(&fixture, &kept).await, Renewal::Renewed);

    // A host that died with a lease which ends, by the new time, in a day.
    let now = fixture.read("me").await;
    let claim = triggerd::model::RefreshClaim {
        id: now.id.clone(),
        generation: now.generation,
        owner: triggerd::id::HostId::generate(fixture.clock.now()),
        now: fixture.clock.now(),
        lease_until: fixture.clock.now().plus(Duration::from_secs(86_400)),
    };
    let claimed = fixture.store.claim_refresh(&claim).await.expect("asked");
    assert!(claimed.is_some());
    assert_eq!(renew(&fixture, &now).await, Renewal::Renewed);
}

/// Another run of this host has the lease, and is dead.
async fn dies_while_it_renews(fixture: &Fixture, kept: &Credential) {
    let claim = triggerd::model::RefreshClaim {
        id: kept.id.clone(),
        generation: kept.generation,
        owner: triggerd::id::HostId::generate(fixture.clock.now()),
        now: fixture.clock.now(),
        lease_until: fixture.clock.now().plus(Duration::from_secs(60)),
    };
    let claimed = fixture.store.claim_refresh(&claim).await.expect("asked");
    assert!(claimed.is_some());
}

#[tokio::test]
async fn what_a_dead_host_was_given_is_said_to_be_lost_as_soon_as_it_starts_again() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    dies_while_it_renews(&fixture, &kept).await;
    // The service gave new tokens, and with that ended those that are kept.
    fixture.authority.book().revoke_all();
    assert_eq!(fixture.credentials.recover().await.expect("recovered"), 1);
    tick(&fixture.credentials).await;
    let lost = fixture.read("me").await;
    assert_eq!(lost.state, CredentialState::NeedsReconnect);
    let reason = lost.state_reason.unwrap_or_default();
    assert!(reason.contains("`invalid_grant`"), "{reason}");
    assert!(reason.contains("lost with it"), "{reason}");

    // Connected anew, it is forgotten.
    let kept = fixture.connected("me").await;
    fixture.authority.book().revoke_all();
    let Renewal::Refused(reason) = fixture
        .another()
        .await
        .renew(&kept.id, kept.generation)
        .await
    else {
        panic!("the grant is gone");
    };
    assert!(!reason.contains("lost with it"), "{reason}");
}

#[tokio::test]
async fn a_host_that_died_before_the_service_was_asked_loses_nothing() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    dies_while_it_renews(&fixture, &kept).await;
    assert_eq!(fixture.credentials.recover().await.expect("recovered"), 1);
    tick(&fixture.credentials).await;
    assert_eq!(fixture.read("me").await.generation, kept.generation + 1);
    assert_eq!(fixture.call(&fixture.credentials, &kept.id).await, 200);
}

#[tokio::test]
async fn a_plugins_refusal_counts_for_the_generation_that_it_saw() {
    let fixture = Fixture::sqlite().await;
    let kept = fixture.connected("me").await;
    let before = fixture.credentials.for_call(&kept.id).await.expect("good");
    assert_eq!(renew(&fixture, &kept).await, Renewal::Renewed);
    let marked = fixture.credentials.mark_refused(&before, "401").await;
    assert!(!marked.expect("asked"), "it was renewed since");
    let now = fixture.credentials.for_call(&kept.id).await.expect("good");
    let mut changes = fixture.credentials.changes();
    let marked = fixture.credentials.mark_refused(&now, "401").await;
    assert!(marked.expect("kept"));
    assert_eq!(changes.try_recv().ok(), Some(kept.id.clone()));
    assert_eq!(
        fixture.read("me").await.state,
        CredentialState::NeedsReconnect
    );
    let again = fixture.credentials.mark_refused(&now, "401").await;
    assert!(again.expect("asked"), "it still does");
    assert!(changes.try_recv().is_err(), "which is said once");
}

#[tokio::test]
async fn a_key_has_nothing_to_be_renewed_with_and_goes_to_plugins_without_a_rule() {
    let fixture = Fixture::sqlite().await;
    let key = new_key(&fixture, "key");
    let id = key.id.clone();
    let actor = triggerd::model::Actor {
        workspace_id: fixture.workspace.clone(),
        token_id: None,
    };
    let made = vec![Change::CreateCredential(key)];
    fixture.store.apply(&actor, made).await.expect("made");
    assert_eq!(fixture.credentials.renew(&id, 1).await, Renewal::Impossible);
    let call = fixture.credentials.for_call(&id).await.expect("good");
    assert_eq!(call.values["access_token"], "canary-key");
    assert_eq!(call.values["region"], "eu");
    assert!(!format!("{call:?}").contains("canary"));
    let attached = fixture
        .credentials
        .attachment(&id)
        .await
        .expect("nothing to attach");
    assert!(attached.header.is_none() && !attached.is_renewable);
}
