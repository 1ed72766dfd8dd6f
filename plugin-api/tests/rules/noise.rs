//! What a seed makes up out of genuine requests and rules: nothing panics, nothing forged is accepted.

use serde::de::IgnoredAny;
use serde_json::Value;
use trigger_plugin_api::declaration::{Declaration, Declared};
use trigger_plugin_api::http_file;
use trigger_plugin_api::messages::OwnedRequest;
use trigger_plugin_api::rules::fields::Fields;
use trigger_plugin_api::rules::glob::Globs;
use trigger_plugin_api::rules::pointer::Pointer;
use trigger_plugin_api::rules::template::{SignedTemplate, fill_reply};
use trigger_plugin_api::rules::{form, time};

use crate::seeded::Noise;
use crate::support::{bundle, is_refused, post, spec};
use crate::verification::{CASES, Case, dispatch};

fn signs_body(case: &Case) -> bool {
    !case.verify.contains("scheme: token")
}

#[test]
fn no_request_whose_body_was_changed_is_accepted_whatever_its_proof() {
    let mut noise = Noise::from(1);
    for case in CASES.iter().filter(|case| signs_body(case)) {
        let declared = case.declared();
        for _ in 0..100 {
            let mut request = case.request();
            noise.change(&mut request.body);
            if request.body == case.body {
                continue;
            }
            for (_, value) in &mut request.headers {
                if noise.below(2) == 0 {
                    noise.change(value);
                }
            }
            let result = dispatch(&declared, case.secret, &request);
            assert!(
                is_refused(result.clone()),
                "{}: {result:?} {request:?}",
                case.name
            );
        }
    }
}

#[test]
fn no_changed_token_is_accepted() {
    let mut noise = Noise::from(2);
    for case in CASES.iter().filter(|case| !signs_body(case)) {
        let declared = case.declared();
        for _ in 0..300 {
            let mut request = case.request();
            let proof = &mut request.headers[case.proof()].1;
            noise.change(proof);
            if proof == case.headers[case.proof()].1.as_bytes() {
                continue;
            }
            let result = dispatch(&declared, case.secret, &request);
            assert!(
                is_refused(result.clone()),
                "{}: {result:?} {request:?}",
                case.name
            );
        }
    }
}

/// Rules as an author may mistype them. What is refused is said; what is taken can be used.
#[test]
fn no_mistyped_rule_panics_when_it_is_loaded_or_used() {
    const REST: &str = "event: {json: /type}\noccurred_at: {json: /at, unit: s}\n\
        delivery_id: {header: X-Id, scope: subscription, window: 72h}\nignore: [ping]\n\
        body: {each: /events}\nchallenge: {when: {at: /challenge}, answer: {json: /challenge}}\n";
    let mut noise = Noise::from(3);
    let mut loaded = 0;
    for round in 0..1500 {
        let case = &CASES[round % CASES.len()];
        let mut native = format!("verify: {}\n{REST}", case.verify).into_bytes();
        for _ in 0..=noise.below(3) {
            noise.change(&mut native);
        }
        let native = String::from_utf8_lossy(&native);
        let indented: String = native.lines().map(|line| format!("    {line}\n")).collect();
        let yaml = format!("identity: {{name: acme, author: us}}\nextra:\n  native:\n{indented}");
        let Ok(found) = Declaration::load(&bundle(&[("provider.yaml", yaml.as_str())])) else {
            continue;
        };
        loaded += 1;
        let declared = Declared::compile(found.declaration);
        let Ok(subscription) = declared.open_subscription(spec(&[("webhook_secret", case.secret)]))
        else {
            continue;
        };
        let mut request = case.request();
        noise.change(&mut request.body);
        let _ = declared.dispatch(&subscription, &request.as_request());
    }
    assert!(loaded > 100, "only {loaded} of them were read at all");
}

