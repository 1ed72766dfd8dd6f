//! Which events fire a trigger with given parameters: a table for each kind of event. The payloads
//! are recorded ones, or samples where nobody recorded one.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::{declared, delivery, on_event};
use trigger_plugin_api::prelude::*;

const FIRES: bool = true;
const SILENT: bool = false;

#[test]
fn a_file_by_path_folder_kind_and_user() {
    // /alice/files/inbox/hello wörld.txt
    let written = delivery("delivery-NodeWrittenEvent-45.http").body;
    check(
        "file_written",
        &written,
        [
            (json!({}), FIRES),
            (
                json!({"paths": [], "folders": null, "mime_types": []}),
                FIRES,
            ),
            (json!({"paths": ["/inbox/*.txt"]}), FIRES),
            (json!({"paths": ["/inbox/hello w*r?d.txt"]}), FIRES),
            (json!({"paths": ["/alice/files/inbox/**"]}), FIRES),
            (json!({"paths": ["/bob/files/inbox/**"]}), SILENT),
            (json!({"paths": ["*.txt"]}), SILENT),
            (json!({"paths": ["**/*.txt"]}), FIRES),
            (json!({"paths": ["**", "!/inbox/**"]}), SILENT),
            (json!({"paths": ["!/inbox/**"]}), SILENT),
            (json!({"paths": ["!/outbox/**"]}), FIRES),
            (json!({"folders": ["/inbox"]}), FIRES),
            (json!({"folders": ["/in"]}), SILENT),
            (json!({"folders": ["/outbox", "/alice/files"]}), FIRES),
            (json!({"mime_types": ["text/plain"]}), FIRES),
            (json!({"mime_types": ["text/*", "image/png"]}), FIRES),
            (json!({"mime_types": ["image/*"]}), SILENT),
            (json!({"users": ["alice"]}), FIRES),
            (json!({"users": ["bob"]}), SILENT),
            (json!({"ignored_users": ["alice"]}), SILENT),
            (json!({"ignored_users": ["bob"]}), FIRES),
            (json!({"folders": ["/inbox"], "users": ["bob"]}), SILENT),
            (
                json!({"folders": ["/inbox"], "mime_types": ["image/*"]}),
                SILENT,
            ),
        ],
    );
}

#[test]
fn a_move_by_where_it_came_from_and_went() {
    // /alice/files/inbox/letter.pdf to /alice/files/archive/letter.pdf
    let moved = sample("before_file_renamed");
    check(
        "before_file_renamed",
        &moved,
        [
            (json!({"folders": ["/archive"]}), FIRES),
            (json!({"folders": ["/inbox"]}), SILENT),
            (json!({"source_folders": ["/inbox"]}), FIRES),
            (
                json!({"source_folders": ["/inbox"], "folders": ["/archive"]}),
                FIRES,
            ),
            (json!({"source_paths": ["/archive/**"]}), SILENT),
            (
                json!({"source_paths": ["**/*.pdf"], "paths": ["/archive/*"]}),
                FIRES,
            ),
            (json!({"mime_types": ["application/pdf"]}), FIRES),
        ],
    );
}

#[test]
fn every_event_of_a_file_takes_the_same_filters() {
    for event in &declared().declaration().events {
        let name = event.identity.name.as_str();
        if !name.contains("file_") {
            continue;
        }
        let payload = sample(name);
        check(
            name,
            &payload,
            [
                (json!({"paths": ["/alice/**"]}), FIRES),
                (json!({"paths": ["/bob/**"]}), SILENT),
                (json!({"folders": ["/nowhere"]}), SILENT),
                (json!({"mime_types": ["font/*"]}), SILENT),
                (json!({"users": ["alice"]}), FIRES),
            ],
        );
    }
}

