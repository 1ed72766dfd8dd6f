//! Which payloads fire a trigger with which parameters.

use serde_json::json;
use trigger_plugin_api::declaration::Declared;
use trigger_plugin_api::messages::EventCall;

use crate::support::{fire, outcome, provider};

/// One event `e` with a parameter `p` of this type and one filter on it.
fn filter(kind: &str, filter: &str) -> Declared {
    let event = format!(
        "parameters: [{{name: p, {kind}}}]\nextra: {{native: {{filters: [{{parameter: p, {filter}}}]}}}}"
    );
    provider("verify: {scheme: none}\nevent: {name: e}", &[("e", &event)])
}

#[track_caller]
fn check(declared: &Declared, parameter: serde_json::Value, fires: &[&str], others: &[&str]) {
    let fired = |payload: &str| {
        fire(declared, "e", json!({"p": parameter.clone()}), payload).unwrap() != "-"
    };
    for payload in fires {
        assert!(fired(payload), "{parameter} should fire for {payload}");
    }
    for payload in others {
        assert!(!fired(payload), "{parameter} should not fire for {payload}");
    }
}

#[test]
fn an_unset_parameter_does_not_filter() {
    let declared = filter("type: string, multiple: true", "at: /action, op: in");
    for unset in [
        json!({}),
        json!({"p": null}),
        json!({"p": ""}),
        json!({"p": []}),
    ] {
        assert_eq!(
            fire(&declared, "e", unset, r#"{"action": "x"}"#).unwrap(),
            "payload"
        );
    }
}

#[test]
fn in_is_any_of_the_list_whatever_its_type() {
    let declared = filter(
        "type: string, multiple: true",
        "at: [/action, /labels/*/name], op: in",
    );
    let a = r#"{"action": "a"}"#;
    let label_b = r#"{"action": "x", "labels": [{"name": "c"}, {"name": "b"}]}"#;
    check(
        &declared,
        json!(["a", "b"]),
        &[a, label_b],
        &[r#"{"action": "ab"}"#, "{}", r#"{"action": null}"#],
    );
    check(
        &declared,
        json!("a"),
        &[a],
        &[label_b, r#"{"action": "A"}"#],
    );
    check(
        &declared,
        json!(["5"]),
        &[r#"{"action": 5}"#, r#"{"action": "5"}"#],
        &[r#"{"action": 5.5}"#],
    );
    let declared = filter("type: string, multiple: true", "at: /labels, op: in_list");
    check(
        &declared,
        json!(["b"]),
        &[r#"{"labels": ["a", "b"]}"#],
        &[r#"{"labels": []}"#, r#"{"labels": {"b": 1}}"#],
    );
}

#[test]
fn ne_and_not_in_fire_when_nothing_is_equal() {
    for op in ["ne", "not_in"] {
        let declared = filter(
            "type: string, multiple: true",
            &format!("at: /user/*, op: {op}"),
        );
        check(
            &declared,
            json!(["bot"]),
            &[r#"{"user": ["a"]}"#, "{}"],
            &[r#"{"user": ["a", "bot"]}"#],
        );
    }
}

#[test]
fn all_in_wants_every_item() {
    let declared = filter("type: string, multiple: true", "at: /labels/*, op: all_in");
    check(
        &declared,
        json!(["a", "b"]),
        &[r#"{"labels": ["c", "b", "a"]}"#],
        &[r#"{"labels": ["a"]}"#, "{}"],
    );
}

#[test]
fn texts_are_searched_and_case_may_be_ignored() {
    let body = r#"{"t": "Please DEPLOY this\u0021"}"#;
    check(
        &filter("type: string", "at: /t, op: contains"),
        json!("this!"),
        &[body],
        &[r#"{"t": "that"}"#, r#"{"t": ["x"]}"#],
    );
    check(
        &filter("type: string", "at: /t, op: contains"),
        json!("deploy"),
        &[],
        &[body],
    );
    check(
        &filter("type: string", "at: /t, op: contains, ignore_case: true"),
        json!("dePloy"),
        &[body],
        &[],
    );
    check(
        &filter("type: string", "at: /t, op: prefix"),
        json!("Please"),
        &[body],
        &[r#"{"t": "x Please"}"#],
    );
    check(
        &filter("type: string", "at: /t, op: suffix"),
        json!("!"),
        &[body],
        &[r#"{"t": "! "}"#],
    );
    check(
        &filter("type: string", "at: /t, op: eq, ignore_case: true"),
        json!("Ö"),
        &[r#"{"t": "ö"}"#],
        &[r#"{"t": "o"}"#],
    );
    let split = filter("type: string", "at: /t, op: contains, split: ','");
    check(
        &split,
        json!("a b, ,c"),
        &[r#"{"t": "xa bx"}"#, r#"{"t": "c"}"#],
        &[r#"{"t": "a"}"#, r#"{"t": " "}"#],
    );
    check(&split, json!(" , "), &[r#"{"t": "anything"}"#], &[]);
}

#[test]
fn globs_know_branches_tags_and_paths() {
    let branches = filter(
        "type: string, multiple: true",
        "at: /ref, op: glob, strip: refs/heads/",
    );
    let main = r#"{"ref": "refs/heads/main"}"#;
    let release = r#"{"ref": "refs/heads/release/1.2"}"#;
    let tag = r#"{"ref": "refs/tags/main"}"#;
    check(&branches, json!(["main"]), &[main], &[release, tag, "{}"]);
    check(&branches, json!(["release/*"]), &[release], &[main]);
    check(&branches, json!(["*"]), &[main], &[release, tag]);
    check(&branches, json!(["!release/**"]), &[main], &[release, tag]);
    check(&branches, json!(["**", "!main"]), &[release], &[main]);
    let paths = filter(
        "type: string, multiple: true",
        "at: [/commits/*/added/*, /commits/*/modified/*], op: glob_any",
    );
    let commits = r#"{"commits": [{"added": ["docs/a.md"], "modified": []}, {"added": [], "modified": ["src/deep/x.rs"]}]}"#;
    check(&paths, json!(["src/**/*.rs"]), &[commits], &[]);
    check(&paths, json!(["*.md", "src/*.rs"]), &[], &[commits]);
    let error = fire(&branches, "e", json!({"p": ["[a"]}), "{}");
    assert!(outcome(error).starts_with("invalid_input: parameter `p`: `[a` is not a glob: "));
    let either = filter(
        "type: string, multiple: true",
        "at: /ref, op: glob, strip: [refs/heads/, refs/tags/]",
    );
    check(&either, json!(["main"]), &[main, tag], &[release]);
}

#[test]
fn booleans_filter_also_when_they_are_false() {
    let declared = filter("type: boolean", "at: /merged, op: bool");
    check(
        &declared,
        json!(true),
        &[r#"{"merged": true}"#],
        &[r#"{"merged": false}"#, "{}", r#"{"merged": "yes"}"#],
    );
    check(
        &declared,
        json!(false),
        &[r#"{"merged": false}"#, "{}", r#"{"merged": null}"#],
        &[r#"{"merged": true}"#],
    );
    let declared = filter("type: boolean, default: false", "at: /draft, op: bool");
    assert_eq!(
        fire(&declared, "e", json!({}), r#"{"draft": true}"#).unwrap(),
        "-"
    );
    assert_eq!(
        fire(&declared, "e", json!({}), r#"{"draft": false}"#).unwrap(),
        "payload"
    );
}

#[test]
fn exists_asks_for_something_or_for_nothing() {
    let declared = filter("type: boolean", "at: /pull_request, op: exists");
    check(
        &declared,
        json!(true),
        &[r#"{"pull_request": {}}"#, r#"{"pull_request": false}"#],
        &["{}", r#"{"pull_request": null}"#],
    );
    check(
        &declared,
        json!(false),
        &["{}", r#"{"pull_request": null}"#],
        &[r#"{"pull_request": {}}"#],
    );
}

#[test]
fn numbers_are_compared_as_numbers() {
    let check_op = |op: &str, fires: &[&str], others: &[&str]| {
        check(
            &filter("type: number", &format!("at: /n, op: {op}")),
            json!(10),
            fires,
            others,
        );
    };
    check_op(
        "gt",
        &[r#"{"n": 11}"#, r#"{"n": "100"}"#, r#"{"n": 1e3}"#],
        &[r#"{"n": 10}"#, r#"{"n": 9}"#, r#"{"n": "x"}"#, "{}"],
    );
    check_op("ge", &[r#"{"n": 10}"#], &[r#"{"n": 9.99}"#]);
    check_op("lt", &[r#"{"n": 9}"#], &[r#"{"n": 10}"#]);
    check_op("le", &[r#"{"n": 10.0}"#], &[r#"{"n": 10.1}"#]);
    let zero = filter("type: number", "at: /n, op: eq");
    check(
        &zero,
        json!(0),
        &[r#"{"n": 0}"#, r#"{"n": 0.0}"#],
        &[r#"{"n": 1}"#],
    );
}

#[test]
fn every_filter_must_match_and_some_are_fixed() {
    let event = "parameters: [{name: who, type: string}, {name: what, type: string}]
extra:
  native:
    filters:
    - {parameter: who, at: /who}
    - {parameter: what, at: /what, op: contains}
    - {value: [opened, reopened], at: /action}
    - {value: true, at: /draft, op: ne}";
    let declared = provider("verify: {scheme: none}\nevent: {name: e}", &[("e", event)]);
    let check =
        |body: &str| fire(&declared, "e", json!({"who": "me", "what": "x"}), body).unwrap() != "-";
    assert!(check(r#"{"who": "me", "what": "xyz", "action": "opened"}"#));
    assert!(!check(
        r#"{"who": "me", "what": "xyz", "action": "closed"}"#
    ));
    assert!(!check(
        r#"{"who": "me", "what": "xyz", "action": "opened", "draft": true}"#
    ));
    assert!(!check(
        r#"{"who": "you", "what": "xyz", "action": "opened"}"#
    ));
}

#[test]
fn variables_are_the_payloads_own_text() {
    let event = "extra: {native: {variables: {action: /action, id: /issue/id, titles: /commits/*/t, 'a\"b': /absent, all: ''}}}";
    let declared = provider("verify: {scheme: none}\nevent: {name: e}", &[("e", event)]);
    let body = r#"{"action":"é\u00e9","issue":{"id":12345678901234567890123},"commits":[{"t":1},{},{"t":[2]}]}"#;
    assert_eq!(
        fire(&declared, "e", json!({}), body).unwrap(),
        format!(
            r#"{{"action":"é\u00e9","id":12345678901234567890123,"titles":[1,[2]],"a\"b":null,"all":{body}}}"#
        )
    );
}

#[test]
fn a_payload_that_is_no_json_is_an_error_and_no_miss() {
    let declared = provider("verify: {scheme: none}\nevent: {name: e}", &[("e", "")]);
    assert!(
        outcome(fire(&declared, "e", json!({}), "{\"a\":"))
            .starts_with("invalid_input: the payload is not JSON: ")
    );
    let trigger = declared.open_trigger("e", serde_json::Map::new()).unwrap();
    let call = EventCall {
        event: "e",
        payload: b"{\"a\": \"\xff\"}",
        occurred_at_ms: None,
    };
    let error = declared.on_event(&trigger, &call).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the payload is not UTF-8 (first bad byte at 7)"
    );
}

#[test]
fn an_undeclared_event_fires_without_parameters() {
    let declared = provider("verify: {scheme: none}\nevent: {name: e}", &[("e", "")]);
    assert_eq!(
        fire(&declared, "brand_new", json!({}), "[1]").unwrap(),
        "payload"
    );
    assert_eq!(
        outcome(fire(&declared, "brand_new", json!({"x": 1}), "{}")),
        "invalid_input: parameter `x`: the event `brand_new` is not declared, so that it takes no parameters"
    );
}

#[test]
fn a_trigger_waits_for_its_own_event_only() {
    let declared = provider("verify: {scheme: none}\nevent: {name: e}", &[("e", "")]);
    let trigger = declared.open_trigger("e", serde_json::Map::new()).unwrap();
    let call = EventCall {
        event: "other",
        payload: b"{}",
        occurred_at_ms: None,
    };
    assert_eq!(
        declared.on_event(&trigger, &call),
        Ok(trigger_plugin_api::messages::Outcome::NotForThisTrigger)
    );
}
