//! From a message to its event, and back to what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

/// Only what came over the connection is taken: a request at the endpoint proves nothing.
pub fn read(request: &Request<'_>) -> Result<EventDispatch> {
    if !request.is_socket_message() {
        return Err(Error::unauthenticated(
            "this subscription takes the messages of its connection alone",
        ));
    }
    let url = request.headers.get_str("x-socket-url").unwrap_or_default();
    let is_text = request
        .headers
        .get_str("content-type")
        .is_some_and(|kind| kind.starts_with("text/"));
    let text = std::str::from_utf8(request.body).ok().filter(|_| is_text);
    let payload = match text {
        Some(text) => json!({"msg": text, "trigger": trigger(json!({"url": url}))}),
        None => {
            let socket = json!({"url": url, "encoding": "base64"});
            json!({"msg": STANDARD.encode(request.body), "trigger": trigger(socket)})
        }
    };
    let event = DispatchedEvent {
        name: "message".to_owned(),
        payload: Payload::Bytes(payload.to_string().into_bytes()),
        occurred_at_ms: None,
    };
    Ok(EventDispatch {
        events: vec![event],
        ..EventDispatch::default()
    })
}

fn trigger(socket: Value) -> Value {
    json!({"kind": "websocket", "websocket": socket})
}

/// What the message of a payload says, if it is JSON.
pub fn content(payload: &[u8]) -> Result<Option<Value>> {
    let payload: Value = serde_json::from_slice(payload).map_err(|error| {
        Error::invalid_input("the payload is not JSON").with_detail(error.to_string())
    })?;
    let is_text = payload["trigger"]["websocket"].get("encoding").is_none();
    let message = payload["msg"].as_str().filter(|_| is_text);
    Ok(message.and_then(|text| serde_json::from_str(text).ok()))
}
