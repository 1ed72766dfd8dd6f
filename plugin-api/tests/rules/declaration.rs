//! What the loader reads, survives, and refuses.

use serde_json::json;
use trigger_plugin_api::declaration::{Declaration, FieldKind, Schema};

use crate::support::{bundle, load, mistakes};

/// In the shape of Dify's own files, with what is peculiar about them.
const DIFY_PROVIDER: &str = r#"subscription_schema:
- name: "webhook_secret"
  type: "secret-input"
  required: false
  label: {zh_Hans: "密钥", en_US: "Webhook Secret"}
  help: {en_US: "Optional", ja_JP: "任意"}
  url: https://acme.example/webhooks
subscription_constructor:
  parameters:
  - name: resource_types
    type: checkbox
    required: true
    multiple: true
    default: [issue]
    options:
    - {value: issue, label: {en_US: Issues}}
    - {value: 5, label: Five}
  - {name: team_id, type: dynamic-select, required: yes, placeholder: {en_US: Select a team}}
  credentials_schema:
    api_key: {type: secret-input, required: true, label: {en_US: API key}}
    subdomain: {type: text-input, required: on}
  oauth_schema:
    client_schema:
    - {name: client_id, type: secret-input}
    credentials_schema:
  extra: {python: {source: provider/acme.py}}
events:
- events/issue/issue_created.yaml
identity:
  author: langgenius
  name: acme_trigger
  label: {en-US: Acme}
  description: Plain text.
  icon: icon.svg
extra:
  python: {source: provider/acme.py}
"#;

const DIFY_EVENT: &str = "identity: {name: issue_created, author: langgenius, label: {ja_JP: 課題}}
description: {en_US: An issue was created.}
parameters:
- {name: draft, type: boolean, default: false}
- {name: size, type: number, default: 0, min: 0, max: 100, precision: 2}
- {name: model, type: model-selector, scope: llm}
output_schema:
  type: object
  properties: {id: {type: string}}
extra: {python: {source: events/issue.py}}
";

