//! A GitHub App's own webhook, and the token that the provider signs for the app.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use expect_test::expect;
use serde_json::{Value, json};
use support::provider;
use support::scene::{HOUR_MS, MINUTE_MS, Scene, URL, guids_of};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::block_on;
use triggerd_fakes::github::{APP_ID, APP_PRIVATE_KEY};

#[test]
fn an_app_s_webhook_is_pointed_at_us_checked_repaired_and_given_back() {
    let scene = Scene::new();
    let held = create(&scene).unwrap();
    assert_eq!(check(&scene, &held).state, CheckState::Ok);

    scene.control(
        "alter_hook",
        json!({"id": 1, "content_type": "form", "secret": ""}),
    );
    let report = check(&scene, &held);
    let fields: Vec<&str> = report
        .drift
        .iter()
        .map(|drift| drift.field.as_str())
        .collect();
    assert_eq!(fields, ["config.content_type", "config.secret"]);
    let change = SubscriptionChange {
        parameters: held.parameters.clone(),
        endpoint_url: URL.to_owned(),
        subscription: held.clone(),
        events: Vec::new(),
    };
    block_on(provider().update(&scene.host(), &change)).unwrap();
    assert_eq!(check(&scene, &held).state, CheckState::Ok);

    // Not ours to delete, but nobody's address from now on; and free to be had again.
    block_on(provider().delete(&scene.host(), &held)).unwrap();
    assert_eq!(
        app_hook_url(&scene),
        "https://triggers.acme.test/webhooks/github/"
    );
    assert_eq!(check(&scene, &held).state, CheckState::Drifted);
    create(&scene).unwrap();
    assert_eq!(app_hook_url(&scene), URL);
    assert_eq!(scene.fake.log().len(), 1);
}

#[test]
fn an_app_s_webhook_that_somebody_uses_is_not_taken() {
    let scene = Scene::new();
    scene.control(
        "alter_hook",
        json!({"id": 1, "url": "https://elsewhere.test/"}),
    );
    let error = create(&scene).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
    assert_eq!(app_hook_url(&scene), "https://elsewhere.test/");
    let lost = app(scene.held(json!({"app": true})));
    block_on(provider().delete(&scene.host(), &lost)).unwrap();
    assert_eq!(app_hook_url(&scene), "https://elsewhere.test/");
}

#[test]
fn an_app_catches_up_with_its_own_log() {
    let scene = Scene::new();
    let held = create(&scene).unwrap();
    let lost = guids_of(&scene.control("push", json!({"count": 2})));
    scene.deliver(None);
    scene.wait(HOUR_MS);
    let pulled = scene.pull(&held, &mut None);
    assert_eq!(pulled.notes, ["2 deliveries had failed; asked for again"]);
    assert_eq!(Scene::guids(&scene.deliver(Some(200))), lost);
    assert_eq!(scene.asked("/app/hook/deliveries"), 3);
}

#[test]
fn an_app_is_known_by_its_key() {
    let scene = Scene::new();
    let account =
        block_on(provider().validate_credentials(&scene.host(), &credentials(APP_PRIVATE_KEY)));
    assert_eq!(account.unwrap().name, "GitHub App 12345");
    let one_line = APP_PRIVATE_KEY.replace('\n', "\\n");
    let account = block_on(provider().validate_credentials(&scene.host(), &credentials(&one_line)));
    assert_eq!(account.unwrap().id, APP_ID);
    for request in scene.fake.requests() {
        assert!(
            request.anonymous,
            "what the host holds is not the app's token"
        );
    }
}

#[test]
fn an_app_s_token_does_not_outlive_ten_minutes() {
    let scene = Scene::new();
    let mut other = credentials(APP_PRIVATE_KEY);
    other.values.insert("app_id".to_owned(), "999".to_owned());
    let refused = block_on(provider().validate_credentials(&scene.host(), &other)).unwrap_err();
    expect!["cannot find out which GitHub App the private key belongs to: GitHub does not know the access token: it is wrong, expired or revoked (Integration not found)"]
        .assert_eq(&refused.message);

    block_on(provider().validate_credentials(&scene.host(), &credentials(APP_PRIVATE_KEY)))
        .unwrap();
    let mut late = scene.fake.requests().last().unwrap().clone();
    scene.wait(10 * MINUTE_MS);
    late.anonymous = true;
    let answer = block_on(scene.host().http(late)).unwrap();
    assert_eq!(answer.status, 401);
}

#[test]
fn a_key_that_is_none_is_refused_without_showing_it() {
    let scene = Scene::new();
    let cut = &APP_PRIVATE_KEY[..APP_PRIVATE_KEY.len() / 2];
    let garbled = APP_PRIVATE_KEY.replacen("MII", "MIJ", 1);
    for key in ["a secret", cut, garbled.as_str()] {
        let error = block_on(provider().validate_credentials(&scene.host(), &credentials(key)));
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::Credentials);
        assert!(
            error
                .message
                .starts_with("private_key must be the .pem file"),
            "{}",
            error.message
        );
        assert!(!error.to_string().contains(key));
    }
    let mut without_id = credentials(APP_PRIVATE_KEY);
    without_id.values.remove("app_id");
    let error = block_on(provider().validate_credentials(&scene.host(), &without_id)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Credentials);
    assert_eq!(scene.fake.requests().len(), 0);
}

#[test]
fn without_the_app_s_key_its_webhook_is_out_of_reach() {
    let scene = Scene::new();
    let error = scene.try_create(json!({"app": true})).unwrap_err();
    assert_eq!(error.code, ErrorCode::Credentials);
    for both in [
        json!({"app": true, "repository": "acme/site"}),
        json!({"app": true, "organization": "acme"}),
        json!({"app": "yes"}),
    ] {
        assert_eq!(
            scene.try_create(both).unwrap_err().code,
            ErrorCode::InvalidInput
        );
    }
    let error = block_on(provider().test(&scene.host(), &app(scene.held(json!({"app": true})))));
    assert_eq!(error.unwrap_err().code, ErrorCode::Unsupported);
}

fn create(scene: &Scene) -> Result<ExistingSubscription> {
    let wish = app(scene.held(json!({"app": true})));
    let new = NewSubscription {
        endpoint_url: wish.endpoint_url.clone(),
        parameters: wish.parameters.clone(),
        secrets: wish.secrets.clone(),
        credentials: wish.credentials.clone(),
        ..NewSubscription::default()
    };
    let created = block_on(provider().create(&scene.host(), &new))?;
    Ok(ExistingSubscription {
        external_id: created.external_id,
        properties: created.properties,
        ..wish
    })
}

fn check(scene: &Scene, held: &ExistingSubscription) -> CheckReport {
    block_on(provider().check(&scene.host(), held)).unwrap()
}

fn app_hook_url(scene: &Scene) -> String {
    let hooks = scene.control("hooks", Value::Null);
    let mut hooks = hooks.as_array().unwrap().iter();
    let app = hooks.find(|hook| hook["owner"] == "/app").unwrap();
    app["url"].as_str().unwrap().to_owned()
}

fn app(held: ExistingSubscription) -> ExistingSubscription {
    ExistingSubscription {
        credentials: credentials(APP_PRIVATE_KEY),
        ..held
    }
}

fn credentials(private_key: &str) -> Credentials {
    Credentials {
        kind: "api-key".to_owned(),
        values: [("app_id", APP_ID), ("private_key", private_key)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}