#[test]
fn a_calendar_object_by_calendar_kind_and_text() {
    let created = delivery("delivery-CalendarObjectCreatedEvent-01.http").body;
    check(
        "calendar_object_created",
        &created,
        [
            (json!({"calendars": ["7"]}), FIRES),
            (json!({"calendars": [7]}), FIRES),
            (json!({"calendars": ["contact_birthdays"]}), FIRES),
            (json!({"calendars": ["Contact birthdays"]}), FIRES),
            (json!({"calendars": ["6", "personal"]}), SILENT),
            (json!({"components": ["vevent"]}), FIRES),
            (json!({"components": ["vtodo", "vjournal"]}), SILENT),
            (json!({"text_contains": "leon green"}), FIRES),
            (json!({"text_contains": "🎂"}), FIRES),
            (json!({"text_contains": "Anna"}), SILENT),
            (json!({"users": ["alice"], "calendars": ["7"]}), FIRES),
        ],
    );
    let moved = sample("calendar_object_moved");
    check(
        "calendar_object_moved",
        &moved,
        [
            (json!({"calendars": ["work"]}), FIRES),
            (json!({"calendars": ["personal"]}), SILENT),
            (json!({"source_calendars": ["Personal"]}), FIRES),
            (json!({"source_calendars": ["work"]}), SILENT),
            (json!({"components": ["vtodo"]}), FIRES),
        ],
    );
}

#[test]
fn tags_by_tag_and_thing_whether_ids_are_texts_or_numbers() {
    let assigned = delivery("delivery-TagAssignedEvent-01.http").body;
    let texts = String::from_utf8(assigned.clone()).unwrap();
    let texts = texts
        .replace("[1]", r#"["1"]"#)
        .replace(r#"["226"]"#, "[226]");
    for payload in [assigned, texts.into_bytes()] {
        check(
            "tag_assigned",
            &payload,
            [
                (json!({"tags": ["1"]}), FIRES),
                (json!({"tags": [1]}), FIRES),
                (json!({"tags": ["2", "3"]}), SILENT),
                (json!({"object_types": ["files"]}), FIRES),
                (json!({"object_types": ["deck-card"]}), SILENT),
                (json!({"object_ids": ["226"]}), FIRES),
                (json!({"object_ids": [227]}), SILENT),
            ],
        );
    }
    let mapped = sample("tag_mapping_changed");
    check(
        "tag_mapping_changed",
        &mapped,
        [
            (json!({"actions": ["assignTags"]}), FIRES),
            (json!({"actions": ["unassignTags"]}), SILENT),
            (json!({"tags": ["1"], "object_ids": ["226"]}), FIRES),
        ],
    );
}

#[test]
fn what_nobody_did_is_not_what_a_user_did() {
    let payload = String::from_utf8(sample("file_created")).unwrap();
    let mut payload: Value = serde_json::from_str(&payload).unwrap();
    payload["user"] = Value::Null;
    check(
        "file_created",
        payload.to_string().as_bytes(),
        [
            (json!({}), FIRES),
            (json!({"users": ["alice"]}), SILENT),
            (json!({"ignored_users": ["alice"]}), FIRES),
        ],
    );
}

#[test]
fn a_filter_that_cannot_be_right_says_which_parameter_it_is() {
    for (parameters, named) in [
        (json!({"paths": ["/inbox/[a"]}), "`paths`"),
        (
            json!({"mime_types": ["application/x-unheard-of"]}),
            "`mime_types`",
        ),
        (json!({"tag": ["1"]}), "tag"),
        (json!({"folders": [{"path": "/inbox"}]}), "folders"),
    ] {
        let error = on_event("file_created", parameters.clone(), &sample("file_created"))
            .map(|outcome| panic!("{parameters}: {outcome:?}"))
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput);
        assert!(error.message.contains(named), "{error}");
    }
}

fn sample(event: &str) -> Vec<u8> {
    declared().sample(event).unwrap().body
}

#[track_caller]
fn check<const N: usize>(event: &str, payload: &[u8], table: [(Value, bool); N]) {
    for (parameters, fires) in table {
        let outcome = on_event(event, parameters.clone(), payload).unwrap();
        let fired = matches!(outcome, Outcome::Fires(_));
        assert_eq!(fired, fires, "{event} {parameters}");
    }
}