fn warnings(files: &[(&str, &str)]) -> Vec<String> {
    load(files)
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn files_of_difys_shape_load_unchanged() {
    let files = [
        ("provider/acme.yaml", DIFY_PROVIDER),
        ("events/issue/issue_created.yaml", DIFY_EVENT),
    ];
    assert_eq!(warnings(&files), [""; 0]);
    let declaration = load(&files).declaration;
    assert_eq!(
        (
            declaration.identity.name.as_str(),
            declaration.identity.description.english()
        ),
        ("acme_trigger", "Plain text.")
    );
    assert_eq!(declaration.identity.label.in_language("zh_Hans"), "Acme");
    let constructor = declaration.subscription_constructor.as_ref().unwrap();
    let credentials: Vec<_> = constructor
        .credentials_schema
        .iter()
        .map(|field| (field.name.as_str(), field.kind, field.required))
        .collect();
    assert_eq!(
        credentials,
        [
            ("api_key", FieldKind::Secret, true),
            ("subdomain", FieldKind::TextInput, true)
        ]
    );
    assert_eq!(constructor.parameters[0].default, Some(json!(["issue"])));
    assert_eq!(constructor.parameters[0].options[1].value, "5");
    assert!(constructor.parameters[1].required);
    assert_eq!(
        constructor
            .oauth_schema
            .as_ref()
            .unwrap()
            .credentials_schema
            .len(),
        0
    );
    let event = &declaration.events[0];
    assert_eq!(event.parameters[0].default, Some(json!(false)));
    assert_eq!(event.parameters[1].default, Some(json!(0)));
    assert_eq!(event.parameters[2].unknown["scope"], "llm");
    assert_eq!(
        event.output_schema.as_ref().map(Schema::to_value),
        Some(json!({"type": "object", "properties": {"id": {"type": "string"}}}))
    );
    assert_eq!(event.identity.label.in_language("de-DE"), "課題");
    assert_eq!(
        event.description.in_language("fr_FR"),
        "An issue was created."
    );
}

#[test]
fn a_declaration_may_be_one_file() {
    let yaml = "identity: {name: acme}\nevents: [{identity: {name: a}, description: d}]";
    let loaded = Declaration::load_file("acme.provider.yaml", yaml).unwrap();
    assert_eq!(loaded.declaration.events[0].identity.name, "a");
}

#[test]
fn without_a_list_every_file_under_events_is_an_event() {
    let declaration = load(&[
        ("provider.yaml", "identity: {name: acme}"),
        ("events/b.yaml", "identity: {name: b}"),
        ("events/deep/a.yml", "identity: {name: a}"),
        ("events/notes.txt", "none"),
    ])
    .declaration;
    assert_eq!(
        declaration
            .events
            .iter()
            .map(|event| event.identity.name.as_str())
            .collect::<Vec<_>>(),
        ["b", "a"]
    );
}

#[test]
fn oddities_are_survived_with_file_and_line() {
    let yaml = "identity: &id
  name: acme
  name: acme2
  colour: red
subscription_schema:
- &secret {name: a, type: secret-input}
- {<<: *secret, name: b}
oauth:
subscription_constructor: {}
";
    assert_eq!(
        warnings(&[("provider.yaml", yaml)]),
        [
            "provider.yaml:3:3: `name` stands in line 2 already; this one counts",
            "provider.yaml:4:3: identity.colour is unknown here; it is kept and ignored",
            "provider.yaml:7:8: an alias (`*name`) is expanded; other readers of this file may not do that",
            "provider.yaml:8:1: oauth is unknown here; it is kept and ignored",
        ]
    );
    let declaration = load(&[("provider.yaml", yaml)]).declaration;
    assert_eq!(declaration.identity.name, "acme2");
    assert_eq!(declaration.identity.unknown["colour"], "red");
    assert_eq!(
        (
            declaration.subscription_schema[1].name.as_str(),
            declaration.subscription_schema[1].kind
        ),
        ("b", FieldKind::Secret)
    );
    assert!(declaration.unknown.contains_key("oauth"));
}

#[test]
fn unknown_keys_of_the_rules_are_warned_of() {
    let yaml = "identity: {name: acme}\nextra:\n  native:\n    verify: {scheme: none, algorithm: x}\n    oauth: {anything: goes}\n    permissions: {}\n    lease: {lifetime: 24h}\n    foo: 1";
    assert_eq!(
        warnings(&[("provider.yaml", yaml)]),
        [
            "provider.yaml:4:28: extra.native.verify.algorithm is unknown here; it is kept and ignored",
            "provider.yaml:8:5: extra.native.foo is unknown here; it is kept and ignored",
        ]
    );
    assert_eq!(
        load(&[("provider.yaml", yaml)]).declaration.native["lease"]["lifetime"],
        "24h"
    );
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let provider = "identity: {label: x}
extra:
  native:
    verify: {scheme: hmac-md5, header: X}
    event: {header: A, json: /b}
    unknown: maybe
    delivery_id: {header: X, window: 3 days}
";
    let event = "identity: {name: a}
parameters:
- {name: p, type: text-area, required: perhaps}
- {type: string}
extra:
  native:
    filters:
    - {parameter: q, at: action, op: matches}
    - {parameter: p}
    - {at: /x}
    variables: {x: y}
";
    assert_eq!(
        mistakes(&[("provider.yaml", provider), ("events/a.yaml", event)]),
        "events/a.yaml:3:19: parameters.type is `text-area`; allowed: secret-input, text-input, string, number, boolean, select, checkbox, dynamic-select, file, files, object, array, array[tools], model-selector, app-selector, password, text, integer, bool
events/a.yaml:3:40: parameters.required is `perhaps`; true or false is expected
events/a.yaml:4:3: parameters has a field without a name
events/a.yaml:8:7: extra.native.filters.parameter is `q`; this event has: p
events/a.yaml:8:26: extra.native.filters.at is `action`: a pointer is empty or starts with `/`
events/a.yaml:8:38: extra.native.filters.op is `matches`; allowed: eq, ne, in, not_in, in_list, all_in, contains, prefix, suffix, glob, glob_any, bool, exists, gt, lt, ge, le
events/a.yaml:9:7: extra.native.filters.at is missing
events/a.yaml:10:7: a filter needs exactly one of: parameter, value
events/a.yaml:11:20: extra.native.variables.x is `y`: a pointer is empty or starts with `/`
provider.yaml:1:11: identity.name is missing
provider.yaml:4:22: extra.native.verify.scheme is `hmac-md5`; allowed: hmac-sha256, hmac-sha1, hmac-sha512, token, none
provider.yaml:5:12: only one of header, query, json or at can be given
provider.yaml:6:14: extra.native.unknown is `maybe`; allowed: pass, ignore
provider.yaml:7:38: extra.native.delivery_id.window is `3 days`; a duration such as 72h is expected"
    );
}

#[test]
fn a_verification_that_protects_less_than_it_says_is_refused() {
    let check = |verify: &str, expected: &str| {
        let yaml = format!(
            "identity: {{name: acme}}\nextra: {{native: {{verify: {{header: X-Sign, {verify}}}}}}}"
        );
        let found = mistakes(&[("provider.yaml", &yaml)]);
        assert!(found.contains(expected), "{verify}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    };
    check(
        "scheme: hmac-sha256, tolerance: 5m",
        "`tolerance` needs `timestamp`",
    );
    check(
        "scheme: hmac-sha256, timestamp: {header: X-Time}, tolerance: 5m",
        "the timestamp is not part of `signed`",
    );
    check(
        "scheme: hmac-sha256, signed: '{header:X-Time}'",
        "`signed` must hold {body}",
    );
    check(
        "scheme: hmac-sha256, signed: '{part:t}{body}'",
        "`parts` does not say how it is divided",
    );
    check(
        "scheme: hmac-sha256, signed: '{timestamp}{body}'",
        "{timestamp} needs `timestamp`",
    );
    check(
        "scheme: hmac-sha256, signed: '{time}{body}'",
        "a template of {body}, {url}",
    );
    check(
        "scheme: hmac-sha256, encoding: hexx",
        "allowed: hex, base64",
    );
    check(
        "scheme: hmac-sha256, tolerance: soon",
        "`none` or a duration such as 5m",
    );
    check("prefix: x", "extra.native.verify.scheme is missing");
    let yaml = "identity: {name: acme}\nsubscription_schema: [{name: token, type: secret-input}]\nextra: {native: {verify: {scheme: token, header: X}}}";
    assert_eq!(
        mistakes(&[("provider.yaml", yaml)]),
        "provider.yaml:1:1: extra.native.verify.secret is `webhook_secret`; subscription_schema has: token"
    );
}

#[test]
fn what_is_no_declaration_is_refused_with_its_place() {
    let check = |yaml: &str, expected: &str| {
        assert_eq!(mistakes(&[("provider.yaml", yaml)]), expected, "{yaml:?}")
    };
    check("", "provider.yaml:1:1: identity is missing");
    check(
        "- a",
        "provider.yaml:1:1: this is a list; a mapping is expected",
    );
    check(
        "identity: {name: a}\nextra: 5",
        "provider.yaml:2:8: extra is `5`; a mapping is expected",
    );
    check(
        "identity: {name: a}\nevents: [gone.yaml]",
        "provider.yaml:2:10: events lists `gone.yaml`, and there is no such file",
    );
    assert_eq!(mistakes(&[("a.txt", "")]), "provider.yaml: is missing");
    assert!(mistakes(&[("provider.yaml", "identity: {name: [")]).contains(": this is not YAML: "));
    assert_eq!(
        mistakes(&[
            ("provider.yaml", "identity: {name: a}"),
            ("events/1.yaml", "identity: {name: e}"),
            ("events/2.yaml", "identity: {name: e}")
        ]),
        "events/2.yaml: the event `e` is declared in events/1.yaml already"
    );
}

#[test]
fn aliases_cannot_multiply_without_end() {
    let mut yaml = String::from("identity: {name: a}\nl0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*l{}, ", level - 1).repeat(10);
        yaml.push_str(&format!("l{level}: &l{level} [{previous}]\n"));
    }
    assert!(
        mistakes(&[("provider.yaml", &yaml)]).contains("more than 500000 values, aliases expanded")
    );
    let deep = format!("identity: {}1{}", "[".repeat(200), "]".repeat(200));
    assert!(mistakes(&[("provider.yaml", &deep)]).contains("nested deeper than 64 levels"));
}

#[test]
fn no_file_makes_the_loader_panic() {
    // Every beginning of a genuine file, and every file with one byte turned.
    for end in 0..DIFY_PROVIDER.len() {
        if let Some(start) = DIFY_PROVIDER.get(..end) {
            let _ = Declaration::load(&bundle(&[("provider.yaml", start)]));
        }
    }
    for at in (0..DIFY_EVENT.len()).step_by(3) {
        for byte in *b"{}[]:&*-#\"'\n\0" {
            let mut bytes = DIFY_EVENT.as_bytes().to_vec();
            bytes[at] = byte;
            let mut bundle = bundle(&[("provider.yaml", "identity: {name: a}")]);
            bundle.files.push(("events/a.yaml".to_owned(), bytes));
            let _ = Declaration::load(&bundle);
        }
    }
}
