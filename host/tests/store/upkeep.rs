//! Keeping subscriptions alive: claims, fences, hints, steps in one commit, timers.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, json};
use triggerd::clock::Millis;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::secret::Secret;
use triggerd::store::Fired;

use crate::fixture::{Fixture, host, on_both};

on_both! {
    what_is_due_is_claimed_once_and_again_when_its_lease_is_over
    what_is_passed_over_is_left_for_later
    a_step_under_an_old_fence_changes_nothing
    a_hint_under_a_run_is_not_lost
    a_push_that_only_hints_makes_its_subscription_due_in_the_same_commit
    a_registration_keeps_its_secrets_sealed_and_what_it_learned
    pulled_events_come_once_by_their_delivery_id
    a_timer_fires_once_and_only_if_it_was_not_withdrawn
    what_is_at_a_service_is_ended_there_before_its_row_goes
    a_trigger_that_changes_makes_its_subscription_due
    a_key_rotation_seals_the_secrets_of_registrations_anew
}

async fn managed(fixture: &Fixture, name: &str) -> SubscriptionId {
    let mut new = fixture.new_subscription(name);
    new.mode = SubscriptionMode::Managed;
    new.state = SubscriptionState::Pending;
    new.secrets = None;
    let id = new.id.clone();
    fixture.apply(vec![Change::CreateSubscription(new)]).await;
    id
}

fn claim(fixture: &Fixture, owner: &HostId) -> SyncClaim {
    SyncClaim {
        owner: owner.clone(),
        now: fixture.now(),
        lease_until: fixture.later(60),
        limit: 10,
        passed_over: Vec::new(),
    }
}

async fn claimed(fixture: &Fixture) -> Vec<Claimed> {
    let claim = claim(fixture, &host());
    fixture
        .store
        .claim_due_subscriptions(&claim)
        .await
        .expect("claimed")
}

fn step(claimed: &Claimed, end: End) -> Progress {
    Progress {
        subscription_id: claimed.subscription.id.clone(),
        fence: claimed.fence,
        registrations: Vec::new(),
        upkeep: claimed.upkeep.clone(),
        health: None,
        adopted: None,
        pulled: None,
        audit: Vec::new(),
        end,
    }
}

fn released(due_at: Option<Millis>) -> End {
    End::Release {
        due_at,
        next_action: due_at.map(|_| SyncAction::Check),
    }
}

async fn keep(fixture: &Fixture, progress: Progress) -> Progressed {
    fixture
        .store
        .progress_subscription(progress)
        .await
        .expect("written")
}

async fn read(fixture: &Fixture, id: &SubscriptionId) -> Claimed {
    let found = fixture.store.subscription_upkeep(id).await.expect("read");
    found.expect("it is there")
}

fn registration(fixture: &Fixture, secret: &str) -> NewRegistration {
    NewRegistration {
        credential_id: None,
        id: RegistrationId::generate(fixture.now()),
        endpoint_url: "https://hooks.example/webhooks/acme/x".to_owned(),
        parameters: Map::new(),
        events: vec!["push".to_owned()],
        secrets: Secret::new(json!({ "webhook_secret": secret }).to_string()),
    }
}

async fn what_is_due_is_claimed_once_and_again_when_its_lease_is_over(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    managed(&fixture, "b").await;
    let first = claimed(&fixture).await;
    assert_eq!(first.len(), 2);
    assert!(claimed(&fixture).await.is_empty(), "they are held");
    fixture.advance(61);
    let again = claimed(&fixture).await;
    assert_eq!(again.len(), 2);
    let fences: Vec<i64> = again.iter().map(|one| one.fence).collect();
    assert_eq!(fences, [2, 2]);

    let one = again
        .into_iter()
        .find(|one| one.subscription.id == id)
        .expect("it");
    assert_eq!(
        keep(&fixture, step(&one, released(Some(fixture.later(3600))))).await,
        Progressed::Kept {
            events: 0,
            waiting: 0
        }
    );
    fixture.advance(61);
    let names: Vec<String> = claimed(&fixture)
        .await
        .into_iter()
        .map(|one| one.subscription.name)
        .collect();
    assert_eq!(names, ["b"], "the other is due in an hour");
    assert_eq!(
        read(&fixture, &id).await.upkeep.next_action,
        Some(SyncAction::Check)
    );
    let recovered = fixture
        .store
        .recover_own_subscriptions(&host(), fixture.now())
        .await;
    if recovered.expect("recovered") > 0 {
        assert_eq!(
            claimed(&fixture).await.len(),
            1,
            "an earlier run of this host held it"
        );
    }
}

