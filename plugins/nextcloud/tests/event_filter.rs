//! What a hook leaves out: the filter that friendly parameters become lets through what triggers
//! with the same parameters want, and one that a server could not evaluate is never sent.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::on_event;
use support::server::{Server, new};
use trigger_plugin_api::prelude::*;

#[test]
fn the_server_and_a_trigger_agree_on_every_file() {
    let paths = [
        "/alice/files/inbox/a.pdf",
        "/alice/files/inbox/deep/b.PDF",
        "/alice/files/inbox2/a.pdf",
        "/alice/files/inbox",
        "/alice/files/wörld/(x) [y]+{z}^$.txt",
        "/bob/files/inbox/photo.jpeg",
        "/bob/files/notes.md",
        "/alice/files_trashbin/files/a.pdf.d1795213590",
        "/__groupfolders/3/inbox/a.pdf",
    ];
    for parameters in [
        json!({"paths": ["/inbox/*"]}),
        json!({"paths": ["/inbox/**"]}),
        json!({"paths": ["**/*.pdf"]}),
        json!({"paths": ["**", "!/inbox/**"]}),
        json!({"paths": ["!/inbox/**", "!**/*.md"]}),
        json!({"paths": ["!/inbox/**", "**/*.pdf", "!/inbox/deep/**"]}),
        json!({"paths": ["/inbox/**", "!/inbox/deep/**", "/inbox/deep/b.*"]}),
        json!({"paths": ["/alice/files/inbox/**", "/bob/**"]}),
        json!({"paths": ["/inbox/{a,b}.pdf", "/w*rld/**"]}),
        json!({"paths": ["/inbox/[ab].pdf", "notes.m?"]}),
        json!({"paths": ["/wörld/(x) \\[y\\]+\\{z\\}^$.txt"]}),
        json!({"folders": ["/inbox"]}),
        json!({"folders": ["/wörld", "/bob/files"]}),
        json!({"folders": ["/"]}),
        json!({"mime_types": ["application/pdf", "image/*"]}),
        json!({"mime_types": ["text/*"], "folders": ["/wörld", "/"]}),
        json!({"folders": ["/inbox"], "paths": ["!**/*.pdf"], "mime_types": ["image/*"]}),
    ] {
        let server = Server::new();
        let mut chosen = parameters.clone();
        chosen["events"] = json!(["file_created"]);
        server.create(&new(chosen)).unwrap();
        for path in paths {
            let event = json!({"node": {"id": 1, "path": path}});
            let sent = server.happen(json!({"class": "NodeCreatedEvent", "event": event}));
            let payload = json!({"event": event, "user": null, "time": 1}).to_string();
            let outcome = on_event("file_created", parameters.clone(), payload.as_bytes()).unwrap();
            let fires = matches!(outcome, Outcome::Fires(_));
            assert_eq!(sent.len(), usize::from(fires), "{parameters} {path}");
        }
        server.assert_no_violations();
    }
}

#[test]
fn a_move_passes_if_it_is_wanted_at_either_end() {
    let server = Server::new();
    server
        .create(&new(
            json!({"events": ["file_renamed"], "folders": ["/inbox"]}),
        ))
        .unwrap();
    for (from, to, sent) in [
        ("/alice/files/inbox/a", "/alice/files/b", 1),
        ("/alice/files/a", "/alice/files/inbox/b", 1),
        ("/alice/files/a", "/alice/files/b", 0),
    ] {
        let happened = json!({"class": "NodeRenamedEvent", "source_path": from, "path": to});
        assert_eq!(server.happen(happened).len(), sent, "{from} {to}");
    }
}

