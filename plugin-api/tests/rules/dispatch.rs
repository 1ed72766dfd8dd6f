//! From a verified request to named events.

use trigger_plugin_api::messages::{OwnedRequest, Payload};

use crate::support::{events, outcome, post, provider, spec};

const OPEN: &str = "verify: {scheme: none}";

#[test]
fn the_header_names_the_event_and_the_body_is_not_read() {
    let declared = provider(
        &format!(
            "{OPEN}\nevent: {{header: X-Event}}\ndelivery_id: {{header: X-Delivery, window: 2h}}"
        ),
        &[("push", "")],
    );
    let subscription = declared.open_subscription(spec(&[])).unwrap();
    let request = post(
        &[("X-Event", "push"), ("X-Delivery", "d-1")],
        b"\xff not json",
    );
    let dispatched = declared
        .dispatch(&subscription, &request.as_request())
        .unwrap();
    assert_eq!(dispatched.events.len(), 1);
    assert_eq!(
        (
            dispatched.events[0].name.as_str(),
            &dispatched.events[0].payload
        ),
        ("push", &Payload::Body)
    );
    assert_eq!(
        (
            dispatched.delivery_id.as_deref(),
            dispatched.delivery_window_ms
        ),
        (Some("d-1"), Some(7_200_000))
    );
    assert!(dispatched.reply.is_none() && !dispatched.wake);
}

#[test]
fn an_unknown_event_passes_under_its_own_name_unless_it_shall_not() {
    let request = post(&[("X-Event", "brand_new")], "{}");
    let pass = provider(
        &format!("{OPEN}\nevent: {{header: X-Event}}"),
        &[("push", "")],
    );
    assert_eq!(events(&pass, &request).unwrap(), ["brand_new"]);
    let ignore = provider(
        &format!("{OPEN}\nevent: {{header: X-Event}}\nunknown: ignore"),
        &[("push", "")],
    );
    assert_eq!(events(&ignore, &request).unwrap(), [""; 0]);
}

