//! Samples: found by their event, and sent as if the service had sent them.

use trigger_plugin_api::declaration::Declared;
use trigger_plugin_api::samples::SampleOptions;

use crate::support::{load, outcome, spec};

fn declared() -> Declared {
    let provider = "identity: {name: acme}
extra:
  native:
    verify: {scheme: hmac-sha256, header: X-Sign, timestamp: {json: /sent_at, unit: ms}, tolerance: 1m}
    event: {header: X-Event}
    delivery_id: {json: /id}";
    let loaded = load(&[
        ("provider.yaml", provider),
        (
            "events/issue.yaml",
            "identity: {name: issue}\ndescription: d\nextra: {native: {when: [issues, issue]}}",
        ),
        (
            "events/issue.closed.yaml",
            "identity: {name: issue.closed}\ndescription: d",
        ),
        ("samples/issue.json", r#"{"id":"1","sent_at":0}"#),
        ("samples/issue.opened.01.json", r#"{"id":"2"}"#),
        ("samples/issue/other.json", r#"{"id":"3"}"#),
        ("samples/issue.closed.json", r#"{"id":"4"}"#),
        (
            "samples/issue.closed.raw.http",
            "POST /hook?x=1 HTTP/1.1\nX-Event: issue.closed\nX-Own: 1\n\n{\"id\":\"5\"}",
        ),
        ("samples/issues.json", "{}"),
        ("samples/README.md", "Where they are from."),
    ]);
    assert_eq!(
        loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["samples/issues.json: this sample belongs to no declared event; it is left out"]
    );
    Declared::compile(loaded.declaration)
}

#[test]
fn a_sample_belongs_to_the_longest_event_name_that_fits() {
    let declared = declared();
    let files = |event| {
        declared
            .samples(event)
            .map(|sample| sample.file.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        files("issue"),
        [
            "samples/issue.json",
            "samples/issue.opened.01.json",
            "samples/issue/other.json"
        ]
    );
    assert_eq!(
        files("issue.closed"),
        ["samples/issue.closed.json", "samples/issue.closed.raw.http"]
    );
    assert_eq!(
        outcome(declared.sample("push")),
        "not_found: there is no such sample of `push`; there are samples of: issue, issue.closed"
    );
}

#[test]
fn a_sample_names_its_event_and_keeps_its_bytes() {
    let request = declared().sample("issue").unwrap();
    assert_eq!(request.body, br#"{"id":"1","sent_at":0}"#);
    assert_eq!(
        request.as_request().headers.get_str("x-event"),
        Some("issues")
    );
    assert_eq!(
        request.as_request().headers.get_str("content-type"),
        Some("application/json")
    );
    let raw = declared()
        .sample_with(
            "issue.closed",
            &SampleOptions {
                index: 1,
                ..SampleOptions::default()
            },
        )
        .unwrap();
    assert_eq!((raw.query.as_str(), raw.headers.len()), ("x=1", 2));
}

#[test]
fn a_sample_sent_anew_has_its_own_id_and_moment_and_is_accepted() {
    let declared = declared();
    let subscription = declared
        .open_subscription(spec(&[("webhook_secret", "s3cret")]))
        .unwrap();
    for delivery in ["d-1", "d-2"] {
        let options = SampleOptions {
            index: 0,
            delivery_id: Some(delivery.to_owned()),
            now_ms: Some(1_700_000_000_000),
        };
        let mut request = declared.sample_with("issue", &options).unwrap();
        let added = declared.sign(&subscription, &request.as_request()).unwrap();
        request.headers.extend(
            added
                .into_iter()
                .map(|(name, value)| (name, value.into_bytes())),
        );
        let dispatched = declared
            .dispatch(&subscription, &request.as_request())
            .unwrap();
        assert_eq!(dispatched.delivery_id.as_deref(), Some(delivery));
        assert_eq!(dispatched.events[0].name, "issue");
    }
}

#[test]
fn the_description_lists_samples_without_their_bodies() {
    let described = declared().describe();
    assert_eq!(
        described["samples"][0],
        serde_json::json!({"event": "issue", "file": "samples/issue.json"})
    );
    assert_eq!(described["identity"]["name"], "acme");
    assert_eq!(described["native"]["delivery_id"]["json"], "/id");
    assert_eq!(described["events"][0]["identity"]["name"], "issue");
}
