//! Subscriptions of a document that this host makes by itself: read, compared, refused.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Api, actions, document_with_accounts};

fn managed() -> Value {
    let mut document = document_with_accounts();
    document["subscriptions"] = json!([
        { "name": "my-repo", "provider": "acme", "credential": "ci",
          "parameters": { "repository": "o/r" } },
    ]);
    document
}

/// The document with another content of its subscription.
fn with(changes: Value) -> Value {
    let mut document = managed();
    let entry = document["subscriptions"][0].as_object_mut().expect("a map");
    for (key, value) in changes.as_object().expect("a map") {
        entry.insert(key.clone(), value.clone());
    }
    document
}

async fn differences(api: &Api, document: Value) -> Value {
    let applied = api.apply("", document).await;
    applied["subscriptions"][0]["differences"].clone()
}

#[tokio::test]
async fn a_managed_subscription_is_pending_until_it_was_made() {
    let api = Api::start().await;
    let created = api.apply("", managed()).await;
    let subscription = &created["subscriptions"][0];
    assert_eq!(subscription["action"], "created");
    assert_eq!(subscription["state"], "pending");
    let shown = api.get("subscriptions/my-repo").await;
    assert_eq!(shown["mode"], "managed");
    assert_eq!(shown["credential"], "ci");
    assert_eq!(shown["parameters"], json!({ "repository": "o/r" }));
    assert_eq!(
        shown["policy"],
        json!({ "missing": "recreate", "drift": "repair" })
    );
    assert_eq!(shown["next_action"], "make");
    let again = api.apply("", managed()).await;
    assert!(
        actions(&again)
            .iter()
            .all(|(_, action)| action == "unchanged"),
        "{again}"
    );
}

#[tokio::test]
async fn every_field_of_it_can_be_changed_and_the_change_is_shown() {
    let api = Api::start().await;
    api.apply("", managed()).await;
    let parameters = json!({ "parameters": { "repository": "o/other", "deep": true } });
    assert_eq!(
        differences(&api, with(parameters)).await,
        json!([
            { "field": "parameters.repository", "from": "o/r", "to": "o/other" },
            { "field": "parameters.deep", "to": true },
        ])
    );
    let terms = json!({ "events": ["push", "issues", "push"], "policy": { "drift": "adopt" }, "paused": true });
    assert_eq!(
        differences(&api, with(terms.clone())).await,
        json!([
            { "field": "parameters.repository", "from": "o/other", "to": "o/r" },
            { "field": "parameters.deep", "from": true },
            { "field": "events", "to": ["issues", "push"] },
            { "field": "policy.drift", "from": "repair", "to": "adopt" },
            { "field": "paused", "from": false, "to": true },
        ])
    );
    assert_eq!(api.get("subscriptions/my-repo").await["state"], "paused");
    assert_eq!(
        differences(&api, with(terms)).await,
        Value::Null,
        "the same again"
    );
    // What a document does not say of pausing stays as an operator left it.
    differences(&api, managed()).await;
    assert_eq!(api.get("subscriptions/my-repo").await["state"], "paused");
    let resumed = differences(&api, with(json!({ "paused": false }))).await;
    assert_eq!(
        resumed,
        json!([{ "field": "paused", "from": true, "to": false }])
    );
    assert_eq!(api.get("subscriptions/my-repo").await["state"], "pending");
}

#[tokio::test]
async fn another_credential_is_a_change() {
    let api = Api::start().await;
    api.apply("", managed()).await;
    let mut document = with(json!({ "credential": "nightly" }));
    let mut other = document["credentials"][0].clone();
    other["name"] = json!("nightly");
    document["credentials"]
        .as_array_mut()
        .expect("a list")
        .push(other);
    assert_eq!(
        differences(&api, document).await,
        json!([{ "field": "credential", "from": "ci", "to": "nightly" }])
    );
    assert_eq!(
        api.get("subscriptions/my-repo").await["credential"],
        "nightly"
    );
}

#[tokio::test]
async fn a_dry_run_shows_the_change_and_makes_none() {
    let api = Api::start().await;
    api.apply("", managed()).await;
    let changed = with(json!({ "parameters": { "repository": "o/other" } }));
    let shown = api.apply("?dry_run=true&wait=10s", changed).await;
    assert_eq!(
        shown["subscriptions"][0]["differences"],
        json!([{ "field": "parameters.repository", "from": "o/r", "to": "o/other" }])
    );
    let stored = api.get("subscriptions/my-repo").await;
    assert_eq!(stored["parameters"], json!({ "repository": "o/r" }));
}

