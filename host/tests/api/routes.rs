//! Every route: described, closed without a token, closed to other workspaces.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use triggerd::model::Scope;

use crate::support::{Api, document_with_accounts};

/// Routes that tell nothing about anybody.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

fn description() -> Value {
    serde_json::to_value(triggerd::api::openapi()).expect("JSON")
}

/// Method and path of every operation.
pub fn operations() -> Vec<(String, String)> {
    let description = description();
    let paths = description["paths"].as_object().expect("paths");
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().expect("an item").keys() {
            operations.push((method.to_uppercase(), path.clone()));
        }
    }
    operations
}

/// The path with something that is there in place of each parameter.
fn filled(path: &str, workspace: &str) -> String {
    let job = "job_00000000000000000000000000";
    path.replace("{workspace}", workspace)
        .replace("{subscription}", "my-repo")
        .replace("{integration}", "cloud")
        .replace("{credential}", "ci")
        .replace("{ticket}", "con_00000000000000000000000000")
        .replace("{runnable}", "f%2Fdemo%2Frecord")
        .replace("{trigger}", "on-main")
        .replace("{schedule}", "nightly")
        .replace("{route}", "orders")
        .replace("{provider}", "acme")
        .replace("{token}", "tok_00000000000000000000000000")
        .replace("{job}", job)
        .replace("{event}", &job.replace("job_", "evt_"))
        .replace("{request}", &job.replace("job_", "req_"))
}

#[test]
fn every_handler_is_registered_and_described() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut handlers = 0;
    for entry in std::fs::read_dir(folder).expect("the sources").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a source");
        handlers += text.matches("#[utoipa::path(").count();
    }
    assert_eq!(operations().len(), handlers);
    assert!(handlers > 30, "{handlers}");
}

#[tokio::test]
async fn every_route_but_health_needs_a_token() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let bad = format!("tdt_{}", "A".repeat(43));
    for (method, path) in operations() {
        let path = filled(&path, "default");
        for token in ["", "nonsense", &bad] {
            let answer = api.call(&method, &path, token, Some(json!({}))).await;
            if OPEN.contains(&path.as_str()) {
                assert_eq!(answer.status, StatusCode::OK, "{method} {path}");
            } else {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
                assert_eq!(answer.kind, "application/problem+json", "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn no_call_ignores_a_query_key_that_it_does_not_know() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let before = api.get("triggers").await;
    let mut tried = 0;
    for (method, path) in operations() {
        if OPEN.contains(&path.as_str()) || !path.starts_with("/api/") {
            continue;
        }
        let path = format!("{}?dryrun=true", filled(&path, "default"));
        let answer = api.call(&method, &path, &api.admin, Some(json!({}))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}");
        assert!(
            answer.text.contains("unknown key `dryrun`"),
            "{}",
            answer.text
        );
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(api.get("triggers").await, before, "nothing was deleted");
}

#[tokio::test]
async fn a_token_of_another_workspace_finds_nothing() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let all = [
        Scope::Admin,
        Scope::Read,
        Scope::Apply,
        Scope::Run,
        Scope::Send,
    ];
    let foreign = api.token(Some("other"), &all).await;
    let before = api.get("subscriptions").await;
    let in_workspace = |path: &String| path.contains("{workspace}/");
    let mut tried = 0;
    for (method, path) in operations()
        .into_iter()
        .filter(|(_, path)| in_workspace(path))
    {
        let there = api
            .call(
                &method,
                &filled(&path, "default"),
                &foreign,
                Some(json!({})),
            )
            .await;
        assert_eq!(
            there.status,
            StatusCode::NOT_FOUND,
            "{method} {path}: {}",
            there.text
        );
        // What is there and not theirs reads like what is not there at all.
        let nowhere = api
            .call(
                &method,
                &filled(&path, "nowhere"),
                &foreign,
                Some(json!({})),
            )
            .await;
        let same = there.text.replace("default", "nowhere");
        assert_eq!(same, nowhere.text, "{method} {path}");
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
    assert_eq!(api.get("subscriptions").await, before);
}

#[tokio::test]
async fn a_workspace_token_does_not_rule_the_instance() {
    let api = Api::start().await;
    let foreign = api.token(Some("other"), &[Scope::Admin]).await;
    for (method, path, body) in [
        ("POST", "/api/v1/workspaces", json!({ "name": "new" })),
        ("DELETE", "/api/v1/workspaces/default", json!({})),
        ("POST", "/api/v1/providers/acme/enable", json!({})),
        ("POST", "/api/v1/providers/acme/disable", json!({})),
        ("POST", "/api/v1/keys/rotate", json!({})),
        ("GET", "/api/v1/audit", json!({})),
    ] {
        let answer = api.call(method, path, &foreign, Some(body)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    let list = api.call("GET", "/api/v1/workspaces", &foreign, None).await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list.body["items"][0]["name"], "other");
}

/// The scope that opens each route, beside `admin`: whoever reads this sees at once what a token can.
#[tokio::test]
async fn each_scope_opens_its_own_routes_only() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        tokens.push((*scope, api.token(Some("default"), &[*scope]).await));
    }
    let mut table = String::new();
    for (method, template) in operations() {
        if OPEN.contains(&template.as_str()) {
            continue;
        }
        let path = filled(&template, "default");
        assert!(
            !path.contains('{'),
            "a parameter of {path} has no value here"
        );
        let mut opened = Vec::new();
        for (scope, token) in &tokens {
            // What is asked for cannot be read, so nothing is changed by who may.
            let answer = api.call(&method, &path, token, Some(json!([]))).await;
            if answer.status != StatusCode::FORBIDDEN {
                opened.push(scope.as_str());
            }
        }
        let template = template.replace("/api/v1/workspaces/{workspace}/", "… ");
        table.push_str(&format!("{method} {template}: {}\n", opened.join(" ")));
    }
    assert_eq!(table, include_str!("scopes.txt"), "as it is now:\n{table}");
}

#[tokio::test]
async fn the_description_is_served_and_its_references_hold() {
    let api = Api::start().await;
    let served = api.call("GET", "/api/openapi.json", "", None).await;
    assert_eq!(served.body, description());
    let version = served.body["openapi"].as_str().expect("a version");
    assert!(version.starts_with("3.1."), "{version}");
    let mut ids = BTreeSet::new();
    for item in served.body["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("operations").values() {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            assert!(
                operation["responses"]["default"].is_object(),
                "{id} describes no problem"
            );
            let answers = operation["responses"].as_object().expect("answers");
            for (status, answer) in answers {
                let description = answer["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{id}: {status} is not described");
            }
        }
    }
    for part in served.text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().expect("a pointer");
        assert!(
            served.body.pointer(pointer).is_some(),
            "{pointer} leads nowhere"
        );
    }
}

