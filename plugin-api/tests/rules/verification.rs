//! Every way in which services sign, each with a signature that was computed by other code.

use trigger_plugin_api::declaration::Declared;
use trigger_plugin_api::messages::OwnedRequest;
use trigger_plugin_api::signature::{Algorithm, Encoding, Key};

use crate::support::{is_refused, outcome, post, provider, spec, subscription};

const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

type HeaderList = Vec<(String, Vec<u8>)>;

/// One service's rule with one genuine request.
pub struct Case {
    pub name: &'static str,
    pub verify: &'static str,
    pub secret: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static [u8],
    pub received_at_ms: i64,
}

/// The first is published by the service; the others were computed with Python's hmac over the same
/// bytes, in the form that the service documents.
pub const CASES: &[Case] = &[
    Case {
        name: "hex with a prefix, as published",
        verify: "{scheme: hmac-sha256, header: X-Hub-Signature-256, prefix: 'sha256='}",
        secret: "It's a Secret to Everybody",
        headers: &[(
            "X-Hub-Signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        )],
        body: b"Hello, World!",
        received_at_ms: 0,
    },
    Case {
        name: "slack, as published",
        verify: "{scheme: hmac-sha256, header: X-Slack-Signature, prefix: v0=, signed: 'v0:{header:X-Slack-Request-Timestamp}:{body}', timestamp: {header: X-Slack-Request-Timestamp}, tolerance: 5m}",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        headers: &[
            ("X-Slack-Request-Timestamp", "1531420618"),
            (
                "X-Slack-Signature",
                "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            ),
        ],
        body: SLACK_BODY.as_bytes(),
        received_at_ms: 1_531_420_618_000,
    },
    Case {
        name: "stripe",
        verify: "{scheme: hmac-sha256, header: Stripe-Signature, parts: {separator: ',', assign: '=', signature: v1}, signed: '{part:t}.{body}', timestamp: {part: t}, tolerance: 5m}",
        secret: "whsec_stripe_secret",
        headers: &[(
            "Stripe-Signature",
            "t=1700000000,v1=0000000000000000000000000000000000000000000000000000000000000000,v1=fad12090fe924af934829c9a79bc6a5827eee077786588a3cdb608ad73e3d2d1,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
        )],
        body: br#"{"id":"evt_1","type":"charge.succeeded","created":1700000000}"#,
        received_at_ms: 1_700_000_000_000,
    },
    Case {
        name: "gitlab",
        verify: "{scheme: token, header: X-Gitlab-Token}",
        secret: "gl-secret-token",
        headers: &[("X-Gitlab-Token", "gl-secret-token")],
        body: b"{}",
        received_at_ms: 0,
    },
    Case {
        name: "telegram",
        verify: "{scheme: token, header: X-Telegram-Bot-Api-Secret-Token}",
        secret: "tg_secret-1",
        headers: &[("X-Telegram-Bot-Api-Secret-Token", "tg_secret-1")],
        body: br#"{"update_id":1}"#,
        received_at_ms: 0,
    },
    Case {
        name: "bearer token",
        verify: "{scheme: token, header: Authorization, prefix: 'Bearer '}",
        secret: "am-token",
        headers: &[("Authorization", "Bearer am-token")],
        body: b"{}",
        received_at_ms: 0,
    },
    Case {
        name: "linear, its time within the body",
        verify: "{scheme: hmac-sha256, header: Linear-Signature, timestamp: {json: /webhookTimestamp, unit: ms}, tolerance: 1m}",
        secret: "lin_wh_secret",
        headers: &[(
            "Linear-Signature",
            "6b2a031b2a37c46df6e731fe20b3ce185fa2a53e25ce7764e9cc93706c57b447",
        )],
        body: br#"{"type":"Issue","action":"create","webhookTimestamp":1700000000123}"#,
        received_at_ms: 1_700_000_000_000,
    },
    Case {
        name: "shopify",
        verify: "{scheme: hmac-sha256, header: X-Shopify-Hmac-Sha256, encoding: base64}",
        secret: "hush",
        headers: &[(
            "X-Shopify-Hmac-Sha256",
            "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=",
        )],
        body: br#"{"id":820982911946154508}"#,
        received_at_ms: 0,
    },
    Case {
        name: "typeform",
        verify: "{scheme: hmac-sha256, header: Typeform-Signature, prefix: sha256=, encoding: base64}",
        secret: "tf_secret",
        headers: &[(
            "Typeform-Signature",
            "sha256=VXbbyL1RVx7Z96olIZ0fjzYMwiAbWr/c+dHZ/2rdvzE=",
        )],
        body: br#"{"event_id":"LtWXD3crgy","event_type":"form_response"}"#,
        received_at_ms: 0,
    },
    Case {
        name: "pagerduty",
        verify: "{scheme: hmac-sha256, header: X-PagerDuty-Signature, parts: {separator: ',', assign: '=', signature: v1}}",
        secret: "pd_secret",
        headers: &[(
            "X-PagerDuty-Signature",
            "v1=28f9b2802aff17e019cd564c18902294ce59bf3b5fc87425539ca01ae9f44b1b,v1=00",
        )],
        body: br#"{"event":{"id":"01","event_type":"incident.triggered"}}"#,
        received_at_ms: 0,
    },
    Case {
        name: "sentry",
        verify: "{scheme: hmac-sha256, header: Sentry-Hook-Signature}",
        secret: "sentry_secret",
        headers: &[(
            "Sentry-Hook-Signature",
            "11893e21e04850c1b18bc0cfd6d3cc4c4e8e27fab6324713cb417210c51c5877",
        )],
        body: br#"{"action":"created"}"#,
        received_at_ms: 0,
    },
    Case {
        name: "grafana",
        verify: "{scheme: hmac-sha256, header: X-Grafana-Alerting-Signature, signed: '{timestamp}:{body}', timestamp: {header: X-Grafana-Alerting-Timestamp}, tolerance: 5m}",
        secret: "grafana_secret",
        headers: &[
            ("X-Grafana-Alerting-Timestamp", "1700000000"),
            (
                "X-Grafana-Alerting-Signature",
                "e59a591d818ea2c9952ef835984ab3d1bd55672043d4fadafc90099a90912393",
            ),
        ],
        body: br#"{"status":"firing"}"#,
        received_at_ms: 1_700_000_299_000,
    },
    Case {
        name: "sha1 over body and address, in base64",
        verify: "{scheme: hmac-sha1, header: X-Trello-Webhook, encoding: base64, signed: '{body}{url}'}",
        secret: "trello_secret",
        headers: &[("X-Trello-Webhook", "uLzTpcUlKAGlBe0/YctmDjWMfgY=")],
        body: br#"{"model":{"id":"1"}}"#,
        received_at_ms: 0,
    },
    Case {
        name: "sha512",
        verify: "{scheme: hmac-sha512, header: X-Paystack-Signature}",
        secret: "ps_secret",
        headers: &[(
            "X-Paystack-Signature",
            "7deed6177c6beb2102c658e4c4cb01ee0a74325bbeb0ae818db3b60ca4e93833b9f7039634cc3b34f1ca8f11d2e0e3fabd85322d3bd9cdc0c26a3d7ccc8553d3",
        )],
        body: br#"{"event":"charge.success"}"#,
        received_at_ms: 0,
    },
    Case {
        name: "standard webhooks",
        verify: STANDARD,
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1700000000"),
            (
                "webhook-signature",
                "v1,x5lVgj0b/JJJaUYaa1+6I5J/EECcryrPlFN4VrkmI94= v2,AAAA",
            ),
        ],
        body: b"{}",
        received_at_ms: 1_700_000_000_000,
    },
    Case {
        name: "a body that is no text",
        verify: "{scheme: hmac-sha256, header: X-Sign}",
        secret: "s3cret",
        headers: &[(
            "X-Sign",
            "d5beb6326cdd63ae74091211382b8a9cbc0206a91a3111d547344f70fd096b6a",
        )],
        body: b"\xff\xfe{\"a\":1}\x00",
        received_at_ms: 0,
    },
];

const STANDARD: &str = "{scheme: hmac-sha256, header: webhook-signature, encoding: base64, secret_prefix: whsec_, secret_encoding: base64, signed: '{header:webhook-id}.{header:webhook-timestamp}.{body}', parts: {separator: ' ', assign: ',', signature: v1}, timestamp: {header: webhook-timestamp}, tolerance: 5m}";

impl Case {
    pub fn declared(&self) -> Declared {
        provider(
            &format!("verify: {}\nevent: {{name: anything}}", self.verify),
            &[],
        )
    }

    pub fn request(&self) -> OwnedRequest {
        OwnedRequest {
            received_at_ms: self.received_at_ms,
            ..post(self.headers, self.body)
        }
    }

    /// The header of the proof stands last in every case.
    pub fn proof(&self) -> usize {
        self.headers.len() - 1
    }
}

pub fn dispatch(
    declared: &Declared,
    secret: &str,
    request: &OwnedRequest,
) -> trigger_plugin_api::Result<usize> {
    let subscription = subscription(declared, secret);
    Ok(declared
        .dispatch(&subscription, &request.as_request())?
        .events
        .len())
}

#[test]
fn genuine_requests_are_accepted() {
    for case in CASES {
        assert_eq!(
            dispatch(&case.declared(), case.secret, &case.request()),
            Ok(1),
            "{}",
            case.name
        );
    }
}

#[test]
fn one_bit_off_in_body_proof_or_secret_is_refused() {
    for case in CASES {
        let declared = case.declared();
        let signs_body = !case.verify.contains("scheme: token");
        for at in 0..case.body.len().min(40) {
            let mut request = case.request();
            request.body[at] ^= 1;
            assert_eq!(
                is_refused(dispatch(&declared, case.secret, &request)),
                signs_body,
                "{}: body {at}",
                case.name
            );
        }
        let mut secret = case.secret.to_owned().into_bytes();
        let last = secret.len() - 2;
        secret[last] ^= 1;
        let secret = String::from_utf8(secret).unwrap();
        assert!(
            is_refused(dispatch(&declared, &secret, &case.request())),
            "{}: secret",
            case.name
        );

        // Where the proof has several parts, each byte but those of the parts that do not count.
        let proof = case.headers[case.proof()].1;
        if !case.verify.contains("parts") {
            for at in 0..proof.len() {
                let mut request = case.request();
                request.headers[case.proof()].1[at] ^= 1;
                assert!(
                    is_refused(dispatch(&declared, case.secret, &request)),
                    "{}: proof {at}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn a_header_missing_empty_doubled_or_truncated_is_refused() {
    for case in CASES {
        let declared = case.declared();
        let refused = |change: fn(&mut HeaderList, usize)| {
            for header in 0..case.headers.len() {
                let mut request = case.request();
                change(&mut request.headers, header);
                let result = dispatch(&declared, case.secret, &request);
                assert!(
                    is_refused(result.clone()),
                    "{} {}: {result:?}",
                    case.name,
                    case.headers[header].0
                );
            }
        };
        refused(|headers, at| drop(headers.remove(at)));
        refused(|headers, at| headers[at].1.clear());
        refused(|headers, at| headers.push(headers[at].clone()));
        refused(|headers, at| {
            headers.insert(0, (headers[at].0.to_ascii_uppercase(), b"x".to_vec()))
        });
        refused(|headers, at| {
            let half = headers[at].1.len() / 2;
            headers[at].1.truncate(half.min(40));
        });
        refused(|headers, at| headers[at].1.splice(0..0, *b"x").for_each(drop));
        refused(|headers, at| headers[at].1 = vec![0xff; 64]);
    }
}

#[test]
fn a_signature_without_its_prefix_or_with_another_one_is_refused() {
    for case in CASES {
        let (_, prefix) = case
            .verify
            .split_once("prefix: ")
            .filter(|(before, _)| !before.ends_with("secret_"))
            .unwrap_or_default();
        let prefix = prefix.split([',', '}']).next().unwrap_or_default();
        let prefix = prefix.trim_matches('\'');
        let declared = case.declared();
        let bare = case.headers[case.proof()].1.strip_prefix(prefix);
        let bare = bare.expect("the case has its prefix");
        let others = ["", "sha1=", "v1=", "Basic ", " "];
        for other in others.iter().filter(|_| !prefix.is_empty()) {
            let mut request = case.request();
            request.headers[case.proof()].1 = format!("{other}{bare}").into_bytes();
            assert!(
                is_refused(dispatch(&declared, case.secret, &request)),
                "{}: `{other}`",
                case.name
            );
        }
    }
}

/// The header of a service that signs its time, as `t=…,v1=…`.
const IN_PARTS: &str = "{scheme: hmac-sha256, header: X-Sign, parts: {separator: ',', assign: '=', signature: v1}, signed: '{part:t}.{body}', timestamp: {part: t}, tolerance: 5m}";

/// What it signs with `s3cret` for this time, over `{}`.
fn signed_at(time: &str) -> String {
    let key = Key::new(Algorithm::HmacSha256, b"s3cret").expect("a key");
    Encoding::Hex.encode(&key.sign([time.as_bytes(), b".", b"{}"]))
}

fn in_parts(header: &str) -> String {
    let declared = provider(&format!("verify: {IN_PARTS}\nevent: {{name: any}}"), &[]);
    outcome(dispatch(
        &declared,
        "s3cret",
        &post(&[("X-Sign", header)], "{}"),
    ))
}

#[test]
fn of_a_time_that_is_said_twice_neither_counts() {
    let sign = signed_at("1700000000");
    assert_eq!(in_parts(&format!("t=1700000000,v1={sign}")), "ok");
    for header in [
        format!("t=1700000000,t=1,v1={sign}"),
        format!("t=1700000000,v1={sign},t=1700000000"),
    ] {
        assert_eq!(
            in_parts(&header),
            "unauthenticated: the header X-Sign has the part `t` more than once"
        );
    }
    assert_eq!(
        in_parts(&format!("v1={sign}")),
        "unauthenticated: the header X-Sign has no part `t`"
    );
}

#[test]
fn a_signed_time_that_is_none_is_refused() {
    for time in ["", "soon", "1e9", "17 00", "99999999999999999999"] {
        let sign = signed_at(time);
        let said = in_parts(&format!("t={time},v1={sign}"));
        let expected = "unauthenticated: the timestamp is not a time in seconds";
        assert_eq!(said, expected, "`{time}`");
    }
}

#[test]
fn of_many_signatures_the_first_thirty_two_are_compared() {
    let sign = signed_at("1700000000");
    let after = |wrong: usize| {
        let wrong = "v1=00,".repeat(wrong);
        in_parts(&format!("t=1700000000,{wrong}v1={sign}"))
    };
    assert_eq!(after(31), "ok");
    assert_eq!(
        after(32),
        "unauthenticated: the signature in X-Sign does not hold"
    );
}

#[test]
fn only_secrets_of_its_name_prove_a_request() {
    let declared = CASES[0].declared();
    for name in ["webhook_secret2", "webhook_secretprevious", "other"] {
        let secrets = spec(&[("webhook_secret", "another"), (name, CASES[0].secret)]);
        let subscription = declared.open_subscription(secrets).unwrap();
        let request = CASES[0].request();
        let read = declared.dispatch(&subscription, &request.as_request());
        assert!(is_refused(read), "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_proof_is_told_apart() {
    let verify = "verify: {scheme: hmac-sha256, header: X-Sign, prefix: v0=}";
    let declared = provider(&format!("{verify}\nevent: {{name: any}}"), &[]);
    let said = |headers: &[(&str, &str)]| outcome(dispatch(&declared, "s", &post(headers, "{}")));
    for (headers, expected) in [
        (&[][..], "the header X-Sign is missing"),
        (&[("X-Sign", "")], "the header X-Sign is empty"),
        (
            &[("X-Sign", "00")],
            "the header X-Sign does not begin with `v0=`",
        ),
        (
            &[("X-Sign", "v0=zz")],
            "the header X-Sign holds no signature of the declared form",
        ),
        (
            &[("X-Sign", "v0=00")],
            "the signature in X-Sign does not hold",
        ),
    ] {
        assert_eq!(said(headers), format!("unauthenticated: {expected}"));
    }
}

#[test]
fn the_name_of_a_header_may_be_written_in_any_case() {
    for case in CASES {
        for change in [str::to_ascii_uppercase, str::to_ascii_lowercase] {
            let mut request = case.request();
            request
                .headers
                .iter_mut()
                .for_each(|(name, _)| *name = change(name));
            assert_eq!(
                dispatch(&case.declared(), case.secret, &request),
                Ok(1),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn while_a_secret_is_rotated_both_are_good_and_then_one() {
    for case in CASES {
        let declared = case.declared();
        let other = if case.verify.contains("secret_encoding") {
            "whsec_bmV3LXNlY3JldA=="
        } else {
            "new-secret"
        };
        let both = spec(&[
            ("webhook_secret", other),
            ("webhook_secret.previous", case.secret),
        ]);
        let both = declared.open_subscription(both).unwrap();
        assert!(
            declared
                .dispatch(&both, &case.request().as_request())
                .is_ok(),
            "{}",
            case.name
        );
        assert!(
            is_refused(dispatch(&declared, other, &case.request())),
            "{}",
            case.name
        );
    }
}

#[test]
fn a_missing_or_empty_secret_is_refused_when_the_subscription_is_opened() {
    for case in CASES {
        let declared = case.declared();
        for secrets in [
            &[][..],
            &[("webhook_secret", "")],
            &[("webhook_secret", "  ")],
            &[
                ("webhook_secret", case.secret),
                ("webhook_secret.previous", ""),
            ],
            &[("other", case.secret)],
        ] {
            let opened = declared.open_subscription(spec(secrets)).map(drop);
            assert!(
                outcome(opened.clone())
                    .starts_with("invalid_input: the secret `webhook_secret` is "),
                "{}: {opened:?}",
                case.name
            );
            assert!(
                !declared.validate_subscription(&spec(secrets)).is_empty(),
                "{}",
                case.name
            );
        }
        assert_eq!(
            declared.validate_subscription(&spec(&[("webhook_secret", case.secret)])),
            []
        );
    }
}

#[test]
fn a_secret_that_is_a_prefix_alone_is_empty() {
    let declared = provider(&format!("verify: {STANDARD}"), &[]);
    let opened = declared
        .open_subscription(spec(&[("webhook_secret", "whsec_")]))
        .map(drop);
    assert_eq!(
        outcome(opened),
        "invalid_input: the secret `webhook_secret` is empty, which would accept everybody"
    );
    let token = "{scheme: token, header: X-Token, secret_prefix: tok_}";
    let opened = provider(&format!("verify: {token}"), &[])
        .open_subscription(spec(&[("webhook_secret", "tok_")]))
        .map(drop);
    assert_eq!(
        outcome(opened),
        "invalid_input: the secret `webhook_secret` is empty, which would accept everybody"
    );
    let opened = declared
        .open_subscription(spec(&[("webhook_secret", "whsec_%%%")]))
        .map(drop);
    assert_eq!(
        outcome(opened),
        "invalid_input: the secret `webhook_secret` is not the Base64 that this service gives out"
    );
}

#[test]
fn timestamps_are_good_up_to_the_edge_on_both_sides() {
    for case in CASES {
        let tolerance_ms = match case.verify {
            verify if verify.contains("tolerance: 5m") => 300_000,
            verify if verify.contains("tolerance: 1m") => 60_000,
            _ => continue,
        };
        let declared = case.declared();
        let signed_at_ms = match case.name {
            "slack, as published" => 1_531_420_618_000,
            "linear, its time within the body" => 1_700_000_000_123,
            _ => 1_700_000_000_000,
        };
        for (offset_ms, good) in [
            (tolerance_ms, true),
            (-tolerance_ms, true),
            (tolerance_ms + 1, false),
            (-tolerance_ms - 1, false),
            (365 * 86_400_000, false),
        ] {
            let request = OwnedRequest {
                received_at_ms: signed_at_ms + offset_ms,
                ..case.request()
            };
            assert_eq!(
                is_refused(dispatch(&declared, case.secret, &request)),
                !good,
                "{}: {offset_ms}",
                case.name
            );
        }
    }
}

#[test]
fn a_token_with_a_time_in_the_body_is_good_for_its_while() {
    let rule = "{scheme: token, header: X-Token, timestamp: {json: /at}, tolerance: 5m}";
    let declared = provider(&format!("verify: {rule}\nevent: {{name: any}}"), &[]);
    let sent = |time: &str| {
        let request = post(&[("X-Token", "s3cret")], format!("{{\"at\":{time}}}"));
        outcome(dispatch(&declared, "s3cret", &request))
    };
    assert_eq!(sent("1700000000"), "ok");
    assert_eq!(sent("1699999700"), "ok");
    for beyond in ["1699999699", "1700000301"] {
        let said = sent(beyond);
        assert!(said.starts_with("unauthenticated: "), "{beyond}: {said}");
    }
    assert_eq!(
        sent("\"soon\""),
        "unauthenticated: the timestamp is not a time in seconds"
    );
}

#[test]
fn the_standard_webhooks_vectors_hold() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/standard-webhooks.json")).unwrap();
    let declared = provider(
        &format!("verify: {STANDARD}\nevent: {{name: anything}}"),
        &[],
    );
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let timestamp = vector["timestamp"].as_i64().unwrap();
        let moment = timestamp.to_string();
        let headers = [
            ("webhook-id", text("id")),
            ("webhook-timestamp", &moment),
            ("webhook-signature", text("signature")),
        ];
        let request = OwnedRequest {
            received_at_ms: timestamp * 1000,
            ..post(&headers, text("body"))
        };
        assert_eq!(
            dispatch(&declared, text("secret"), &request),
            Ok(1),
            "{}",
            text("id")
        );

        let subscription = subscription(&declared, text("secret"));
        let unsigned = OwnedRequest {
            received_at_ms: timestamp * 1000,
            ..post(&[("webhook-id", text("id"))], text("body"))
        };
        let added = declared
            .sign(&subscription, &unsigned.as_request())
            .unwrap();
        assert_eq!(
            added[1],
            ("webhook-signature".to_owned(), text("signature").to_owned())
        );
    }
}

#[test]
fn what_is_signed_by_the_rule_is_accepted_by_it() {
    for case in CASES {
        let declared = case.declared();
        let subscription = subscription(&declared, case.secret);
        let mut request = post(&[], case.body);
        request.received_at_ms = case.received_at_ms;
        if case.name == "standard webhooks" {
            request
                .headers
                .push(("webhook-id".to_owned(), b"msg_2".to_vec()));
        }
        let added = declared.sign(&subscription, &request.as_request()).unwrap();
        request.headers.extend(
            added
                .into_iter()
                .map(|(name, value)| (name, value.into_bytes())),
        );
        assert!(
            declared
                .dispatch(&subscription, &request.as_request())
                .is_ok(),
            "{}",
            case.name
        );
    }
}

#[test]
fn verification_comes_before_anything_is_read() {
    let declared = provider(
        "verify: {scheme: hmac-sha256, header: X-Sign}\nevent: {json: /type}\nbody: {form: payload, each: /x}",
        &[],
    );
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("X-Sign", "00"),
    ];
    for headers in [&form[..], &form[1..]] {
        let result = dispatch(&declared, "s", &post(headers, "not json, no form"));
        assert_eq!(
            outcome(result),
            "unauthenticated: the signature in X-Sign does not hold"
        );
    }
}

#[test]
fn without_a_rule_nothing_is_accepted() {
    let declared = provider("event: {name: anything}", &[]);
    assert!(is_refused(dispatch(&declared, "s", &post(&[], "{}"))));
}

#[test]
fn going_without_verification_must_be_written() {
    let declared = provider("verify: {scheme: none}\nevent: {name: anything}", &[]);
    assert_eq!(dispatch(&declared, "unused", &post(&[], "{}")), Ok(1));

    let declared = provider(
        "verify: {scheme: hmac-sha256, header: X-Sign}\nevent: {name: anything}",
        &[],
    );
    let mut spec = spec(&[]);
    spec.parameters
        .insert("verification".to_owned(), "none".into());
    assert_eq!(declared.validate_subscription(&spec), []);
    let subscription = declared.open_subscription(spec).unwrap();
    assert_eq!(
        declared
            .dispatch(&subscription, &post(&[], "{}").as_request())
            .unwrap()
            .events
            .len(),
        1
    );
}

#[test]
fn errors_show_neither_secret_nor_signature() {
    let declared = provider(
        "verify: {scheme: hmac-sha256, header: X-Sign, prefix: v0=}",
        &[],
    );
    let subscription = subscription(&declared, "hush-hush");
    for header in ["v0=deadbeef", "v0=zz", "deadbeef"] {
        let error = declared
            .dispatch(
                &subscription,
                &post(&[("X-Sign", header)], "{}").as_request(),
            )
            .unwrap_err();
        assert!(
            !format!("{error:?}").contains("hush") && !format!("{error:?}").contains("deadbeef"),
            "{error:?}"
        );
    }
    assert!(!format!("{subscription:?}").contains("hush"));
}
