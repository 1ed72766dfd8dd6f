//! What happened: requests, events, jobs, and what can be done with jobs.

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::json;
use triggerd::clock::Millis;
use triggerd::id::{EventId, JobId, RequestId};
use triggerd::model::{
    Append, Delivery, HandledEvent, Handling, JobCause, NewEvent, NewJob, NewRequest,
    RequestOutcome,
};

use crate::support::{Api, document};

/// A request with one event that fired the trigger of the document.
async fn fire(api: &Api, payload: &'static [u8]) -> (RequestId, EventId, JobId) {
    let workspace = api
        .store
        .workspace_by_name("default")
        .await
        .expect("an answer");
    let workspace = workspace.expect("the workspace").id;
    let found = api
        .store
        .subscription_by_name(&workspace, "my-repo")
        .await
        .expect("an answer");
    let subscription = found.expect("the subscription");
    let trigger = api
        .store
        .trigger_by_name(&workspace, "on-main")
        .await
        .expect("an answer");
    let trigger = trigger.expect("the trigger");
    let runnable = api
        .store
        .runnable(&workspace, &trigger.runnable_id)
        .await
        .expect("an answer");
    let runnable = runnable.expect("the runnable");
    let now = api.clock.now();
    let (request_id, event_id) = (RequestId::generate(now), EventId::generate(now));
    let append = Append {
        request: NewRequest {
            id: request_id.clone(),
            workspace_id: workspace.clone(),
            subscription_id: subscription.id,
            provider: "acme".to_owned(),
            method: "POST".to_owned(),
            path: "/webhooks/acme/ep".to_owned(),
            query: String::new(),
            headers: json!([["x-event", "push"]]).to_string(),
            body: Some(Bytes::from_static(payload)),
            body_size: payload.len() as u64,
            received_at: now,
            outcome: RequestOutcome::Accepted,
            status: 200,
            reason: None,
        },
        delivery: Some(Delivery {
            id: "d-1".to_owned(),
            expires_at: Millis(now.0 + 1000),
        }),
        events: vec![NewEvent {
            id: event_id.clone(),
            name: "push".to_owned(),
            payload: None,
            occurred_at: None,
        }],
        queue: triggerd::model::Queue::Every,
        wake: false,
    };
    api.store.append(append).await.expect("stored");
    let job_id = JobId::generate(now);
    let job = NewJob {
        id: job_id.clone(),
        workspace_id: workspace.clone(),
        cause: JobCause::Event,
        event_id: Some(event_id.clone()),
        trigger_id: Some(trigger.id),
        version_id: runnable.version_id,
        runnable_id: runnable.id,
        arguments: None,
        attempts_max: 5,
        due_at: now,
        created_at: now,
    };
    let handling = Handling::Handled {
        jobs: vec![job],
        reason: None,
    };
    let handled = HandledEvent {
        workspace_id: workspace,
        id: event_id.clone(),
        handling,
    };
    api.store
        .handle_events(vec![handled])
        .await
        .expect("handled");
    (request_id, event_id, job_id)
}

