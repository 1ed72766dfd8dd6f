//! What goes in comes out: every field of every call, through a loaded library.

use std::fs;

use expect_test::{Expect, expect};
use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_abi::host::{EventCall, Level, Library, Outcome, Request, codes, preflight};

use crate::support::{
    NO_SUBSCRIPTION, block_on, fixture_library, open_fixture, open_with, request,
};

#[test]
fn a_library_says_what_it_is_without_being_loaded() {
    let file = fs::File::open(fixture_library()).expect("the fixture was built");
    let section = preflight(file).expect("the fixture is a provider library");
    assert_eq!(
        section.abi,
        (trigger_plugin_abi::ABI_MAJOR, trigger_plugin_abi::ABI_MINOR)
    );
    assert!(
        section.compiler.starts_with("rustc "),
        "{}",
        section.compiler
    );
    assert!(section.target.contains("linux"), "{}", section.target);
    assert_eq!(section.debug, cfg!(debug_assertions));
    assert!(!section.panic_abort);
    assert_eq!(
        (section.package.as_str(), section.version.as_str()),
        ("fixture-plugin", "0.1.0")
    );
    let bundle = Bundle::parse(&section.bundle).expect("the bundle is whole");
    let paths: Vec<&str> = bundle.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["events/thing.yaml", "provider.yaml"]);
}

#[test]
fn every_field_of_a_request_and_of_its_reading_crosses() {
    let (provider, _) = open_fixture("{}");
    let subscription = r#"{"id":"sub_1","endpoint_url":"https://host.example/w","secrets":{"webhook_secret":"s"}}"#;
    let subscription = provider.open_subscription(subscription).expect("it is one");
    let request = Request {
        method: "PUT",
        path: "/everything",
        query: "a=b",
        headers: &[("x-zero", b"0"), ("X-One", b"1")],
        body: b"body",
        received_at_ms: 99,
    };
    let dispatched = subscription
        .dispatch(&request)
        .expect("the fixture reads it");
    let payload = dispatched.events[0]
        .payload
        .clone()
        .expect("it has a payload of its own");
    check(
        &String::from_utf8(payload).expect("it is JSON"),
        expect![[
            r#"{"id":"sub_1","secret":"s","method":"PUT","query":"a=b","header":"1","headers":2,"received_at_ms":99}"#
        ]],
    );
    assert_eq!(dispatched.events[0].occurred_at_ms, Some(-1));
    assert_eq!(dispatched.events[1].name, "second");
    assert_eq!(dispatched.events[1].payload, None);
    let reply = dispatched.reply.expect("it has one");
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (202, b"taken".as_slice())
    );
    assert_eq!(reply.headers, [("x-answer".to_owned(), "yes".to_owned())]);
    assert_eq!(dispatched.delivery_id.as_deref(), Some("delivery-1"));
    assert_eq!(dispatched.delivery_window_ms, Some(60_000));
    assert!(dispatched.wake);
}

