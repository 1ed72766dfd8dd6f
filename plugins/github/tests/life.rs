//! The life of a webhook before a fake GitHub that takes nothing that the real one would refuse.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::provider;
use support::scene::{HOUR_MS, Scene, URL, map, secrets, site};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::block_on;
use triggerd_fakes::Service;

#[test]
fn a_webhook_is_made_signed_with_our_secret_and_deleted() {
    for parameters in [
        json!({"repository": "acme/site", "events": ["push", "issues"]}),
        json!({"organization": "acme", "content_type": "form", "events": ["push"]}),
    ] {
        let scene = Scene::new();
        let held = scene.try_create(parameters.clone()).unwrap();
        assert_eq!(dispatched(&scene, &held), Vec::<String>::new(), "a ping");
        scene.control("push", json!({}));
        assert_eq!(dispatched(&scene, &held), ["push"]);

        let report = check(&scene, &held).unwrap();
        assert_eq!(
            (report.state, report.findings),
            (CheckState::Ok, Vec::new())
        );
        let hooks = list(&scene, parameters);
        assert_eq!((hooks.len(), hooks[0].endpoint_url.as_str()), (1, URL));

        delete(&scene, &held).unwrap();
        assert_eq!(
            scene
                .control("hooks", Value::Null)
                .as_array()
                .unwrap()
                .len(),
            1,
            "the app's"
        );
        delete(&scene, &held).unwrap();
    }
}

#[test]
fn a_second_making_takes_over_the_first() {
    for parameters in [site(), json!({"organization": "acme"})] {
        let scene = Scene::new();
        let first = scene.create(parameters.clone());
        scene.control(
            "alter_hook",
            json!({"secret": "of a registration that is lost", "active": false}),
        );
        let second = scene.create(parameters.clone());
        assert_eq!(first.external_id, second.external_id);
        scene.control("push", json!({}));
        assert_eq!(dispatched(&scene, &second), ["push"]);
    }
}

#[test]
fn what_a_lost_making_left_is_found_and_ended() {
    let scene = Scene::new();
    let theirs = scene.control(
        "add_hook",
        json!({"repository": "acme/site", "url": "https://elsewhere.test/"}),
    );
    scene.create(site());
    let unknown = scene.held(site());
    delete(&scene, &unknown).unwrap();
    let left = list(&scene, site());
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].external_id, theirs["id"].to_string());
    delete(&scene, &unknown).unwrap();
}

#[test]
fn a_vanished_webhook_is_missing_and_made_anew() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("vanish_hook", Value::Null);
    assert_eq!(check(&scene, &held).unwrap().state, CheckState::Missing);
    let anew = scene.create(site());
    assert_ne!(anew.external_id, held.external_id);
    assert_eq!(check(&scene, &anew).unwrap().state, CheckState::Ok);
}

#[test]
fn an_altered_webhook_is_shown_and_repaired_in_place() {
    for (altered, field, may_adopt) in [
        (
            json!({"url": "https://elsewhere.test/"}),
            "config.url",
            false,
        ),
        (json!({"events": ["fork"]}), "events", true),
        (json!({"active": false}), "active", false),
        (json!({"content_type": "form"}), "config.content_type", true),
        (json!({"insecure_ssl": true}), "config.insecure_ssl", true),
        (json!({"secret": ""}), "config.secret", false),
    ] {
        let scene = Scene::new();
        let held = scene.create(site());
        scene.control("alter_hook", altered);
        let report = check(&scene, &held).unwrap();
        assert_eq!(report.state, CheckState::Drifted, "{field}");
        let fields: Vec<&str> = report
            .drift
            .iter()
            .map(|drift| drift.field.as_str())
            .collect();
        assert_eq!(fields, [field]);
        assert_eq!(!report.adopt.is_empty(), may_adopt, "{field}");

        if may_adopt {
            let mut adopting = held.clone();
            adopting.parameters.extend(report.adopt);
            assert_eq!(
                check(&scene, &adopting).unwrap().state,
                CheckState::Ok,
                "{field}"
            );
        }
        update(&scene, &held, held.parameters.clone()).unwrap();
        assert_eq!(
            check(&scene, &held).unwrap().state,
            CheckState::Ok,
            "{field}"
        );
    }
}

