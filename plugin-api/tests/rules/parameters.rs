//! What parameters may be, and what is said of those that may not.

use serde_json::{Map, json};
use trigger_plugin_api::declaration::Declared;

use crate::support::{load, outcome, provider, spec};

fn declared() -> Declared {
    let event = "parameters:
- {name: branches, type: string, multiple: true}
- {name: state, type: select, options: [{value: open}, {value: closed}]}
- {name: actions, type: checkbox, multiple: true, options: [opened, edited]}
- {name: draft, type: boolean, default: false}
- {name: size, type: number, min: 0, max: 10, default: 0}
- {name: who, type: string, required: true}
- {name: extra, type: object}
- {name: list, type: array}";
    provider("verify: {scheme: none}\nevent: {name: e}", &[("e", event)])
}

fn open(parameters: serde_json::Value) -> String {
    let parameters: Map<String, _> = serde_json::from_value(parameters).unwrap();
    match declared().open_trigger("e", parameters) {
        Ok(trigger) => serde_json::Value::Object(trigger.parameters).to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn defaults_of_false_and_zero_count() {
    assert_eq!(
        open(json!({"who": "me"})),
        r#"{"draft":false,"size":0,"who":"me"}"#
    );
    assert_eq!(
        open(json!({"who": "me", "size": 3, "draft": true, "branches": []})),
        r#"{"branches":[],"draft":true,"size":3,"who":"me"}"#
    );
}

#[test]
fn what_fits_is_taken() {
    let all = json!({"branches": ["a", "b"], "state": "open", "actions": ["opened"], "draft": true, "size": 10, "who": "me", "extra": {"a": 1}, "list": [1]});
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&open(all.clone())).unwrap(),
        all
    );
    assert!(
        open(json!({"who": "me", "branches": "main", "actions": "edited", "size": "7"}))
            .starts_with('{')
    );
}

#[test]
fn a_mistake_names_the_parameter_what_was_found_and_what_is_allowed() {
    let check = |parameters: serde_json::Value, expected: &str| {
        let mut parameters = parameters;
        parameters
            .as_object_mut()
            .unwrap()
            .entry("who")
            .or_insert("me".into());
        assert_eq!(open(parameters), expected);
    };
    check(
        json!({"who": ""}),
        "parameter `who` is missing; a text is expected",
    );
    check(
        json!({"state": "opn"}),
        "parameter `state` is `opn`; one of open, closed is expected",
    );
    check(
        json!({"actions": ["opened", "x"]}),
        "parameter `actions` is `x`; a list in which each is one of opened, edited is expected",
    );
    check(
        json!({"draft": "maybe"}),
        "parameter `draft` is `maybe`; true or false is expected",
    );
    check(
        json!({"size": -1}),
        "parameter `size` is -1; at least 0 is expected",
    );
    check(
        json!({"size": 11}),
        "parameter `size` is 11; at most 10 is expected",
    );
    check(
        json!({"size": "big"}),
        "parameter `size` is `big`; a number is expected",
    );
    check(
        json!({"branches": [["a"]]}),
        "parameter `branches` is a list; a list in which each is a text is expected",
    );
    check(
        json!({"who": {"a": 1}}),
        "parameter `who` is an object; a text is expected",
    );
    check(
        json!({"list": "a"}),
        "parameter `list` is `a`; a list is expected",
    );
    check(
        json!({"branch": "x"}),
        "parameter `branch` is not a parameter here; allowed: branches, state, actions, draft, size, who, extra, list",
    );
    check(
        json!({"size": 11, "state": 5}),
        "parameter `state` is `5`; one of open, closed is expected; parameter `size` is 11; at most 10 is expected",
    );
}

#[test]
fn a_subscription_is_checked_field_by_field() {
    let declared = Declared::compile(
        load(&[(
            "provider.yaml",
            "identity: {name: acme}
subscription_schema:
- {name: webhook_secret, type: secret-input, required: true}
- {name: region, type: select, options: [eu, us]}
subscription_constructor: {parameters: [{name: repository, type: string, required: true}]}
extra: {native: {verify: {scheme: token, header: X-Token}}}",
        )])
        .declaration,
    );
    let check =
        |secrets: &[(&str, &str)], parameters: serde_json::Value, expected: &[(&str, &str)]| {
            let mut spec = spec(secrets);
            spec.parameters = serde_json::from_value(parameters).unwrap();
            let mistakes = declared.validate_subscription(&spec);
            let found: Vec<_> = mistakes
                .iter()
                .map(|mistake| (mistake.field.as_str(), mistake.message.as_str()))
                .collect();
            assert_eq!(found, expected);
        };
    let good = [("webhook_secret", "s")];
    check(&good, json!({"region": "eu"}), &[]);
    check(&good, json!({"repository": "a/b"}), &[]);
    check(&[], json!({}), &[("secrets.webhook_secret", "is missing")]);
    check(
        &[("webhook_secret", "")],
        json!({}),
        &[(
            "secrets.webhook_secret",
            "is empty, which would accept everybody",
        )],
    );
    check(
        &[("webhook_secret", "s"), ("secret", "x")],
        json!({}),
        &[(
            "secrets.secret",
            "is not a secret here; allowed: webhook_secret",
        )],
    );
    check(
        &good,
        json!({"region": "xx"}),
        &[("parameters.region", "is `xx`; one of eu, us is expected")],
    );
    check(
        &good,
        json!({"regoin": "eu"}),
        &[(
            "parameters.regoin",
            "is not a parameter here; allowed: repository, region",
        )],
    );
    check(
        &good,
        json!({"webhook_secret": "s"}),
        &[(
            "parameters.webhook_secret",
            "is a secret and belongs among the secrets",
        )],
    );
    check(
        &good,
        json!({"verification": "off"}),
        &[("parameters.verification", "can only be `none`")],
    );
    assert_eq!(
        outcome(declared.open_subscription(spec(&good)).map(drop)),
        "ok"
    );
}
