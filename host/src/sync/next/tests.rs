//! Cases of what is to be done next.

use serde_json::{Map, json};

use super::*;
use crate::id::{EndpointId, SubscriptionId, WorkspaceId};
use crate::model::{SubscriptionMode, Terms};
use crate::secret::Secret;

const NOW: Millis = Millis(1_000_000);
const LATER: Millis = Millis(2_000_000);

struct Case {
    subscription: Subscription,
    upkeep: Upkeep,
    registrations: Vec<Registration>,
}

fn case(states: &[RegistrationState]) -> Case {
    let id = SubscriptionId::generate(NOW);
    let registrations = states.iter().map(|state| Registration {
        id: RegistrationId::generate(NOW),
        subscription_id: id.clone(),
        state: *state,
        credential_id: None,
        external_id: "1".to_owned(),
        endpoint_url: "https://hooks.example".to_owned(),
        parameters: Map::new(),
        events: Vec::new(),
        properties: Map::new(),
        learned: Map::new(),
        secrets: Secret::new("{}".to_owned()),
        expires_at: None,
        created_at: NOW,
        updated_at: NOW,
    });
    Case {
        registrations: registrations.collect(),
        subscription: Subscription {
            id: id.clone(),
            workspace_id: WorkspaceId::generate(NOW),
            name: "a".to_owned(),
            provider: "acme".to_owned(),
            endpoint: EndpointId::generate(NOW),
            mode: SubscriptionMode::Managed,
            parameters: Map::new(),
            properties: Map::new(),
            has_secrets: false,
            state: SubscriptionState::Active,
            state_reason: None,
            state_since: NOW,
            terms: Terms::default(),
            is_deleting: false,
            revision: 1,
            created_at: NOW,
            updated_at: NOW,
        },
        upkeep: Upkeep::default(),
    }
}

/// What is done now, and what is due next: its time and its action.
fn check(case: &Case, now: Option<SyncAction>, due: Option<(Millis, SyncAction)>) {
    let wanted = Wanted {
        parameters: case.subscription.parameters.clone(),
        events: Vec::new(),
        endpoint_url: "https://hooks.example".to_owned(),
    };
    let view = View {
        subscription: &case.subscription,
        upkeep: &case.upkeep,
        registrations: &case.registrations,
        wanted: &wanted,
    };
    assert_eq!(view.step(NOW).map(|step| view.action(&step)), now);
    let (at, action) = view.due(NOW);
    assert_eq!(at.zip(action), due);
}

use RegistrationState::{Live, Lost, Making, Old};
use SyncAction::{Check, Delete, Make, Pull, Reconnect, Renew, Retire, Update};

#[test]
fn rows_say_what_is_to_be_done() {
    let at_once = |action| (Some(action), Some((NOW, action)));
    for (states, expected) in [
        (&[][..], at_once(Make)),
        (&[Making], at_once(Retire)),
        (&[Lost], at_once(Retire)),
        (&[Lost, Live], at_once(Retire)),
        (&[Live, Old], at_once(Retire)),
        (&[Old], at_once(Make)),
        (&[Live], (None, None)),
    ] {
        check(&case(states), expected.0, expected.1);
    }
    let mut deleting = case(&[Live]);
    deleting.subscription.is_deleting = true;
    check(&deleting, Some(Delete), Some((NOW, Delete)));
    let mut other = case(&[Live]);
    other.subscription.parameters = json!({ "a": 1 }).as_object().expect("a map").clone();
    check(&other, Some(Update), Some((NOW, Update)));
}

#[test]
fn times_are_kept_in_their_order() {
    let mut timed = case(&[Live]);
    timed.upkeep.check_at = Some(NOW);
    timed.upkeep.pull_at = Some(NOW);
    timed.upkeep.renew_at = Some(LATER);
    check(&timed, Some(Check), Some((NOW, Check)));
    timed.upkeep.check_at = None;
    check(&timed, Some(Pull), Some((NOW, Pull)));
    timed.subscription.state = SubscriptionState::Paused;
    check(&timed, None, Some((LATER, Renew)));
}

#[test]
fn after_a_failure_that_may_pass_nothing_is_done_until_its_time() {
    let mut failed = case(&[Live]);
    failed.upkeep.pull_at = Some(NOW);
    failed.upkeep.retry_at = Some(LATER);
    check(&failed, None, Some((LATER, Pull)));
    failed.upkeep.retry_action = Some(Reconnect);
    check(&failed, None, Some((LATER, Reconnect)));
    failed.upkeep.retry_at = Some(NOW);
    check(&failed, Some(Pull), Some((NOW, Pull)));
}

#[test]
fn what_was_refused_waits_and_all_else_goes_on() {
    let mut refused = case(&[Live]);
    refused.subscription.parameters = json!({ "a": 1 }).as_object().expect("a map").clone();
    refused.upkeep.pull_at = Some(NOW);
    refused.upkeep.retry_at = Some(LATER);
    refused.upkeep.retry_action = Some(Update);
    check(&refused, Some(Pull), Some((NOW, Pull)));
    refused.upkeep.pull_at = None;
    check(&refused, None, Some((LATER, Update)));
}