#[test]
fn another_secret_is_noticed_by_the_requests_that_it_spoils() {
    for parameters in [site(), json!({"organization": "acme"})] {
        let scene = Scene::new();
        let held = scene.create(parameters);
        scene.control("alter_hook", json!({"secret": "another"}));
        assert_eq!(
            check(&scene, &held).unwrap().state,
            CheckState::Ok,
            "nobody can know yet"
        );
        scene.wait(HOUR_MS);
        scene.control("push", json!({}));
        scene.deliver(Some(401));
        let report = check(&scene, &held).unwrap();
        assert_eq!(report.drift[0].field, "config.secret");
        scene.wait(HOUR_MS);
        update(&scene, &held, held.parameters.clone()).unwrap();
        let report = check(&scene, &held).unwrap();
        assert_eq!(
            report.state,
            CheckState::Ok,
            "the 401 was before the repair"
        );
        scene.control("push", json!({}));
        assert_eq!(dispatched(&scene, &held), ["push"]);
    }
}

#[test]
fn an_update_changes_what_is_sent() {
    let scene = Scene::new();
    let held = scene.create(site());
    let updated = update(
        &scene,
        &held,
        map(json!({"repository": "acme/site", "events": ["fork"]})),
    );
    assert_eq!(updated.unwrap().properties["events"], json!(["fork"]));
    scene.control("push", json!({}));
    assert_eq!(scene.deliver(Some(200)), []);
    assert_eq!(check(&scene, &held).unwrap().state, CheckState::Drifted);
}

#[test]
fn a_test_is_a_ping() {
    let scene = Scene::new();
    let held = scene.create(site());
    block_on(provider().test(&scene.host(), &held)).unwrap();
    assert_eq!(scene.deliver(Some(200)).len(), 1);
}

#[test]
fn a_ping_that_comes_before_the_answer_is_verified_with_what_the_host_has() {
    let scene = Scene::new();
    scene.control("ping_before_answer", json!({}));
    let held = scene.held(site());
    scene.try_create(site()).unwrap();
    let ping = scene.github_outbox();
    assert!(ping[0].before_answer);
    assert_eq!(read(&held, &ping), Vec::<String>::new());
}

#[test]
fn webhooks_that_the_token_may_not_see_are_told_from_those_that_are_gone() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("repositories", json!({"name": "acme/site", "admin": false}));
    for error in [
        check(&scene, &held).unwrap_err(),
        delete(&scene, &held).unwrap_err(),
        delete(&scene, &scene.held(site())).unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::Credentials);
        assert!(
            error
                .message
                .contains("may see acme/site but not its webhooks"),
            "{}",
            error.message
        );
    }
    let error = scene.try_create(site()).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[test]
fn a_token_without_the_scope_sees_no_webhooks() {
    let scene = Scene::new();
    scene.control(
        "add_token",
        json!({"token": "ghp_weak", "scopes": ["gist"]}),
    );
    scene.fake.attaches("Authorization", "Bearer ghp_weak");
    assert_eq!(
        scene.try_create(site()).unwrap_err().code,
        ErrorCode::NotFound
    );
    let validated =
        block_on(provider().validate_credentials(&scene.host(), &Credentials::default()));
    assert_eq!(validated.unwrap_err().code, ErrorCode::Credentials);
}

#[test]
fn an_archived_repository_and_a_limit_are_refused_with_their_reason() {
    let scene = Scene::new();
    let error = scene
        .try_create(json!({"repository": "acme/old"}))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
    assert!(
        error
            .message
            .ends_with("Repository was archived so is read-only."),
        "{}",
        error.message
    );

    for number in 0..20 {
        let url = format!("https://elsewhere.test/{number}");
        scene.control("add_hook", json!({"repository": "acme/site", "url": url}));
    }
    let error = scene.try_create(site()).unwrap_err();
    assert!(
        error.message.ends_with("cannot have more than 20 hooks"),
        "{}",
        error.message
    );
}

#[test]
fn a_revoked_token_asks_for_another_credential() {
    let scene = Scene::new();
    let held = scene.create(site());
    scene.control("revoke_tokens", Value::Null);
    for code in [
        check(&scene, &held).unwrap_err().code,
        delete(&scene, &held).unwrap_err().code,
        scene.try_pull(&held, None).unwrap_err().code,
    ] {
        assert_eq!(code, ErrorCode::Credentials);
    }
}

#[test]
fn every_kind_of_throttling_says_how_long_to_wait() {
    for (kind, wait_ms) in [
        ("primary", 90_000),
        ("primary_too_many", 90_000),
        ("retry_after", 90_000),
        ("too_many", 90_000),
        ("secondary", 60_000),
    ] {
        let scene = Scene::new();
        scene.control("throttle", json!({"kind": kind, "seconds": 90}));
        let error = scene.try_create(site()).unwrap_err();
        assert_eq!(
            (error.code, error.retry_after_ms),
            (ErrorCode::RateLimited, Some(wait_ms)),
            "{kind}"
        );
        scene.create(site());
    }
}