#[test]
fn each_hook_gets_the_part_of_the_filter_that_concerns_its_event() {
    let server = Server::new();
    let parameters = json!({
        "events": ["file_created", "tag_assigned", "calendar_object_moved", "calendar_object_created"],
        "folders": ["/inbox"],
        "tags": ["4", 1],
        "calendars": ["alice/personal", "team", 7],
        "users": ["alice", "bob"],
    });
    server.create(&new(parameters)).unwrap();
    let by_users = json!({"$or": [{"user.uid": "alice"}, {"user.uid": "bob"}]});
    let filters: Vec<Value> = server
        .hooks()
        .iter()
        .map(|hook| hook["eventFilter"].clone())
        .collect();
    assert_eq!(
        filters[0],
        json!({"$and": [
            {"event.node.path": r"/^\/(?:[^\/]+\/files\/)?inbox(?:\/.*)?$/sD"},
            by_users,
        ]})
    );
    assert_eq!(
        filters[1],
        json!({"$and": [{"event.tagIds": {"$in": [4, 1]}}, by_users]})
    );
    for (happened, sent) in [
        (json!({"class": "TagAssignedEvent", "tags": [9, 4]}), 1),
        (json!({"class": "TagAssignedEvent", "tags": [9]}), 0),
        (
            json!({"class": "TagAssignedEvent", "tags": [1], "user": "carol"}),
            0,
        ),
        (
            json!({"class": "TagAssignedEvent", "tags": [1], "user": null}),
            0,
        ),
        (json!({"class": "CalendarObjectCreatedEvent"}), 1),
        (
            json!({"class": "CalendarObjectCreatedEvent", "calendar": {"owner": "bob"}}),
            0,
        ),
        (
            json!({"class": "CalendarObjectCreatedEvent", "calendar": {"uri": "team", "owner": "bob"}}),
            1,
        ),
        (
            json!({"class": "CalendarObjectCreatedEvent", "calendar": {"uri": "x", "id": 7}}),
            1,
        ),
        (
            json!({"class": "CalendarObjectCreatedEvent", "calendar": {"uri": "x", "id": 8}}),
            0,
        ),
        (
            json!({"class": "CalendarObjectMovedEvent", "source_calendar": {"uri": "x"}}),
            0,
        ),
        (
            json!({"class": "CalendarObjectMovedEvent", "source_calendar": {"uri": "team"}}),
            1,
        ),
        (
            json!({"class": "CalendarObjectMovedEvent", "source_calendar": {"uri": "x"}, "calendar": {"id": 7}}),
            1,
        ),
    ] {
        assert_eq!(server.happen(happened.clone()).len(), sent, "{happened}");
    }
    server.assert_no_violations();
}

#[test]
fn a_filter_of_one_s_own_holds_together_with_the_rest() {
    for own in [
        json!({"event.node.path": r"/\.pdf$/i", "time": {"$gt": 0}}),
        json!(r#"{"event.node.path": "/\\.pdf$/i"}"#),
        json!({"$nor": [{"event.node.path": {"$not": {"$e": r"/\.pdf$/i"}}}]}),
    ] {
        let server = Server::new();
        let parameters =
            json!({"events": ["file_created"], "folders": ["/inbox"], "event_filter": own});
        server.create(&new(parameters)).unwrap();
        for (path, sent) in [
            ("/alice/files/inbox/a.PDF", 1),
            ("/alice/files/inbox/a.txt", 0),
            ("/alice/files/a.pdf", 0),
        ] {
            let happened = json!({"class": "NodeCreatedEvent", "path": path});
            assert_eq!(server.happen(happened).len(), sent, "{own} {path}");
        }
        server.assert_no_violations();
    }
}

#[test]
fn a_filter_that_would_lose_events_is_refused_with_its_place() {
    for (filter, place) in [
        (
            json!({"user.uid": {"$like": "a"}}),
            "event_filter.user.uid.$like is no operator",
        ),
        (
            json!({"$xor": [{"user.uid": "a"}]}),
            "event_filter.$xor is no operator",
        ),
        (
            json!({"$in": ["a"]}),
            "event_filter.$in stands before a field",
        ),
        (
            json!({"user.uid": {"$or": ["a"]}}),
            "event_filter.user.uid.$or stands behind a field",
        ),
        (json!({"$or": []}), "event_filter.$or is []"),
        (json!({"$or": {"user.uid": "a"}}), "event_filter.$or is {"),
        (
            json!({"$and": [{"user.uid": "a"}, "b"]}),
            "event_filter.$and[1] is \"b\"",
        ),
        (json!({"$and": [{}]}), "event_filter.$and[0] is empty"),
        (json!({"$not": []}), "event_filter.$not is []"),
        (
            json!({"user.uid": ["a", "b"]}),
            r#"event_filter.user.uid is ["a","b"]; for one of several values write {"$in": ["a","b"]}"#,
        ),
        (
            json!({"user.uid": {"$in": "a"}}),
            "event_filter.user.uid.$in is \"a\"",
        ),
        (
            json!({"user.uid": {"$in": []}}),
            "event_filter.user.uid.$in is []",
        ),
        (
            json!({"user.uid": {"$nin": [null]}}),
            "event_filter.user.uid.$nin[0] is null",
        ),
        (
            json!({"user.uid": {"$all": [["a"]]}}),
            "event_filter.user.uid.$all[0] is [\"a\"]",
        ),
        (json!({"user.uid": null}), "{\"$exists\": false} is meant"),
        (
            json!({"user.uid": {"$ne": null}}),
            "event_filter.user.uid.$ne is null",
        ),
        (json!({"user.uid": {}}), "event_filter.user.uid is empty"),
        (
            json!({"user.uid": {"$exists": 1}}),
            "event_filter.user.uid.$exists is 1",
        ),
        (
            json!({"time": {"$mod": [0, 1]}}),
            "event_filter.time.$mod is [0,1]",
        ),
        (json!({"time": {"$mod": 2}}), "event_filter.time.$mod is 2"),
        (
            json!({"time": {"$gt": true}}),
            "event_filter.time.$gt is true",
        ),
        (
            json!({"user": {"uid": "alice"}}),
            "event_filter.user.uid is no operator; a field within a field",
        ),
        (
            json!({"usr.uid": "alice"}),
            "event_filter.usr.uid is no field",
        ),
        (
            json!({"event..path": "a"}),
            "event_filter.event..path is no field",
        ),
        (
            json!({"authentication.x": "a"}),
            "event_filter.authentication.x is no field",
        ),
        (
            json!({"event.node.pth": "a"}),
            "event_filter.event.node.pth is a field that none of the events has (file_created)",
        ),
        (json!({"event.tagIds": 1}), "none of the events has"),
        (
            json!({"event.node.path": "/alice/files/inbox"}),
            "flags `inbox`",
        ),
        (
            json!({"event.node.path": "/alice/files/inbox/"}),
            "every slash must be",
        ),
        (
            json!({"event.node.path": {"$not": {"$e": "/(a/"}}}),
            "event_filter.event.node.path.$not.$e \"/(a/\" is no regular expression",
        ),
        (
            json!({"event.node.path": "/(?<=a)b/"}),
            "cannot be checked here",
        ),
        (json!("{user.uid: a}"), "event_filter is not JSON"),
        (json!("[1]"), "parameters.event_filter has [1]"),
        (json!(7), "parameters.event_filter has 7"),
        (
            json!({"user.uid": "x".repeat(40_000)}),
            "at most 32768 are taken",
        ),
    ] {
        let server = Server::new();
        let error = server
            .create(&new(
                json!({"events": ["file_created"], "event_filter": filter}),
            ))
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput, "{filter}");
        assert!(error.message.contains(place), "{filter}: {error}");
        assert_eq!(server.transcript(), "", "nothing was sent");
    }
    let mut deep = json!({"user.uid": "alice"});
    for _ in 0..20 {
        deep = json!({"$not": deep});
    }
    let error = Server::new().create(&new(
        json!({"events": ["file_created"], "event_filter": deep}),
    ));
    assert!(error.unwrap_err().message.contains("deeper than 16"));
}

