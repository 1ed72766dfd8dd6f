//! What the provider tells of changes in Drive.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::{HOUR_MS, World, fires};
use trigger_plugin_api::ErrorCode;

const ROOT: &str = "0AROOT";

fn everything() -> World {
    let mut world = World::new(json!({"watch": "everything"}));
    world.act("create_file", json!({"id": "old", "name": "old.txt"}));
    world.act(
        "create_file",
        json!({"id": "docs", "name": "Docs", "mime_type": "folder"}),
    );
    world.watch();
    world.pass(1_000);
    assert_eq!(world.heard(), [""; 0], "what was there before is no news");
    world
}

fn file(id: &str, name: &str, parent: &str) -> Value {
    json!({"id": id, "name": name, "parent": parent})
}

#[test]
fn a_file_s_life_is_told() {
    let mut world = everything();
    world.act("create_file", file("a", "a.txt", ROOT));
    assert_eq!(world.heard(), ["created a.txt"]);
    world.act("edit", json!({"id": "a"}));
    assert_eq!(world.heard(), ["updated a.txt"]);
    world.act("rename", json!({"id": "a", "name": "b.txt"}));
    assert_eq!(world.heard(), ["renamed b.txt"]);
    world.act("move", json!({"id": "a", "parent": "docs"}));
    assert_eq!(world.heard(), ["moved b.txt"]);
    world.act("share", json!({"id": "a", "email": "bob@other.test"}));
    assert_eq!(world.heard(), ["shared b.txt"]);
    world.act("trash", json!({"id": "a"}));
    assert_eq!(world.heard(), ["trashed b.txt"]);
    world.act("restore", json!({"id": "a"}));
    assert_eq!(world.heard(), ["restored b.txt"]);
    world.act("delete", json!({"id": "a"}));
    assert_eq!(world.heard(), ["deleted b.txt"]);
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn one_change_is_several_events_with_what_was_before() {
    let mut world = everything();
    world.act("rename", json!({"id": "old", "name": "new.txt"}));
    world.act("move", json!({"id": "old", "parent": "docs"}));
    let told = world.pull();
    let lines: Vec<String> = told.iter().map(|told| told.line()).collect();
    assert_eq!(lines, ["renamed new.txt", "moved new.txt"]);
    for told in &told {
        assert_eq!(told.payload["previous"]["name"], "old.txt");
        assert_eq!(told.payload["previous"]["parents"], json!([ROOT]));
        assert_eq!(told.payload["folders"], json!(["docs", ROOT]));
        assert_eq!(told.payload["account"], "ada@acme.test");
        assert_eq!(told.occurred_at_ms, Some(world.now_ms - 1_000));
    }
    assert!(fires(&told[1], json!({"from_folders": [ROOT]})));
    assert!(!fires(&told[1], json!({"from_folders": ["docs"]})));
}

#[test]
fn a_change_that_changes_nothing_we_tell_of_is_silent() {
    let mut world = everything();
    world.act("touch", json!({"id": "old"}));
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn who_got_and_who_lost_access_is_told() {
    let mut world = everything();
    world.act(
        "share",
        json!({"id": "old", "email": "bob@other.test", "role": "writer"}),
    );
    let shared = world.pull();
    let granted = &shared[0].payload["access"]["granted"];
    assert_eq!(granted[0]["emailAddress"], "bob@other.test");
    assert_eq!(granted[0]["role"], "writer");
    assert!(fires(
        &shared[0],
        json!({"granted_to": ["*@other.test"], "roles": ["writer"]})
    ));
    assert!(!fires(&shared[0], json!({"granted_to": ["*@acme.test"]})));
    assert!(!fires(&shared[0], json!({"roles": ["owner"]})));

    world.act(
        "share",
        json!({"id": "old", "email": "bob@other.test", "role": "reader"}),
    );
    let changed = world.pull();
    assert_eq!(changed[0].line(), "shared old.txt");
    assert_eq!(changed[0].payload["access"]["changed"][0]["role"], "reader");

    world.act("unshare", json!({"id": "old", "email": "bob@other.test"}));
    let revoked = world.pull();
    assert_eq!(revoked[0].line(), "updated old.txt");
    assert_eq!(
        revoked[0].payload["access"]["revoked"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn what_was_made_before_the_first_reading_but_after_the_watch_is_told_once() {
    let mut world = World::watching(json!({"watch": "everything"}));
    world.act("create_file", file("early", "early.txt", ROOT));
    world.act("create_file", file("late", "late.txt", ROOT));
    assert_eq!(world.heard(), ["created early.txt", "created late.txt"]);
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn everything_is_read_page_by_page() {
    let mut world = World::new(json!({"watch": "everything"}));
    for number in 0..7 {
        world.act(
            "create_file",
            file(&format!("f{number}"), &format!("{number}"), ROOT),
        );
    }
    world.watch();
    world.act("page_max", json!({"items": 2}));
    assert_eq!(world.heard(), [""; 0]);
    assert!(world.steps >= 5, "{}", world.steps);
    for number in 0..7 {
        world.act(
            "rename",
            json!({"id": format!("f{number}"), "name": format!("new {number}")}),
        );
    }
    let told = world.heard();
    assert_eq!(told.len(), 7);
    assert_eq!(told[6], "renamed new 6");
}

#[test]
fn a_new_file_in_a_long_log_is_new_although_later_changes_stand_before_it() {
    let mut world = everything();
    world.act("page_max", json!({"items": 1}));
    world.act("create_file", file("a", "a", ROOT));
    world.act("create_file", file("b", "b", ROOT));
    // Of `a` the log tells only the last change, behind `b`.
    world.act("edit", json!({"id": "a"}));
    assert_eq!(world.heard(), ["created b", "created a"]);
}

#[test]
fn what_is_shared_with_the_account_is_told_as_shared() {
    let mut world = everything();
    world.act(
        "create_file",
        json!({"id": "theirs", "name": "theirs.txt", "owner": "bob@other.test", "created_ms": 1_600_000_000_000_i64}),
    );
    let told = world.pull();
    assert_eq!(told[0].line(), "shared theirs.txt");
    assert_eq!(told[0].payload["previous"], Value::Null);
}

#[test]
fn an_upload_that_keeps_its_old_times_is_new() {
    let mut world = everything();
    let long_ago = 1_500_000_000_000_i64;
    world.act(
        "create_file",
        json!({"id": "up", "name": "up.txt", "created_ms": long_ago}),
    );
    assert_eq!(world.heard(), ["created up.txt"]);
}

#[test]
fn filters_look_at_kind_name_folder_owner_and_who_did_it() {
    let mut world = everything();
    world.act(
        "create_file",
        json!({"id": "pic", "name": "Cat.PNG", "mime_type": "image/png", "parent": "docs"}),
    );
    let told = world.pull();
    let cat = &told[0];
    for (parameters, expected) in [
        (json!({}), true),
        (json!({"mime_types": ["image/*"]}), true),
        (json!({"mime_types": ["text/*", "application/pdf"]}), false),
        (json!({"names": ["*.png"]}), true),
        (json!({"names": ["*.png", "!cat*"]}), false),
        (json!({"folders": ["docs"]}), true),
        (json!({"folders": [ROOT]}), true),
        (json!({"folders": ["other"]}), false),
        (json!({"owners": ["ADA@acme.test"]}), true),
        (json!({"owners": ["bob@other.test"]}), false),
        (json!({"ignored_users": ["ada@acme.test"]}), false),
        (json!({"ignored_users": ["bot@acme.test"]}), true),
    ] {
        assert_eq!(fires(cat, parameters.clone()), expected, "{parameters}");
    }
}

fn folder_watch(parameters: Value) -> World {
    let mut world = World::new(parameters);
    world.act(
        "create_file",
        json!({"id": "in", "name": "In", "mime_type": "folder"}),
    );
    world.act(
        "create_file",
        json!({"id": "deep", "name": "Deep", "mime_type": "folder", "parent": "in"}),
    );
    world.act(
        "create_file",
        json!({"id": "out", "name": "Out", "mime_type": "folder"}),
    );
    world.act("create_file", file("x", "x.txt", "deep"));
    world.act("create_file", file("y", "y.txt", "out"));
    world.watch();
    world.pass(1_000);
    assert_eq!(world.heard(), [""; 0]);
    world
}

#[test]
fn a_folder_s_watch_tells_of_what_lies_below_it_and_nothing_else() {
    let mut world = folder_watch(json!({"watch": "folder", "folder": "in"}));
    world.act("edit", json!({"id": "x"}));
    world.act("edit", json!({"id": "y"}));
    world.act("create_file", file("z", "z.txt", "deep"));
    world.act("create_file", file("w", "w.txt", "out"));
    assert_eq!(world.heard(), ["updated x.txt", "created z.txt"]);
    world.act("move", json!({"id": "y", "parent": "deep"}));
    let told = world.pull();
    assert_eq!(told[0].line(), "moved y.txt");
    assert_eq!(told[0].payload["previous"], Value::Null);
    assert_eq!(told[0].payload["folders"], json!(["deep", "in"]));
    world.act("move", json!({"id": "y", "parent": "out"}));
    assert_eq!(world.heard(), ["moved y.txt"]);
    world.act("edit", json!({"id": "y"}));
    world.act("delete", json!({"id": "y"}));
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn a_folder_s_watch_can_leave_out_subfolders() {
    let mut world = folder_watch(json!({"watch": "folder", "folder": "in", "subfolders": false}));
    world.act("edit", json!({"id": "x"}));
    world.act("create_file", file("z", "z.txt", "in"));
    assert_eq!(world.heard(), ["created z.txt"]);
}

#[test]
fn a_folder_that_comes_and_goes_takes_what_is_in_it_along() {
    let mut world = folder_watch(json!({"watch": "folder", "folder": "in"}));
    world.act(
        "create_file",
        json!({"id": "sub", "name": "Sub", "mime_type": "folder", "parent": "out"}),
    );
    world.act("create_file", file("s", "s.txt", "sub"));
    assert_eq!(world.heard(), [""; 0]);
    world.act("move", json!({"id": "out", "parent": "in"}));
    assert_eq!(world.heard(), ["moved Out"]);
    world.act("edit", json!({"id": "s"}));
    world.act("rename", json!({"id": "y", "name": "yy.txt"}));
    assert_eq!(world.heard(), ["updated s.txt", "renamed yy.txt"]);
    world.act("move", json!({"id": "out", "parent": ROOT}));
    assert_eq!(world.heard(), ["moved Out"]);
    world.act("edit", json!({"id": "s"}));
    world.act("delete", json!({"id": "y"}));
    assert_eq!(world.heard(), [""; 0]);
    world.act("move", json!({"id": "out", "parent": "deep"}));
    assert_eq!(world.heard(), ["moved Out"]);
    world.act("edit", json!({"id": "s"}));
    assert_eq!(world.heard(), ["updated s.txt"]);
}

#[test]
fn files_of_a_new_folder_are_told_although_the_log_names_them_before_it() {
    let mut world = folder_watch(json!({"watch": "folder", "folder": "in"}));
    world.act(
        "create_file",
        json!({"id": "new", "name": "New", "mime_type": "folder", "parent": "in"}),
    );
    world.act("create_file", file("n", "n.txt", "new"));
    world.act("move", json!({"id": "y", "parent": "new"}));
    // Now the folder's last change stands behind those of what is in it.
    world.act("rename", json!({"id": "new", "name": "Newer"}));
    assert_eq!(
        world.heard(),
        ["created Newer", "created n.txt", "moved y.txt"]
    );
    world.act("edit", json!({"id": "n"}));
    assert_eq!(world.heard(), ["updated n.txt"]);
}

#[test]
fn my_drive_is_a_folder_by_another_name() {
    let mut world = World::watching(json!({"watch": "folder", "folder": "root"}));
    assert_eq!(world.heard(), [""; 0]);
    world.act("create_file", file("a", "a.txt", ROOT));
    assert_eq!(world.heard(), ["created a.txt"]);
}

#[test]
fn a_shared_drive_is_read_by_its_id() {
    let mut world = World::watching(json!({"watch": "shared_drive", "drive": "0ATEAM"}));
    assert_eq!(world.heard(), [""; 0]);
    world.act("create_file", file("t", "t.txt", "0ATEAM"));
    world.act("create_file", file("mine", "mine.txt", ROOT));
    assert_eq!(world.heard(), ["created t.txt"]);
    world.act("share", json!({"id": "t", "email": "bob@other.test"}));
    let shared = world.pull();
    assert_eq!(shared[0].line(), "shared t.txt");
    assert!(shared[0].payload["file"].get("owners").is_none());
    world.act("delete", json!({"id": "t"}));
    assert_eq!(world.heard(), ["deleted t.txt"]);
    assert!(world.requests_to("driveId=0ATEAM") > 3);
}

#[test]
fn one_file_is_looked_at_again() {
    let mut world = World::new(json!({"watch": "file", "file": "one"}));
    world.act("create_file", file("one", "one.txt", ROOT));
    world.watch();
    world.pass(1_000);
    assert_eq!(world.heard(), [""; 0]);
    world.act("rename", json!({"id": "one", "name": "uno.txt"}));
    world.act("edit", json!({"id": "one"}));
    world.act("create_file", file("two", "two.txt", ROOT));
    assert_eq!(world.heard(), ["renamed uno.txt", "updated uno.txt"]);
    world.act("delete", json!({"id": "one"}));
    assert_eq!(world.heard(), ["deleted uno.txt"]);
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn a_file_that_was_never_there_is_an_error() {
    let world = World::new(json!({"watch": "file", "file": "nothing"}));
    assert_eq!(world.step(None).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn after_the_place_was_lost_everything_is_compared() {
    let mut world = everything();
    world.act("create_file", file("gone", "gone.txt", ROOT));
    world.act("create_file", file("kept", "kept.txt", ROOT));
    assert_eq!(world.heard().len(), 2);
    let since_ms = world.now_ms;
    world.act("page_max", json!({"items": 2}));
    world.act("create_file", file("new", "new.txt", ROOT));
    world.act("rename", json!({"id": "old", "name": "renamed.txt"}));
    world.act("move", json!({"id": "kept", "parent": "docs"}));
    world.act("delete", json!({"id": "gone"}));
    world.act("expire_cursor", json!({}));
    let lost = world.step(None).unwrap_err();
    assert_eq!(lost.code, ErrorCode::NotFound, "{lost}");

    world.cursor = None;
    let told = world.pull_since(Some(since_ms));
    let mut lines: Vec<String> = told.iter().map(|told| told.line()).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "created new.txt",
            "deleted gone.txt",
            "moved kept.txt",
            "renamed renamed.txt"
        ]
    );
    assert!(told.iter().all(|told| told.payload["caught_up"] == true));
    assert_eq!(world.notes.len(), 1);
    assert!(
        world.notes[0].contains("compared anew"),
        "{}",
        world.notes[0]
    );

    assert_eq!(world.heard(), [""; 0]);
    world.act("edit", json!({"id": "new"}));
    let told = world.pull();
    assert_eq!(told[0].line(), "updated new.txt");
    assert_eq!(told[0].payload["caught_up"], false);
}

#[test]
fn a_folder_s_lost_place_is_found_again_folder_by_folder() {
    let mut world = folder_watch(json!({"watch": "folder", "folder": "in"}));
    let since_ms = world.now_ms;
    world.act("create_file", file("z", "z.txt", "deep"));
    world.act("delete", json!({"id": "x"}));
    world.act("expire_cursor", json!({}));
    assert!(world.step(None).is_err());
    world.cursor = None;
    let told = world.pull_since(Some(since_ms));
    let lines: Vec<String> = told.iter().map(|told| told.line()).collect();
    assert_eq!(lines, ["created z.txt", "deleted x.txt"]);
}

#[test]
fn the_host_being_down_for_days_costs_nothing() {
    let mut world = everything();
    for day in 0..5 {
        world.pass(24 * HOUR_MS);
        world.act(
            "create_file",
            file(&format!("d{day}"), &format!("day {day}"), ROOT),
        );
    }
    let told = world.heard();
    assert_eq!(
        told,
        [
            "created day 0",
            "created day 1",
            "created day 2",
            "created day 3",
            "created day 4"
        ]
    );
}

#[test]
fn a_cursor_of_something_else_is_no_cursor() {
    let mut world = everything();
    world
        .held
        .parameters
        .insert("watch".to_owned(), json!("calendar"));
    assert_eq!(world.step(None).unwrap_err().code, ErrorCode::NotFound);
    world.cursor = Some("nonsense".to_owned());
    assert_eq!(world.step(None).unwrap_err().code, ErrorCode::NotFound);
}
