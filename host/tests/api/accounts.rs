//! Integrations and credentials through the API: made, changed, shown without their secrets,
//! deleted when free, connected.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use triggerd::model::Scope;

use crate::support::{Api, CANARY, actions, document_with_accounts};

const CREDENTIAL: &str = "/api/v1/workspaces/default/credentials/ci";
const INTEGRATION: &str = "/api/v1/workspaces/default/integrations/cloud";

#[tokio::test]
async fn credentials_are_made_shown_and_left_as_they_are() {
    let api = Api::start().await;
    let made = api.apply("", document_with_accounts()).await;
    let made: Vec<_> = actions(&made).into_iter().take(2).collect();
    let created = |name: &str| (name.to_owned(), "created".to_owned());
    assert_eq!(made, [created("cloud"), created("ci")]);
    assert_eq!(api.providers.checks.load(Ordering::Relaxed), 1);

    let again = api.apply("", document_with_accounts()).await;
    assert!(
        actions(&again)
            .iter()
            .all(|(_, action)| action == "unchanged")
    );
    assert_eq!(
        api.providers.checks.load(Ordering::Relaxed),
        1,
        "it is not asked again"
    );

    let shown = api.get("credentials/ci").await;
    assert_eq!(shown["integration"], "cloud");
    assert_eq!(shown["kind"], "api-key");
    assert_eq!(shown["account"], json!({"id": "7", "name": "ada"}));
    assert_eq!(shown["fields"], json!({"region": "eu"}));
    let listed = api.get("integrations").await;
    assert_eq!(listed["items"][0]["client_id"], "client-1");
    assert_eq!(listed["items"][1]["name"], "shared");
    assert_eq!(listed["items"][1]["client_id"], Value::Null);
    let answered = api.answered();
    assert!(!answered.contains(CANARY), "{answered}");
}

#[tokio::test]
async fn a_dry_run_tells_what_differs_without_its_secrets() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let mut other = document_with_accounts();
    other["credentials"][0]["values"] = json!({"access_token": "canary-another", "region": "us"});
    other["integrations"][0]["client"]["client_secret"] = "canary-another".into();
    let told = api.apply("?dry_run=true", other.clone()).await;
    let differences = &told["credentials"][0]["differences"];
    assert_eq!(
        *differences,
        json!([
            {"field": "access_token", "secret": true},
            {"field": "values.region", "from": "eu", "to": "us"},
        ])
    );
    let differences = &told["integrations"][0]["differences"];
    assert_eq!(
        *differences,
        json!([{"field": "client.client_secret", "secret": true}])
    );
    assert_eq!(api.get("credentials/ci").await["fields"]["region"], "eu");
    api.apply("", other).await;
    assert_eq!(api.get("credentials/ci").await["fields"]["region"], "us");
    assert!(!api.answered().contains("canary"));
}

#[tokio::test]
async fn a_key_that_the_service_refuses_is_not_kept() {
    let api = Api::start().await;
    for (token, pointer, says) in [
        (
            "revoked",
            "/credentials/0/values/access_token",
            "does not know",
        ),
        ("away", "/credentials/0/values", "could not be asked"),
    ] {
        let mut wrong = document_with_accounts();
        wrong["credentials"][0]["values"]["access_token"] = token.into();
        let refused = api.post("apply", wrong).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
        let message = refused.body["errors"][0]["message"].as_str();
        assert!(
            message.is_some_and(|text| text.contains(says)),
            "{}",
            refused.text
        );
    }
    assert_eq!(api.get("credentials").await["items"], json!([]));
}