#[test]
fn filters_of_every_documented_form_are_sent() {
    for filter in [
        json!({}),
        json!([]),
        json!(null),
        json!(""),
        json!({"user.uid": "alice", "event.node.id": 437}),
        json!({"user.uid": "/admin_.*/"}),
        json!({"event.node.path": r"/^\/.*\/files\/Special folder\//"}),
        json!({"event.node.path": "/alice/files/a.txt"}),
        json!({"time": {"$lt": 1_711_971_024}}),
        json!({"time": {"$not": {"$lt": 1_711_971_024}, "$mod": [2, 0]}}),
        json!({"event.node.id": {"$exists": true}}),
        json!({"event.class": "OCP\\Files\\Events\\Node\\NodeCreatedEvent"}),
        json!({"$or": [{"user.uid": {"$e": "a"}}, {"user.uid": {"$in": ["b", "c"]}}], "$nor": [{"user.uid": "d"}]}),
        json!({"$and": [{"$not": {"user.uid": {"$ne": "a"}}}]}),
        json!({"event.node": {"$exists": true}, "user.displayName": {"$gte": "A"}}),
    ] {
        let server = Server::new();
        let parameters = json!({"events": ["file_created"], "event_filter": filter});
        server
            .create(&new(parameters))
            .unwrap_or_else(|error| panic!("{filter}: {error}"));
        server.assert_no_violations();
    }
}

#[test]
fn a_parameter_that_cannot_be_right_is_named() {
    for (parameters, named) in [
        (
            json!({"paths": ["/inbox/[a"]}),
            "parameters.paths has `inbox/[a`",
        ),
        (json!({"paths": [{"glob": "x"}]}), "parameters.paths has {"),
        (json!({"folders": ["a\nb"]}), "parameters.folders has"),
        (
            json!({"mime_types": ["application/x-unheard-of"]}),
            "parameters.mime_types",
        ),
        (json!({"users": ["a/b"]}), "parameters.users has \"a/b\""),
        (
            json!({"tags": ["Invoice"]}),
            "parameters.tags has \"Invoice\"",
        ),
        (
            json!({"calendars": ["a/b/c"]}),
            "parameters.calendars has \"a/b/c\"",
        ),
        (
            json!({"tags": ["1"]}),
            "parameters.tags is set, but none of the events (file_created) is of tags",
        ),
        (
            json!({"calendars": ["personal"]}),
            "none of the events (file_created) is of a calendar",
        ),
        (
            json!({"events": ["tag_assigned"], "folders": ["/inbox"]}),
            "(tag_assigned) is of a file",
        ),
        (json!({"events": [true]}), "parameters.events has true"),
    ] {
        let server = Server::new();
        let mut given = json!({"events": ["file_created"]});
        given
            .as_object_mut()
            .unwrap()
            .extend(parameters.as_object().unwrap().clone());
        let error = server.create(&new(given)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput, "{parameters}");
        assert!(error.message.contains(named), "{parameters}: {error}");
        assert_eq!(server.transcript(), "");
    }
}
