//! Single objects: put, switched, deleted; lists by page; bodies that are refused.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;

use triggerd::model::Scope;

use crate::support::{Api, CANARY, document};

#[tokio::test]
async fn one_object_is_put_as_in_a_document() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let path = "/api/v1/workspaces/default/triggers";
    let trigger = json!({ "name": "second", "subscription": "my-repo", "event": "issues",
        "runnable": "f/demo/record" });
    let created = api
        .call("PUT", path, &api.admin, Some(trigger.clone()))
        .await;
    assert_eq!(created.body["action"], "created", "{}", created.text);
    let again = api.call("PUT", path, &api.admin, Some(trigger)).await;
    assert_eq!(again.body["action"], "unchanged");

    let wrong = json!({ "name": "third", "subscription": "gone", "event": "push", "runnble": "x" });
    let refused = api.call("PUT", path, &api.admin, Some(wrong)).await;
    let errors = refused.body["errors"].as_array().expect("errors");
    let pointers: Vec<&str> = errors
        .iter()
        .filter_map(|one| one["pointer"].as_str())
        .collect();
    assert!(
        pointers.contains(&"/runnble") && pointers.contains(&""),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn what_triggers_use_is_not_deleted_under_them() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let base = "/api/v1/workspaces/default";
    for path in ["subscriptions/my-repo", "runnables/f%2Fdemo%2Frecord"] {
        let answer = api
            .call("DELETE", &format!("{base}/{path}"), &api.admin, None)
            .await;
        assert_eq!(
            answer.status,
            StatusCode::CONFLICT,
            "{path}: {}",
            answer.text
        );
    }
    for path in [
        "triggers/on-main",
        "subscriptions/my-repo",
        "runnables/f%2Fdemo%2Frecord",
    ] {
        let path = format!("{base}/{path}");
        let answer = api.call("DELETE", &path, &api.admin, None).await;
        assert_eq!(
            answer.status,
            StatusCode::NO_CONTENT,
            "{path}: {}",
            answer.text
        );
        let gone = api.call("GET", &path, &api.admin, None).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn subscriptions_and_runnables_are_switched() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let paused = api
        .post("subscriptions/my-repo/state", json!({ "state": "paused" }))
        .await;
    assert_eq!(paused.body["state"], "paused", "{}", paused.text);
    let body = json!({ "state": "disabled", "reason": "under repair" });
    let disabled = api.post("runnables/f%2Fdemo%2Frecord/state", body).await;
    assert_eq!(disabled.body["state"], "disabled", "{}", disabled.text);
    assert_eq!(disabled.body["state_reason"], "under repair");
    let wrong = api
        .post("subscriptions/my-repo/state", json!({ "state": "off" }))
        .await;
    assert_eq!(
        wrong.body["errors"][0]["allowed"],
        json!(["active", "paused"])
    );
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let api = Api::start().await;
    let runnables: Vec<_> = (0..7)
        .map(|n| json!({ "path": format!("f/n/{n}"), "command": { "argv": ["./x"] } }))
        .collect();
    api.apply("", json!({ "runnables": runnables })).await;
    let mut paths = Vec::new();
    let mut query = "runnables?limit=3".to_owned();
    let mut pages = 0;
    loop {
        let page = api.get(&query).await;
        pages += 1;
        for item in page["items"].as_array().expect("items") {
            paths.push(item["path"].as_str().expect("a path").to_owned());
        }
        match page["next"].as_str() {
            Some(next) => query = format!("runnables?limit=3&cursor={next}"),
            None => break,
        }
    }
    paths.sort();
    let expected: Vec<String> = (0..7).map(|n| format!("f/n/{n}")).collect();
    assert_eq!((pages, paths), (3, expected));
    for query in [
        "runnables?limit=0",
        "runnables?limit=x",
        "runnables?cursor=%00",
        "runnables?cursor=zzz",
        "jobs?cursor=zzz",
        "requests?cursor=job_",
        "events?cursor=zzz",
        "triggers?cursor=zzz",
        "subscriptions?cursor=zzz",
        "credentials?cursor=zzz",
        "integrations?cursor=zzz",
        "routes?cursor=zzz",
        "schedules?cursor=zzz",
        "audit?cursor=zzz",
    ] {
        let path = format!("/api/v1/workspaces/default/{query}");
        let answer = api.call("GET", &path, &api.admin, None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn samples_are_signed_and_each_has_its_own_delivery_id() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let body = json!({ "event": "push", "count": 3 });
    let samples = api.post("subscriptions/my-repo/sample", body).await;
    let requests = samples.body["requests"]
        .as_array()
        .expect("requests")
        .clone();
    let ids: std::collections::BTreeSet<String> = requests
        .iter()
        .map(|request| request["headers"][0][1].to_string())
        .collect();
    assert_eq!((requests.len(), ids.len()), (3, 3));
    assert!(
        requests
            .iter()
            .all(|request| request["headers"][1][1] == "true"),
        "all are signed"
    );
    for (body, status) in [
        (json!({ "event": "issues" }), StatusCode::BAD_REQUEST),
        (
            json!({ "event": "push", "count": 0 }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "event": "push", "cuont": 1 }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let answer = api.post("subscriptions/my-repo/sample", body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_by_what_is_wrong() {
    let api = Api::start().await;
    let send = async |kind: Option<&str>, body: String| {
        let mut request = Request::post("/api/v1/workspaces")
            .header(header::AUTHORIZATION, format!("Bearer {}", api.admin));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        api.send(request.body(Body::from(body)).expect("a request"))
            .await
    };
    let json_kind = Some("application/json");
    assert_eq!(
        send(None, "{}".into()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(
        send(json_kind, "{".into()).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        send(json_kind, "{\"name\":\"x\"} x".into()).await.status,
        StatusCode::BAD_REQUEST
    );
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(70 << 10));
    assert_eq!(
        send(json_kind, large).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let typed = send(json_kind, "{\"name\":7}".into()).await;
    assert_eq!(
        typed.body["errors"][0]["pointer"], "/name",
        "{}",
        typed.text
    );
    let formed = send(json_kind, "{\"name\":\"a b\"}".into()).await;
    assert_eq!(
        formed.body["errors"][0]["pointer"], "/name",
        "{}",
        formed.text
    );
    let charset = send(
        Some("application/json; charset=utf-8"),
        "{\"name\":\"new\"}".into(),
    )
    .await;
    assert_eq!(charset.status, StatusCode::CREATED, "{}", charset.text);
}

#[tokio::test]
async fn workspaces_are_made_listed_and_deleted_when_empty() {
    let api = Api::start().await;
    let path = "/api/v1/workspaces";
    let made = api
        .call("POST", path, &api.admin, Some(json!({ "name": "third" })))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let twice = api
        .call("POST", path, &api.admin, Some(json!({ "name": "third" })))
        .await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    api.apply("", document()).await;
    let full = api
        .call("DELETE", "/api/v1/workspaces/default", &api.admin, None)
        .await;
    assert_eq!(full.status, StatusCode::CONFLICT);
    let good = api.token(Some("third"), &[Scope::Read]).await;
    let in_use = api
        .call("DELETE", "/api/v1/workspaces/third", &api.admin, None)
        .await;
    assert_eq!(in_use.status, StatusCode::CONFLICT);
    assert!(in_use.text.contains("`third`"), "{}", in_use.text);
    let still = api
        .call("GET", "/api/v1/workspaces/third/jobs", &good, None)
        .await;
    assert_eq!(still.status, StatusCode::OK);
    let tokens = api.call("GET", "/api/v1/tokens", &api.admin, None).await;
    let tokens = tokens.body["items"].as_array().expect("items").clone();
    let of_it = tokens.iter().find(|token| token["workspace"] == "third");
    let id = of_it.expect("the token")["id"].as_str().expect("an id");
    let path = format!("/api/v1/tokens/{id}");
    let revoked = api.call("DELETE", &path, &api.admin, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    let brief =
        json!({ "name": "b", "scopes": ["read"], "workspace": "third", "expires_in": "1s" });
    let brief = api
        .call("POST", "/api/v1/tokens", &api.admin, Some(brief))
        .await;
    assert_eq!(brief.status, StatusCode::CREATED);
    api.clock.advance(Duration::from_secs(1));
    let empty = api
        .call("DELETE", "/api/v1/workspaces/third", &api.admin, None)
        .await;
    assert_eq!(empty.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn providers_are_shown_and_switched_and_the_audit_log_says_who_did_it() {
    let api = Api::start().await;
    let list = api.call("GET", "/api/v1/providers", &api.admin, None).await;
    assert_eq!(list.body["items"][0]["name"], "acme");
    for (action, state) in [("disable", "disabled"), ("enable", "loaded")] {
        let path = format!("/api/v1/providers/acme/{action}");
        let answer = api.call("POST", &path, &api.admin, None).await;
        assert_eq!(answer.body["state"], state, "{}", answer.text);
    }
    let unknown = api
        .call("POST", "/api/v1/providers/nobody/enable", &api.admin, None)
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let audit = api.call("GET", "/api/v1/audit", &api.admin, None).await;
    let items = audit.body["items"].as_array().expect("items");
    let actions: Vec<&str> = items
        .iter()
        .filter_map(|item| item["action"].as_str())
        .collect();
    assert_eq!(actions, ["provider.enable", "provider.disable"]);
    assert!(items.iter().all(|item| item["token_id"].is_string()));
}

#[tokio::test]
async fn keys_are_rotated_and_secrets_still_open() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let rotated = api
        .call("POST", "/api/v1/keys/rotate", &api.admin, None)
        .await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);
    assert_eq!(rotated.body["retired"].as_array().map(Vec::len), Some(1));
    let samples = api
        .post("subscriptions/my-repo/sample", json!({ "event": "push" }))
        .await;
    assert_eq!(
        samples.body["requests"][0]["headers"][1][1], "true",
        "{}",
        samples.text
    );
    assert!(!api.answered().contains(CANARY));
}

/// A flow, those it runs, and one that is told of errors of the flow and of everything.
fn names_of_each_other() -> serde_json::Value {
    let command = json!({ "argv": ["./record.sh"] });
    json!({
        "workspace": "default",
        "on_error": "f/a/told",
        "runnables": [
            { "path": "f/a/step", "command": command },
            { "path": "f/a/handler", "command": command },
            { "path": "f/a/told", "command": command },
            { "path": "f/z/flow", "on_error": "f/a/told", "flow": { "steps": [
                { "id": "work", "if": "true", "then": [ { "id": "inner", "run": "f/a/step",
                  "on_error": { "run": "f/a/handler" } } ] } ] } },
        ],
    })
}

#[tokio::test]
async fn what_flows_and_error_handlers_name_is_not_deleted_under_them() {
    let api = Api::start().await;
    api.apply("", names_of_each_other()).await;
    let delete = async |name: &str| {
        let path = format!("/api/v1/workspaces/default/runnables/f%2F{name}");
        api.call("DELETE", &path, &api.admin, None).await
    };
    for (name, users) in [
        ("a%2Fstep", "flows (f/z/flow)"),
        ("a%2Fhandler", "flows (f/z/flow)"),
        ("a%2Ftold", "`on_error` (f/z/flow, the workspace)"),
    ] {
        let refused = delete(name).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{name}");
        assert!(refused.text.contains(users), "{name}: {}", refused.text);
    }
    for name in ["z%2Fflow", "a%2Fstep", "a%2Fhandler"] {
        assert_eq!(delete(name).await.status, StatusCode::NO_CONTENT, "{name}");
    }
    let refused = delete("a%2Ftold").await;
    assert!(
        refused.text.contains("`on_error` (the workspace)"),
        "{}",
        refused.text
    );
}
