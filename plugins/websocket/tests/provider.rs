//! Messages in, events out; which of them a trigger wants; nothing but messages of the connection.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

use std::sync::Arc;

use provider_websocket::WebSocket;
use serde_json::{Value, json};
use trigger_plugin_api::abi::bundle::Bundle;
use trigger_plugin_api::messages::SOCKET_MESSAGE;
use trigger_plugin_api::prelude::*;

fn provider() -> WebSocket {
    let bundle = include_bytes!(concat!(env!("OUT_DIR"), "/declaration.bundle"));
    let declared = Declared::from_bundle(&Bundle::parse(bundle).unwrap()).unwrap();
    WebSocket::open(Setup {
        config: Value::Null,
        declared: Arc::new(declared),
    })
    .unwrap()
}

fn dispatch(method: &str, kind: &str, body: &[u8]) -> Result<EventDispatch> {
    let provider = provider();
    let opened = provider
        .declared()
        .open_subscription(SubscriptionSpec::default())
        .unwrap();
    let request = OwnedRequest {
        method: method.to_owned(),
        path: "/".to_owned(),
        query: String::new(),
        headers: vec![
            ("content-type".to_owned(), kind.as_bytes().to_vec()),
            (
                "x-socket-url".to_owned(),
                b"wss://stream.example/ws".to_vec(),
            ),
        ],
        body: body.to_vec(),
        received_at_ms: 0,
    };
    provider.dispatch(&opened, &request.as_request())
}

fn payload(kind: &str, body: &[u8]) -> Value {
    let dispatched = dispatch(SOCKET_MESSAGE, kind, body).unwrap();
    let [event] = dispatched.events.as_slice() else {
        panic!("{dispatched:?}");
    };
    assert_eq!(event.name, "message");
    let Payload::Bytes(payload) = &event.payload else {
        panic!("{event:?}");
    };
    serde_json::from_slice(payload).unwrap()
}

fn fires(filters: Value, message: &str) -> bool {
    let provider = provider();
    let parameters = json!({"filters": filters});
    let trigger = provider
        .declared()
        .open_trigger("message", parameters.as_object().unwrap().clone())
        .unwrap();
    provider.check_trigger(&trigger).unwrap();
    let payload = payload("text/plain", message.as_bytes()).to_string();
    let call = EventCall {
        event: "message",
        payload: payload.as_bytes(),
        occurred_at_ms: None,
    };
    provider.on_event(&trigger, &call).unwrap() == Outcome::Fires(Variables::Payload)
}

#[test]
fn a_message_is_an_event_with_its_text_or_its_bytes() {
    let url = "wss://stream.example/ws";
    assert_eq!(
        payload("text/plain; charset=utf-8", "ä{".as_bytes()),
        json!({"msg": "ä{", "trigger": {"kind": "websocket", "websocket": {"url": url}}})
    );
    let bytes = json!({"url": url, "encoding": "base64"});
    assert_eq!(
        payload("application/octet-stream", &[0, 255]),
        json!({"msg": "AP8=", "trigger": {"kind": "websocket", "websocket": bytes}})
    );
}

#[test]
fn what_did_not_come_over_the_connection_is_refused() {
    for method in ["POST", "GET", "message", ""] {
        let refused = dispatch(method, "text/plain", b"{}").unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unauthenticated, "{method}");
    }
}

#[test]
fn filters_are_asked_of_messages_that_are_json() {
    let trade = json!({"all_of": [{"key": "type", "value": "trade"}]});
    assert!(fires(trade.clone(), r#"{"type":"trade","n":1}"#));
    assert!(!fires(trade.clone(), r#"{"type":"quote"}"#));
    assert!(!fires(trade, "trade"));
    assert!(!fires(json!({"none_of": []}), "no JSON matches no filter"));
}

#[test]
fn filters_that_are_none_are_refused_when_a_trigger_is_saved() {
    let provider = provider();
    let parameters = json!({"filters": {"kee": "type", "value": 1}});
    let trigger = provider
        .declared()
        .open_trigger("message", parameters.as_object().unwrap().clone())
        .unwrap();
    let refused = provider.check_trigger(&trigger).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidInput);
    assert!(refused.to_string().contains("`filters`"), "{refused}");
}
