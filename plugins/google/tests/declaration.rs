//! The declaration: what the host reads of it, and that its samples are of the documented shape.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::{Told, assert_fits, declared, fires, provider};
use trigger_plugin_api::prelude::*;

const DRIVE: &str = include_str!("../../../examples/fakes/data/google/drive.v3.jsonschema.json");
const CALENDAR: &str =
    include_str!("../../../examples/fakes/data/google/calendar.v3.jsonschema.json");

fn sample(event: &str) -> Told {
    let request = declared().sample(event).unwrap();
    Told {
        name: event.to_owned(),
        payload: serde_json::from_slice(&request.body).unwrap(),
        occurred_at_ms: None,
    }
}

fn names() -> Vec<String> {
    let events = declared().declaration().events.iter();
    events.map(|event| event.identity.name.clone()).collect()
}

#[test]
fn every_event_of_both_services_is_declared() {
    assert_eq!(
        names(),
        [
            "calendar.event_cancelled",
            "calendar.event_created",
            "calendar.event_started",
            "calendar.event_updated",
            "drive.file_created",
            "drive.file_deleted",
            "drive.file_moved",
            "drive.file_renamed",
            "drive.file_restored",
            "drive.file_shared",
            "drive.file_trashed",
            "drive.file_updated",
        ]
    );
}

#[test]
fn every_sample_fits_its_output_schema_and_fires_a_trigger() {
    for name in names() {
        let sample = sample(&name);
        assert_fits(&name, &sample.payload);
        assert!(fires(&sample, json!({})), "{name}");
    }
}

#[test]
fn what_samples_quote_is_as_google_describes_it() {
    let validator = |schemas: &str, name: &str| {
        let mut schema: Value = serde_json::from_str(schemas).unwrap();
        schema["$ref"] = json!(format!("#/$defs/{name}"));
        jsonschema::validator_for(&schema).unwrap()
    };
    let (file, event) = (validator(DRIVE, "File"), validator(CALENDAR, "Event"));
    for name in names() {
        let payload = sample(&name).payload;
        let (validator, quoted) = match payload.get("file") {
            Some(quoted) => (&file, quoted),
            None => (&event, &payload["event"]),
        };
        let errors: Vec<String> = validator
            .iter_errors(quoted)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_sample_that_is_sent_says_that_there_is_something_to_read() {
    let subscription = support::opened("", json!({}));
    for name in names() {
        let mut request = declared().sample(&name).unwrap();
        let signed = declared()
            .sign(&subscription, &request.as_request())
            .unwrap();
        let signed = signed.into_iter();
        request
            .headers
            .extend(signed.map(|(name, value)| (name, value.into_bytes())));
        let dispatched = provider().dispatch(&subscription, &request.as_request());
        let dispatched = dispatched.unwrap();
        assert!(dispatched.wake, "{name}");
        assert_eq!(dispatched.events, [], "{name}");
    }
}

#[test]
fn filters_of_every_event_take_what_they_are_meant_for() {
    for (event, parameters, expected) in [
        (
            "drive.file_deleted",
            json!({"names": ["invoice*"], "owners": ["ada@acme.test"]}),
            true,
        ),
        (
            "drive.file_deleted",
            json!({"mime_types": ["image/*"]}),
            false,
        ),
        (
            "drive.file_moved",
            json!({"from_folders": ["1fInboxAb3dEfGh1jKlMn0pQrStUvWxYz"]}),
            true,
        ),
        (
            "drive.file_shared",
            json!({"roles": ["writer"], "granted_to": ["*@other.test"]}),
            true,
        ),
        ("drive.file_shared", json!({"roles": ["owner"]}), false),
        (
            "calendar.event_cancelled",
            json!({"summary_contains": ["PLANNING"]}),
            true,
        ),
        (
            "calendar.event_started",
            json!({"attendees": ["*@other.test"]}),
            true,
        ),
        (
            "calendar.event_started",
            json!({"organizers": ["!ada@*"]}),
            false,
        ),
        ("calendar.event_updated", json!({"changed": ["time"]}), true),
    ] {
        assert_eq!(
            fires(&sample(event), parameters.clone()),
            expected,
            "{event}: {parameters}"
        );
    }
}
