//! Tokens over the API.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use triggerd::clock::Clock;
use triggerd::model::Scope;
use triggerd::seal::KeyRing;
use triggerd::store::{DatabaseConfig, Store};
use triggerd::tokens::Tokens;

use crate::support::{Answer, Api};

async fn create(api: &Api, token: &str, wish: Value) -> Answer {
    api.call("POST", "/api/v1/tokens", token, Some(wish)).await
}

async fn reads(api: &Api, token: &str) -> StatusCode {
    api.call("GET", "/api/v1/workspaces/default/jobs", token, None)
        .await
        .status
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_ends_when_revoked() {
    let api = Api::start().await;
    let wish = json!({ "name": "ci", "scopes": ["read"], "workspace": "default" });
    let created = create(&api, &api.admin, wish).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let token = created.body["token"]
        .as_str()
        .expect("the token")
        .to_owned();
    assert_eq!(reads(&api, &token).await, StatusCode::OK);

    let list = api.call("GET", "/api/v1/tokens", &api.admin, None).await;
    assert!(!list.text.contains(&token), "a list shows no token");
    let id = created.body["id"].as_str().expect("an id");
    let items = list.body["items"].as_array().expect("items");
    let listed = items
        .iter()
        .find(|item| item["id"] == id)
        .expect("the token is listed");
    assert_eq!(listed["workspace"], "default");
    let path = format!("/api/v1/tokens/{id}");
    let revoked = api.call("DELETE", &path, &api.admin, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(reads(&api, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_for_one_runnable_is_for_what_stands_at_the_path() {
    let api = Api::start().await;
    let document = json!({ "runnables": [
        { "path": "f/t/one", "command": { "argv": ["./x"] } },
        { "path": "f/t/flow", "flow": { "steps": [{ "id": "a", "run": "f/t/one" }] } },
    ]});
    api.apply("", document).await;
    for (path, kind, told) in [
        ("f/t/one", None, Ok("runnable")),
        ("f/t/one", Some("runnable"), Ok("runnable")),
        ("f/t/flow", None, Ok("flow")),
        ("f/t/flow", Some("flow"), Ok("flow")),
        ("f/t/one", Some("flow"), Err("`f/t/one` is no flow")),
        ("f/t/flow", Some("runnable"), Err("`f/t/flow` is a flow")),
        ("f/t/flow", Some("other"), Err("expected a kind")),
        ("f/t/none", None, Err("there is no runnable `f/t/none`")),
    ] {
        let mut runs = json!({ "path": path });
        if let Some(kind) = kind {
            runs["kind"] = kind.into();
        }
        let wish = json!({ "name": "one", "workspace": "default", "runs": runs });
        let created = create(&api, &api.admin, wish).await;
        match told {
            Ok(kind) => {
                assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
                assert_eq!(created.body["runs"]["kind"], kind);
            }
            Err(said) => {
                assert_eq!(created.status, StatusCode::UNPROCESSABLE_ENTITY);
                assert!(created.text.contains(said), "{}", created.text);
            }
        }
    }
}

#[tokio::test]
async fn a_token_expires() {
    let api = Api::start().await;
    let wish = json!({ "name": "short", "scopes": ["read"], "expires_in": "1h" });
    let created = create(&api, &api.admin, wish).await;
    let token = created.body["token"]
        .as_str()
        .expect("the token")
        .to_owned();
    api.clock.advance(Duration::from_secs(3599));
    assert_eq!(reads(&api, &token).await, StatusCode::OK);
    let state = async || {
        let list = api.call("GET", "/api/v1/tokens", &api.admin, None).await;
        let items = list.body["items"].as_array().expect("items").clone();
        let short = items.into_iter().find(|item| item["name"] == "short");
        short.expect("the token is listed")["state"].clone()
    };
    assert_eq!(state().await, "active");
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(reads(&api, &token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(state().await, "expired");
}

#[tokio::test]
async fn a_workspaces_admin_makes_tokens_for_that_workspace_only() {
    let api = Api::start().await;
    let own = api.token(Some("other"), &[Scope::Admin]).await;
    let created = create(&api, &own, json!({ "name": "x", "scopes": ["admin"] })).await;
    assert_eq!(created.body["workspace"], "other", "{}", created.text);
    let wish = json!({ "name": "x", "scopes": ["read"], "workspace": "default" });
    let refused = create(&api, &own, wish).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);

    let list = api.call("GET", "/api/v1/tokens", &own, None).await;
    let items = list.body["items"].as_array().expect("items");
    assert!(
        items.iter().all(|token| token["workspace"] == "other"),
        "{}",
        list.text
    );
    let all = api.call("GET", "/api/v1/tokens", &api.admin, None).await;
    let mut items = all.body["items"].as_array().expect("items").iter();
    let first = items.rfind(|token| token["workspace"].is_null());
    let first = first.expect("the first");
    let path = format!("/api/v1/tokens/{}", first["id"].as_str().expect("an id"));
    let foreign = api.call("DELETE", &path, &own, None).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mistakes_of_a_wish_are_told_by_field() {
    let api = Api::start().await;
    let wish = json!({ "name": " ", "scopes": ["read", "write"], "expires_in": "soon" });
    let refused = create(&api, &api.admin, wish).await;
    let errors = refused.body["errors"].as_array().expect("errors");
    let pointers: Vec<&str> = errors
        .iter()
        .filter_map(|one| one["pointer"].as_str())
        .collect();
    assert_eq!(pointers, ["/name", "/scopes/1", "/expires_in"]);
    assert_eq!(
        errors[1]["allowed"],
        json!(["admin", "read", "apply", "run", "send"])
    );
}

#[tokio::test]
async fn a_token_that_is_dead_at_birth_is_not_made() {
    let api = Api::start().await;
    let wish = json!({ "name": "x", "scopes": ["read"], "expires_in": "0s" });
    let refused = create(&api, &api.admin, wish).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.body["errors"][0]["pointer"], "/expires_in");
}

#[tokio::test]
async fn the_last_use_of_a_token_is_noted() {
    let api = Api::start().await;
    api.get("jobs").await;
    api.tokens.note_uses().await.expect("noted");
    let list = api.call("GET", "/api/v1/tokens", &api.admin, None).await;
    assert!(
        list.body["items"][0]["last_used_at"].is_string(),
        "{}",
        list.text
    );
}

#[tokio::test]
async fn the_first_token_is_made_once() {
    let api = Api::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("admin.token");
    let second = api
        .tokens
        .create_first_admin(&file)
        .await
        .expect("an answer");
    assert!(second.is_none() && !file.exists());
}

#[tokio::test]
async fn a_first_token_that_cannot_be_written_locks_nobody_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    let clock = Clock::system();
    let store = Store::open(
        DatabaseConfig::new(url),
        KeyRing::ephemeral(),
        clock.clone(),
    )
    .await;
    let tokens = Tokens::new(store.expect("opened"), clock);
    let nowhere = folder.path().join("no-such-folder/admin.token");
    assert!(tokens.create_first_admin(&nowhere).await.is_err());
    let file = folder.path().join("admin.token");
    let token = tokens.create_first_admin(&file).await.expect("an answer");
    let text = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(text.trim(), token.expect("the first one").expose());
    let caller = tokens.recognise(text.trim()).await.expect("an answer");
    assert!(caller.is_some_and(|caller| caller.is_instance_admin()));
}
