//! What the tests of this provider share.
#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses a part; a test that cannot go on panics.

pub mod server;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use provider_nextcloud::Nextcloud;
use serde_json::Value;
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::{Subject, parse_request};

/// The secret of the subscriptions in tests.
pub const SECRET: &str = "x7Kq0b9cPz3mT1wYfN5vR8sLhUeJgA2dC4iOoB6nEkM";
/// The header that carries it.
pub const SECRET_HEADER: &str = "X-Trigger-Secret";
/// Where the subscription's hooks send.
pub const URL: &str = "https://triggers.acme.test/webhooks/nextcloud/ep_1";

/// Every request that a real server sent, with the event that it is.
pub const DELIVERIES: [(&str, &str); 8] = [
    (
        "delivery-CalendarObjectCreatedEvent-01.http",
        "calendar_object_created",
    ),
    ("delivery-NodeCreatedEvent-21.http", "file_created"),
    ("delivery-NodeDeletedEvent-01.http", "file_deleted"),
    ("delivery-NodeRenamedEvent-01.http", "file_renamed"),
    ("delivery-NodeWrittenEvent-18.http", "file_written"),
    ("delivery-NodeWrittenEvent-45.http", "file_written"),
    ("delivery-NodeWrittenEvent-67.http", "file_written"),
    ("delivery-TagAssignedEvent-01.http", "tag_assigned"),
];

/// A file under `tests/fixtures`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A recorded request, with the header that our own hooks send.
pub fn delivery(name: &str) -> OwnedRequest {
    let mut request = parse_request(&fixture(name)).unwrap();
    let secret = (SECRET_HEADER.to_owned(), SECRET.as_bytes().to_vec());
    request.headers.push(secret);
    request
}

/// The provider.
pub fn provider() -> &'static Nextcloud {
    &SUBJECT.provider
}

/// The declaration that the library embeds, compiled.
pub fn declared() -> &'static Arc<Declared> {
    &SUBJECT.declared
}

/// A subscription as the host opens it.
pub fn subscription() -> Subscription {
    let spec = SubscriptionSpec {
        id: "sub_1".to_owned(),
        endpoint_url: URL.to_owned(),
        secrets: [("webhook_secret".to_owned(), SECRET.to_owned())].into(),
        ..SubscriptionSpec::default()
    };
    declared().open_subscription(spec).unwrap()
}

/// What a trigger with these parameters makes of a payload.
pub fn on_event(event: &str, parameters: Value, payload: &[u8]) -> Result<Outcome> {
    let Value::Object(parameters) = parameters else {
        panic!("parameters are an object");
    };
    let trigger = declared().open_trigger(event, parameters)?;
    let call = EventCall {
        event,
        payload,
        occurred_at_ms: None,
    };
    provider().on_event(&trigger, &call)
}

static SUBJECT: LazyLock<Subject<Nextcloud>> = LazyLock::new(|| {
    let bundle = include_bytes!(concat!(env!("OUT_DIR"), "/declaration.bundle"));
    Subject::open(bundle, Value::Null)
});
