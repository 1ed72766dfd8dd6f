//! Catching up: what failed is sent again, once, in order, within what GitHub allows.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use std::collections::BTreeSet;

use expect_test::expect;
use serde_json::{Value, json};
use support::scene::{BEGIN_MS, HOUR_MS, MINUTE_MS, Scene, guids_of, site};
use trigger_plugin_api::prelude::*;

#[test]
fn what_failed_while_the_host_was_down_is_sent_again_in_its_order() {
    let scene = Scene::new();
    let held = scene.create(site());
    let mut cursor = None;
    scene.pull(&held, &mut cursor);

    scene.control("lose_deliveries", json!({"times": 3}));
    let mut lost = Vec::new();
    for _ in 0..3 {
        scene.wait(HOUR_MS);
        lost.extend(guids_of(&scene.control("push", json!({}))));
    }
    scene.wait(HOUR_MS);
    let arrived = scene.control("push", json!({}));
    assert_eq!(scene.deliver(Some(200)).len(), 1);

    let pulled = scene.pull(&held, &mut cursor);
    assert_eq!(pulled.notes, ["3 deliveries had failed; asked for again"]);
    assert!(!pulled.more);
    let sent = scene.deliver(Some(200));
    assert_eq!(Scene::guids(&sent), lost);
    assert!(!lost.contains(&guids_of(&arrived)[0]));

    // They have arrived: the ledger is empty, and nothing is asked for again.
    scene.wait(15 * MINUTE_MS);
    let pulled = scene.pull(&held, &mut cursor);
    assert_eq!(pulled.notes, Vec::<String>::new());
    scene.wait(HOUR_MS);
    let pulled = scene.pull(&held, &mut cursor);
    assert_eq!(scene.deliver(Some(200)), []);
    assert_eq!(pulled.next_in_ms, None);
    assert_eq!(scene.asked("/attempts"), 3);
}

#[test]
fn what_is_sent_again_is_signed_and_keeps_its_name() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("push", json!({}));
    let first = scene.deliver(Some(503));
    scene.wait(MINUTE_MS);
    scene.pull(&held, &mut None);
    let again = scene.deliver(Some(200));
    assert_ne!(first[0].id, again[0].id);
    assert_eq!(
        (&first[0].headers, &first[0].body),
        (&again[0].headers, &again[0].body)
    );
}

#[test]
fn the_first_pull_begins_when_the_webhook_became_ours() {
    let scene = Scene::new();
    scene.control(
        "add_hook",
        json!({"repository": "acme/site", "url": support::scene::URL}),
    );
    scene.control("push", json!({}));
    scene.deliver(Some(404));
    scene.wait(HOUR_MS);
    // The webhook is taken over: what failed before was never meant for us.
    let held = scene.create(site());
    scene.control("push", json!({}));
    scene.deliver(None);
    scene.wait(MINUTE_MS);
    let pulled = scene.pull(&held, &mut None);
    assert_eq!(pulled.notes, ["1 delivery had failed; asked for again"]);
}

#[test]
fn a_lost_cursor_begins_where_the_host_says() {
    let scene = Scene::new();
    let mut held = scene.create(site());
    held.properties.remove("ours_since_ms");
    scene.control("push", json!({}));
    scene.deliver(None);
    scene.wait(HOUR_MS);
    scene.control("push", json!({}));
    scene.deliver(None);

    let unreadable = scene.try_pull(&held, Some("from another version".to_owned()));
    assert_eq!(unreadable.unwrap_err().code, ErrorCode::NotFound);
    let request = PullRequest {
        subscription: held,
        cursor: None,
        since_ms: Some(scene.now_ms() - MINUTE_MS),
    };
    let pulled =
        trigger_plugin_api::testkit::block_on(support::provider().pull(&scene.host(), &request));
    assert_eq!(
        pulled.unwrap().notes,
        ["1 delivery had failed; asked for again"]
    );
}

#[test]
fn what_was_sent_again_by_hand_and_arrived_is_left_alone() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("push", json!({}));
    scene.deliver(None);
    scene.wait(MINUTE_MS);
    let failed = scene.control("deliveries", Value::Null);
    let id = failed[1]["id"].as_u64().unwrap();
    let path = format!(
        "https://api.github.com/repos/acme/site/hooks/{}/deliveries/{id}/attempts",
        held.external_id
    );
    let by_hand = HttpRequest::new("POST", path).header("user-agent", "a person");
    trigger_plugin_api::testkit::block_on(scene.host().http(by_hand)).unwrap();
    assert_eq!(scene.deliver(Some(200)).len(), 1);

    scene.wait(MINUTE_MS);
    let pulled = scene.pull(&held, &mut None);
    assert_eq!(pulled.notes, Vec::<String>::new());
    assert_eq!(scene.asked("/attempts"), 1);
}

