//! The suite for providers, tried on providers that must pass it and on some that must not.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

use std::panic::catch_unwind;

use serde_json::Value;
use trigger_plugin_abi::bundle::{Bundle, MAGIC};
use trigger_plugin_api::messages::{EventDispatch, Request, Subscription};
use trigger_plugin_api::prelude::{Declared, DeclaredProvider, Dispatch, Event, Provider, Setup};
use trigger_plugin_api::testkit::{self, Subject};

const VERIFICATIONS: &[&str] = &[
    "{scheme: hmac-sha256, header: X-Sign, prefix: sha256=}",
    "{scheme: hmac-sha1, header: X-Sign, encoding: base64, signed: '{body}{url}'}",
    "{scheme: token, header: X-Token}",
    "{scheme: hmac-sha256, header: X-Sign, prefix: v0=, signed: 'v0:{header:X-Time}:{body}', timestamp: {header: X-Time}, tolerance: 5m}",
    "{scheme: hmac-sha256, header: X-Sign, parts: {separator: ',', assign: '=', signature: v1}, signed: '{part:t}.{body}', timestamp: {part: t}, tolerance: 5m}",
    "{scheme: hmac-sha256, header: X-Sign, timestamp: {json: /sent_at, unit: ms}, tolerance: 1m}",
    "{scheme: hmac-sha256, header: X-Sign, encoding: base64, secret_prefix: whsec_, secret_encoding: base64, signed: '{header:X-Delivery}.{timestamp}.{body}', parts: {separator: ' ', assign: ',', signature: v1}, timestamp: {header: X-Time}, tolerance: 5m}",
    "{scheme: none}",
];

fn bundle(verify: &str, event: &str) -> Vec<u8> {
    let provider = format!(
        "identity: {{name: acme}}
extra:
  native:
    verify: {verify}
    event: {{header: X-Event}}
    delivery_id: {{header: X-Delivery}}"
    );
    let event = format!("identity: {{name: issue}}\n{event}");
    pack(&[
        ("provider.yaml", &provider),
        ("events/issue.yaml", &event),
        (
            "samples/issue.json",
            r#"{"action":"opened","sent_at":0,"issue":{"id":7}}"#,
        ),
    ])
}

/// The bundle's format, written as `trigger-plugin-build` does.
fn pack(files: &[(&str, &str)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut bytes = [MAGIC.as_slice(), &number(files.len())].concat();
    for (path, text) in files {
        for part in [path, text] {
            bytes.extend(number(part.len()));
            bytes.extend(part.as_bytes());
        }
    }
    assert_eq!(Bundle::parse(&bytes).unwrap().files.len(), files.len());
    bytes
}

mod with_the_macro {
    use super::{DeclaredProvider, VERIFICATIONS, bundle};

    trigger_plugin_api::conformance!(@bundle DeclaredProvider, serde_json::Value::Null, &bundle(VERIFICATIONS[3], "description: d"));
}

#[test]
fn every_declared_verification_passes() {
    for verify in VERIFICATIONS {
        let subject: Subject<DeclaredProvider> = Subject::open(
            &bundle(
                verify,
                "description: An issue.\nextra: {native: {variables: {id: /issue/id}}}",
            ),
            Value::Null,
        );
        println!("{verify}");
        testkit::declaration_is_complete(&subject);
        testkit::genuine_samples_are_accepted(&subject);
        testkit::samples_yield_variables(&subject);
        testkit::dispatch_is_repeatable(&subject);
        testkit::forgeries_are_refused(&subject);
        testkit::header_names_are_of_any_case(&subject);
        testkit::rotated_secrets_are_accepted(&subject);
        testkit::secrets_are_required(&subject);
        testkit::timestamps_hold_up_to_the_edge(&subject);
        testkit::poison_payloads_are_survived(&subject);
    }
}

/// A provider that makes one mistake in its own code.
struct Careless<const MISTAKE: u8>(std::sync::Arc<Declared>);

const ACCEPTS_ALL: u8 = 0;
const FORGETS_DELIVERIES: u8 = 1;

impl<const MISTAKE: u8> Provider for Careless<MISTAKE> {
    fn open(setup: Setup) -> trigger_plugin_api::Result<Self> {
        Ok(Self(setup.declared))
    }

    fn declared(&self) -> &Declared {
        &self.0
    }
}

impl<const MISTAKE: u8> Dispatch for Careless<MISTAKE> {
    fn dispatch(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> trigger_plugin_api::Result<EventDispatch> {
        match MISTAKE {
            ACCEPTS_ALL => Ok(EventDispatch::body("issue").with_delivery_id("delivery-1")),
            _ => self
                .0
                .dispatch(subscription, request)
                .map(|read| EventDispatch {
                    delivery_id: None,
                    ..read
                }),
        }
    }
}

impl<const MISTAKE: u8> Event for Careless<MISTAKE> {}

/// What the suite says of it.
fn failure<P: Dispatch + Event>(event: &str, fact: fn(&Subject<P>)) -> String {
    let bytes = bundle(VERIFICATIONS[0], event);
    let caught = catch_unwind(|| fact(&Subject::<P>::open(&bytes, Value::Null)));
    let message = caught
        .err()
        .map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
    message.expect("the suite finds the mistake")
}

#[test]
fn a_provider_that_accepts_everything_fails() {
    let event = "description: d";
    let forged = failure::<Careless<ACCEPTS_ALL>>(event, testkit::forgeries_are_refused);
    assert_eq!(
        forged,
        "samples/issue.json with one bit off at byte 0 of the body is accepted"
    );
    let rotated = failure::<Careless<ACCEPTS_ALL>>(event, testkit::rotated_secrets_are_accepted);
    assert_eq!(rotated, "samples/issue.json after a rotation is accepted");
}

#[test]
fn a_provider_that_forgets_the_delivery_id_fails() {
    let found = failure::<Careless<FORGETS_DELIVERIES>>(
        "description: d",
        testkit::genuine_samples_are_accepted,
    );
    assert!(found.contains("samples/issue.json: delivery id"), "{found}");
}

#[test]
fn an_event_without_description_or_with_unknown_keys_fails() {
    let found = failure::<DeclaredProvider>(
        "{}".trim_matches(['{', '}']),
        testkit::declaration_is_complete,
    );
    assert_eq!(found, "the event `issue` has no description in English");
    let found = failure::<DeclaredProvider>(
        "description: d\ncolour: red",
        testkit::declaration_is_complete,
    );
    assert!(
        found.contains("events/issue.yaml:3:1: colour is unknown here"),
        "{found}"
    );
}

#[test]
fn an_event_that_no_sample_can_fire_fails() {
    let event = "description: d\nextra: {native: {filters: [{value: closed, at: /action}]}}";
    let found = failure::<DeclaredProvider>(event, testkit::samples_yield_variables);
    assert_eq!(
        found,
        "samples/issue.json: a trigger without parameters does not fire"
    );
}