#[test]
fn an_ignored_event_fires_nothing() {
    let declared = provider(
        &format!("{OPEN}\nevent: {{header: X-Event}}\nignore: [ping]"),
        &[
            ("hello", "extra: {native: {ignore: true}}"),
            (
                "push",
                "extra: {native: {ignore: {at: /deleted, value: true}}}",
            ),
        ],
    );
    let check = |event, body| events(&declared, &post(&[("X-Event", event)], body)).unwrap();
    assert_eq!(check("ping", "{}"), [""; 0]);
    assert_eq!(check("hello", "{}"), [""; 0]);
    assert_eq!(check("push", r#"{"deleted": true}"#), [""; 0]);
    assert_eq!(check("push", r#"{"deleted": false}"#), ["push"]);
}

#[test]
fn a_request_is_every_declared_event_whose_condition_holds() {
    let declared = provider(
        &format!("{OPEN}\nevent: {{json: /type}}"),
        &[
            ("any_issue", "extra: {native: {when: issue}}"),
            (
                "issue_opened",
                "extra: {native: {when: {event: issue, at: /action, value: opened}}}",
            ),
            (
                "issue_done",
                "extra: {native: {when: {event: [issue, task], any: [{at: /action, op: in, value: [closed, done]}, {header: X-Done}]}}}",
            ),
            (
                "from_robot",
                "extra: {native: {when: {not: {at: /robot, value: false}, at: /robot}}}",
            ),
        ],
    );
    let check = |body: &str, expected: &[&str]| {
        assert_eq!(
            events(&declared, &post(&[], body)).unwrap(),
            expected,
            "{body}"
        );
    };
    check(
        r#"{"type": "issue", "action": "opened"}"#,
        &["any_issue", "issue_opened"],
    );
    check(
        r#"{"type": "issue", "action": "closed"}"#,
        &["any_issue", "issue_done"],
    );
    check(
        r#"{"type": "task", "action": "done", "robot": true}"#,
        &["issue_done", "from_robot"],
    );
    check(
        r#"{"type": "task", "action": "x", "robot": false}"#,
        &["task"],
    );
    let done = post(&[("X-Done", "1")], r#"{"type": "task"}"#);
    assert_eq!(events(&declared, &done).unwrap(), ["issue_done"]);
}

#[test]
fn events_may_be_told_by_what_the_payload_has() {
    let declared = provider(
        OPEN,
        &[
            ("message", "extra: {native: {when: {at: /message}}}"),
            (
                "edited_message",
                "extra: {native: {when: {at: /edited_message}}}",
            ),
        ],
    );
    assert_eq!(
        events(&declared, &post(&[], r#"{"message": {"text": "hi"}}"#)).unwrap(),
        ["message"]
    );
    assert_eq!(
        events(&declared, &post(&[], r#"{"message": null, "poll": {}}"#)).unwrap(),
        [""; 0]
    );
}

#[test]
fn a_missing_or_unreadable_name_is_said() {
    let declared = provider(&format!("{OPEN}\nevent: {{json: /type}}"), &[]);
    let check = |body: &str| outcome(events(&declared, &post(&[], body)));
    assert_eq!(
        check("{}"),
        "invalid_input: /type of the payload, which names the event, is missing"
    );
    assert_eq!(
        check(r#"{"type": ""}"#),
        "invalid_input: /type of the payload, which names the event, is missing"
    );
    assert!(check("{").starts_with("invalid_input: the payload is not JSON: "));
    let declared = provider(&format!("{OPEN}\nevent: {{header: X-Event}}"), &[]);
    assert_eq!(
        outcome(events(&declared, &post(&[], "{}"))),
        "invalid_input: the header X-Event, which names the event, is missing"
    );
}

#[test]
fn a_header_that_a_rule_reads_is_there_once_or_the_request_is_unreadable() {
    let declared = provider(
        &format!(
            "{OPEN}\nevent: {{header: X-Event}}\ndelivery_id: {{header: X-Delivery}}\nbody: {{form: payload}}\noccurred_at: {{header: X-At, unit: s}}"
        ),
        &[("push", "extra: {native: {ignore: {header: X-Test}}}")],
    );
    let all = [
        ("X-Event", "push"),
        ("X-Delivery", "d-1"),
        ("Content-Type", "application/json"),
        ("X-At", "5"),
        ("X-Other", "1"),
    ];
    for (name, value) in all.into_iter().chain([("X-Test", "1")]) {
        let mut headers = all.to_vec();
        headers.extend([(name, value), (name, value)]);
        let expected = match name {
            "X-Other" => "ok".to_owned(),
            _ => format!(
                "invalid_input: the header {} came more than once",
                name.to_ascii_lowercase()
            ),
        };
        assert_eq!(outcome(events(&declared, &post(&headers, "{}"))), expected);
    }
    assert_eq!(events(&declared, &post(&all, "{}")).unwrap(), ["push"]);
}

#[test]
fn a_doubled_header_is_not_spoken_of_before_the_signature_holds() {
    let declared = provider(
        "verify: {scheme: hmac-sha256, header: X-Sig}\nevent: {header: X-Event}",
        &[],
    );
    let request = post(&[("X-Event", "a"), ("X-Event", "b"), ("X-Sig", "00")], "{}");
    let subscription = crate::support::subscription(&declared, "s3cret");
    let refused = declared.dispatch(&subscription, &request.as_request());
    assert!(crate::support::is_refused(refused));
}

#[test]
fn a_delivery_id_is_printable_text_or_the_request_is_unreadable() {
    let by_header = provider(
        &format!("{OPEN}\nevent: {{name: e}}\ndelivery_id: {{header: X-Delivery}}"),
        &[],
    );
    let by_body = provider(
        &format!("{OPEN}\nevent: {{name: e}}\ndelivery_id: {{json: /id}}"),
        &[],
    );
    let mut no_text = post(&[("X-Delivery", "")], "{}");
    no_text.headers[0].1 = b"d\xff".to_vec();
    let mut tab = no_text.clone();
    tab.headers[0].1 = b"d\t1".to_vec();
    for request in [no_text, tab] {
        assert_eq!(
            outcome(events(&by_header, &request)),
            "invalid_input: the header X-Delivery, which marks the delivery, is not printable text"
        );
    }
    assert_eq!(
        outcome(events(&by_body, &post(&[], r#"{"id": "a\u0000b"}"#))),
        "invalid_input: /id of the payload, which marks the delivery, is not printable text"
    );
    for (declared, request) in [
        (&by_header, post(&[("X-Delivery", "")], "{}")),
        (&by_header, post(&[("X-Delivery", "dé-1")], "{}")),
        (&by_body, post(&[], r#"{"id": 17}"#)),
        (&by_body, post(&[], r#"{"id": {}}"#)),
    ] {
        assert_eq!(events(declared, &request).unwrap(), ["e"]);
    }
}

#[test]
fn a_form_carries_the_payload_in_a_field_or_is_it() {
    let form = (
        "Content-Type",
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    let request = post(&[form], "payload=%7B%22type%22%3A+%22opened%22%7D&x=1");
    for rule in ["body: {form: payload}", "body: {form: {field: payload}}"] {
        let declared = provider(&format!("{OPEN}\nevent: {{json: /type}}\n{rule}"), &[]);
        let subscription = declared.open_subscription(spec(&[])).unwrap();
        let dispatched = declared
            .dispatch(&subscription, &request.as_request())
            .unwrap();
        assert_eq!(
            dispatched.events[0].payload,
            Payload::Bytes(br#"{"type": "opened"}"#.to_vec())
        );
        assert_eq!(
            outcome(events(&declared, &post(&[form], "other=1"))),
            "invalid_input: the form has no field `payload`"
        );
        // JSON stays JSON.
        assert_eq!(
            events(&declared, &post(&[], r#"{"type":"a"}"#)).unwrap(),
            ["a"]
        );
    }
    let declared = provider(
        &format!("{OPEN}\nevent: {{json: /x}}\nbody: {{form: object}}"),
        &[],
    );
    assert_eq!(events(&declared, &request).unwrap(), ["1"]);
}

#[test]
fn each_item_of_a_batch_is_an_event() {
    let declared = provider(
        &format!(
            "{OPEN}\nevent: {{json: /type}}\nbody: {{each: /events}}\ndelivery_id: {{json: /batch}}\noccurred_at: {{json: /at, unit: s}}"
        ),
        &[("a", "extra: {native: {when: {event: x, at: /n, value: 1}}}")],
    );
    let subscription = declared.open_subscription(spec(&[])).unwrap();
    let request = post(
        &[],
        r#"{"batch": "b1", "events": [{"type": "x", "n": 1, "at": 5}, {"type": "y"}]}"#,
    );
    let dispatched = declared
        .dispatch(&subscription, &request.as_request())
        .unwrap();
    let found: Vec<_> = dispatched
        .events
        .iter()
        .map(|event| (event.name.as_str(), event.occurred_at_ms))
        .collect();
    assert_eq!(found, [("a", Some(5000)), ("y", None)]);
    assert_eq!(
        dispatched.events[1].payload,
        Payload::Bytes(br#"{"type": "y"}"#.to_vec())
    );
    assert_eq!(dispatched.delivery_id.as_deref(), Some("b1"));
    assert_eq!(events(&declared, &post(&[], "{}")).unwrap(), [""; 0]);
    assert!(
        outcome(events(&declared, &post(&[], r#"{"events": 5}"#)))
            .contains("should be a list of events")
    );
}

#[test]
fn reply_wake_and_route_are_as_declared() {
    let declared = provider(
        &format!(
            "{OPEN}\nevent: {{name: changed}}\nwake: true\nreply: {{status: 202, body: ok}}\nroute: {{json: /team}}"
        ),
        &[],
    );
    let subscription = declared.open_subscription(spec(&[])).unwrap();
    let request = post(&[], r#"{"team": "T1"}"#);
    let dispatched = declared
        .dispatch(&subscription, &request.as_request())
        .unwrap();
    assert!(dispatched.wake);
    let reply = dispatched.reply.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (202, b"ok".as_slice())
    );
    assert_eq!(
        declared.route(&request.as_request()).unwrap().as_deref(),
        Some("T1")
    );
    assert_eq!(
        declared.route(&post(&[], "garbage").as_request()).unwrap(),
        None
    );
}

#[test]
fn poison_payloads_are_events_or_errors_but_never_panics() {
    let declared = provider(
        &format!(
            "{OPEN}\nevent: {{json: /a/b}}\noccurred_at: {{json: /t}}\ndelivery_id: {{json: /id}}"
        ),
        &[(
            "x",
            "extra: {native: {filters: [{value: [y], at: [/a/b, /l/*/n]}], variables: {v: /l/*}}}",
        )],
    );
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 9] = [
        b"",
        b"\x00",
        b"\xff\xfe",
        br#"{"a": {"b": "\ud800"}}"#,
        br#"{"a": {"b": 1e99999}}"#,
        br#"{"a": {"b": "x\u0000y"}, "t": 99999999999999999999999, "id": {}}"#,
        br#"{"a": 1, "a": {"b": "x"}}"#,
        br#"{"a": {"b": true}}"#,
        deep.as_bytes(),
    ];
    let subscription = declared.open_subscription(spec(&[])).unwrap();
    let found: Vec<String> = bodies
        .iter()
        .map(|body| {
            let request: OwnedRequest = post(&[], body);
            let dispatched = declared.dispatch(&subscription, &request.as_request());
            dispatched.map_or_else(
                |error| error.code.as_str().to_owned(),
                |it| it.events[0].name.clone(),
            )
        })
        .collect();
    let refused = "invalid_input";
    assert_eq!(
        found,
        [
            refused, refused, refused, refused, "1e99999", "x\0y", "x", "true", refused
        ]
    );
}
