//! What a server's refusals become: one thing for each that an operator, or the host, does about it.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::provider;
use support::server::{BASE_URL, Server, credentials, held, new};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::{FakeHost, block_on};

const WEBHOOKS: &str = "/ocs/v2.php/apps/webhook_listeners/api/v1/webhooks";

#[test]
fn refusals_are_told_apart() {
    let new = new(json!({"events": ["file_created"]}));
    for (what, controls, user, code, said) in [
        (
            "a revoked login",
            vec![("revoke_tokens", json!({}))],
            "admin",
            ErrorCode::Credentials,
            "revoked",
        ),
        (
            "no administrator",
            vec![],
            "alice",
            ErrorCode::Credentials,
            "must be an administrator",
        ),
        (
            "maintenance",
            vec![("maintenance", json!({}))],
            "admin",
            ErrorCode::Upstream,
            "maintenance mode",
        ),
        (
            "no app",
            vec![("app", json!({"enabled": false}))],
            "admin",
            ErrorCode::Upstream,
            "occ app:enable webhook_listeners",
        ),
    ] {
        let server = Server::of(user);
        for (action, arguments) in controls {
            server.control(action, arguments);
        }
        let error = server.create(&new).unwrap_err();
        assert_eq!(error.code, code, "{what}: {error}");
        assert!(error.message.contains(said), "{what}: {error}");
        assert!(!error.to_string().contains(support::SECRET));
        server.assert_no_violations();
    }
}

#[test]
fn a_refused_deletion_keeps_the_subscription() {
    let server = Server::new();
    let new = new(json!({"events": ["file_created"]}));
    let held = held(&new, &server.create(&new).unwrap());
    server.control("app", json!({"enabled": false}));
    assert_eq!(server.delete(&held).unwrap_err().code, ErrorCode::Upstream);
    // Nor is it missing: it is there again when the app is.
    assert_eq!(server.check(&held).unwrap_err().code, ErrorCode::Upstream);
    server.control("app", json!({"enabled": true}));
    assert_eq!(server.check(&held).unwrap(), CheckReport::ok());
}

#[test]
fn answers_that_are_not_nextcloud_s_say_what_is_there_instead() {
    let page = "<!DOCTYPE html><html><body>Welcome</body></html>";
    for (message, code, said) in [
        (
            format!("HTTP/1.1 200 OK\nContent-Type: text/html\n\n{page}"),
            ErrorCode::Upstream,
            "a page instead of data",
        ),
        (
            format!("HTTP/1.1 404 Not Found\nContent-Type: text/html\n\n{page}"),
            ErrorCode::InvalidInput,
            "no Nextcloud at base_url",
        ),
        (
            "HTTP/1.1 400 Bad Request\nContent-Type: text/html\n\n".to_owned(),
            ErrorCode::InvalidInput,
            "status 400 with a page",
        ),
        (
            "HTTP/1.1 301 Moved\nLocation: https://cloud.acme.test/nextcloud/?token=t0p\n\n"
                .to_owned(),
            ErrorCode::InvalidInput,
            "redirect to https://cloud.acme.test/nextcloud/:",
        ),
        (
            "HTTP/1.1 429 Too Many Requests\n\n".to_owned(),
            ErrorCode::RateLimited,
            "too many requests",
        ),
        (
            "HTTP/1.1 503 Unavailable\nRetry-After: 120\n\n".to_owned(),
            ErrorCode::RateLimited,
            "not available",
        ),
        (
            "HTTP/1.1 500 Error\nContent-Type: text/html\n\n<html>".to_owned(),
            ErrorCode::Upstream,
            "answered 500",
        ),
        (
            "HTTP/1.1 200 OK\nContent-Type: application/json\n\n{\"ocs\":7}".to_owned(),
            ErrorCode::Upstream,
            "not what it should be",
        ),
    ] {
        let host = FakeHost::new();
        let url = format!("{BASE_URL}{WEBHOOKS}/7");
        host.answers_recorded("GET", &url, message.as_bytes());
        let held = ExistingSubscription {
            external_id: "7".to_owned(),
            credentials: credentials(),
            ..ExistingSubscription::default()
        };
        let error = block_on(provider().check(&host.host(), &held)).unwrap_err();
        assert_eq!(error.code, code, "{message}: {error}");
        assert!(error.message.contains(said), "{message}: {error}");
        assert!(!error.to_string().contains("t0p"));
        if message.contains("Retry-After") {
            assert_eq!(error.retry_after_ms, Some(120_000));
        }
    }
}

