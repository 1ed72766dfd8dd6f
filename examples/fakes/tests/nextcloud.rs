//! The fake Nextcloud is held to what real servers of versions 32 and 34 were recorded to answer
//! and to send.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

use std::path::PathBuf;

use serde_json::{Value, json};
use trigger_plugin_api::host::HttpResponse;
use trigger_plugin_api::testkit::{parse_request, parse_response};
use triggerd_fakes::nextcloud::{ADMIN, APP_PASSWORD, CLIENT_ID, CLIENT_SECRET, Nextcloud};
use triggerd_fakes::{Answer, Exchange, Service};

/// When the recordings were made.
const AT_MS: i64 = 1_795_213_567_000;

#[test]
fn recorded_exchanges_over_hooks_go_as_recorded() {
    let server = Nextcloud::new();
    for (name, user, is_exact) in [
        ("ocs-000-list-empty", ADMIN, true),
        ("ocs-010-create-minimal", ADMIN, true),
        ("ocs-011-create-full", ADMIN, false),
        ("ocs-032-get", ADMIN, true),
        ("ocs-033-get-404", ADMIN, true),
        ("ocs-030-list", ADMIN, false),
        ("ocs-035-update", ADMIN, true),
        ("ocs-038-delete", ADMIN, true),
        ("ocs-045-create-nonadmin", "alice", true),
    ] {
        let (answer, recorded) = replay(&server, name, user);
        if is_exact {
            let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
            assert_eq!(text(&answer.body), text(&recorded.body), "{name}");
        }
    }
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn a_server_in_maintenance_answers_as_recorded() {
    let server = Nextcloud::new();
    server
        .control(AT_MS, "maintenance", &json!({"on": true}))
        .unwrap();
    let (answer, recorded) = replay(&server, "err-60-maintenance-ocs", ADMIN);
    assert_eq!(answer.body, recorded.body);
    server
        .control(AT_MS, "maintenance", &json!({"on": false}))
        .unwrap();
    assert_eq!(replay(&server, "ocs-000-list-empty", ADMIN).0.status, 200);
}

#[test]
fn tokens_are_granted_refreshed_and_refused_as_recorded() {
    let server = Nextcloud::new();
    server
        .control(AT_MS, "login", &json!({"user": "alice"}))
        .unwrap();
    let code = authorized(&server);
    let granted = redeem(
        &server,
        "oauth-14-token-wrong-verifier-and-redirect-accepted",
        "code",
        &code,
    );
    let who = with_token(&server, granted["access_token"].as_str().unwrap());
    assert_eq!(who.status, 200);
    let refresh = granted["refresh_token"].as_str().unwrap();
    let refreshed = redeem(&server, "oauth-21-refresh", "refresh_token", refresh);
    assert_ne!(refreshed["refresh_token"], granted["refresh_token"]);
    // The refresh token was for one use, and the access token died with it.
    let refused = redeem(
        &server,
        "oauth-23-refresh-reuse-old",
        "refresh_token",
        refresh,
    );
    assert_eq!(refused, json!({"error": "invalid_request"}));
    let old = granted["access_token"].as_str().unwrap();
    assert_eq!(with_token(&server, old).status, 401);
    let new = refreshed["access_token"].as_str().unwrap();
    assert_eq!(with_token(&server, new).status, 200);
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn an_access_token_dies_within_the_hour_as_recorded() {
    let server = Nextcloud::new();
    let code = authorized(&server);
    let granted = redeem(
        &server,
        "oauth-14-token-wrong-verifier-and-redirect-accepted",
        "code",
        &code,
    );
    let mut request = recorded_request("oauth-51-expired-access");
    let token = granted["access_token"].as_str().unwrap();
    set_header(&mut request, "authorization", &format!("Bearer {token}"));
    let late = server.handle(AT_MS + 3_600_000, &request);
    let recorded = recorded_response("oauth-51-expired-access");
    assert_eq!((late.status, &late.body), (recorded.status, &recorded.body));
}

#[test]
fn a_missing_client_secret_is_a_page_of_status_500() {
    let server = Nextcloud::new();
    let code = authorized(&server);
    let mut request = recorded_request("oauth-21-refresh");
    request.body = form(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", CLIENT_ID),
    ]);
    let answer = server.handle(AT_MS, &request);
    assert_eq!(answer.status, 500);
    assert!(
        header(&answer.headers, "content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(server.violations().len(), 1);
}

#[test]
fn a_bearer_is_told_who_it_is_in_the_recorded_words() {
    let server = Nextcloud::new();
    server
        .control(AT_MS, "login", &json!({"user": "alice"}))
        .unwrap();
    let code = authorized(&server);
    let granted = redeem(
        &server,
        "oauth-14-token-wrong-verifier-and-redirect-accepted",
        "code",
        &code,
    );
    let told = with_token(&server, granted["access_token"].as_str().unwrap());
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    let recorded: Value = serde_json::from_slice(&recorded_response("token-bearer").body).unwrap();
    for (field, value) in told["ocs"]["data"].as_object().unwrap() {
        assert_eq!(*value, recorded["ocs"]["data"][field], "{field}");
    }
}

#[test]
fn what_the_server_would_refuse_is_noted() {
    for (change, status, noted) in [
        (("PUT", None, "{}"), 405, "hooks are changed by POST"),
        (("POST", None, "{"), 400, "not a JSON object"),
        (
            ("POST", None, r#"{"uri":"https://a.test"}"#),
            500,
            "must be texts",
        ),
        (
            ("POST", Some("ocs-apirequest"), "{}"),
            412,
            "OCS-APIRequest",
        ),
        (
            ("POST", Some("content-type"), "{}"),
            500,
            "announced as JSON",
        ),
    ] {
        let (method, removed, body) = change;
        let server = Nextcloud::new();
        let mut request = as_user(recorded_request("ocs-035-update"), ADMIN);
        request.method = method.to_owned();
        request.body = body.as_bytes().to_vec();
        request
            .headers
            .retain(|(name, _)| Some(name.to_ascii_lowercase().as_str()) != removed);
        assert_eq!(server.handle(AT_MS, &request).status, status, "{change:?}");
        assert!(
            server.violations()[0].contains(noted),
            "{:?}",
            server.violations()
        );
    }
}

#[test]
fn an_update_of_what_is_gone_answers_200_and_changes_nothing() {
    let server = Nextcloud::new();
    let update = as_user(recorded_request("ocs-035-update"), ADMIN);
    assert_eq!(server.handle(AT_MS, &update).status, 200);
    assert_eq!(
        server.control(AT_MS, "hooks", &json!({})).unwrap(),
        json!([])
    );
    let delete = as_user(recorded_request("ocs-038-delete"), ADMIN);
    for _ in 0..2 {
        assert_eq!(server.handle(AT_MS, &delete).status, 200);
    }
}

#[test]
fn deliveries_are_the_recorded_ones_to_the_byte() {
    for (file, class, told) in [
        (
            "NodeCreatedEvent-21",
            "NodeCreatedEvent",
            json!({"path": "/alice/files/Templates/Calendar.odt", "id": 189}),
        ),
        (
            "NodeWrittenEvent-45",
            "NodeWrittenEvent",
            json!({"path": "/alice/files/inbox/hello wörld.txt", "id": 226}),
        ),
        (
            "NodeDeletedEvent-01",
            "NodeDeletedEvent",
            json!({"path": "/alice/files/inbox/renamed.txt"}),
        ),
        (
            "NodeRenamedEvent-01",
            "NodeRenamedEvent",
            json!({"source_path": "/alice/files/inbox/copy.txt", "path": "/alice/files/inbox/renamed.txt", "id": 230}),
        ),
        (
            "TagAssignedEvent-01",
            "TagAssignedEvent",
            json!({"object_ids": ["226"], "tags": [1]}),
        ),
        (
            "CalendarObjectCreatedEvent-01",
            "CalendarObjectCreatedEvent",
            json!({}),
        ),
    ] {
        let recorded = parse_request(&fixture(&format!("delivery-{file}.http"))).unwrap();
        let body: Value = serde_json::from_slice(&recorded.body).unwrap();
        let server = Nextcloud::new();
        let url = format!("http://127.0.0.1:18090{}?{}", recorded.path, recorded.query);
        make_hook(
            &server,
            body["event"]["class"].as_str().unwrap(),
            &url,
            json!({"X-Test": "1"}),
            json!(null),
        );
        let mut told = told;
        told["class"] = json!(class);
        if class.starts_with("Calendar") {
            // Its data are the server's own, and nothing to be built anew: but their order is kept.
            let mut event = body["event"].clone();
            event.as_object_mut().unwrap().remove("class");
            told["event"] = event;
        }
        let at_ms = body["time"].as_i64().unwrap() * 1000;
        assert_eq!(
            server.control(at_ms, "happen", &told).unwrap(),
            json!({"sent": 1})
        );
        let delivery = server.outbox(at_ms).pop().unwrap();
        assert_eq!(delivery.url, url);
        assert_eq!(
            String::from_utf8_lossy(&delivery.body),
            String::from_utf8_lossy(&recorded.body),
            "{file}"
        );
        let sent: Vec<(&str, &[u8])> = recorded
            .headers
            .iter()
            .filter(|(name, _)| !["Host", "Content-Length"].contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let ours: Vec<(&str, &[u8])> = delivery
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(ours, sent, "{file}");
    }
}

#[test]
fn a_broken_filter_is_taken_and_loses_events_of_others_too() {
    let server = Nextcloud::new();
    let class = "OCP\\Files\\Events\\Node\\NodeCreatedEvent";
    make_hook(
        &server,
        class,
        "https://a.test/1",
        json!(null),
        json!({"user.uid": {"$like": "a"}}),
    );
    make_hook(&server, class, "https://a.test/2", json!(null), json!(null));
    assert!(server.violations()[0].contains("Operator $like is unknown"));
    let sent = server
        .control(AT_MS, "happen", &json!({"class": class}))
        .unwrap();
    assert_eq!(sent, json!({"sent": 0}));
    assert_eq!(server.outbox(AT_MS), []);
}

#[test]
fn a_filter_by_user_id_is_not_a_filter_of_the_payload() {
    let server = Nextcloud::new();
    let class = "OCP\\Files\\Events\\Node\\NodeCreatedEvent";
    make_hook(
        &server,
        class,
        "https://a.test/1",
        json!(null),
        json!({"user.uid": "alice"}),
    );
    for (told, sent) in [
        (json!({"user": "alice"}), 1),
        (json!({"user": "bob"}), 0),
        (json!({"user": null}), 0),
    ] {
        let happened = server.control(AT_MS, "happen", &told).unwrap();
        assert_eq!(happened, json!({ "sent": sent }), "{told}");
    }
}

/// Sends a recorded request as a user, and compares status, type and shape with what was recorded.
fn replay(server: &Nextcloud, name: &str, user: &str) -> (Answer, HttpResponse) {
    let answer = server.handle(AT_MS, &as_user(recorded_request(name), user));
    let recorded = recorded_response(name);
    assert_eq!(answer.status, recorded.status, "{name}");
    for compared in ["content-type", "x-user-id", "x-nextcloud-maintenance-mode"] {
        assert_eq!(
            header(&answer.headers, compared),
            recorded.header(compared),
            "{name}: {compared}"
        );
    }
    let ours: Value = serde_json::from_slice(&answer.body).unwrap();
    let theirs: Value = serde_json::from_slice(&recorded.body).unwrap();
    assert_same_shape(&ours, &theirs, name);
    (answer, recorded)
}

/// The same keys in the same order, and values of the same types. Of lists the first items count.
fn assert_same_shape(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(ours), keys(theirs), "{place}");
            for (key, value) in ours {
                assert_same_shape(value, &theirs[key], &format!("{place}/{key}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_same_shape(ours, theirs, &format!("{place}/{index}"));
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(ours),
            std::mem::discriminant(theirs),
            "{place}: {ours} instead of {theirs}"
        ),
    }
}

fn authorized(server: &Nextcloud) -> String {
    let mut request = recorded_request("oauth-a-01-authorize");
    request.query = request
        .query
        .replace("%3Credacted-client_id%3E", CLIENT_ID)
        .replace("<redacted-client_id>", CLIENT_ID);
    let answer = server.handle(AT_MS, &request);
    assert_eq!(
        answer.status,
        recorded_response("oauth-a-01-authorize").status
    );
    let location = header(&answer.headers, "location").unwrap();
    let back = url::Url::parse(location).unwrap();
    assert_eq!(back.path(), "/callback");
    let value = |name: &str| {
        back.query_pairs()
            .find(|(each, _)| each == name)
            .unwrap()
            .1
            .into_owned()
    };
    assert_eq!(value("state"), "st+/= &x");
    value("code")
}

/// Sends a recorded request for tokens with what was redacted filled in.
fn redeem(server: &Nextcloud, name: &str, field: &str, value: &str) -> Value {
    let mut request = recorded_request(name);
    let filled = String::from_utf8(request.body.clone()).unwrap();
    let filled = filled
        .replace("<redacted-client_id>", CLIENT_ID)
        .replace("<redacted-client_secret>", CLIENT_SECRET)
        .replace(&format!("<redacted-{field}>"), value);
    request.body = filled.into_bytes();
    let answer = server.handle(AT_MS, &request);
    let recorded = recorded_response(name);
    assert_eq!(answer.status, recorded.status, "{name}");
    let ours: Value = serde_json::from_slice(&answer.body).unwrap();
    let theirs: Value = serde_json::from_slice(&recorded.body).unwrap();
    assert_same_shape(&ours, &theirs, name);
    ours
}

fn with_token(server: &Nextcloud, token: &str) -> Answer {
    let mut request = recorded_request("token-bearer");
    set_header(&mut request, "authorization", &format!("Bearer {token}"));
    server.handle(AT_MS, &request)
}

fn make_hook(server: &Nextcloud, class: &str, url: &str, headers: Value, filter: Value) {
    let mut request = as_user(recorded_request("ocs-010-create-minimal"), ADMIN);
    let mut body = request.json().unwrap();
    body["event"] = json!(class);
    body["uri"] = json!(url);
    body["headers"] = headers;
    body["eventFilter"] = filter;
    request.body = body.to_string().into_bytes();
    assert_eq!(server.handle(AT_MS, &request).status, 200);
}

fn as_user(mut request: Exchange, user: &str) -> Exchange {
    let login = format!("{user}:{user}{APP_PASSWORD}");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, login);
    set_header(&mut request, "authorization", &format!("Basic {encoded}"));
    request
}

fn set_header(request: &mut Exchange, name: &str, value: &str) {
    request
        .headers
        .retain(|(each, _)| !each.eq_ignore_ascii_case(name));
    request.headers.push((name.to_owned(), value.to_owned()));
}

fn recorded_request(name: &str) -> Exchange {
    let request = parse_request(&fixture(&format!("{name}.request.http"))).unwrap();
    Exchange {
        method: request.method,
        path: request.path,
        query: request.query,
        host: "127.0.0.1:18080".to_owned(),
        headers: request
            .headers
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect(),
        body: request.body,
    }
}

fn recorded_response(name: &str) -> HttpResponse {
    parse_response(&fixture(&format!("{name}.response.http"))).unwrap()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|(each, _)| each.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn form(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    form.finish().into_bytes()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/nextcloud")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