async fn what_is_passed_over_is_left_for_later(fixture: Fixture) {
    managed(&fixture, "a").await;
    let mut claim = claim(&fixture, &host());
    claim.passed_over = vec!["acme".to_owned(), "other".to_owned()];
    let none = fixture
        .store
        .claim_due_subscriptions(&claim)
        .await
        .expect("claimed");
    assert!(none.is_empty());
    claim.passed_over = vec!["other".to_owned()];
    let one = fixture
        .store
        .claim_due_subscriptions(&claim)
        .await
        .expect("claimed");
    assert_eq!(one.len(), 1);
}

async fn a_step_under_an_old_fence_changes_nothing(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let old = claimed(&fixture).await.remove(0);
    fixture.advance(61);
    let new = claimed(&fixture).await.remove(0);
    let mut late = step(&old, released(None));
    late.registrations = vec![RegistrationChange::Insert(registration(&fixture, "s"))];
    late.health = Some((SubscriptionState::Active, None));
    assert_eq!(keep(&fixture, late).await, Progressed::LeaseLost);
    assert!(
        fixture
            .store
            .registrations(&id)
            .await
            .expect("read")
            .is_empty()
    );
    assert_eq!(
        read(&fixture, &id).await.subscription.state,
        SubscriptionState::Pending
    );
    assert!(matches!(
        keep(&fixture, step(&new, End::Remove)).await,
        Progressed::Kept { .. }
    ));
    assert!(
        fixture
            .store
            .subscription_upkeep(&id)
            .await
            .expect("read")
            .is_none()
    );
}

async fn a_hint_under_a_run_is_not_lost(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let one = claimed(&fixture).await.remove(0);
    fixture
        .store
        .poke_subscription(&id, Poke::Check, fixture.now())
        .await
        .expect("poked");
    let mut done = step(&one, released(Some(fixture.later(3600))));
    done.upkeep.check_at = Some(fixture.later(3600));
    keep(&fixture, done).await;
    let found = read(&fixture, &id).await;
    assert_eq!(found.upkeep.due_at, Some(fixture.now()));
    assert_eq!(found.upkeep.check_at, Some(fixture.now()));
    assert_eq!(claimed(&fixture).await.len(), 1);
}

async fn a_push_that_only_hints_makes_its_subscription_due_in_the_same_commit(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let one = claimed(&fixture).await.remove(0);
    keep(&fixture, step(&one, released(Some(fixture.later(3600))))).await;
    let mut append = fixture.append(b"{}", Some("d-1"));
    append.request.subscription_id = id.clone();
    append.events.clear();
    append.wake = true;
    fixture
        .store
        .append(append.clone())
        .await
        .expect("appended");
    let found = read(&fixture, &id).await.upkeep;
    assert_eq!(
        (found.due_at, found.pull_at),
        (Some(fixture.now()), Some(fixture.now()))
    );
    assert_eq!(found.next_action, Some(SyncAction::Pull));

    let one = claimed(&fixture).await.remove(0);
    let mut done = step(&one, released(Some(fixture.later(3600))));
    done.upkeep.pull_at = None;
    keep(&fixture, done).await;
    append.request.id = RequestId::generate(fixture.now());
    fixture.store.append(append).await.expect("appended");
    assert_eq!(
        read(&fixture, &id).await.upkeep.pull_at,
        None,
        "a repetition wakes nobody"
    );
}

