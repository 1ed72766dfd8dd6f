//! Applying documents: idempotent, whole or not at all, secrets never shown.

use axum::http::StatusCode;
use serde_json::{Value, json};
use triggerd::api::Changed;

use crate::support::{Api, CANARY, actions, document};

fn all(action: &str) -> Vec<(String, String)> {
    ["f/demo/record", "f/demo/notify", "my-repo", "on-main"]
        .iter()
        .map(|name| ((*name).to_owned(), action.to_owned()))
        .collect()
}

fn action_of(applied: &Value, name: &str) -> String {
    let found = actions(applied)
        .into_iter()
        .find(|(other, _)| other == name);
    found.expect("the object").1
}

/// The pointers and messages of a refusal.
async fn mistakes(api: &Api, body: Value) -> Vec<(String, String)> {
    let answer = api.post("apply", body).await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        answer.text
    );
    assert_eq!(answer.kind, "application/problem+json");
    let errors = answer.body["errors"].as_array().expect("errors").iter();
    let text = |error: &Value, key: &str| error[key].as_str().expect("a text").to_owned();
    errors
        .map(|error| (text(error, "pointer"), text(error, "message")))
        .collect()
}

#[tokio::test]
async fn a_document_creates_everything_and_again_changes_nothing() {
    let api = Api::start().await;
    let created = api.apply("", document()).await;
    assert_eq!(actions(&created), all("created"));
    let subscription = &created["subscriptions"][0];
    assert_eq!(subscription["state"], "active");
    let url = subscription["endpoint_url"].as_str().expect("an address");
    assert!(
        url.starts_with("http://hooks.example.org/webhooks/acme/ep_"),
        "{url}"
    );
    let announced = api.changes.lock().expect("no panic").len();
    assert!(matches!(
        api.changes.lock().expect("no panic")[0],
        Changed::Objects(_)
    ));

    let again = api.apply("", document()).await;
    assert_eq!(actions(&again), all("unchanged"));
    assert_eq!(again["subscriptions"][0]["endpoint_url"], url);
    assert_eq!(
        api.changes.lock().expect("no panic").len(),
        announced,
        "nothing was changed"
    );
    let versions = api.get("runnables/f%2Fdemo%2Frecord/versions").await;
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_change_is_shown_field_by_field_and_makes_a_version() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let mut changed = document();
    changed["runnables"][0]["command"]["timeout"] = json!("10s");
    changed["triggers"][0]["parameters"]["branches"] = json!(["dev"]);
    changed["triggers"][0]["runnable"] = json!("f/demo/notify");
    let applied = api.apply("", changed).await;
    assert_eq!(
        applied["runnables"][0]["differences"],
        json!([{ "field": "spec.timeout_ms", "from": 30_000, "to": 10_000 }])
    );
    assert_eq!(
        applied["triggers"][0]["differences"],
        json!([
            { "field": "parameters.branches", "from": ["main"], "to": ["dev"] },
            { "field": "runnable", "from": "f/demo/record", "to": "f/demo/notify" },
        ])
    );
    assert_eq!(action_of(&applied, "my-repo"), "unchanged");
    let versions = api.get("runnables/f%2Fdemo%2Frecord/versions").await;
    assert_eq!(versions["items"][0]["number"], 2);
    assert_eq!(
        api.get("triggers/on-main").await["runnable"],
        "f/demo/notify"
    );
}

#[tokio::test]
async fn another_secret_is_a_change_that_is_not_shown() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let mut changed = document();
    let other = format!("{CANARY}-two");
    changed["subscriptions"][0]["manual"]["webhook_secret"] = json!(other);
    changed["runnables"][0]["command"]["secret_env"]["KEY"] = json!(other);
    let applied = api.apply("", changed.clone()).await;
    let secret = |field: &str| json!([{ "field": field, "secret": true }]);
    assert_eq!(
        applied["subscriptions"][0]["differences"],
        secret("webhook_secret")
    );
    assert_eq!(applied["runnables"][0]["differences"], secret("env"));
    assert_eq!(actions(&api.apply("", changed).await), all("unchanged"));
    let id = applied["subscriptions"][0]["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let held = api
        .store
        .subscription_secrets(&id)
        .await
        .expect("an answer")
        .expect("secrets");
    assert!(
        held.expose().contains(&other),
        "the new secret is the one that is kept"
    );
}

