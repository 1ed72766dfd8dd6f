//! What the provider tells of changes in a calendar, and when its events begin.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde_json::{Value, json};
use support::{BEGIN_MS, HOUR_MS, Told, World, fires};
use trigger_plugin_api::ErrorCode;

const TEAM: &str = "team@group.calendar.google.com";

fn primary() -> World {
    let mut world = World::watching(json!({"watch": "calendar"}));
    assert_eq!(world.heard(), [""; 0]);
    world
}

/// Half an hour from this local time on.
fn at(time: &str) -> (Value, Value) {
    timed(time, 30)
}

fn timed(start: &str, minutes: i64) -> (Value, Value) {
    let begin: jiff::Timestamp = start.parse().unwrap();
    let end = begin + jiff::SignedDuration::from_mins(minutes);
    (
        json!({"dateTime": start}),
        json!({"dateTime": end.to_string()}),
    )
}

fn event(id: &str, summary: &str, (start, end): (Value, Value)) -> Value {
    json!({"id": id, "summary": summary, "start": start, "end": end})
}

fn ms(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

/// Moments of the timers that are set, with what begins.
fn due(world: &World) -> Vec<String> {
    let mut due: Vec<(i64, String)> = world
        .timers
        .values()
        .map(|timer| {
            let payload: Value = serde_json::from_slice(&timer.event.payload).unwrap();
            support::assert_fits(&timer.event.name, &payload);
            assert_eq!(timer.event.occurred_at_ms, Some(timer.due_at_ms));
            let summary = payload["event"]["summary"].as_str().unwrap().to_owned();
            (timer.due_at_ms, summary)
        })
        .collect();
    due.sort();
    let line = |(ms, summary): (i64, String)| format!("{} {summary}", utc(ms));
    due.into_iter().map(line).collect()
}

#[test]
fn an_event_s_life_is_told() {
    let mut world = primary();
    world.act(
        "create_event",
        event("e1", "Lunch", at("2026-03-28T12:00:00Z")),
    );
    let told = world.pull();
    assert_eq!(told[0].line(), "created Lunch");
    assert_eq!(told[0].payload["calendar"]["timeZone"], "Europe/Berlin");
    world.act(
        "update_event",
        event("e1", "Late lunch", at("2026-03-28T13:00:00Z")),
    );
    let told = world.pull();
    assert_eq!(told[0].line(), "updated Late lunch");
    assert_eq!(told[0].payload["changed"], json!(["time", "summary"]));
    assert_eq!(told[0].payload["previous"]["summary"], "Lunch");
    world.act("update_event", json!({"id": "e1", "attendees": [{"email": "bob@other.test", "responseStatus": "needsAction"}]}));
    assert_eq!(world.pull()[0].payload["changed"], json!(["attendees"]));
    world.act("update_event", json!({"id": "e1", "attendees": [{"email": "bob@other.test", "responseStatus": "accepted"}]}));
    assert_eq!(world.pull()[0].payload["changed"], json!(["attendees"]));
    world.act("update_event", json!({"id": "e1", "colorId": "3"}));
    assert_eq!(world.pull()[0].payload["changed"], json!(["other"]));
    world.act("cancel_event", json!({"id": "e1"}));
    let told = world.pull();
    assert_eq!(told.len(), 1);
    let cancelled = &told[0].payload["event"];
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(
        cancelled["summary"], "Late lunch",
        "Google leaves out all but the id"
    );
    assert_eq!(cancelled["organizer"]["email"], "ada@acme.test");
    assert_eq!(cancelled["attendees"][0]["email"], "bob@other.test");
    assert!(fires(&told[0], json!({"attendees": ["*@other.test"]})));
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn what_was_there_before_is_no_news_and_what_came_since_the_watch_is() {
    let mut world = World::new(json!({"watch": "calendar"}));
    world.act(
        "create_event",
        event("old", "Old", at("2026-03-28T12:00:00Z")),
    );
    world.act(
        "create_event",
        event("far", "Far", at("2025-01-01T12:00:00Z")),
    );
    world.pass(10_000);
    world.watch();
    world.act(
        "create_event",
        event("new", "New", at("2026-03-28T12:00:00Z")),
    );
    assert_eq!(world.heard(), ["created New"]);
    world.act("update_event", json!({"id": "old", "location": "Roof"}));
    let told = world.pull();
    assert_eq!(told[0].line(), "updated Old");
    assert_eq!(told[0].payload["changed"], json!(["location"]));
    // Never listed, because it ended long ago.
    world.act("update_event", json!({"id": "far", "location": "Roof"}));
    let told = world.pull();
    assert_eq!(told[0].line(), "updated Far");
    assert_eq!(told[0].payload["previous"], Value::Null);
}

#[test]
fn what_was_made_and_cancelled_between_two_looks_is_not_told_of() {
    let mut world = primary();
    world.act(
        "create_event",
        event("e1", "Oops", at("2026-03-27T12:00:00Z")),
    );
    world.act("cancel_event", json!({"id": "e1"}));
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(due(&world), [""; 0]);
}

#[test]
fn filters_look_at_organiser_title_guests_and_length() {
    let mut world = primary();
    let mut lunch = event("e1", "Team Lunch", at("2026-03-28T12:00:00Z"));
    lunch["attendees"] = json!([{"email": "bob@other.test"}, {"email": "eve@acme.test"}]);
    world.act("create_event", lunch);
    let told = world.pull();
    for (parameters, expected) in [
        (json!({}), true),
        (json!({"organizers": ["*@acme.test"]}), true),
        (json!({"organizers": ["*@other.test"]}), false),
        (json!({"summary_contains": ["lunch", "dinner"]}), true),
        (json!({"summary_contains": ["dinner"]}), false),
        (json!({"attendees": ["BOB@other.test"]}), true),
        (json!({"attendees": ["*@third.test"]}), false),
        (json!({"all_day": false}), true),
        (json!({"all_day": true}), false),
    ] {
        assert_eq!(
            fires(&told[0], parameters.clone()),
            expected,
            "{parameters}"
        );
    }
    world.act("update_event", json!({"id": "e1", "location": "Roof"}));
    let told = world.pull();
    assert!(fires(&told[0], json!({"changed": ["location", "time"]})));
    assert!(!fires(&told[0], json!({"changed": ["time"]})));
}

#[test]
fn a_calendar_is_read_page_by_page() {
    let mut world = World::new(json!({"watch": "calendar"}));
    for number in 0..7 {
        let time = at("2026-03-27T12:00:00Z");
        world.act(
            "create_event",
            event(&format!("e{number}"), &format!("{number}"), time),
        );
    }
    world.pass(10_000);
    world.watch();
    world.act("page_max", json!({"items": 2}));
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.steps, 4);
    assert_eq!(world.timers.len(), 7);
    for number in 0..7 {
        world.act(
            "update_event",
            json!({"id": format!("e{number}"), "location": "Roof"}),
        );
    }
    assert_eq!(world.heard().len(), 7);
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn after_the_place_was_lost_everything_is_compared() {
    let mut world = primary();
    for name in ["kept", "moved", "gone"] {
        world.act(
            "create_event",
            event(name, name, at("2026-03-28T12:00:00Z")),
        );
    }
    assert_eq!(world.heard().len(), 3);
    let since_ms = world.now_ms;
    world.act(
        "create_event",
        event("new", "new", at("2026-03-28T15:00:00Z")),
    );
    world.act(
        "update_event",
        event("moved", "moved", at("2026-03-28T16:00:00Z")),
    );
    world.act("cancel_event", json!({"id": "gone"}));
    world.act("expire_cursor", json!({}));
    assert_eq!(world.step(None).unwrap_err().code, ErrorCode::NotFound);
    world.cursor = None;
    let told = world.pull_since(Some(since_ms));
    let mut lines: Vec<String> = told.iter().map(Told::line).collect();
    lines.sort();
    assert_eq!(lines, ["cancelled gone", "created new", "updated moved"]);
    assert!(told.iter().all(|told| told.payload["caught_up"] == true));
    assert!(world.notes[0].contains("compared anew"));
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn one_event_of_a_series_is_told_as_itself() {
    let mut world = primary();
    let mut standup = event("standup", "Standup", at("2026-03-27T09:00:00+01:00"));
    standup["recurrence"] = json!(["RRULE:FREQ=DAILY"]);
    standup["start"]["timeZone"] = json!("Europe/Berlin");
    standup["end"]["timeZone"] = json!("Europe/Berlin");
    world.act("create_event", standup);
    assert_eq!(world.heard(), ["created Standup"]);
    let (start, end) = at("2026-03-28T11:00:00+01:00");
    world.act(
        "update_event",
        json!({"id": "standup_20260328T080000Z", "start": start, "end": end}),
    );
    let told = world.pull();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].line(), "updated Standup");
    assert_eq!(told[0].payload["event"]["recurringEventId"], "standup");
    assert_eq!(told[0].payload["changed"], json!(["time"]));
    world.act("cancel_event", json!({"id": "standup_20260329T070000Z"}));
    let told = world.pull();
    assert_eq!(told[0].line(), "cancelled Standup");
    assert_eq!(
        told[0].payload["event"]["start"]["dateTime"],
        "2026-03-29T09:00:00+02:00"
    );
    world.act("cancel_event", json!({"id": "standup"}));
    assert_eq!(world.heard(), ["cancelled Standup"]);
    assert_eq!(due(&world), [""; 0]);
}

#[test]
fn a_series_starts_at_its_local_time_before_and_after_clocks_change() {
    let mut world = primary();
    let mut standup = event("standup", "Standup", at("2026-03-27T09:00:00+01:00"));
    standup["recurrence"] = json!(["RRULE:FREQ=DAILY"]);
    standup["start"]["timeZone"] = json!("Europe/Berlin");
    standup["end"]["timeZone"] = json!("Europe/Berlin");
    world.act("create_event", standup);
    let mut fired = Vec::new();
    // Nothing wakes us: each reading says by when the next must be.
    for _ in 0..9 {
        assert!(world.pull().len() <= 1);
        let next_in_ms = i64::try_from(world.next_in_ms.unwrap()).unwrap();
        assert!((1..=12 * HOUR_MS).contains(&next_in_ms), "{next_in_ms}");
        let until = world.now_ms + next_in_ms;
        fired.extend(world.fire_until(until));
    }
    let moments: Vec<String> = fired
        .iter()
        .map(|told| utc(told.occurred_at_ms.unwrap()))
        .collect();
    assert_eq!(
        moments,
        [
            "2026-03-27T08:00:00Z",
            "2026-03-28T08:00:00Z",
            "2026-03-29T07:00:00Z",
            "2026-03-30T07:00:00Z",
            "2026-03-31T07:00:00Z",
        ]
    );
    assert_eq!(fired[2].payload["starts_at"], "2026-03-29T07:00:00Z");
    assert_eq!(fired[2].payload["event"]["id"], "standup_20260329T070000Z");
}

#[test]
fn a_start_that_is_moved_or_cancelled_does_not_fire_at_its_old_time() {
    let mut world = primary();
    world.act("create_event", event("a", "A", at("2026-03-27T08:00:00Z")));
    world.act("create_event", event("b", "B", at("2026-03-27T09:00:00Z")));
    world.act("create_event", event("c", "C", at("2026-03-27T10:00:00Z")));
    world.pull();
    assert_eq!(
        due(&world),
        [
            "2026-03-27T08:00:00Z A",
            "2026-03-27T09:00:00Z B",
            "2026-03-27T10:00:00Z C"
        ]
    );
    world.act("update_event", event("a", "A2", at("2026-03-27T08:20:30Z")));
    world.act("update_event", event("b", "B", at("2026-04-20T09:00:00Z")));
    world.act("cancel_event", json!({"id": "c"}));
    world.pull();
    assert_eq!(due(&world), ["2026-03-27T08:20:30Z A2"]);
    let fired = world.fire_until(ms("2026-03-27T08:20:30Z"));
    assert_eq!(fired[0].line(), "started A2");
    // Put off after it has begun, it begins again.
    world.act("update_event", event("a", "A2", at("2026-03-27T09:00:00Z")));
    world.pull();
    assert_eq!(due(&world), ["2026-03-27T09:00:00Z A2"]);
}

#[test]
fn one_event_taken_out_of_a_series_starts_at_its_own_time() {
    let mut world = primary();
    let mut series = event("s", "S", at("2026-03-27T09:00:00+01:00"));
    series["recurrence"] = json!(["RRULE:FREQ=DAILY"]);
    series["start"]["timeZone"] = json!("Europe/Berlin");
    world.act("create_event", series);
    world.pull();
    assert_eq!(due(&world), ["2026-03-27T08:00:00Z S"]);
    let (start, end) = at("2026-03-27T13:15:00+01:00");
    world.act(
        "update_event",
        json!({"id": "s_20260327T080000Z", "start": start, "end": end}),
    );
    world.pull();
    assert_eq!(due(&world), ["2026-03-27T12:15:00Z S"]);
    world.act("cancel_event", json!({"id": "s_20260327T080000Z"}));
    world.pull();
    assert_eq!(due(&world), [""; 0]);
}

#[test]
fn all_day_events_start_with_the_day_of_their_calendar() {
    let day = |id: &str, calendar: &str| {
        json!({
            "id": id, "summary": "Holiday", "calendar": calendar,
            "start": {"date": "2026-03-28"}, "end": {"date": "2026-03-29"},
        })
    };
    let mut berlin = primary();
    berlin.act("create_event", day("h", "ada@acme.test"));
    assert!(fires(&berlin.pull()[0], json!({"all_day": true})));
    assert_eq!(due(&berlin), ["2026-03-27T23:00:00Z Holiday"]);

    let mut new_york = World::watching(json!({"watch": "calendar", "calendar": TEAM}));
    new_york.act("create_event", day("h", TEAM));
    new_york.pull();
    assert_eq!(due(&new_york), ["2026-03-28T04:00:00Z Holiday"]);
}

#[test]
fn starts_of_a_time_when_the_host_was_down_are_made_up_for_once() {
    let mut world = primary();
    let mut series = event("s", "S", at("2026-03-27T09:00:00+01:00"));
    series["recurrence"] = json!(["RRULE:FREQ=DAILY"]);
    series["start"]["timeZone"] = json!("Europe/Berlin");
    world.act("create_event", series);
    world.pull();
    assert_eq!(due(&world), ["2026-03-27T08:00:00Z S"]);
    // Down for three days; an event is made and held meanwhile.
    world.pass(48 * HOUR_MS);
    world.act("create_event", event("x", "X", at("2026-03-29T20:00:00Z")));
    world.now_ms = ms("2026-03-30T06:30:00Z");
    world.fake.set_now_ms(world.now_ms);
    assert_eq!(world.heard(), ["created X"]);
    assert_eq!(
        due(&world),
        [
            // Still the host's own, from before.
            "2026-03-27T08:00:00Z S",
            "2026-03-28T08:00:00Z S",
            "2026-03-29T07:00:00Z S",
            "2026-03-29T20:00:00Z X",
            "2026-03-30T07:00:00Z S",
            "2026-03-31T07:00:00Z S",
        ]
    );
    let now = world.now_ms;
    assert_eq!(world.fire_until(now).len(), 4);
    world.pass(1_000);
    world.act("update_event", json!({"id": "x", "location": "Roof"}));
    world.pull();
    assert_eq!(
        due(&world),
        ["2026-03-30T07:00:00Z S", "2026-03-31T07:00:00Z S"]
    );
}

#[test]
fn an_event_that_was_entered_after_the_fact_does_not_start() {
    let mut world = primary();
    world.pass(5 * HOUR_MS);
    world.pull();
    let before = utc(BEGIN_MS + HOUR_MS);
    world.act("create_event", event("p", "Past", timed(&before, 600)));
    assert_eq!(world.heard(), ["created Past"]);
    assert_eq!(due(&world), [""; 0]);
    // Put off into the past, neither.
    let later = utc(world.now_ms + HOUR_MS);
    world.act("create_event", event("m", "Moved", timed(&later, 30)));
    world.pull();
    assert_eq!(due(&world).len(), 1);
    world.act("update_event", event("m", "Moved", timed(&before, 600)));
    world.pull();
    assert_eq!(due(&world), [""; 0]);
    // Made for this very minute, it starts.
    let now = utc(world.now_ms - 500);
    world.act("create_event", event("n", "Now", timed(&now, 30)));
    world.pull();
    assert_eq!(due(&world).len(), 1);
}
