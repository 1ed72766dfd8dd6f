//! The declaration, and what the provider reads out of genuine requests.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

use serde::Deserialize;
use serde_json::{Value, json};
use support::{declared, fixture, json_fixture, provider, provider_with};
use trigger_plugin_api::prelude::*;

#[derive(Deserialize)]
struct Corpus {
    secret: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    file: String,
    event: String,
    sig256: String,
}

#[test]
fn every_published_event_is_declared_with_its_actions() {
    let published = json_fixture("published-events.json");
    let published = published.as_object().unwrap();
    assert_eq!(published.len(), 66);
    for (name, actions) in published {
        let event = declared().declaration().event(name);
        let event = event.unwrap_or_else(|| panic!("{name} is not declared"));
        let offered: Vec<&str> = event
            .parameters
            .iter()
            .filter(|parameter| parameter.name == "actions")
            .flat_map(|parameter| parameter.options.iter().map(|option| option.value.as_str()))
            .collect();
        for action in actions.as_array().unwrap() {
            let action = action.as_str().unwrap();
            assert!(offered.contains(&action), "{name} offers no {action}");
        }
    }
    assert_eq!(declared().declaration().events.len(), published.len());
}

#[test]
fn every_genuine_payload_is_accepted_and_yields_its_variables() {
    let corpus = corpus();
    assert_eq!(corpus.items.len(), 104);
    let subscription = open(&corpus.secret);
    for item in &corpus.items {
        let body = fixture(&format!("examples/{}", item.file));
        let request = delivery(&item.event, &item.sig256, body.clone());
        let dispatched = provider()
            .dispatch(&subscription, &request.as_request())
            .unwrap_or_else(|error| panic!("{}: {error:?}", item.file));
        assert_eq!(
            dispatched.delivery_id.as_deref(),
            Some(DELIVERY),
            "{}",
            item.file
        );
        assert!(!dispatched.wake);
        if item.event == "ping" {
            assert_eq!(dispatched.events, [], "{}", item.file);
            continue;
        }
        let [event] = dispatched.events.as_slice() else {
            panic!("{}: {:?}", item.file, dispatched.events);
        };
        assert_eq!(event.name, item.event);
        assert_eq!(event.payload, Payload::Body);
        assert_eq!(fire(&item.event, &body), Outcome::Fires(Variables::Payload));
    }
}

#[test]
fn every_genuine_payload_fits_the_output_schema() {
    for item in corpus().items {
        let event = declared().declaration().event(&item.event).unwrap();
        let schema = event.output_schema.as_ref().unwrap().to_value();
        assert!(!schema.to_string().contains("$ref"), "{}", item.event);
        let payload = json_fixture(&format!("examples/{}", item.file));
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&payload)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", item.file);
    }
}

#[test]
fn a_sample_fires_a_trigger_without_filters() {
    let subscription = open("s3cret");
    let mut sampled = 0;
    for event in &declared().declaration().events {
        let name = event.identity.name.as_str();
        let Ok(sample) = declared().sample(name) else {
            continue;
        };
        sampled += 1;
        assert!(
            sample.body.len() <= 12 * 1024,
            "the sample of {name} is large"
        );
        let dispatched =
            provider().dispatch(&subscription, &signed(&subscription, sample).as_request());
        let names: Vec<String> = dispatched
            .unwrap()
            .events
            .into_iter()
            .map(|event| event.name)
            .collect();
        match name {
            "ping" => assert_eq!(names, Vec::<String>::new()),
            _ => assert_eq!(names, [name]),
        }
    }
    assert_eq!(sampled, 58);
}

#[test]
fn the_sample_of_a_push_is_one_to_main() {
    let sample = declared().sample("push").unwrap();
    let body: Value = serde_json::from_slice(&sample.body).unwrap();
    assert_eq!(body["ref"], "refs/heads/main");
}

#[test]
fn a_form_is_verified_as_sent_and_its_json_is_the_payload() {
    let subscription = open("s3cret");
    let json = fixture("examples/push._.04.json");
    let mut request = unsigned("push", form("payload", &json));
    request
        .headers
        .push(header("Content-Type", "application/x-www-form-urlencoded"));
    let request = signed(&subscription, request);
    let dispatched = provider()
        .dispatch(&subscription, &request.as_request())
        .unwrap();
    assert_eq!(dispatched.events[0].name, "push");
    assert_eq!(dispatched.events[0].payload, Payload::Bytes(json.clone()));
    assert_eq!(fire("push", &json), Outcome::Fires(Variables::Payload));
}

#[test]
fn a_ping_is_answered_and_fires_nothing() {
    let subscription = open("s3cret");
    let request = signed(
        &subscription,
        unsigned("ping", fixture("examples/ping._.00.json")),
    );
    let dispatched = provider()
        .dispatch(&subscription, &request.as_request())
        .unwrap();
    assert_eq!(dispatched.events, []);
    assert!(
        dispatched
            .reply
            .is_none_or(|reply| (200..300).contains(&reply.status))
    );
}

