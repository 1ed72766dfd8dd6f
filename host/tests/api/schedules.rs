//! Schedules over the API: applied, refused with their places, paused, pruned.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Api, actions, document};

fn with(schedules: Value) -> Value {
    let mut document = document();
    document["schedules"] = schedules;
    document
}

fn nightly() -> Value {
    json!({ "name": "nightly", "cron": "0 0 2 * * *", "timezone": "Europe/Berlin",
        "runnable": "f/demo/record", "arguments": { "depth": 2 }, "missed": "once" })
}

fn action(applied: &Value, name: &str) -> String {
    let found = actions(applied).into_iter().find(|(one, _)| one == name);
    found.expect("the object").1
}

#[tokio::test]
async fn a_schedule_is_applied_and_shows_its_next_five_times() {
    let api = Api::start().await;
    let document = with(json!([nightly()]));
    let dry = api.apply("?dry_run=true", document.clone()).await;
    assert_eq!(action(&dry, "nightly"), "created");
    assert_eq!(api.get("schedules").await["items"], json!([]));
    let applied = api.apply("", document.clone()).await;
    assert_eq!(action(&applied, "nightly"), "created");
    assert_eq!(applied["schedules"][0]["state"], "active");
    assert_eq!(
        action(&api.apply("", document).await, "nightly"),
        "unchanged"
    );

    // The clock of these tests stands at 2027-01-15 08:00 UTC.
    let shown = api.get("schedules/nightly").await;
    let next = json!([
        "2027-01-16T02:00:00+01:00",
        "2027-01-17T02:00:00+01:00",
        "2027-01-18T02:00:00+01:00",
        "2027-01-19T02:00:00+01:00",
        "2027-01-20T02:00:00+01:00"
    ]);
    assert_eq!(shown["next"], next);
    assert_eq!(shown["runnable"], "f/demo/record");
    assert_eq!(
        (&shown["state"], &shown["missed"]),
        (&json!("active"), &json!("once"))
    );
    assert_eq!(
        (&shown["overlap"], &shown["skipped"]),
        (&json!(false), &json!(0))
    );
}

#[tokio::test]
async fn what_would_never_run_or_cannot_be_read_is_refused_with_its_place() {
    let api = Api::start().await;
    let answer = api
        .post(
            "apply",
            with(json!([
                { "name": "a", "cron": "0 0 0 30 2 *", "runnable": "f/demo/record" },
                { "name": "b", "cron": "61 * * * * *", "runnable": "f/demo/record" },
                { "name": "c", "cron": "0 0 2 * * *", "timezone": "Europe/Nowhere",
                  "runnable": "f/demo/record" },
                { "name": "d", "cron": "0 0 2 * * *", "runnable": "f/demo/gone" },
            ])),
        )
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors = answer.body["errors"].as_array().expect("errors");
    let found: Vec<&str> = errors
        .iter()
        .filter_map(|one| one["pointer"].as_str())
        .collect();
    let places = [
        "/schedules/0/cron",
        "/schedules/1/cron",
        "/schedules/2/timezone",
        "/schedules/3/runnable",
    ];
    assert_eq!(found, places);
    assert!(
        answer.text.contains("it would never run"),
        "{}",
        answer.text
    );

    let shapes = json!([
        { "name": "a b", "cron": 5, "runnable": "x", "overlap": "yes", "missed": "sometimes",
          "arguments": [1], "every": "5m" },
        { "name": "x" },
    ]);
    let answer = api.post("apply", with(shapes)).await;
    let errors = answer.body["errors"].as_array().expect("errors");
    let found: Vec<&str> = errors
        .iter()
        .filter_map(|one| one["pointer"].as_str())
        .collect();
    for place in ["name", "cron", "overlap", "missed", "arguments", "every"] {
        let place = format!("/schedules/0/{place}");
        assert!(found.contains(&place.as_str()), "{place}: {found:?}");
    }
    assert!(found.contains(&"/schedules/1"), "{found:?}");
    assert_eq!(api.get("schedules").await["items"], json!([]));
}

#[tokio::test]
async fn a_paused_schedule_stays_paused_under_a_document_that_does_not_say() {
    let api = Api::start().await;
    api.apply("", with(json!([nightly()]))).await;
    let paused = api.post("schedules/nightly/pause", json!({})).await;
    assert_eq!(
        (&paused.body["state"], &paused.body["next"]),
        (&json!("paused"), &json!([]))
    );
    let mut changed = nightly();
    changed["cron"] = json!("0 0 3 * * *");
    let applied = api.apply("", with(json!([changed.clone()]))).await;
    assert_eq!(action(&applied, "nightly"), "updated");
    assert_eq!(applied["schedules"][0]["differences"][0]["field"], "cron");
    assert_eq!(api.get("schedules/nightly").await["state"], "paused");
    let resumed = api.post("schedules/nightly/resume", json!({})).await;
    assert_eq!(resumed.body["next"][0], "2027-01-16T03:00:00+01:00");
    changed["paused"] = json!(true);
    api.apply("", with(json!([changed]))).await;
    assert_eq!(api.get("schedules/nightly").await["state"], "paused");
}

#[tokio::test]
async fn schedules_are_put_alone_deleted_and_pruned() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let path = "/api/v1/workspaces/default/schedules";
    let put = api.call("PUT", path, &api.admin, Some(nightly())).await;
    assert_eq!(put.body["action"], "created", "{}", put.text);
    let one = format!("{path}/nightly");
    let deleted = api.call("DELETE", &one, &api.admin, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    let gone = api.call("GET", &one, &api.admin, None).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);

    api.call("PUT", path, &api.admin, Some(nightly())).await;
    let used = "/api/v1/workspaces/default/runnables/f%2Fdemo%2Frecord";
    api.apply("", json!({})).await;
    let kept = api.call("DELETE", used, &api.admin, None).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "{}", kept.text);
    let pruned = api.apply("?prune=true", json!({})).await;
    assert_eq!(action(&pruned, "nightly"), "deleted");
    assert_eq!(action(&pruned, "f/demo/record"), "deleted");
    assert_eq!(api.get("schedules").await["items"], json!([]));
}
