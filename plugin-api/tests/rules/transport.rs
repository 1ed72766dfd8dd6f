//! What comes over a connection of the host's own needs no proof; everything else does.

use trigger_plugin_api::messages::{OwnedRequest, SOCKET_MESSAGE};

use crate::support::{events, is_refused, post, provider};

const EVENT: (&str, &str) = ("tick", "extra: {native: {when: tick}}\n");

fn message(body: &str) -> OwnedRequest {
    OwnedRequest {
        method: SOCKET_MESSAGE.to_owned(),
        ..post(&[("content-type", "text/plain")], body)
    }
}

#[test]
fn a_message_is_read_by_the_rules_and_a_request_is_refused() {
    let native = "transport: {kind: websocket, open: true}\nevent: {json: /type}";
    let declared = provider(native, &[EVENT]);
    let tick = r#"{"type":"tick"}"#;
    assert_eq!(events(&declared, &message(tick)).unwrap(), ["tick"]);
    assert!(is_refused(events(&declared, &post(&[], tick))));
}

#[test]
fn without_a_transport_no_method_goes_round_the_verification() {
    let declared = provider("event: {json: /type}", &[EVENT]);
    assert!(is_refused(events(
        &declared,
        &message(r#"{"type":"tick"}"#)
    )));
}
