//! Channels: how they are opened, stopped and looked after, and what Google's refusals become.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use support::{BEGIN_MS, HOUR_MS, KEY, TOKEN, URL, World, provider};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::block_on;
use triggerd_fakes::Service;

const DAY_MS: i64 = 24 * HOUR_MS;

fn with_file(parameters: Value) -> World {
    let world = World::new(parameters);
    for file in [
        json!({"id": "F1", "name": "one.txt"}),
        json!({"id": "D1", "name": "Docs", "mime_type": "folder"}),
        json!({"id": "T1", "name": "Plans", "mime_type": "folder", "parent": "0ATEAM"}),
    ] {
        world
            .google
            .control(BEGIN_MS - 60_000, "create_file", &file)
            .unwrap();
    }
    world
}

fn transcript(world: &World) -> String {
    let requests = world.fake.requests();
    let line = |request: &HttpRequest| {
        let address = request.url.trim_start_matches("https://www.googleapis.com");
        format!("{} {address}\n", request.method)
    };
    requests.iter().map(line).collect()
}

fn check_create(parameters: Value, lifetime_ms: i64, requests: Expect) {
    let mut world = with_file(parameters.clone());
    let created = world.watch();
    requests.assert_eq(&transcript(&world));
    let body: Value = serde_json::from_slice(&world.fake.requests().last().unwrap().body).unwrap();
    assert_eq!(
        body,
        json!({
            "id": KEY, "type": "web_hook", "address": URL, "token": TOKEN,
            "expiration": (BEGIN_MS + lifetime_ms).to_string(),
        })
    );
    assert_eq!(created.external_id, KEY);
    assert_eq!(created.expires_at_ms, Some(BEGIN_MS + lifetime_ms));
    assert_eq!(created.properties["watched_from_ms"], BEGIN_MS);
    assert!(created.secrets.is_empty(), "those that the host gave");
    let held = world.act("channels", json!({}));
    assert_eq!(held[0]["resource_id"], created.properties["resource_id"]);
    block_on(provider().delete(&world.fake.host(), &world.held)).unwrap();
    assert_eq!(world.act("channels", json!({})), json!([]));
    // Stopped twice is stopped.
    block_on(provider().delete(&world.fake.host(), &world.held)).unwrap();
}