#[test]
fn values_are_those_that_other_readers_of_json_find() {
    let pointers: Vec<Pointer> = ["", "/a", "/b", "/0", "/1", "/a/b", "/a/0", "/b/a/1", "//a"]
        .iter()
        .map(|pointer| pointer.parse().unwrap())
        .collect();
    let fields = Fields::new(&pointers);
    let mut noise = Noise::from(4);
    for _ in 0..2000 {
        let text = json(&mut noise, 4);
        let found = fields.read(text.as_bytes()).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        for pointer in &pointers {
            let ours: Option<Value> = found
                .one(pointer)
                .map(|raw| serde_json::from_str(raw).unwrap());
            assert_eq!(
                ours.as_ref(),
                whole.pointer(pointer.as_str()),
                "{pointer:?} of {text}"
            );
        }
        let mut broken = text.into_bytes();
        noise.change(&mut broken);
        let is_read = fields.read(&broken).is_ok();
        let is_json = serde_json::from_slice::<IgnoredAny>(&broken).is_ok();
        assert!(is_json || !is_read, "{}", String::from_utf8_lossy(&broken));
    }
}

/// JSON with keys that come twice, are empty or look like numbers.
fn json(noise: &mut Noise, depth: u64) -> String {
    let kinds = if depth == 0 { 5 } else { 9 };
    let items = |noise: &mut Noise, named: bool| {
        let items: Vec<String> = (0..noise.below(4))
            .map(|_| {
                let value = json(noise, depth - 1);
                let key = ["a", "b", "0", "1", "", "\\u0061", "ä"][noise.below(7) as usize];
                if named {
                    format!("\"{key}\" : {value}")
                } else {
                    value
                }
            })
            .collect();
        items.join(" , ")
    };
    match noise.below(kinds) {
        0 => "null".to_owned(),
        1 => "true".to_owned(),
        2 => format!("-{}.5e1", noise.below(1000)),
        3 => "\"\"".to_owned(),
        4 => "\"a\\\"]}\\n\\u00e4\"".to_owned(),
        5 | 6 => format!("[{}]", items(noise, false)),
        _ => format!("{{{}}}", items(noise, true)),
    }
}

#[test]
fn no_text_of_a_stranger_panics_any_reader() {
    const TEXTS: [&str; 8] = [
        "payload=%7B%22a%22%3A1%7D&x=1&&=&%&%a=+",
        "{timestamp}.{header:X-A}.{body}{url}{part:t}{query:q}",
        "/a/*/b~0~1//0",
        "v1=00,t=1,v0=%ff",
        "2023-11-14T22:13:20.5+01:00",
        "refs/heads/**/{a,b}[!x]?\\*",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "POST /x?y=1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}",
    ];
    let mut noise = Noise::from(5);
    for round in 0..4000 {
        let mut bytes = TEXTS[round % TEXTS.len()].as_bytes().to_vec();
        for _ in 0..=noise.below(4) {
            noise.change(&mut bytes);
        }
        let decoded: usize = form::pairs(&bytes)
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(decoded <= bytes.len(), "a form grows by nothing");
        let object = form::to_object(&bytes);
        assert!(
            serde_json::from_slice::<Value>(&object)
                .unwrap()
                .is_object()
        );
        let _ = http_file::parse_request(&bytes);
        let _ = http_file::parse_response(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(pointer) = text.parse::<Pointer>() {
            assert_eq!(
                pointer.as_str(),
                text,
                "a pointer is shown as it was written"
            );
        }
        let _ = SignedTemplate::parse(&text);
        let _ = fill_reply(&text, &text, "00");
        let _ = time::duration_ms(&text);
        for unit in [
            time::Unit::Seconds,
            time::Unit::Milliseconds,
            time::Unit::Rfc3339,
        ] {
            let _ = unit.read(&text);
        }
        if let Ok(globs) = Globs::new([&*text], round % 2 == 0) {
            let _ = globs.matches(&text);
        }
    }
}

/// Any headers and any body, for a provider that verifies and reads all kinds of places.
#[test]
fn requests_of_strangers_are_refused_and_nothing_more() {
    let mut noise = Noise::from(6);
    for case in CASES {
        let declared = case.declared();
        for _ in 0..60 {
            let mut request: OwnedRequest = post(case.headers, case.body);
            request.received_at_ms = i64::from_le_bytes(noise.bytes(8).try_into().unwrap());
            for (name, value) in &mut request.headers {
                *value = noise.bytes(64);
                if noise.below(4) == 0 {
                    name.push('x');
                }
            }
            request.body = noise.bytes(200);
            request.query = String::from_utf8_lossy(&noise.bytes(30)).into_owned();
            let result = dispatch(&declared, case.secret, &request);
            assert!(
                is_refused(result.clone()),
                "{}: {result:?} {request:?}",
                case.name
            );
        }
    }
}
