//! What can be chosen from, as the server offers it.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::json;
use support::server::{Server, credentials};
use support::{declared, provider};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::{FakeHost, block_on};

#[test]
fn events_are_offered_without_asking_the_server() {
    let server = Server::new();
    let all = server.options("events", "").unwrap();
    assert_eq!(all.len(), declared().declaration().events.len());
    let found = server.options("events", "TRASH").unwrap();
    let values: Vec<&str> = found.iter().map(|(value, _)| value.as_str()).collect();
    assert_eq!(values, ["calendar_object_trashed"]);
    assert_eq!(server.transcript(), "");
}

#[test]
fn folders_are_walked_down() {
    let server = Server::of("alice");
    for (search, offered) in [
        ("", vec!["/Templates", "/inbox"]),
        ("/", vec!["/Templates", "/inbox"]),
        ("inb", vec!["/inbox"]),
        ("/inbox/", vec!["/inbox/scans & letters"]),
        ("/inbox/LETTERS", vec!["/inbox/scans & letters"]),
        ("/inbox/x", vec![]),
    ] {
        let found = server.options("folders", search).unwrap();
        let mut values: Vec<&str> = found.iter().map(|(value, _)| value.as_str()).collect();
        values.sort_unstable();
        assert_eq!(values, offered, "{search}");
    }
    let error = server.options("folders", "/nowhere/x").unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    server.assert_no_violations();
}

#[test]
fn calendars_are_named_by_their_owner_and_the_owner_s_address() {
    let server = Server::of("alice");
    let found = server.options("calendars", "").unwrap();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(v, l)| (v.as_str(), l.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("alice/personal", "Personal (alice/personal)"),
            (
                "alice/contact_birthdays",
                "Contact birthdays (alice/contact_birthdays)"
            ),
            ("bob/team", "Team <A> (bob/team)"),
        ]
    );
    assert_eq!(server.options("calendars", "birth").unwrap().len(), 1);
    server.assert_no_violations();
}

#[test]
fn tags_are_offered_by_name_and_kept_by_id() {
    let server = Server::new();
    let tags = server.options("tags", "").unwrap();
    assert_eq!(tags[0], ("1".to_owned(), "Invoice".to_owned()));
    assert_eq!(tags[1], ("4".to_owned(), "To & fro".to_owned()));
    assert_eq!(
        server.options("tags", "spät").unwrap(),
        [("12".to_owned(), "Später".to_owned())]
    );
    server.assert_no_violations();
}

#[test]
fn users_are_offered_to_administrators() {
    let server = Server::new();
    assert_eq!(
        server.options("users", "ali").unwrap(),
        [("alice".to_owned(), "alice".to_owned())]
    );
    server.attach("alice");
    let error = server.options("users", "").unwrap_err();
    assert_eq!(error.code, ErrorCode::Credentials);
    server.assert_no_violations();
}

#[test]
fn choices_come_in_pages() {
    let names: Vec<String> = (0..100).map(|number| format!("user{number:03}")).collect();
    let host = FakeHost::new();
    let at = "https://cloud.acme.test/ocs/v2.php/cloud/users?search=user%26&limit=100&offset=";
    host.answers(
        "GET",
        &format!("{at}0"),
        200,
        &json!({"ocs": {"data": {"users": names}}}),
    );
    host.answers(
        "GET",
        &format!("{at}100"),
        200,
        &json!({"ocs": {"data": {"users": ["user100"]}}}),
    );
    let mut query = OptionsQuery {
        parameter: "users".to_owned(),
        search: "user&".to_owned(),
        credentials: credentials(),
        ..OptionsQuery::default()
    };
    let first = block_on(provider().parameter_options(&host.host(), &query)).unwrap();
    assert_eq!(
        (first.options.len(), first.next_cursor.as_deref()),
        (100, Some("100"))
    );
    query.cursor = first.next_cursor;
    let second = block_on(provider().parameter_options(&host.host(), &query)).unwrap();
    assert_eq!((second.options.len(), second.next_cursor), (1, None));
    host.assert_done();
}

#[test]
fn there_are_no_choices_for_what_is_typed() {
    let server = Server::new();
    let error = server.options("paths", "").unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
}