#[test]
fn each_kind_of_thing_is_watched_in_its_own_way() {
    check_create(
        json!({"watch": "file", "file": "F1"}),
        DAY_MS,
        expect![[r#"
            POST /drive/v3/files/F1/watch?supportsAllDrives=true
        "#]],
    );
    check_create(
        json!({}),
        7 * DAY_MS,
        expect![[r#"
            GET /drive/v3/changes/startPageToken?supportsAllDrives=true
            POST /drive/v3/changes/watch?pageToken=3&includeItemsFromAllDrives=true&includeRemoved=true&supportsAllDrives=true
        "#]],
    );
    check_create(
        json!({"watch": "folder", "folder": "D1"}),
        7 * DAY_MS,
        expect![[r#"
            GET /drive/v3/files/D1?fields=id%2CmimeType%2CdriveId&supportsAllDrives=true
            GET /drive/v3/changes/startPageToken?supportsAllDrives=true
            POST /drive/v3/changes/watch?pageToken=3&includeItemsFromAllDrives=true&includeRemoved=true&supportsAllDrives=true
        "#]],
    );
    check_create(
        json!({"watch": "folder", "folder": "T1"}),
        7 * DAY_MS,
        expect![[r#"
            GET /drive/v3/files/T1?fields=id%2CmimeType%2CdriveId&supportsAllDrives=true
            GET /drive/v3/changes/startPageToken?supportsAllDrives=true&driveId=0ATEAM
            POST /drive/v3/changes/watch?pageToken=3&includeItemsFromAllDrives=true&includeRemoved=true&driveId=0ATEAM&supportsAllDrives=true
        "#]],
    );
    check_create(
        json!({"watch": "shared_drive", "drive": "0ATEAM"}),
        7 * DAY_MS,
        expect![[r#"
            GET /drive/v3/changes/startPageToken?supportsAllDrives=true&driveId=0ATEAM
            POST /drive/v3/changes/watch?pageToken=3&includeItemsFromAllDrives=true&includeRemoved=true&driveId=0ATEAM&supportsAllDrives=true
        "#]],
    );
    check_create(
        json!({"watch": "calendar", "calendar": "team@group.calendar.google.com"}),
        7 * DAY_MS,
        expect![[r#"
            POST /calendar/v3/calendars/team%40group.calendar.google.com/events/watch
        "#]],
    );
}

#[test]
fn the_end_of_a_channel_is_what_google_says_in_whatever_form() {
    let mut world = World::new(json!({"watch": "calendar"}));
    world.act("expiration_as_number", json!({}));
    let created = world.watch();
    assert_eq!(created.expires_at_ms, Some(world.now_ms + 7 * DAY_MS));
    let url = "https://www.googleapis.com/calendar/v3/calendars/primary/events/watch";
    world
        .fake
        .answers("POST", url, 200, &json!({"resourceId": "r"}));
    let created = world.create("reg_2").unwrap();
    assert_eq!(created.expires_at_ms, Some(world.now_ms + HOUR_MS));
}

#[test]
fn what_cannot_be_watched_is_refused_with_the_field() {
    for (parameters, expected) in [
        (json!({"watch": "disk"}), "parameters.watch is `disk`"),
        (json!({"watch": "file"}), "parameters.file is missing"),
        (
            json!({"watch": "folder", "folder": ""}),
            "parameters.folder is missing",
        ),
        (
            json!({"watch": "file", "file": "https://drive.google.com/file/d/x/view"}),
            "must be an id",
        ),
        (json!({"watch": "file", "file": 5}), "parameters.file is 5"),
        (
            json!({"watch": "folder", "folder": "D1", "subfolders": "yes"}),
            "parameters.subfolders",
        ),
        (json!({"watch": "folder", "folder": "F1"}), "no folder"),
    ] {
        let world = with_file(parameters);
        let error = world.create(KEY).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
    let world = with_file(json!({"watch": "file", "file": "nothing"}));
    assert_eq!(world.create(KEY).unwrap_err().code, ErrorCode::NotFound);
    let world = with_file(json!({"watch": "shared_drive", "drive": "0AOTHER"}));
    assert_eq!(world.create(KEY).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn a_channel_whose_making_was_not_seen_is_stopped_once_its_resource_is_known() {
    let mut world = World::new(json!({"watch": "everything"}));
    let created = world.create(KEY).unwrap();
    // The host died before it had read the answer: neither id nor resource are kept.
    block_on(provider().delete(&world.fake.host(), &world.held)).unwrap();
    assert_eq!(
        world.act("channels", json!({})).as_array().unwrap().len(),
        1
    );
    // A push has told it, and the host has learned it.
    let resource = created.properties["resource_id"].clone();
    world
        .held
        .properties
        .insert("resource_id".to_owned(), resource);
    block_on(provider().delete(&world.fake.host(), &world.held)).unwrap();
    assert_eq!(world.act("channels", json!({})), json!([]));
}

#[test]
fn a_new_channel_lives_beside_the_old_one_until_that_is_stopped() {
    let mut world = World::watching(json!({"watch": "calendar"}));
    let old = world.held.clone();
    world.create("reg_second").unwrap();
    assert_eq!(
        world.act("channels", json!({})).as_array().unwrap().len(),
        2
    );
    block_on(provider().delete(&world.fake.host(), &old)).unwrap();
    let left = world.act("channels", json!({}));
    assert_eq!(left[0]["id"], "reg_second");
    assert_eq!(world.create(KEY).unwrap_err().code, ErrorCode::InvalidInput);
}

#[test]
fn nothing_of_a_channel_can_be_changed() {
    let world = World::watching(json!({"watch": "calendar"}));
    let mut change = SubscriptionChange {
        parameters: world.held.parameters.clone(),
        endpoint_url: URL.to_owned(),
        subscription: world.held.clone(),
        events: vec!["calendar.event_started".to_owned()],
    };
    let host = world.fake.host();
    let same = block_on(provider().update(&host, &change)).unwrap();
    assert_eq!(same.external_id, KEY);
    assert_eq!(same.expires_at_ms, world.held.expires_at_ms);
    change
        .parameters
        .insert("calendar".to_owned(), json!("other@acme.test"));
    let error = block_on(provider().update(&host, &change)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
    let error = block_on(provider().list(&host, &ListRequest::default())).unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
}

#[test]
fn a_check_sees_an_ended_channel_and_lost_access() {
    for parameters in [
        json!({"watch": "file", "file": "F1"}),
        json!({"watch": "folder", "folder": "D1"}),
        json!({"watch": "everything"}),
        json!({"watch": "shared_drive", "drive": "0ATEAM"}),
        json!({"watch": "calendar"}),
    ] {
        let mut world = with_file(parameters);
        world.watch();
        let check = |world: &World| block_on(provider().check(&world.fake.host(), &world.held));
        assert_eq!(check(&world).unwrap(), CheckReport::ok());
        world.act("revoke_tokens", json!({}));
        assert_eq!(check(&world).unwrap_err().code, ErrorCode::Credentials);
        world.pass(8 * DAY_MS);
        let ended = check(&world).unwrap();
        assert_eq!(ended.state, CheckState::Missing);
        assert!(
            ended.findings[0].starts_with("the channel ended at 2026-"),
            "{ended:?}"
        );
    }
    let mut gone = with_file(json!({"watch": "file", "file": "F1"}));
    gone.watch();
    gone.act("delete", json!({"id": "F1"}));
    let error = block_on(provider().check(&gone.fake.host(), &gone.held)).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

fn check_refusal(refusal: Value, code: ErrorCode, wait_ms: Option<u64>, says: &str) {
    let mut world = World::new(json!({"watch": "calendar"}));
    world.act("refuse", refusal.clone());
    let error = world.create(KEY).unwrap_err();
    assert_eq!(
        (error.code, error.retry_after_ms),
        (code, wait_ms),
        "{refusal}: {error}"
    );
    assert!(
        error
            .message
            .starts_with("cannot open the channel of the calendar primary: ")
    );
    assert!(error.message.contains(says), "{refusal}: {error}");
}

#[test]
fn refusals_are_told_apart() {
    let invalid = ErrorCode::InvalidInput;
    let limited = ErrorCode::RateLimited;
    let minute = Some(60_000);
    for (status, reason, code, wait_ms, says) in [
        (401, "authError", ErrorCode::Credentials, None, "revoked"),
        (
            401,
            "push.webhookUrlUnauthorized",
            invalid,
            None,
            "refuses what was asked",
        ),
        (
            403,
            "insufficientPermissions",
            ErrorCode::Credentials,
            None,
            "consented",
        ),
        (403, "accessNotConfigured", invalid, None, "not enabled"),
        (403, "forbidden", invalid, None, "may not do this"),
        (403, "rateLimitExceeded", limited, minute, "throttles"),
        (403, "userRateLimitExceeded", limited, minute, "throttles"),
        (403, "quotaExceeded", limited, minute, "throttles"),
        (
            403,
            "dailyLimitExceeded",
            limited,
            Some(3_600_000),
            "throttles",
        ),
        (429, "rateLimitExceeded", limited, minute, "throttles"),
        (404, "notFound", ErrorCode::NotFound, None, "finds nothing"),
        (400, "badRequest", invalid, None, "refuses"),
        (
            500,
            "backendError",
            ErrorCode::Upstream,
            None,
            "answered 500",
        ),
        (
            503,
            "backendError",
            ErrorCode::Upstream,
            None,
            "answered 503",
        ),
    ] {
        check_refusal(
            json!({"status": status, "reason": reason}),
            code,
            wait_ms,
            says,
        );
    }
    let named = json!({"status": 403, "reason": "userRateLimitExceeded", "retry_after": 7});
    check_refusal(named, limited, Some(7_000), "throttles");
    let named = json!({"status": 503, "reason": "backendError", "retry_after": 9});
    check_refusal(named, limited, Some(9_000), "throttles");
}

#[test]
fn an_answer_that_is_no_json_is_google_s_own_trouble() {
    let world = World::new(json!({"watch": "calendar"}));
    let url = "https://www.googleapis.com/calendar/v3/calendars/primary/events/watch";
    world
        .fake
        .answers_recorded("POST", url, b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>");
    assert_eq!(world.create(KEY).unwrap_err().code, ErrorCode::Upstream);
    world
        .fake
        .answers_recorded("POST", url, b"HTTP/1.1 200 OK\r\n\r\n<html>");
    assert_eq!(world.create(KEY).unwrap_err().code, ErrorCode::Upstream);
}

#[test]
fn a_credential_is_known_by_its_account_and_by_what_it_opens() {
    let mut world = World::new(json!({}));
    let identify = |world: &World| {
        let credentials = Credentials::default();
        block_on(provider().validate_credentials(&world.fake.host(), &credentials))
    };
    let account = identify(&world).unwrap();
    assert_eq!(account.name, "ada@acme.test");
    assert_eq!(account.scopes, ["drive", "calendar"]);
    world.act(
        "refuse",
        json!({"status": 403, "reason": "insufficientPermissions"}),
    );
    let account = identify(&world).unwrap();
    assert_eq!(
        (account.id.as_str(), account.name.as_str()),
        ("ada@acme.test", "ada@acme.test")
    );
    assert_eq!(account.scopes, ["calendar"]);
    world.act(
        "refuse",
        json!({"status": 403, "reason": "insufficientPermissions", "times": 2}),
    );
    assert_eq!(identify(&world).unwrap_err().code, ErrorCode::Credentials);
    world.act("revoke_tokens", json!({}));
    assert_eq!(identify(&world).unwrap_err().code, ErrorCode::Credentials);
}

fn options(world: &World, parameter: &str, search: &str) -> Vec<(String, String)> {
    let mut query = OptionsQuery {
        parameter: parameter.to_owned(),
        search: search.to_owned(),
        ..OptionsQuery::default()
    };
    let mut found = Vec::new();
    loop {
        let page = block_on(provider().parameter_options(&world.fake.host(), &query)).unwrap();
        found.extend(
            page.options
                .into_iter()
                .map(|option| (option.value, option.label)),
        );
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return found,
        }
    }
}

#[test]
fn files_folders_drives_and_calendars_can_be_chosen() {
    let mut world = with_file(json!({}));
    world.act(
        "create_file",
        json!({"id": "F2", "name": "it's two\\three.txt"}),
    );
    world.act("page_max", json!({"items": 1}));
    let pair = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    assert_eq!(
        options(&world, "file", ""),
        [pair("F1", "one.txt"), pair("F2", "it's two\\three.txt")]
    );
    assert_eq!(
        options(&world, "file", "it's two\\"),
        [pair("F2", "it's two\\three.txt")]
    );
    assert_eq!(
        options(&world, "folder", ""),
        [
            pair("root", "My Drive"),
            pair("D1", "Docs"),
            pair("T1", "Plans")
        ]
    );
    assert_eq!(options(&world, "folders", "plan"), [pair("T1", "Plans")]);
    assert_eq!(options(&world, "drive", ""), [pair("0ATEAM", "Team")]);
    assert_eq!(options(&world, "drive", "none"), []);
    assert_eq!(
        options(&world, "calendar", ""),
        [
            pair("ada@acme.test", "Ada (primary)"),
            pair("team@group.calendar.google.com", "Team"),
        ]
    );
    assert_eq!(options(&world, "calendar", "tea").len(), 1);
    let unknown = OptionsQuery {
        parameter: "watch".to_owned(),
        ..OptionsQuery::default()
    };
    let error = block_on(provider().parameter_options(&world.fake.host(), &unknown)).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
}