#[test]
fn all_of_250_repositories_are_offered_page_by_page() {
    let scene = Scene::new();
    scene.control("repositories", json!({"owner": "big", "count": 250}));
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = options(&scene, "repository", "", cursor).unwrap();
        found.extend(page.options.into_iter().map(|option| option.value));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    // Those that are archived or others' cannot be given a webhook.
    assert_eq!((found.len(), pages), (253, 3));
    assert!(found.is_sorted() && found.contains(&"big/repository-0249".to_owned()));

    let page = options(&scene, "repository", "repository-0249", None).unwrap();
    let values: Vec<&str> = page
        .options
        .iter()
        .map(|option| option.value.as_str())
        .collect();
    assert_eq!(values, ["big/repository-0249"]);
}

#[test]
fn an_installation_s_token_offers_what_it_is_installed_on() {
    let scene = Scene::new();
    scene.control("repositories", json!({"owner": "big", "count": 150}));
    scene.control("add_token", json!({"token": "ghs_installed"}));
    scene.fake.attaches("Authorization", "Bearer ghs_installed");
    let account = block_on(provider().validate_credentials(&scene.host(), &Credentials::default()));
    assert_eq!(account.unwrap().id, "installation");
    let first = options(&scene, "repository", "", None).unwrap();
    assert_eq!(first.next_cursor.as_deref(), Some("installation:2"));
    let second = options(&scene, "repository", "", first.next_cursor).unwrap();
    assert_eq!(
        (
            first.options.len() + second.options.len(),
            second.next_cursor
        ),
        (153, None)
    );
}

#[test]
fn organisations_and_events_are_offered_too() {
    let scene = Scene::new();
    scene.control("organization", json!({"login": "zeta"}));
    let page = options(&scene, "organization", "Z", None).unwrap();
    assert_eq!(page.options[0].value, "zeta");
    let page = options(&scene, "events", "wiki", None).unwrap();
    assert_eq!(page.options.len(), 1);
    assert_eq!(
        (
            page.options[0].value.as_str(),
            page.options[0].label.as_str()
        ),
        ("gollum", "Wiki page")
    );
    let error = options(&scene, "content_type", "", None).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
}

/// The events that the provider reads out of what GitHub sends, which is answered accordingly.
fn dispatched(scene: &Scene, held: &ExistingSubscription) -> Vec<String> {
    let sent = scene.github_outbox();
    for delivery in &sent {
        scene
            .github
            .delivered(scene.now_ms(), delivery.id, Some(200));
    }
    read(held, &sent)
}

fn read(held: &ExistingSubscription, sent: &[triggerd_fakes::Delivery]) -> Vec<String> {
    assert!(!sent.is_empty(), "GitHub sends nothing");
    let spec = SubscriptionSpec {
        endpoint_url: held.endpoint_url.clone(),
        secrets: secrets(),
        ..SubscriptionSpec::default()
    };
    let subscription = provider().declared().open_subscription(spec).unwrap();
    let events = sent.iter().flat_map(|delivery| {
        assert_eq!(delivery.url, held.endpoint_url);
        let headers = delivery.headers.iter();
        let request = OwnedRequest {
            method: "POST".to_owned(),
            path: "/webhooks/github/ep_1".to_owned(),
            query: String::new(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
                .collect(),
            body: delivery.body.clone(),
            received_at_ms: 0,
        };
        provider()
            .dispatch(&subscription, &request.as_request())
            .unwrap()
            .events
    });
    events.map(|event| event.name).collect()
}

fn check(scene: &Scene, held: &ExistingSubscription) -> Result<CheckReport> {
    block_on(provider().check(&scene.host(), held))
}

fn delete(scene: &Scene, held: &ExistingSubscription) -> Result<()> {
    block_on(provider().delete(&scene.host(), held))
}

fn update(
    scene: &Scene,
    held: &ExistingSubscription,
    parameters: Map,
) -> Result<CreatedSubscription> {
    let change = SubscriptionChange {
        subscription: held.clone(),
        parameters,
        events: Vec::new(),
        endpoint_url: URL.to_owned(),
    };
    block_on(provider().update(&scene.host(), &change))
}

fn list(scene: &Scene, parameters: Value) -> Vec<HeldSubscription> {
    let request = ListRequest {
        parameters: map(parameters),
        ..ListRequest::default()
    };
    block_on(provider().list(&scene.host(), &request)).unwrap()
}

fn options(
    scene: &Scene,
    parameter: &str,
    search: &str,
    cursor: Option<String>,
) -> Result<OptionsPage> {
    let query = OptionsQuery {
        parameter: parameter.to_owned(),
        search: search.to_owned(),
        cursor,
        ..OptionsQuery::default()
    };
    block_on(provider().parameter_options(&scene.host(), &query))
}