#[tokio::test]
async fn mistakes_are_told_with_their_places() {
    let api = Api::start().await;
    let wrong = json!({
        "integrations": [
            {"name": "shared", "provider": "acme"},
            {"name": "a", "provider": "acme", "base_url": "cloud.example"},
            {"name": "b", "provider": "nobody"},
            {"name": "c", "provider": "acme", "client": {"client_secret": "x"}},
        ],
    });
    let refused = api.post("apply", wrong).await;
    let pointers = |answer: &Value| -> Vec<String> {
        let errors = answer["errors"].as_array().expect("errors");
        let pointer = |error: &Value| error["pointer"].as_str().expect("a pointer").to_owned();
        errors.iter().map(pointer).collect()
    };
    assert_eq!(
        pointers(&refused.body),
        [
            "/integrations/0/name",
            "/integrations/1/base_url",
            "/integrations/3/client"
        ]
    );
    let wrong = json!({
        "integrations": [{"name": "b", "provider": "nobody"}],
        "credentials": [
            {"name": "x", "provider": "acme", "integration": "no-such", "values": {"access_token": "t"}},
            {"name": "y", "provider": "acme", "values": {"token": "t"}},
            {"name": "z", "provider": "acme"},
        ],
    });
    let refused = api.post("apply", wrong).await;
    assert_eq!(
        pointers(&refused.body),
        [
            "/integrations/0/provider",
            "/credentials/0/integration",
            "/credentials/1/values/token",
            "/credentials/1/values",
            "/credentials/2",
        ]
    );
    assert!(
        refused.text.contains("triggerd connect acme --name z"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn only_documents_that_speak_of_accounts_prune_them() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let mut silent = document_with_accounts();
    for list in ["integrations", "credentials"] {
        silent.as_object_mut().expect("a map").shift_remove(list);
    }
    let left = api.apply("?prune=true", silent).await;
    assert_eq!(left["credentials"], json!([]));
    let mut empty = document_with_accounts();
    empty["integrations"] = json!([]);
    empty["credentials"] = json!([]);
    let pruned = api.apply("?prune=true", empty).await;
    assert_eq!(pruned["credentials"][0]["action"], "deleted");
    assert_eq!(pruned["integrations"][0]["action"], "deleted");
    assert_eq!(api.get("credentials").await["items"], json!([]));
}

#[tokio::test]
async fn a_deletion_says_first_what_depends_on_it() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let refused = api.call("DELETE", INTEGRATION, &api.admin, None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.body["dependents"], json!(["credential ci"]));
    let forced = format!("{INTEGRATION}?force=true");
    let deleted = api.call("DELETE", &forced, &api.admin, None).await;
    let gone = json!({"name": "ci", "tokens": "not_offered", "degraded": []});
    let expected = json!({"name": "cloud", "credentials": [gone]});
    assert_eq!(deleted.body, expected);
    let gone = api.call("DELETE", CREDENTIAL, &api.admin, None).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);

    api.apply("", document_with_accounts()).await;
    let deleted = api.call("DELETE", CREDENTIAL, &api.admin, None).await;
    assert_eq!(deleted.status, StatusCode::OK);
    let expected = json!({"name": "ci", "tokens": "not_offered", "degraded": []});
    assert_eq!(deleted.body, expected);
    let audit = api.get("audit").await;
    let actions: Vec<&str> = audit["items"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    for action in [
        "credential.create",
        "credential.delete",
        "integration.create",
        "integration.delete",
    ] {
        assert!(
            actions.contains(&action),
            "{action} is missing in {actions:?}"
        );
    }
    assert!(!audit.to_string().contains(CANARY));
}

#[tokio::test]
async fn a_check_finds_what_was_revoked_and_what_is_good_again() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let check = async || {
        let path = format!("{CREDENTIAL}/check");
        let checked = api.call("POST", &path, &api.admin, Some(json!({}))).await;
        assert_eq!(checked.status, StatusCode::OK, "{}", checked.text);
        checked.body
    };
    assert_eq!(check().await["state"], "active");
    api.providers.is_revoked.store(true, Ordering::Relaxed);
    let refused = check().await;
    assert_eq!(refused["state"], "needs_reconnect");
    assert_eq!(
        refused["state_reason"],
        "the service does not know this token"
    );
    assert!(refused["next_action"].is_string());
    assert_eq!(check().await["state"], "needs_reconnect");
    api.providers.is_revoked.store(false, Ordering::Relaxed);
    assert_eq!(check().await["state"], "active");
}

#[tokio::test]
async fn single_objects_are_put_as_in_a_document_with_accounts() {
    let api = Api::start().await;
    let put = async |list: &str, body: Value| {
        let path = format!("/api/v1/workspaces/default/{list}");
        api.call("PUT", &path, &api.admin, Some(body)).await
    };
    let made = put(
        "integrations",
        document_with_accounts()["integrations"][0].clone(),
    )
    .await;
    assert_eq!(
        (made.status, &made.body["action"]),
        (StatusCode::OK, &json!("created"))
    );
    let made = put(
        "credentials",
        document_with_accounts()["credentials"][0].clone(),
    )
    .await;
    assert_eq!(
        (made.status, &made.body["state"]),
        (StatusCode::OK, &json!("active"))
    );
    let wrong = put(
        "credentials",
        json!({"name": "x", "provider": "acme", "values": {}}),
    )
    .await;
    assert_eq!(wrong.body["errors"][0]["pointer"], "/values");
}

