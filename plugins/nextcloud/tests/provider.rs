//! The declaration, and what the provider reads out of genuine requests.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{
    DELIVERIES, SECRET_HEADER, declared, delivery, fixture, on_event, provider, subscription,
};
use trigger_plugin_api::prelude::*;

#[test]
fn every_class_that_can_be_listened_to_is_declared() {
    let classes: Value = serde_json::from_slice(&fixture("nc-events.json")).unwrap();
    let concrete: BTreeSet<&str> = classes
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, class)| class["abstract"] == false)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(concrete.len(), 24);
    let declared: BTreeSet<&str> = declared()
        .declaration()
        .events
        .iter()
        .flat_map(|event| event.rules.when.names.iter().map(String::as_str))
        .collect();
    assert_eq!(declared, concrete);
}

#[test]
fn every_recorded_request_is_accepted_under_the_name_of_its_event() {
    for (file, name) in DELIVERIES {
        let request = delivery(file);
        assert!(request.as_request().headers.get("content-type").is_none());
        let dispatched = provider()
            .dispatch(&subscription(), &request.as_request())
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let [event] = dispatched.events.as_slice() else {
            panic!("{file}: {:?}", dispatched.events);
        };
        assert_eq!(
            (event.name.as_str(), &event.payload),
            (name, &Payload::Body)
        );
        let time = body(&request)["time"].as_i64().unwrap();
        assert_eq!(event.occurred_at_ms, Some(time * 1000), "{file}");
        assert!(!dispatched.wake);
    }
}

#[test]
fn two_requests_that_are_the_same_to_the_byte_are_two_events() {
    let (first, second) = (
        delivery("delivery-NodeWrittenEvent-45.http"),
        delivery("delivery-NodeWrittenEvent-67.http"),
    );
    assert_eq!(first.body, second.body);
    for request in [first, second] {
        let dispatched = provider().dispatch(&subscription(), &request.as_request());
        assert_eq!(dispatched.unwrap().delivery_id, None);
    }
}

#[test]
fn every_recorded_request_yields_variables_that_fit_the_schema() {
    for (file, name) in DELIVERIES {
        let variables = variables(name, &delivery(file).body);
        assert_fits(name, &variables, file);
        assert_eq!(variables["user"], "alice", "{file}");
        assert_eq!(variables["user_name"], "Alice Ünïcode", "{file}");
    }
}

#[test]
fn every_event_has_a_sample_whose_variables_fit_the_schema() {
    for event in &declared().declaration().events {
        let name = event.identity.name.as_str();
        let sample = declared().sample(name).unwrap();
        let variables = variables(name, &sample.body);
        assert_fits(name, &variables, name);
        let class = event.rules.when.names.first().unwrap();
        assert_eq!(variables["class"], class.as_str(), "{name}");
    }
}

#[test]
fn what_happened_to_a_file_says_where_it_is_and_was() {
    let renamed = variables(
        "file_renamed",
        &delivery("delivery-NodeRenamedEvent-01.http").body,
    );
    assert_eq!(
        renamed,
        json!({
            "path": "/alice/files/inbox/renamed.txt",
            "node_id": 230,
            "source_path": "/alice/files/inbox/copy.txt",
            "source_node_id": null,
            "user": "alice",
            "user_name": "Alice Ünïcode",
            "time": 1_795_213_569,
            "class": "OCP\\Files\\Events\\Node\\NodeRenamedEvent",
        })
    );
    let deleted = variables(
        "file_deleted",
        &delivery("delivery-NodeDeletedEvent-01.http").body,
    );
    assert_eq!(deleted["node_id"], Value::Null);
    assert_eq!(deleted["path"], "/alice/files/inbox/renamed.txt");
}

#[test]
fn a_calendar_object_comes_with_its_calendar_and_its_whole_text() {
    let file = "delivery-CalendarObjectCreatedEvent-01.http";
    let created = variables("calendar_object_created", &delivery(file).body);
    assert_eq!(created["calendar_id"], 7);
    assert_eq!(created["calendar_uri"], "contact_birthdays");
    assert_eq!(created["calendar_name"], "Contact birthdays");
    assert_eq!(created["calendar_owner"], "principals/users/alice");
    assert_eq!(created["component"], "vevent");
    let ics = created["ics"].as_str().unwrap();
    assert!(ics.starts_with("BEGIN:VCALENDAR\r\n") && ics.ends_with("END:VCALENDAR\r\n"));
    assert!(ics.contains("SUMMARY:🎂 Leon Green (2000)"));
    assert_eq!(ics.len(), 534);
}

#[test]
fn tokens_of_users_are_not_handed_on() {
    let mut payload = body(&delivery("delivery-NodeCreatedEvent-21.http"));
    payload["authentication"] = json!({"trigger": {"userId": "alice", "token": "live-token"}});
    for event in &declared().declaration().events {
        let variables = event.rules.variables.as_ref().unwrap();
        assert!(
            variables
                .iter()
                .all(|(_, at)| !at.as_str().starts_with("/authentication"))
        );
    }
    let variables = variables("file_created", payload.to_string().as_bytes());
    assert!(!variables.to_string().contains("live-token"));
}

#[test]
fn an_event_of_another_app_goes_on_under_its_class() {
    let class = "OCA\\Forms\\Events\\FormSubmittedEvent";
    let mut request = delivery("delivery-NodeCreatedEvent-21.http");
    let payload = json!({"event": {"form": {"id": 51}, "class": class}, "user": null, "time": 1});
    request.body = payload.to_string().into_bytes();
    let dispatched = provider()
        .dispatch(&subscription(), &request.as_request())
        .unwrap();
    assert_eq!(dispatched.events[0].name, class);
    let outcome = on_event(class, json!({}), &request.body).unwrap();
    assert_eq!(outcome, Outcome::Fires(Variables::Payload));
}

#[test]
fn without_the_secret_header_a_request_is_refused() {
    let genuine = delivery("delivery-NodeCreatedEvent-21.http");
    for forged in [
        None,
        Some(""),
        Some("wrong"),
        Some("x7Kq0b9cPz3mT1wYfN5vR8sLhUeJgA2dC4iOoB6nEk"),
    ] {
        let mut request = genuine.clone();
        request.headers.retain(|(name, _)| name != SECRET_HEADER);
        request
            .headers
            .extend(forged.map(|secret| (SECRET_HEADER.to_owned(), secret.as_bytes().to_vec())));
        let error = provider()
            .dispatch(&subscription(), &request.as_request())
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{forged:?}");
        assert!(!error.to_string().contains(support::SECRET), "{error}");
    }
}

#[test]
fn a_body_without_a_class_is_refused() {
    let mut request = delivery("delivery-NodeCreatedEvent-21.http");
    for body in [
        "{}",
        r#"{"event":{}}"#,
        r#"{"event":{"class":""}}"#,
        "<html>",
    ] {
        request.body = body.as_bytes().to_vec();
        let error = provider()
            .dispatch(&subscription(), &request.as_request())
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput, "{body}");
    }
}

fn body(request: &OwnedRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn variables(event: &str, payload: &[u8]) -> Value {
    match on_event(event, json!({}), payload).unwrap() {
        Outcome::Fires(Variables::Json(json)) => serde_json::from_slice(&json).unwrap(),
        other => panic!("{event}: {other:?}"),
    }
}

fn assert_fits(event: &str, variables: &Value, what: &str) {
    let event = declared().declaration().event(event).unwrap();
    let mut schema = event.output_schema.as_ref().unwrap().to_value();
    schema["additionalProperties"] = json!(false);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(variables)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{what}");
}
