//! Which pushes are Google's, and which of them wake.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::json;
use support::{KEY, TOKEN, World, arrived, opened, provider};
use trigger_plugin_api::prelude::*;

fn dispatch(subscription: &Subscription, request: &OwnedRequest) -> Result<EventDispatch> {
    provider().dispatch(subscription, &request.as_request())
}

fn with(request: &OwnedRequest, name: &str, value: Option<&str>) -> OwnedRequest {
    let mut changed = request.clone();
    changed
        .headers
        .retain(|(each, _)| !each.eq_ignore_ascii_case(name));
    changed
        .headers
        .extend(value.map(|value| (name.to_owned(), value.as_bytes().to_vec())));
    changed
}

/// A genuine push about a change, and the resource that it names.
fn genuine() -> (OwnedRequest, String) {
    let mut world = World::watching(json!({"watch": "everything"}));
    world.act("create_file", json!({"id": "F1"}));
    let pushes = world.pushes();
    let resource = world.held.properties["resource_id"].as_str().unwrap();
    (arrived(&pushes[1]), resource.to_owned())
}

#[test]
fn every_push_of_the_fake_is_accepted_and_changes_wake() {
    for (parameters, action, with) in [
        (json!({"watch": "everything"}), "create_file", json!({})),
        (
            json!({"watch": "file", "file": "F1"}),
            "trash",
            json!({"id": "F1"}),
        ),
        (
            json!({"watch": "calendar"}),
            "create_event",
            json!({"start": {"date": "2026-03-28"}, "end": {"date": "2026-03-29"}}),
        ),
    ] {
        let mut world = World::new(parameters);
        world.act("create_file", json!({"id": "F1"}));
        world.watch();
        world.act(action, with);
        let subscription = opened(KEY, json!(world.held.properties));
        let pushes = world.pushes();
        assert_eq!(pushes.len(), 2);
        let sync = dispatch(&subscription, &arrived(&pushes[0])).unwrap();
        assert_eq!(sync, EventDispatch::nothing());
        let change = dispatch(&subscription, &arrived(&pushes[1])).unwrap();
        assert!(change.wake);
        assert_eq!((change.events, change.delivery_id), (Vec::new(), None));
    }
}

#[test]
fn sync_is_known_before_the_watch_call_has_answered() {
    let mut world = World::new(json!({"watch": "calendar"}));
    world.act("sync_before_answer", json!({}));
    world.watch();
    let pushes = world.pushes();
    assert!(pushes[0].before_answer);
    let making = opened(KEY, json!({}));
    let sync = dispatch(&making, &arrived(&pushes[0])).unwrap();
    assert_eq!(sync, EventDispatch::nothing());
}

#[test]
fn every_state_but_sync_and_the_unknown_wakes() {
    let (push, _) = genuine();
    let subscription = opened(KEY, json!({}));
    for (state, wakes) in [
        (Some("add"), true),
        (Some("remove"), true),
        (Some("update"), true),
        (Some("trash"), true),
        (Some("untrash"), true),
        (Some("change"), true),
        (Some("changed"), true),
        (Some("exists"), true),
        (Some("not_exists"), true),
        (Some("sync"), false),
        (Some("brand_new"), false),
        (Some(""), false),
        (None, false),
    ] {
        let push = with(&push, "X-Goog-Resource-State", state);
        let dispatched = dispatch(&subscription, &push).unwrap();
        assert_eq!(
            (dispatched.wake, dispatched.events.len()),
            (wakes, 0),
            "{state:?}"
        );
    }
}

#[test]
fn body_and_content_type_mean_nothing() {
    let (push, _) = genuine();
    let subscription = opened(KEY, json!({}));
    for content_type in [
        None,
        Some("application/json; utf-8"),
        Some(";;"),
        Some("application/x-www-form-urlencoded"),
    ] {
        for body in [
            b"".as_slice(),
            b"{\"kind\":\"drive#changes\"}",
            b"{",
            b"\xff",
        ] {
            let mut push = with(&push, "Content-Type", content_type);
            push.body = body.to_vec();
            assert!(dispatch(&subscription, &push).unwrap().wake);
        }
    }
}

#[test]
fn a_forged_push_is_refused() {
    let (push, resource) = genuine();
    let subscription = opened(KEY, json!({"resource_id": resource}));
    assert!(dispatch(&subscription, &push).unwrap().wake);
    let longer = format!("{TOKEN}x");
    for (header, values) in [
        (
            "X-Goog-Channel-Token",
            vec![
                None,
                Some(""),
                Some("guess"),
                Some(&TOKEN[1..]),
                Some(longer.as_str()),
            ],
        ),
        ("X-Goog-Channel-ID", vec![None, Some(""), Some("reg_other")]),
        ("X-Goog-Resource-ID", vec![None, Some(""), Some("other")]),
    ] {
        for value in values {
            let error = dispatch(&subscription, &with(&push, header, value)).unwrap_err();
            assert_eq!(
                error.code,
                ErrorCode::Unauthenticated,
                "{header}: {value:?}"
            );
            assert!(!error.to_string().contains(TOKEN));
        }
        let mut doubled = push.clone();
        doubled
            .headers
            .push((header.to_owned(), b"second".to_vec()));
        let error = dispatch(&subscription, &doubled).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{header} twice");
    }
}

#[test]
fn the_channel_that_was_replaced_is_not_taken_for_the_new_one() {
    let (push, _) = genuine();
    let error = dispatch(&opened("reg_new", json!({})), &push).unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    // Opened by hand, a channel's id is not known to the host.
    assert!(dispatch(&opened("", json!({})), &push).unwrap().wake);
}