#[tokio::test]
async fn requests_events_and_jobs_are_shown_by_name_with_what_was_kept() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let (request, event, job) = fire(&api, br#"{"ref":"refs/heads/main"}"#).await;

    let shown = api.get(&format!("requests/{request}")).await;
    assert_eq!(shown["subscription"], "my-repo");
    assert_eq!(
        (&shown["outcome"], &shown["delivery_id"]),
        (&json!("accepted"), &json!("d-1"))
    );
    assert_eq!(shown["headers"], json!([["x-event", "push"]]));
    assert_eq!(shown["body"], r#"{"ref":"refs/heads/main"}"#);

    let shown = api.get(&format!("events/{event}")).await;
    assert_eq!(
        (&shown["state"], &shown["matched"]),
        (&json!("handled"), &json!(1))
    );
    assert_eq!(shown["payload"]["ref"], "refs/heads/main");

    let shown = api.get(&format!("jobs/{job}")).await;
    assert_eq!(
        (&shown["runnable"], &shown["event"]),
        (&json!("f/demo/record"), &json!("push"))
    );
    assert_eq!(
        (&shown["trigger"], &shown["attempts"]),
        (&json!("on-main"), &json!(0))
    );
    assert_eq!(shown["arguments"]["ref"], "refs/heads/main");
    assert_eq!(
        api.get(&format!("jobs/{job}/attempts")).await["items"],
        json!([])
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_are_shown_in_base64() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let (request, _, _) = fire(&api, &[0xff, 0xfe]).await;
    let shown = api.get(&format!("requests/{request}")).await;
    assert_eq!(
        (&shown["body_base64"], shown.get("body")),
        (&json!("//4="), None)
    );
}

#[tokio::test]
async fn lists_are_narrowed_and_wrong_words_are_refused_with_the_right_ones() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let (_, event, _) = fire(&api, b"{}").await;
    for (query, count) in [
        ("jobs?state=ready".to_owned(), 1),
        ("jobs?state=done".to_owned(), 0),
        ("jobs?runnable=f/demo/record".to_owned(), 1),
        ("jobs?runnable=f/demo/notify".to_owned(), 0),
        ("jobs?trigger=on-main".to_owned(), 1),
        (format!("jobs?event={event}"), 1),
        ("events?matched=true".to_owned(), 1),
        ("events?matched=false".to_owned(), 0),
        ("events?subscription=my-repo&name=push".to_owned(), 1),
        ("requests?outcome=accepted".to_owned(), 1),
        ("requests?outcome=refused".to_owned(), 0),
        ("triggers?event=push".to_owned(), 1),
        ("triggers?runnable=f/demo/notify".to_owned(), 0),
    ] {
        let list = api.get(&query).await;
        assert_eq!(
            list["items"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }
    let path = "/api/v1/workspaces/default/jobs?state=finished";
    let wrong = api.call("GET", path, &api.admin, None).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text.contains("cancelled"), "{}", wrong.text);
}

#[tokio::test]
async fn a_job_is_started_cancelled_and_run_again() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let body = json!({ "runnable": "f/demo/record", "arguments": { "a": 1 } });
    let started = api.post("jobs", body).await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    assert_eq!(
        (&started.body["cause"], &started.body["state"]),
        (&json!("test"), &json!("ready"))
    );
    let id = started.body["id"].as_str().expect("an id");

    let cancelled = api.post(&format!("jobs/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled.body["state"], "cancelled", "{}", cancelled.text);
    let twice = api.post(&format!("jobs/{id}/cancel"), json!({})).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);

    let replayed = api.post(&format!("jobs/{id}/replay"), json!({})).await;
    assert_eq!(replayed.status, StatusCode::CREATED, "{}", replayed.text);
    assert_eq!(replayed.body["cause"], "replay");
    assert_eq!(replayed.body["origin_job_id"], id);
    let again = api
        .get(&format!(
            "jobs/{}",
            replayed.body["id"].as_str().expect("an id")
        ))
        .await;
    assert_eq!(again["arguments"], json!({ "a": 1 }));
}

#[tokio::test]
async fn a_job_of_a_deleted_runnable_cannot_be_run_again() {
    let api = Api::start().await;
    api.apply("", document()).await;
    let started = api
        .post("jobs", json!({ "runnable": "f/demo/notify" }))
        .await;
    let id = started.body["id"].as_str().expect("an id");
    let path = "/api/v1/workspaces/default/runnables/f%2Fdemo%2Fnotify";
    let deleted = api.call("DELETE", path, &api.admin, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{}", deleted.text);
    let replayed = api.post(&format!("jobs/{id}/replay"), json!({})).await;
    assert_eq!(replayed.status, StatusCode::CONFLICT, "{}", replayed.text);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let api = Api::start().await;
    let job = "job_00000000000000000000000000";
    for path in [
        format!("jobs/{job}"),
        "jobs/nonsense".into(),
        "events/evt_x".into(),
    ] {
        let path = format!("/api/v1/workspaces/default/{path}");
        let answer = api.call("GET", &path, &api.admin, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let started = api.post("jobs", json!({ "runnable": "f/no/such" })).await;
    assert_eq!(started.status, StatusCode::NOT_FOUND);
}
