//! Declarations, subscriptions and requests from a few words.

use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_api::declaration::{Declaration, Declared, Loaded};
use trigger_plugin_api::messages::{
    EventCall, Map, Outcome, OwnedRequest, Subscription, SubscriptionSpec, Variables,
};
use trigger_plugin_api::{ErrorCode, Result};

pub fn bundle(files: &[(&str, &str)]) -> Bundle {
    Bundle {
        files: files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect(),
    }
}

pub fn load(files: &[(&str, &str)]) -> Loaded {
    Declaration::load(&bundle(files))
        .unwrap_or_else(|error| panic!("the declaration should load:\n{error}"))
}

/// The mistakes of a declaration, one a line.
pub fn mistakes(files: &[(&str, &str)]) -> String {
    Declaration::load(&bundle(files))
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// A provider that says this under `extra.native` (indented by four), with these events.
pub fn provider(native: &str, events: &[(&str, &str)]) -> Declared {
    let indented: String = native.lines().map(|line| format!("    {line}\n")).collect();
    let yaml = format!("identity: {{name: acme, author: us}}\nextra:\n  native:\n{indented}");
    let mut files = vec![("provider.yaml".to_owned(), yaml)];
    for (name, rest) in events {
        let yaml = format!("identity: {{name: {name}}}\ndescription: An event.\n{rest}");
        files.push((format!("events/{name}.yaml"), yaml));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    Declared::compile(load(&files).declaration)
}

pub fn spec(secrets: &[(&str, &str)]) -> SubscriptionSpec {
    SubscriptionSpec {
        id: "sub_1".to_owned(),
        endpoint_url: "https://host.example/webhooks/acme/ep_1".to_owned(),
        secrets: secrets
            .iter()
            .map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned()))
            .collect(),
        ..SubscriptionSpec::default()
    }
}

pub fn subscription(declared: &Declared, secret: &str) -> Subscription {
    declared
        .open_subscription(spec(&[("webhook_secret", secret)]))
        .unwrap()
}

pub fn post(headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> OwnedRequest {
    OwnedRequest {
        method: "POST".to_owned(),
        path: "/webhooks/acme/ep_1".to_owned(),
        query: String::new(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: body.as_ref().to_vec(),
        received_at_ms: 1_700_000_000_000,
    }
}

/// The names of the events of a request that needs no verification.
pub fn events(declared: &Declared, request: &OwnedRequest) -> Result<Vec<String>> {
    let subscription = declared.open_subscription(spec(&[]))?;
    let dispatched = declared.dispatch(&subscription, &request.as_request())?;
    Ok(dispatched
        .events
        .into_iter()
        .map(|event| event.name)
        .collect())
}

/// What a trigger with these parameters makes of a payload: the variables, or `-`.
pub fn fire(
    declared: &Declared,
    event: &str,
    parameters: serde_json::Value,
    payload: &str,
) -> Result<String> {
    let parameters: Map = serde_json::from_value(parameters).unwrap();
    let trigger = declared.open_trigger(event, parameters)?;
    let call = EventCall {
        event,
        payload: payload.as_bytes(),
        occurred_at_ms: None,
    };
    Ok(match declared.on_event(&trigger, &call)? {
        Outcome::Fires(Variables::Payload) => "payload".to_owned(),
        Outcome::Fires(Variables::Json(json)) => String::from_utf8(json).unwrap(),
        Outcome::NotForThisTrigger => "-".to_owned(),
    })
}

/// `code: message` of the error, or `ok`.
pub fn outcome<T>(result: Result<T>) -> String {
    result.map_or_else(
        |error| format!("{}: {error}", error.code.as_str()),
        |_| "ok".to_owned(),
    )
}

pub fn is_refused<T: std::fmt::Debug>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.code == ErrorCode::Unauthenticated)
}