async fn a_registration_keeps_its_secrets_sealed_and_what_it_learned(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let one = claimed(&fixture).await.remove(0);
    let before = one.subscription.revision;
    let new = registration(&fixture, "tiger-lily-42");
    let mut making = step(
        &one,
        End::GoOn {
            lease_until: fixture.later(60),
        },
    );
    making.registrations = vec![RegistrationChange::Insert(new.clone())];
    keep(&fixture, making).await;
    assert!(
        read(&fixture, &id).await.subscription.revision > before,
        "ingress opens it anew"
    );
    let learned = json!({ "resource_id": "r1" });
    let learned = learned.as_object().expect("a map");
    fixture
        .store
        .learn_of_registration(&id, &new.id, learned)
        .await
        .expect("learned");

    let mut made = step(&one, released(None));
    let answer = RegistrationAnswer {
        credential_id: None,
        external_id: "77".to_owned(),
        endpoint_url: new.endpoint_url.clone(),
        parameters: Map::new(),
        events: new.events.clone(),
        properties: json!({ "hook": 77 }).as_object().expect("a map").clone(),
        secrets: None,
        expires_at: Some(fixture.later(100)),
    };
    made.registrations = vec![
        RegistrationChange::Answered {
            id: new.id.clone(),
            answer,
        },
        RegistrationChange::State {
            id: new.id.clone(),
            state: RegistrationState::Live,
        },
    ];
    keep(&fixture, made).await;
    let held = fixture
        .store
        .registrations(&id)
        .await
        .expect("read")
        .remove(0);
    assert_eq!(held.state, RegistrationState::Live);
    assert_eq!(
        held.secrets.expose(),
        r#"{"webhook_secret":"tiger-lily-42"}"#
    );
    assert_eq!(
        json!(held.all_properties()),
        json!({ "resource_id": "r1", "hook": 77 })
    );
    assert_eq!(held.expires_at, Some(fixture.later(100)));
}

async fn pulled_events_come_once_by_their_delivery_id(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let runnable = fixture.runnable("f/x/y").await;
    let trigger = fixture.new_trigger("t", &id, &runnable.id);
    fixture.apply(vec![Change::CreateTrigger(trigger)]).await;
    let one = claimed(&fixture).await.remove(0);
    let event = |name: &str, delivery: Option<&str>| SyncPulledEvent {
        id: EventId::generate(fixture.now()),
        name: name.to_owned(),
        payload: Bytes::from_static(b"{\"a\":1}"),
        occurred_at: None,
        delivery_id: delivery.map(str::to_owned),
    };
    let batch = |events| PulledBatch {
        id: RequestId::generate(fixture.now()),
        events,
        state: BTreeMap::from([("k".to_owned(), Some(json!(1)))]),
        timers: BTreeMap::new(),
    };
    let pulled = |batch| {
        let mut pulled = step(
            &one,
            End::GoOn {
                lease_until: fixture.later(60),
            },
        );
        pulled.upkeep.cursor = Some("c1".to_owned());
        pulled.pulled = Some(batch);
        pulled
    };
    let first = pulled(batch(vec![
        event("push", Some("d1")),
        event("other", Some("d2")),
    ]));
    assert_eq!(
        keep(&fixture, first.clone()).await,
        Progressed::Kept {
            events: 2,
            waiting: 1
        }
    );
    // Its commit was not seen: the same again adds nothing.
    keep(&fixture, first).await;
    let second = pulled(batch(vec![event("push", Some("d1")), event("push", None)]));
    assert_eq!(
        keep(&fixture, second).await,
        Progressed::Kept {
            events: 1,
            waiting: 1
        }
    );
    let pending = fixture
        .store
        .pending_events(fixture.now(), 10)
        .await
        .expect("read");
    assert_eq!(pending.len(), 2);
    assert_eq!(&pending[0].payload[..], b"{\"a\":1}");
    assert_eq!(
        read(&fixture, &id).await.upkeep.cursor.as_deref(),
        Some("c1")
    );
    let keys = ["k".to_owned(), "none".to_owned()];
    let state = fixture
        .store
        .subscription_state(&id, &keys)
        .await
        .expect("read");
    assert_eq!(state, BTreeMap::from([("k".to_owned(), json!(1))]));
    fixture
        .store
        .put_subscription_state(&id, "k", None)
        .await
        .expect("removed");
    let state = fixture
        .store
        .subscription_state(&id, &keys)
        .await
        .expect("read");
    assert!(state.is_empty());
    // A push with a delivery id that was pulled is a duplicate.
    let mut append = fixture.append(b"{}", Some("d1"));
    append.request.subscription_id = id;
    let appended = fixture.store.append(append).await.expect("appended");
    assert!(matches!(appended, Appended::Duplicate { .. }));
}