#[test]
fn a_server_that_keeps_something_else_than_it_was_told_is_not_believed() {
    let host = FakeHost::new();
    let kept = json!({"id": 1, "appId": null, "userId": "admin", "httpMethod": "POST", "uri": support::URL,
        "event": "OCP\\Files\\Events\\Node\\NodeCreatedEvent", "eventFilter": [], "userIdFilter": "",
        "headers": null, "authMethod": "none", "authData": null, "tokenNeeded": []});
    let ocs =
        |data: &Value| json!({"ocs": {"meta": {"status": "ok", "statuscode": 200}, "data": data}});
    let at = format!("{BASE_URL}{WEBHOOKS}");
    let ours = format!("{at}?uri=https%3A%2F%2Ftriggers.acme.test%2Fwebhooks%2Fnextcloud%2Fep_1");
    host.answers("GET", &ours, 200, &ocs(&json!([])));
    host.answers("POST", &at, 200, &ocs(&kept));
    host.answers("GET", &format!("{at}/1"), 200, &ocs(&kept));
    host.answers("DELETE", &format!("{at}/1"), 200, &ocs(&json!(true)));
    host.answers("GET", &ours, 200, &ocs(&json!([])));
    let error =
        block_on(provider().create(&host.host(), &new(json!({"events": ["file_created"]}))))
            .unwrap_err();
    assert_eq!(error.code, ErrorCode::Upstream);
    assert!(error.message.contains("keeps headers otherwise"), "{error}");
    assert!(!error.to_string().contains(support::SECRET));
    host.assert_done();
}

#[test]
fn what_could_not_be_taken_back_is_said() {
    let host = FakeHost::new();
    let at = format!("{BASE_URL}{WEBHOOKS}");
    let ours = format!("{at}?uri=https%3A%2F%2Ftriggers.acme.test%2Fwebhooks%2Fnextcloud%2Fep_1");
    host.answers("GET", &ours, 200, &json!({"ocs": {"meta": {}, "data": []}}));
    host.fails("POST", &at, Error::host("the answer did not come in time"));
    host.fails("GET", &ours, Error::host("no route"));
    let error =
        block_on(provider().create(&host.host(), &new(json!({"events": ["file_created"]}))))
            .unwrap_err();
    assert_eq!(error.code, ErrorCode::Host);
    assert!(error.message.contains("did not come in time"), "{error}");
    assert!(
        error
            .detail
            .unwrap()
            .contains("could not be taken back: no route")
    );
}

#[test]
fn without_a_base_url_the_integration_is_asked_for() {
    let host = FakeHost::new();
    for (base_url, said) in [
        ("", "integration"),
        ("cloud.acme.test", "https://cloud.example"),
    ] {
        let mut credentials = credentials();
        credentials
            .values
            .insert("base_url".to_owned(), base_url.to_owned());
        let error =
            block_on(provider().validate_credentials(&host.host(), &credentials)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput);
        assert!(error.message.contains(said), "{error}");
    }
    host.assert_done();
}

#[test]
fn ids_that_are_none_are_refused_before_anything_is_asked() {
    let server = Server::new();
    let held = ExistingSubscription {
        external_id: "1,../users".to_owned(),
        credentials: credentials(),
        ..ExistingSubscription::default()
    };
    assert_eq!(
        server.delete(&held).unwrap_err().code,
        ErrorCode::InvalidInput
    );
    assert_eq!(server.transcript(), "");
}
