//! Requests that only want an answer.

use trigger_plugin_api::declaration::Declared;
use trigger_plugin_api::messages::{OwnedRequest, Reply};

use crate::support::{outcome, post, provider, spec, subscription};

fn get(query: &str) -> OwnedRequest {
    OwnedRequest {
        method: "GET".to_owned(),
        query: query.to_owned(),
        ..post(&[], "")
    }
}

fn answer(
    declared: &Declared,
    secrets: &[(&str, &str)],
    request: &OwnedRequest,
) -> trigger_plugin_api::Result<Reply> {
    let subscription = declared.open_subscription(spec(secrets))?;
    let dispatched = declared.dispatch(&subscription, &request.as_request())?;
    assert!(dispatched.events.is_empty());
    Ok(dispatched.reply.expect("a challenge has an answer"))
}

fn body(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

#[test]
fn a_url_verification_is_echoed_only_when_it_is_signed() {
    let declared = provider(
        "verify: {scheme: token, header: X-Token}
event: {json: /type}
challenge: {when: {at: /type, value: url_verification}, answer: {json: /challenge}}",
        &[],
    );
    let request = |token| {
        post(
            &[("X-Token", token)],
            r#"{"type": "url_verification", "challenge": "a\"b<c>"}"#,
        )
    };
    let secrets = [("webhook_secret", "s3cret")];
    let reply = answer(&declared, &secrets, &request("s3cret")).unwrap();
    assert_eq!((reply.status, body(&reply)), (200, r#"a"b<c>"#));
    assert!(
        reply
            .headers
            .contains(&("content-type".to_owned(), "text/plain".to_owned()))
    );
    assert!(
        reply
            .headers
            .contains(&("x-content-type-options".to_owned(), "nosniff".to_owned()))
    );
    assert!(outcome(answer(&declared, &secrets, &request("other"))).starts_with("unauthenticated"));
}

#[test]
fn in_json_the_answer_cannot_break_out_of_its_place() {
    let declared = provider(
        r#"verify: {scheme: none}
challenge:
- when: {at: /challenge}
  answer: {json: /challenge}
  reply: {content_type: application/json, body: '{"challenge": {answer}}'}"#,
        &[],
    );
    let reply = answer(
        &declared,
        &[],
        &post(&[], r#"{"challenge": "x\", \"admin\": \"{answer}"}"#),
    )
    .unwrap();
    assert_eq!(
        body(&reply),
        r#"{"challenge": "x\", \"admin\": \"{answer}"}"#
    );
}

#[test]
fn a_hub_challenge_is_echoed_to_whoever_knows_the_token() {
    let declared = provider(
        "verify: {scheme: hmac-sha256, header: X-Sign}
challenge: {method: get, when: {query: hub.mode, value: subscribe}, token: {query: hub.verify_token, secret: verify_token}, answer: {query: hub.challenge}}",
        &[],
    );
    let secrets = [("webhook_secret", "s"), ("verify_token", "let me in")];
    let ask = |query: &str| answer(&declared, &secrets, &get(query));
    let reply =
        ask("hub.mode=subscribe&hub.verify_token=let+me%20in&hub.challenge=1158201444").unwrap();
    assert_eq!(body(&reply), "1158201444");
    for wrong in ["hub.verify_token=let+me+inn&", "hub.verify_token=&", ""] {
        let refused = ask(&format!("hub.mode=subscribe&{wrong}hub.challenge=1"));
        assert!(
            outcome(refused).starts_with("unauthenticated: the query argument hub.verify_token")
        );
    }
    assert!(
        outcome(answer(
            &declared,
            &[("webhook_secret", "s")],
            &get("hub.mode=subscribe")
        ))
        .contains("`verify_token` is missing")
    );
}

#[test]
fn a_crc_is_answered_with_its_hmac() {
    let declared = provider(
        r#"verify: {scheme: hmac-sha256, header: X-Sign}
challenge:
  method: GET
  when: {query: crc_token}
  verified: false
  answer: {query: crc_token}
  hmac: {secret: webhook_secret, encoding: base64, prefix: sha256=}
  reply: {content_type: application/json, body: '{"response_token":{hmac}}'}"#,
        &[],
    );
    let secrets = [("webhook_secret", "crc_secret")];
    let reply = answer(&declared, &secrets, &get("crc_token=challenge_string")).unwrap();
    assert_eq!(
        body(&reply),
        r#"{"response_token":"sha256=aUmOrJRZq3Tdl/raVMFeK4XzmAEXQnPo2BjazCO62+E="}"#
    );
    // Anything else must be signed as ever.
    let subscription = subscription(&declared, "crc_secret");
    assert!(
        declared
            .dispatch(&subscription, &get("other=1").as_request())
            .is_err()
    );
    assert!(
        declared
            .dispatch(&subscription, &post(&[], "{}").as_request())
            .is_err()
    );
}

#[test]
fn a_signed_challenge_may_be_answered_with_an_hmac_too() {
    let declared = provider(
        r#"verify: {scheme: hmac-sha256, header: x-zm-signature, prefix: v0=, signed: 'v0:{header:x-zm-request-timestamp}:{body}', timestamp: {header: x-zm-request-timestamp}, tolerance: 5m}
event: {json: /event}
challenge:
  when: {at: /event, value: endpoint.url_validation}
  answer: {json: /payload/plainToken}
  hmac: {}
  reply: {content_type: application/json, body: '{"plainToken":{answer},"encryptedToken":{hmac}}'}"#,
        &[],
    );
    let request = post(
        &[
            ("x-zm-request-timestamp", "1700000000"),
            (
                "x-zm-signature",
                "v0=3465d2caf2dfcf3ce4d5e81eb674c6597400eee0fcfde8682c290b1dfd20b9a2",
            ),
        ],
        r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#,
    );
    let reply = answer(&declared, &[("webhook_secret", "zoom_secret")], &request).unwrap();
    assert_eq!(
        body(&reply),
        r#"{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"46a324cfb7c2ec760e4cd561586a53aadb6fc7561eb8d626d6ee1b71d808b3c0"}"#
    );
}