async fn a_timer_fires_once_and_only_if_it_was_not_withdrawn(fixture: Fixture) {
    managed(&fixture, "a").await;
    let one = claimed(&fixture).await.remove(0);
    let timer = |seconds| NewTimer {
        due_at: fixture.later(seconds),
        name: "started".to_owned(),
        payload: Bytes::from_static(b"{}"),
        occurred_at: None,
        delivery_id: None,
    };
    let set = |timers| {
        let mut set = step(
            &one,
            End::GoOn {
                lease_until: fixture.later(6000),
            },
        );
        set.pulled = Some(PulledBatch {
            id: RequestId::generate(fixture.now()),
            events: Vec::new(),
            state: BTreeMap::new(),
            timers,
        });
        set
    };
    let both = BTreeMap::from([
        ("a".to_owned(), Some(timer(10))),
        ("b".to_owned(), Some(timer(10))),
        ("c".to_owned(), Some(timer(20))),
    ]);
    keep(&fixture, set(both)).await;
    let other = BTreeMap::from([("b".to_owned(), None), ("c".to_owned(), Some(timer(15)))]);
    keep(&fixture, set(other)).await;
    assert_eq!(
        fixture.store.next_timer_due().await.expect("read"),
        Some(fixture.later(10))
    );
    assert_eq!(
        fixture
            .store
            .fire_timers(fixture.later(9), 10)
            .await
            .expect("none"),
        Fired::default()
    );
    let fired = fixture
        .store
        .fire_timers(fixture.later(10), 10)
        .await
        .expect("fired");
    assert_eq!(
        fired,
        Fired {
            timers: 1,
            events: 1,
            waiting: 0
        }
    );
    assert_eq!(
        fixture
            .store
            .fire_timers(fixture.later(10), 10)
            .await
            .expect("none")
            .timers,
        0
    );
    assert_eq!(
        fixture.store.next_timer_due().await.expect("read"),
        Some(fixture.later(15))
    );
}

async fn what_is_at_a_service_is_ended_there_before_its_row_goes(fixture: Fixture) {
    let nothing = managed(&fixture, "nothing").await;
    fixture
        .apply(vec![Change::DeleteSubscription(nothing.clone())])
        .await;
    assert!(
        fixture
            .store
            .subscription_upkeep(&nothing)
            .await
            .expect("read")
            .is_none()
    );

    let id = managed(&fixture, "a").await;
    let one = claimed(&fixture).await.remove(0);
    let mut making = step(&one, released(None));
    making.registrations = vec![RegistrationChange::Insert(registration(&fixture, "s"))];
    keep(&fixture, making).await;
    fixture
        .apply(vec![Change::DeleteSubscription(id.clone())])
        .await;
    let found = read(&fixture, &id).await;
    assert!(found.subscription.is_deleting);
    assert_eq!(found.upkeep.due_at, Some(fixture.now()));
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

async fn a_trigger_that_changes_makes_its_subscription_due(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let runnable = fixture.runnable("f/x/y").await;
    let settle = async || {
        let one = claimed(&fixture).await.remove(0);
        keep(&fixture, step(&one, released(None))).await;
        assert!(claimed(&fixture).await.is_empty());
    };
    settle().await;
    let trigger = fixture.new_trigger("t", &id, &runnable.id);
    fixture
        .apply(vec![Change::CreateTrigger(trigger.clone())])
        .await;
    settle().await;
    let events = fixture.store.events_waited_for(&id).await.expect("read");
    assert_eq!(events, ["push"]);
    let update = TriggerUpdate {
        id: trigger.id.clone(),
        revision: 1,
        subscription_id: id.clone(),
        event: "issues".to_owned(),
        parameters: Map::new(),
        runnable_id: runnable.id.clone(),
        enabled: true,
    };
    fixture.apply(vec![Change::UpdateTrigger(update)]).await;
    settle().await;
    fixture.apply(vec![Change::DeleteTrigger(trigger.id)]).await;
    settle().await;
    assert!(
        fixture
            .store
            .events_waited_for(&id)
            .await
            .expect("read")
            .is_empty()
    );
}

async fn a_key_rotation_seals_the_secrets_of_registrations_anew(fixture: Fixture) {
    let id = managed(&fixture, "a").await;
    let one = claimed(&fixture).await.remove(0);
    let mut making = step(&one, released(None));
    making.registrations = vec![RegistrationChange::Insert(registration(&fixture, "s"))];
    keep(&fixture, making).await;
    let rotation = fixture.store.rotate_keys().await.expect("rotated");
    assert_eq!(rotation.resealed, 1);
    let held = fixture
        .store
        .registrations(&id)
        .await
        .expect("read")
        .remove(0);
    assert_eq!(held.secrets.expose(), r#"{"webhook_secret":"s"}"#);
}