#[tokio::test]
async fn no_answer_holds_a_secret() {
    let api = Api::start().await;
    api.apply("", document()).await;
    api.apply("?dry_run=true&prune=true", document()).await;
    let mut wrong = document();
    wrong["runnables"][0]["command"]["secret_env"] = json!(CANARY);
    wrong["subscriptions"][0]["manual"]["region"] = json!(CANARY);
    api.post("apply", wrong).await;
    for list in [
        "subscriptions",
        "runnables",
        "triggers",
        "audit",
        "subscriptions/my-repo",
    ] {
        api.get(list).await;
    }
    api.get("runnables/f%2Fdemo%2Fnotify/versions").await;
    api.post(
        "subscriptions/my-repo/sample",
        json!({ "event": "push", "count": 3 }),
    )
    .await;
    assert!(!api.answered().contains(CANARY));
    assert!(!api.answered().contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let api = Api::start().await;
    let told = api.apply("?dry_run=true", document()).await;
    assert_eq!(actions(&told), all("created"));
    assert_eq!(told["dry_run"], true);
    for list in ["runnables", "subscriptions", "triggers"] {
        assert_eq!(api.get(list).await["items"], json!([]), "{list}");
    }
    assert!(api.changes.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn prune_removes_what_the_document_does_not_name() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let mut fewer = document();
    fewer["runnables"].as_array_mut().expect("a list").remove(0);
    fewer["triggers"][0]["runnable"] = json!("f/demo/notify");
    let kept = api.apply("", fewer.clone()).await;
    assert_eq!(
        actions(&kept).len(),
        3,
        "without prune, what is not named stays"
    );
    let pruned = api.apply("?prune=true", fewer).await;
    assert_eq!(action_of(&pruned, "f/demo/record"), "deleted");
    let left = api.get("runnables").await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));

    let nothing = json!({ "workspace": "default" });
    let pruned = api.apply("?prune=true", nothing).await;
    assert_eq!(actions(&pruned).len(), 3);
    for list in ["runnables", "subscriptions", "triggers"] {
        assert_eq!(api.get(list).await["items"], json!([]), "{list}");
    }
}

#[tokio::test]
async fn prune_ends_a_flow_with_its_steps_and_says_who_is_told_of_errors_no_more() {
    let api = Api::start().await;
    let command = json!({ "argv": ["./record.sh"] });
    let [step, told, kept] = ["f/a/step", "f/a/told", "f/b/kept"]
        .map(|path| json!({ "path": path, "command": command }));
    let mut kept_with_handler = kept.clone();
    kept_with_handler["on_error"] = json!("f/a/told");
    let flow = json!({ "path": "f/z/flow", "flow": { "steps": [
        { "id": "work", "run": "f/a/step" } ] } });
    let whole = json!({ "workspace": "default", "on_error": "f/a/told",
        "runnables": [step, told, kept_with_handler, flow] });
    api.apply("", whole).await;

    let fewer = json!({ "workspace": "default", "runnables": [kept] });
    for query in ["?prune=true&dry_run=true", "?prune=true"] {
        let pruned = api.apply(query, fewer.clone()).await;
        for path in ["f/a/step", "f/a/told", "f/z/flow"] {
            assert_eq!(action_of(&pruned, path), "deleted", "{query} {path}");
        }
        assert_eq!(action_of(&pruned, "f/b/kept"), "updated", "{query}");
        let ended = json!([{ "field": "on_error", "from": "f/a/told" }]);
        let of_kept = pruned["runnables"].as_array().expect("a list");
        let of_kept = of_kept.iter().find(|one| one["name"] == "f/b/kept");
        assert_eq!(
            of_kept.expect("it")["differences"],
            ended,
            "{query} {pruned}"
        );
        assert_eq!(pruned["settings"][0]["differences"], ended, "{query}");
        assert_eq!(pruned["settings"][0]["action"], "deleted", "{query}");
    }
    let again = api.apply("?prune=true", fewer).await;
    assert_eq!(
        actions(&again),
        [("f/b/kept".to_owned(), "unchanged".to_owned())]
    );
}

#[tokio::test]
async fn prune_does_not_take_away_what_a_trigger_of_the_document_names() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let mut without = document();
    without["runnables"]
        .as_array_mut()
        .expect("a list")
        .remove(0);
    let answer = api.post("apply?prune=true", without).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.body["errors"][0]["pointer"], "/triggers/0/runnable");
    assert_eq!(
        answer.body["errors"][0]["allowed"],
        json!(["f/demo/notify"])
    );
}