#[tokio::test]
async fn what_was_given_to_one_server_is_not_shown_to_another() {
    let api = Api::start().await;
    let put = async |list: &str, body: &Value| {
        let path = format!("/api/v1/workspaces/default/{list}");
        let put = api.call("PUT", &path, &api.admin, Some(body.clone())).await;
        assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    };
    api.apply("", document_with_accounts()).await;
    let mut moved = document_with_accounts();
    let integration = &mut moved["integrations"][0];
    integration["base_url"] = "https://elsewhere.example".into();
    // Who may change documents may not read secrets, by sending them somewhere either.
    put("integrations", integration).await;
    let shown = api.get("credentials/ci").await;
    assert_eq!(shown["state"], "needs_reconnect");
    let reason = shown["state_reason"].as_str().expect("a reason");
    assert!(reason.contains("https://elsewhere.example"), "{reason}");
    let id = shown["id"].as_str().expect("an id").parse().expect("an id");
    let held = api.store.credential_held(&id).await.expect("read");
    assert_eq!(held.expect("it is there").secrets.expose(), "{}");
    // Who knows the key can give it to the new server.
    put("credentials", &moved["credentials"][0]).await;
    assert_eq!(api.get("credentials/ci").await["state"], "active");

    let checks = api.providers.checks.load(Ordering::Relaxed);
    api.apply("", document_with_accounts()).await;
    assert_eq!(api.get("credentials/ci").await["state"], "active");
    let asked = api.providers.checks.load(Ordering::Relaxed) - checks;
    assert_eq!(
        asked, 1,
        "moved back in one document: asked at the new place"
    );
}

#[tokio::test]
async fn an_account_is_connected_by_one_integration_that_is_meant() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let unnamed = api
        .post("connect", json!({"provider": "acme", "name": "me"}))
        .await;
    assert_eq!(unnamed.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        unnamed.body["errors"][0]["allowed"],
        json!(["cloud", "shared"])
    );
    let taken = json!({"provider": "acme", "integration": "cloud", "name": "ci"});
    let taken = api.post("connect", taken).await;
    assert_eq!(taken.body["errors"][0]["pointer"], "/name");
    for integration in ["cloud", "shared"] {
        let wish = json!({"provider": "acme", "integration": integration, "name": "me"});
        let ticket = api.post("connect", wish).await;
        assert_eq!(ticket.status, StatusCode::CREATED, "{}", ticket.text);
        let url = ticket.body["url"].as_str().expect("an address");
        assert!(
            url.starts_with("http://hooks.example.org/oauth/start/"),
            "{url}"
        );
        let path = format!(
            "connect/{}",
            ticket.body["ticket"].as_str().expect("a ticket")
        );
        assert_eq!(api.get(&path).await["phase"], "waiting");
        let other = api.token(Some("default"), &[Scope::Admin]).await;
        let path = format!("/api/v1/workspaces/default/{path}");
        let foreign = api.call("GET", &path, &other, None).await;
        assert_eq!(
            foreign.status,
            StatusCode::NOT_FOUND,
            "another token's ticket"
        );
    }
}

#[tokio::test]
async fn the_pages_of_a_browser_run_nothing_and_tell_nothing() {
    let api = Api::start().await;
    for path in [
        "/oauth/start/nonsense",
        "/oauth/callback",
        "/oauth/callback?state=x&code=%3Cb%3E",
    ] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = api
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("cache-control"), "no-store");
        assert!(answer.headers().get("set-cookie").is_none());
    }
    let wish = json!({"provider": "acme", "integration": "shared", "name": "me"});
    let ticket = api.post("connect", wish).await;
    let url = ticket.body["url"].as_str().expect("an address");
    let path = url
        .strip_prefix("http://hooks.example.org")
        .expect("our own");
    let send = async |request: Request<Body>| api.router.clone().oneshot(request).await;
    let looked = Request::get(path).body(Body::empty()).expect("a request");
    let looked = send(looked).await.expect("an answer");
    assert_eq!(looked.status(), StatusCode::OK);
    assert!(looked.headers().get("set-cookie").is_none());
    let request = Request::post(path).header("origin", "https://evil.example");
    let request = request.body(Body::empty()).expect("a request");
    let forged = send(request).await.expect("an answer");
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    assert!(forged.headers().get("set-cookie").is_none());
    let request = Request::post(path).body(Body::empty()).expect("a request");
    let answer = send(request).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let location = answer.headers()["refresh"].to_str().expect("text");
    for part in [
        "https://acme.example/authorize?",
        "client_id=shared-1",
        "code_challenge_method=S256",
        "scope=repo",
        "redirect_uri=http%3A%2F%2Fhooks.example.org%2Foauth%2Fcallback",
    ] {
        assert!(location.contains(part), "{part} is missing in {location}");
    }
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!location.contains(CANARY) && !cookie.contains(CANARY));
}