#[tokio::test]
async fn each_mistake_is_told_with_its_place_and_what_is_allowed() {
    let api = Api::start().await;
    for (changes, pointer, message, allowed) in [
        (
            json!({ "credential": null }),
            "",
            "`credential` is missing",
            json!(["ci"]),
        ),
        (
            json!({ "credential": "nobody" }),
            "/credential",
            "triggerd connect acme --name nobody",
            json!(["ci"]),
        ),
        (
            json!({ "manual": {} }),
            "/credential",
            "not both",
            Value::Null,
        ),
        (
            json!({ "credential": null, "parameters": null }),
            "",
            "neither `credential` nor `manual`",
            json!(["ci"]),
        ),
        (
            json!({ "parameters": {} }),
            "/parameters",
            "`parameters.repository` is missing",
            Value::Null,
        ),
        (
            json!({ "parameters": null }),
            "",
            "`parameters.repository` is missing",
            Value::Null,
        ),
        (
            json!({ "parameters": { "repository": "o/r", "branch": "x" } }),
            "/parameters/branch",
            "not known here",
            json!(["repository", "deep"]),
        ),
        (
            json!({ "parameters": { "repository": 7 } }),
            "/parameters/repository",
            "expected a text",
            Value::Null,
        ),
        (
            json!({ "events": ["no-such"] }),
            "/events",
            "there is no event",
            json!(["push", "issues"]),
        ),
        (
            json!({ "events": [] }),
            "/events",
            "leave it out",
            Value::Null,
        ),
        (
            json!({ "policy": { "drift": "ignore" } }),
            "/policy/drift",
            "expected one of the allowed words",
            json!(["repair", "adopt", "report"]),
        ),
        (
            json!({ "paused": "yes" }),
            "/paused",
            "expected true or false",
            Value::Null,
        ),
    ] {
        let answer = api.post("apply", with(changes.clone())).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{changes}: {}",
            answer.text
        );
        let errors = answer.body["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{changes}: {errors:?}");
        assert_eq!(
            errors[0]["pointer"],
            format!("/subscriptions/0{pointer}"),
            "{changes}"
        );
        let said = errors[0]["message"].as_str().unwrap_or_default();
        assert!(said.contains(message), "{changes}: {said}");
        assert_eq!(errors[0]["allowed"], allowed, "{changes}");
    }
    assert_eq!(api.get("subscriptions").await["items"], json!([]));
}

#[tokio::test]
async fn one_registered_by_hand_does_not_become_managed_nor_the_other_way() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let answer = api.post("apply", managed()).await;
    let said = answer.body["errors"].to_string();
    assert!(
        said.contains("registered by hand, which cannot change"),
        "{said}"
    );
    assert!(said.contains("/subscriptions/0/credential"), "{said}");
    let api = Api::start().await;
    api.apply("", managed()).await;
    let answer = api.post("apply", document_with_accounts()).await;
    let said = answer.body["errors"].to_string();
    assert!(
        said.contains("made by this host, which cannot change"),
        "{said}"
    );
    assert!(said.contains("/subscriptions/0/manual"), "{said}");
}

#[tokio::test]
async fn one_is_put_over_the_api_by_itself() {
    let api = Api::start().await;
    api.apply("", document_with_accounts()).await;
    let path = "/api/v1/workspaces/default/subscriptions";
    let wish = json!({ "name": "second", "provider": "acme", "credential": "ci",
        "parameters": { "repository": "o/r" } });
    let answer = api.call("PUT", path, &api.admin, Some(wish.clone())).await;
    assert_eq!(answer.body["action"], "created", "{}", answer.text);
    let mut changed = wish;
    changed["parameters"]["repository"] = json!("o/s");
    let answer = api.call("PUT", path, &api.admin, Some(changed)).await;
    assert_eq!(answer.body["action"], "updated", "{}", answer.text);
    let path = "/api/v1/workspaces/default/subscriptions/second";
    let answer = api.call("DELETE", path, &api.admin, None).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
}

#[tokio::test]
async fn what_was_never_made_is_pruned_at_once_and_its_account_after_it() {
    let api = Api::start().await;
    api.apply("", managed()).await;
    let empty = json!({ "credentials": [], "integrations": [] });
    let applied = api.apply("?prune=true", empty).await;
    let gone = actions(&applied);
    for name in ["my-repo", "ci", "cloud"] {
        assert!(
            gone.contains(&(name.to_owned(), "deleted".to_owned())),
            "{gone:?}"
        );
    }
    for list in ["subscriptions", "credentials"] {
        assert_eq!(api.get(list).await["items"], json!([]), "{list}");
    }
}