#[tokio::test]
async fn all_mistakes_of_shape_are_told_at_once_and_nothing_is_applied() {
    let api = Api::start().await;
    let found = mistakes(
        &api,
        json!({
            "worspace": "default",
            "runnables": [
                { "path": "record", "command": { "argv": [], "timeout": "soon" } },
                { "path": "f/a/b", "http": { "url": "ftp://x", "secret": "short", "allow": ["x"] } },
                { "path": "f/a/c" },
                { "path": "f/a/d", "command": { "argv": ["./x"], "env": { "A": "${B}" } },
                  "retry": { "attempts_max": 0 } },
                { "path": "f/a/d", "command": { "argv": ["./x", 7] } },
            ],
            "subscriptions": [{ "name": "a b", "provider": 7 }],
            "triggers": [{ "name": "t", "subscription": "s", "enabled": "yes" }],
        }),
    )
    .await;
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    for pointer in [
        "/worspace",
        "/runnables/0/path",
        "/runnables/0/command/argv",
        "/runnables/0/command/timeout",
        "/runnables/1/http/url",
        "/runnables/1/http/secret",
        "/runnables/1/http/allow/0",
        "/runnables/2",
        "/runnables/3/command/env/A",
        "/runnables/3/retry/attempts_max",
        "/runnables/4/command/argv/1",
        "/runnables/4/path",
        "/subscriptions/0/name",
        "/subscriptions/0/provider",
        "/triggers/0",
        "/triggers/0/enabled",
    ] {
        assert!(
            pointers.contains(&pointer),
            "{pointer} is missing in {found:#?}"
        );
    }
}

#[tokio::test]
async fn what_contradicts_providers_and_store_is_told_at_once_and_nothing_is_applied() {
    let api = Api::start().await;
    let found = mistakes(
        &api,
        json!({
            "runnables": [{ "path": "f/a/b", "command": { "argv": ["/etc/x"] } }],
            "subscriptions": [
                { "name": "one", "provider": "nobody", "manual": {} },
                { "name": "two", "provider": "acme", "manual": { "region": "mars", "colour": "x" } },
                { "name": "three", "provider": "acme", "manual": { "webhook_secret": "short" } },
                { "name": "four", "provider": "acme", "manual": { "webhook_secret": "long" } },
            ],
            "triggers": [
                { "name": "t1", "subscription": "four", "event": "no-such", "runnable": "f/a/b" },
                { "name": "t2", "subscription": "four", "event": "push", "runnable": "f/gone",
                  "parameters": { "tags": [] } },
                { "name": "t3", "subscription": "gone", "event": "push", "runnable": "f/a/b" },
            ],
        }),
    )
    .await;
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    for pointer in [
        "/runnables/0/command/argv",
        "/subscriptions/0/provider",
        "/subscriptions/1/manual/region",
        "/subscriptions/1/manual/colour",
        "/subscriptions/1/manual",
        "/subscriptions/2/manual/webhook_secret",
        "/triggers/0/event",
        "/triggers/1/runnable",
        "/triggers/1/parameters/tags",
        "/triggers/2/subscription",
    ] {
        assert!(
            pointers.contains(&pointer),
            "{pointer} is missing in {found:#?}"
        );
    }
    for list in ["runnables", "subscriptions", "triggers"] {
        assert_eq!(api.get(list).await["items"], json!([]), "{list}");
    }
}

#[tokio::test]
async fn a_document_for_another_workspace_is_refused() {
    let api = Api::start().await;
    let found = mistakes(&api, json!({ "workspace": "other" })).await;
    assert_eq!(found[0].0, "/workspace");
}

#[tokio::test]
async fn the_provider_of_a_subscription_cannot_change() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let mut other = document();
    other["subscriptions"][0]["provider"] = json!("nobody");
    let found = mistakes(&api, other).await;
    assert!(
        found
            .iter()
            .all(|(pointer, _)| pointer == "/subscriptions/0/provider"),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|(_, message)| message.contains("cannot change")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_provider_that_is_not_loaded_is_named_with_its_reason() {
    let api = Api::start().await;
    api.providers
        .is_disabled
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let found = mistakes(&api, document()).await;
    assert_eq!(found.len(), 1, "told once: {found:?}");
    assert!(found[0].1.contains("it is disabled"), "{found:?}");
}

#[tokio::test]
async fn documents_applied_at_the_same_time_end_in_one_of_them() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let with = |branch: &str| {
        let mut changed = document();
        changed["triggers"][0]["parameters"]["branches"] = json!([branch]);
        changed
    };
    let (one, two) = (with("one"), with("two"));
    let (one, two) = tokio::join!(api.post("apply", one), api.post("apply", two));
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    let trigger = api.get("triggers/on-main").await;
    let branch = trigger["parameters"]["branches"][0]
        .as_str()
        .expect("a branch");
    assert!(["one", "two"].contains(&branch), "{trigger}");
}