#[tokio::test]
async fn health_needs_the_providers_settled() {
    let api = Api::start().await;
    let ready = api.call("GET", "/readyz", "", None).await;
    assert_eq!(
        (ready.status, &ready.body["providers_loaded"]),
        (StatusCode::OK, &json!(1))
    );
    api.providers
        .is_unsettled
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let ready = api.call("GET", "/readyz", "", None).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let alive = api.call("GET", "/healthz", "", None).await;
    assert_eq!(alive.status, StatusCode::OK);
}

#[tokio::test]
async fn a_closed_store_makes_the_server_unready_and_its_answers_503() {
    let api = Api::start().await;
    api.store.close().await;
    for path in ["/readyz", "/api/v1/workspaces"] {
        let answer = api.call("GET", path, &api.admin, None).await;
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn metrics_count_the_calls() {
    let api = Api::start().await;
    api.get("jobs").await;
    let page = api.call("GET", "/metrics", "", None).await;
    assert!(page.kind.starts_with("text/plain"), "{}", page.kind);
    let line = "triggerd_api_calls_total{status=\"2xx\"} 1";
    assert!(
        page.text.lines().any(|found| found == line),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let api = Api::start().await;
    let missing = api.call("GET", "/api/v2/jobs", &api.admin, None).await;
    assert_eq!(
        (missing.status, missing.kind.as_str()),
        (StatusCode::NOT_FOUND, "application/problem+json")
    );
    let method = api
        .call("PATCH", "/api/v1/workspaces", &api.admin, None)
        .await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(method.kind, "application/problem+json");
}

#[tokio::test]
async fn a_body_that_dawdles_gives_its_place_back() {
    let api = Api::start().await;
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/workspaces/default/apply")
        .header("authorization", format!("Bearer {}", api.admin))
        .header("content-type", "application/json")
        .body(Body::from_stream(never))
        .expect("a request");
    let response = api.router.clone().oneshot(request).await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn a_key_that_a_query_does_not_know_is_refused_by_name() {
    let api = Api::start().await;
    let refused = api
        .post("apply?dry-run=true", document_with_accounts())
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    let detail = refused.body["detail"].as_str().expect("a detail");
    for word in ["`dry-run`", "`dry_run`", "`prune`"] {
        assert!(detail.contains(word), "{detail}");
    }
    assert_eq!(api.get("runnables").await["items"], json!([]));
    for list in [
        "audit",
        "events",
        "jobs",
        "requests",
        "runnables",
        "subscriptions",
        "triggers",
    ] {
        let path = format!("/api/v1/workspaces/default/{list}?limits=1");
        let refused = api.call("GET", &path, &api.admin, None).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{list}");
        assert!(refused.text.contains("`limit`"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_as_such() {
    let api = Api::start().await;
    for (body, found) in [
        (json!(["x", ["read"]]), "an array"),
        (json!("x"), "a text"),
        (Value::Null, "null"),
    ] {
        for path in ["/api/v1/tokens", "/api/v1/workspaces/default/apply"] {
            let refused = api.call("POST", path, &api.admin, Some(body.clone())).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
            let detail = refused.body["detail"].as_str().expect("a detail");
            let expected = format!("expected a JSON object `{{…}}`, found {found}");
            assert_eq!(detail, expected);
        }
    }
}

#[tokio::test]
async fn no_list_stumbles_over_a_cursor_that_nobody_gave() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let (description, mut tried) = (description(), 0);
    for (method, template) in operations() {
        let operation = &description["paths"][&template][method.to_lowercase()];
        let has_cursor = |item: &Value| item["name"] == "cursor";
        let takes_one = operation["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(has_cursor));
        // Those of a service's own are the service's.
        if !takes_one || template.ends_with("/options") {
            continue;
        }
        let path = filled(&template, "default");
        for cursor in [
            "",
            "0",
            "zzzzzzzz",
            "job_",
            "%00",
            "%27%20or%201=1--",
            "%F0%9F%98%80",
            &"z".repeat(64),
            &"z".repeat(65),
        ] {
            let path = format!("{path}?cursor={cursor}");
            let answer = api.call(&method, &path, &api.admin, None).await;
            match answer.status {
                StatusCode::OK => assert!(answer.body["items"].is_array(), "{path}"),
                status => assert_eq!(
                    (status, answer.kind.as_str()),
                    (StatusCode::BAD_REQUEST, "application/problem+json"),
                    "{path}: {}",
                    answer.text
                ),
            }
        }
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
}