#[test]
fn what_fails_again_is_asked_for_ever_more_rarely_until_it_arrives() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("push", json!({}));
    scene.deliver(None);
    let mut cursor = None;
    let mut asked_after_min = Vec::new();
    for quarter in 0..40 {
        scene.pull(&held, &mut cursor);
        if !scene.deliver(Some(503)).is_empty() {
            asked_after_min.push(quarter * 15);
        }
        scene.wait(15 * MINUTE_MS);
    }
    assert_eq!(asked_after_min, [0, 15, 45, 90, 180, 345]);

    let mut arrived = 0;
    for _ in 0..40 {
        scene.pull(&held, &mut cursor);
        arrived += scene.deliver(Some(200)).len();
        scene.wait(15 * MINUTE_MS);
    }
    assert_eq!(arrived, 1);
}

#[test]
fn what_failed_for_three_days_is_given_up_and_the_operator_is_told() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("push", json!({}));
    scene.deliver(None);
    let mut cursor = None;
    let mut notes = Vec::new();
    for _ in 0..80 {
        notes.extend(scene.pull(&held, &mut cursor).notes);
        scene.deliver(Some(503));
        scene.wait(HOUR_MS);
    }
    assert_eq!(
        notes,
        [
            "1 delivery had failed; asked for again",
            "1 delivery failed for three days; given up",
        ]
    );
    let asked = scene.asked("/attempts");
    assert!((10..=20).contains(&asked), "{asked}");
}