#[test]
fn an_event_that_github_adds_later_goes_on_under_its_own_name() {
    let subscription = open("s3cret");
    let body = json!({"action": "invented"}).to_string().into_bytes();
    let request = signed(&subscription, unsigned("sub_issues", body));
    let dispatched = provider()
        .dispatch(&subscription, &request.as_request())
        .unwrap();
    assert_eq!(dispatched.events[0].name, "sub_issues");
    assert_eq!(
        fire("sub_issues", &request.body),
        Outcome::Fires(Variables::Payload)
    );
}

#[test]
fn an_action_that_github_adds_later_fires_a_trigger_without_filters() {
    let body = json!({"action": "invented", "issue": {"number": 1}}).to_string();
    assert_eq!(
        fire("issues", body.as_bytes()),
        Outcome::Fires(Variables::Payload)
    );
}

#[test]
fn github_s_own_test_vector_verifies() {
    let subscription = open("It's a Secret to Everybody");
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let request = delivery("push", signature, b"Hello, World!".to_vec());
    declared()
        .verify(&subscription, &request.as_request())
        .unwrap();
}

#[test]
fn a_request_without_a_good_signature_is_refused() {
    let subscription = open("s3cret");
    let body = fixture("examples/push._.04.json");
    let good = signed(&subscription, unsigned("push", body.clone()));
    let signature = good
        .as_request()
        .headers
        .get_str("x-hub-signature-256")
        .unwrap()
        .to_owned();
    let sha1 = (
        "X-Hub-Signature".to_owned(),
        b"sha1=0000000000000000000000000000000000000000".to_vec(),
    );
    let mut body_off = good.clone();
    body_off.body[10] ^= 1;
    for (what, request) in [
        ("a changed body", body_off),
        ("no signature", unsigned("push", body.clone())),
        ("SHA-1 alone", {
            let mut request = unsigned("push", body.clone());
            request.headers.push(sha1);
            request
        }),
        ("an empty one", delivery("push", "", body.clone())),
        ("no prefix", delivery("push", &signature[7..], body.clone())),
        (
            "a cut one",
            delivery("push", &signature[..40], body.clone()),
        ),
        (
            "another secret's",
            signed(&open("other"), unsigned("push", body.clone())),
        ),
        ("two of them", {
            let mut request = good.clone();
            request
                .headers
                .push(header("X-Hub-Signature-256", &signature));
            request
        }),
    ] {
        let refused = provider().dispatch(&subscription, &request.as_request());
        let error = refused
            .err()
            .unwrap_or_else(|| panic!("{what} is accepted"));
        assert!(
            matches!(
                error.code,
                ErrorCode::Unauthenticated | ErrorCode::InvalidInput
            ),
            "{what}: {error:?}"
        );
    }
}

#[test]
fn a_configuration_that_is_no_address_keeps_the_provider_from_opening() {
    for config in [
        json!({"api_base_url": 1}),
        json!({"api_base_url": "ghe.acme.test"}),
    ] {
        let opened = provider_with(config);
        assert_eq!(
            opened.err().map(|error| error.code),
            Some(ErrorCode::InvalidInput)
        );
    }
}

const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

fn corpus() -> Corpus {
    serde_json::from_value(json_fixture("examples-signed.json")).unwrap()
}

fn open(secret: &str) -> Subscription {
    let spec = json!({"id": "sub_1", "secrets": {"webhook_secret": secret}});
    let spec = serde_json::from_value(spec).unwrap();
    declared().open_subscription(spec).unwrap()
}

fn fire(event: &str, payload: &[u8]) -> Outcome {
    let trigger = declared().open_trigger(event, Map::new()).unwrap();
    let call = EventCall {
        event,
        payload,
        occurred_at_ms: None,
    };
    provider().on_event(&trigger, &call).unwrap()
}

/// As GitHub sends it, but for the signature.
fn unsigned(event: &str, body: Vec<u8>) -> OwnedRequest {
    OwnedRequest {
        method: "POST".to_owned(),
        path: "/webhooks/github/ep_1".to_owned(),
        query: String::new(),
        headers: vec![
            header("User-Agent", "GitHub-Hookshot/044aadd"),
            header("X-GitHub-Event", event),
            header("X-GitHub-Delivery", DELIVERY),
        ],
        body,
        received_at_ms: 1_700_000_000_000,
    }
}

fn delivery(event: &str, signature: &str, body: Vec<u8>) -> OwnedRequest {
    let mut request = unsigned(event, body);
    request
        .headers
        .push(header("Content-Type", "application/json"));
    request
        .headers
        .push(header("X-Hub-Signature-256", signature));
    request
}

fn signed(subscription: &Subscription, mut request: OwnedRequest) -> OwnedRequest {
    let headers = declared()
        .sign(subscription, &request.as_request())
        .unwrap();
    let headers = headers.iter().map(|(name, value)| header(name, value));
    request.headers.extend(headers.collect::<Vec<_>>());
    request
}

fn header(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

/// As browsers and GitHub encode a form.
fn form(name: &str, value: &[u8]) -> Vec<u8> {
    let mut body = format!("{name}=");
    for &byte in value {
        match byte {
            b' ' => body.push('+'),
            b'*' | b'-' | b'.' | b'_' => body.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => body.push(char::from(byte)),
            _ => body.push_str(&format!("%{byte:02X}")),
        }
    }
    body.into_bytes()
}