#[test]
fn a_request_with_more_headers_than_fit_in_place_crosses_whole() {
    let (provider, _) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    let headers = vec![("x-one", b"1".as_slice()); 100];
    let request = Request {
        headers: &headers,
        ..request("/everything")
    };
    let dispatched = subscription
        .dispatch(&request)
        .expect("the fixture reads it");
    let payload = dispatched.events[0]
        .payload
        .clone()
        .expect("it has a payload of its own");
    let payload = String::from_utf8(payload).expect("it is JSON");
    assert!(payload.contains(r#""headers":100"#), "{payload}");
}

#[test]
fn an_error_keeps_its_code_detail_and_time_to_wait() {
    let (provider, _) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    let refused = subscription
        .dispatch(&request("/unauthenticated"))
        .expect_err("it is refused");
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (codes::UNAUTHENTICATED, "no signature")
    );

    let create = r#"{"id":"sub_1","endpoint_url":"","parameters":{"do":"rate_limit"}}"#;
    let limited = block_on(provider.call("create", create.to_owned())).expect_err("it must wait");
    assert_eq!(
        (limited.code, limited.retry_after_ms),
        (codes::RATE_LIMITED, Some(7_000))
    );
}

#[test]
fn an_event_fires_with_its_payload_or_with_variables_or_not() {
    let (provider, _) = open_fixture("{}");
    let trigger = provider.open_trigger("thing", "{}").expect("it is one");
    let fire = |event: &str| {
        let call = EventCall {
            event,
            payload: b"{}",
            occurred_at_ms: Some(3),
        };
        trigger.on_event(&call).expect("the fixture matches it")
    };
    assert_eq!(fire("thing"), Outcome::Fires(None));
    assert_eq!(fire("other"), Outcome::NotForThisTrigger);
    let Outcome::Fires(Some(variables)) = fire("variables") else {
        panic!("it has variables of its own");
    };
    check(
        &String::from_utf8(variables).expect("it is JSON"),
        expect![[r#"{"trigger":"thing","bytes":2,"occurred_at_ms":3}"#]],
    );
}

#[test]
fn a_request_of_a_shared_address_is_routed_by_its_key() {
    let (provider, _) = open_fixture("{}");
    let headers = [("x-key", b"acme".as_slice())];
    let keyed = Request {
        headers: &headers,
        ..request("/")
    };
    assert_eq!(provider.route(&keyed), Ok(Some("acme".to_owned())));
    assert_eq!(provider.route(&request("/")), Ok(None));
}

#[test]
fn a_cold_operation_reaches_the_host_and_comes_back() {
    let (provider, recorder) = open_fixture("{}");
    let create = r#"{"id":"sub_1","endpoint_url":"https://host.example/w"}"#.to_owned();
    let created = block_on(provider.call("create", create)).expect("the fixture makes it");
    check(
        &String::from_utf8(created).expect("it is JSON"),
        expect![[
            r#"{"external_id":"201-1234","properties":{"key":[4,4,4,4]},"secrets":{},"expires_at_ms":null}"#
        ]],
    );
    let ops = recorder.ops.lock().expect("nothing panicked");
    assert!(ops[0].contains("https://acme.example/hooks"), "{ops:?}");
}

#[test]
fn services_asked_for_during_a_named_call_carry_its_name() {
    let (provider, recorder) = open_fixture("{}");
    let create = r#"{"id":"sub_1","endpoint_url":"https://host.example/w","context":"c0ffee"}"#;
    block_on(provider.call("create", create.to_owned())).expect("the fixture makes it");
    let ops = recorder.ops.lock().expect("nothing panicked");
    let is_named = |op: &String| op.contains(r#""context":"c0ffee""#);
    assert!(!ops.is_empty() && ops.iter().all(is_named), "{ops:?}");
}

#[test]
fn an_operation_that_nobody_knows_is_unsupported() {
    let (provider, _) = open_fixture("{}");
    for op in ["levitate", "delete_all", ""] {
        let error = block_on(provider.call(op, "{}".to_owned())).expect_err("nobody knows it");
        assert_eq!(error.code, codes::UNSUPPORTED, "{op}");
    }
    let pull = r#"{"subscription":{"id":"sub_1","endpoint_url":""}}"#.to_owned();
    let error = block_on(provider.call("pull", pull)).expect_err("it has no pull");
    assert_eq!(error.code, codes::UNSUPPORTED);
}

#[test]
fn input_that_is_no_json_is_refused_without_being_quoted() {
    let (provider, _) = open_fixture("{}");
    let errors = [
        provider.open_subscription("{hunter2").err(),
        provider.open_trigger("thing", "hunter2").err(),
        block_on(provider.call("create", "hunter2".to_owned())).err(),
    ];
    for error in errors {
        let error = error.expect("it is refused");
        assert_eq!(error.code, codes::INVALID_INPUT);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn lines_of_log_reach_the_host_from_the_level_that_it_set() {
    let (provider, recorder) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    subscription
        .dispatch(&request("/log"))
        .expect("the fixture reads it");
    provider.set_log_level(Level::Debug);
    subscription
        .dispatch(&request("/log"))
        .expect("the fixture reads it");
    provider.set_log_level(Level::Error);
    subscription
        .dispatch(&request("/log"))
        .expect("the fixture reads it");
    assert_eq!(
        recorder.messages(),
        [
            "info: opened",
            "warn: a loud line about 0",
            "debug: a quiet line",
            "warn: a loud line about 0",
        ]
    );
    let lines = recorder.lines.lock().expect("nothing panicked");
    assert_eq!(lines[0].1, "fixture_plugin");
}

#[test]
fn two_providers_of_one_library_are_two() {
    let library = Library::open(&fixture_library()).expect("the fixture can be opened");
    let again = Library::open(&fixture_library()).expect("it can be opened twice");
    let (one, one_heard) = open_with(&library, r#"{"name":"one"}"#);
    let (two, two_heard) = open_with(&again, r#"{"name":"two"}"#);
    let (one, two) = (one.expect("it opens"), two.expect("it opens"));
    one.set_log_level(Level::Trace);
    two.set_log_level(Level::Error);
    for (provider, name) in [(&one, "one"), (&two, "two")] {
        let subscription = provider
            .open_subscription(NO_SUBSCRIPTION)
            .expect("it is one");
        let dispatched = subscription
            .dispatch(&request("/"))
            .expect("the fixture reads it");
        assert_eq!(dispatched.events[0].name, name);
        subscription
            .dispatch(&request("/log"))
            .expect("the fixture reads it");
    }
    assert_eq!(one_heard.messages().len(), 3);
    assert_eq!(two_heard.messages(), ["info: opened"]);
}

#[test]
fn a_handle_outlives_the_provider_that_made_it() {
    let (provider, recorder) = open_fixture("{}");
    let subscription = provider
        .open_subscription(NO_SUBSCRIPTION)
        .expect("it is one");
    let create = r#"{"id":"sub_1","endpoint_url":""}"#.to_owned();
    let call = provider.call("create", create);
    drop(provider);
    assert!(subscription.dispatch(&request("/")).is_ok());
    assert!(block_on(call).is_ok());
    drop(subscription);
    assert_eq!(
        std::sync::Arc::strong_count(&recorder),
        1,
        "the library released its services"
    );
}

fn check(found: &str, expected: Expect) {
    expected.assert_eq(found);
}