#[test]
fn what_is_older_than_three_days_is_lost_and_the_operator_is_told() {
    let scene = Scene::new();
    let held = scene.create(site());
    let mut cursor = None;
    scene.pull(&held, &mut cursor);
    scene.control("push", json!({}));
    scene.deliver(None);
    scene.wait(2 * 24 * HOUR_MS);
    scene.control("push", json!({}));
    scene.deliver(None);
    scene.wait(2 * 24 * HOUR_MS);

    let pulled = scene.pull(&held, &mut cursor);
    expect![[r#"
        the delivery log was not read for more than three days, which is as long as GitHub keeps it: what failed before is lost
        1 delivery had failed; asked for again"#]]
    .assert_eq(&pulled.notes.join("\n"));
    assert_eq!(scene.deliver(Some(200)).len(), 1);
}

#[test]
fn days_without_any_delivery_are_no_gap() {
    let scene = Scene::new();
    let held = scene.create(site());
    let mut cursor = None;
    for _ in 0..10 {
        let pulled = scene.pull(&held, &mut cursor);
        assert_eq!((pulled.notes, pulled.next_in_ms), (Vec::new(), None));
        scene.wait(24 * HOUR_MS);
    }
    assert_eq!(scene.asked("/deliveries"), 10);
}

#[test]
fn a_delivery_that_shows_late_in_the_log_is_not_missed() {
    let scene = Scene::new();
    let held = scene.create(site());
    let mut cursor = None;
    scene.control("push", json!({}));
    let slow = scene.github_outbox();
    scene.wait(5_000);
    scene.control("push", json!({}));
    scene.deliver(Some(200));
    scene.wait(2_000);
    scene.pull(&held, &mut cursor);
    // The first has waited ten seconds for an answer, and only now is in the log.
    scene.fail(slow);
    scene.wait(15 * MINUTE_MS);
    let pulled = scene.pull(&held, &mut cursor);
    assert_eq!(pulled.notes, ["1 delivery had failed; asked for again"]);
}

#[test]
fn a_ping_that_failed_is_not_sent_again() {
    let scene = Scene::new();
    let held = scene.try_create(site()).unwrap();
    scene.deliver(Some(503));
    let pulled = scene.pull(&held, &mut None);
    assert_eq!(pulled.notes, Vec::<String>::new());
    assert_eq!(scene.asked("/attempts"), 0);
}

#[test]
fn many_are_asked_for_a_minute_s_worth_at_a_time_and_each_once() {
    let scene = Scene::new();
    let held = scene.create(site());
    let mut lost = Vec::new();
    for _ in 0..250 {
        scene.wait(30_000);
        lost.extend(guids_of(&scene.control("push", json!({}))));
    }
    scene.deliver(None);
    let mut cursor = None;
    let mut again = Vec::new();
    for count in [60, 60, 60, 60, 10] {
        let pulled = scene.pull(&held, &mut cursor);
        let sent = scene.deliver(Some(200));
        assert_eq!(sent.len(), count);
        assert!(!pulled.more);
        assert!(pulled.next_in_ms >= Some(60_000), "{:?}", pulled.next_in_ms);
        again.extend(Scene::guids(&sent));
        scene.wait(MINUTE_MS);
    }
    assert_eq!(again, lost);
    for _ in 0..4 {
        scene.pull(&held, &mut cursor);
        assert_eq!(scene.deliver(Some(200)), []);
        scene.wait(15 * MINUTE_MS);
    }
}

#[test]
fn a_long_log_is_read_in_parts() {
    let scene = Scene::new();
    let held = scene.create(site());
    let mut lost = BTreeSet::new();
    for hundred in 0..25 {
        scene.wait(10 * MINUTE_MS);
        scene.control("push", json!({"count": 99}));
        scene.deliver(Some(200));
        if hundred % 5 == 0 {
            lost.extend(guids_of(&scene.control("push", json!({}))));
            scene.deliver(Some(500));
        }
    }
    scene.wait(10 * MINUTE_MS);
    scene.control("push", json!({}));
    scene.deliver(Some(200));
    let mut cursor = None;
    let mut pulls = 1;
    while scene.pull(&held, &mut cursor).more {
        assert_eq!(
            scene.deliver(Some(200)),
            [],
            "oldest first needs the whole log"
        );
        pulls += 1;
    }
    assert_eq!(pulls, 3);
    assert_eq!(scene.asked("per_page=100"), 25);
    let again: BTreeSet<String> = Scene::guids(&scene.deliver(Some(200)))
        .into_iter()
        .collect();
    assert_eq!(again, lost);

    // From now on one page is enough.
    scene.wait(15 * MINUTE_MS);
    scene.pull(&held, &mut cursor);
    assert_eq!(scene.asked("per_page=100"), 26);
}

#[test]
fn a_throttled_pull_keeps_what_was_done() {
    for (kind, wait_ms) in [
        ("primary", 600_000),
        ("primary_too_many", 600_000),
        ("retry_after", 600_000),
        ("too_many", 600_000),
        ("secondary", 60_000),
    ] {
        let scene = Scene::new();
        let held = scene.create(site());
        scene.control("push", json!({"count": 4}));
        scene.deliver(None);
        scene.wait(MINUTE_MS);
        let entries = scene.control("deliveries", Value::Null);
        let third = entries[3]["id"].as_u64().unwrap();
        let path = format!(
            "/repos/acme/site/hooks/{}/deliveries/{third}",
            held.external_id
        );
        scene.control(
            "throttle",
            json!({"kind": kind, "seconds": 600, "path": path}),
        );

        let mut cursor = None;
        let pulled = scene.pull(&held, &mut cursor);
        assert_eq!(pulled.next_in_ms, Some(wait_ms), "{kind}");
        assert_eq!(pulled.notes, ["2 deliveries had failed; asked for again"]);
        assert_eq!(scene.deliver(Some(200)).len(), 2, "{kind}");
        scene.wait(i64::try_from(wait_ms).unwrap());
        scene.pull(&held, &mut cursor);
        assert_eq!(scene.deliver(Some(200)).len(), 2, "{kind}");
    }
}

#[test]
fn a_pull_that_is_throttled_at_once_says_for_how_long() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("throttle", json!({"kind": "too_many", "seconds": 7}));
    let error = scene.try_pull(&held, None).unwrap_err();
    assert_eq!(
        (error.code, error.retry_after_ms),
        (ErrorCode::RateLimited, Some(7_000))
    );
}

#[test]
fn the_last_tenth_of_the_quota_is_left_to_others() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("push", json!({"count": 20}));
    scene.deliver(None);
    scene.control(
        "quota",
        json!({"limit": 100, "remaining": 15, "resets_in_s": 1800}),
    );
    let mut cursor = None;
    let pulled = scene.pull(&held, &mut cursor);
    assert_eq!(scene.deliver(Some(200)).len(), 4);
    assert_eq!(pulled.next_in_ms, Some(1_800_000));
    scene.wait(HOUR_MS);
    scene.pull(&held, &mut cursor);
    assert_eq!(scene.deliver(Some(200)).len(), 16);
}

#[test]
fn a_webhook_that_is_gone_is_no_lost_cursor() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("vanish_hook", Value::Null);
    let error = scene.try_pull(&held, None).unwrap_err();
    assert_eq!(error.code, ErrorCode::Upstream);
    expect!["cannot read the delivery log of acme/site: GitHub finds nothing there: it does not exist, or the access token lacks the permission to see it"]
        .assert_eq(&error.message);
}

#[test]
fn a_pull_whose_answer_was_lost_can_be_repeated() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("push", json!({"count": 2}));
    scene.deliver(None);
    scene.wait(MINUTE_MS);
    scene.try_pull(&held, None).unwrap();
    assert_eq!(scene.deliver(Some(200)).len(), 2);
    // The host died before it kept the answer.
    scene.wait(MINUTE_MS);
    let pulled = scene.try_pull(&held, None).unwrap();
    assert_eq!(scene.deliver(Some(200)), []);
    assert_eq!(pulled.notes, Vec::<String>::new());
    assert!(scene.now_ms() > BEGIN_MS);
}
