//! Calls that a seed makes up out of genuine ones: each is taken or refused by what is wrong with it,
//! and the host is as well afterwards as it was.

use serde_json::{Value, json};

use super::harness::Host;
use super::seeded::Noise;
use super::{Call, start};

const JSON: &[u8] = br#"{"a":[1,{"b":null}],"c":"\u00e4\n","d":1.5e3,"":true}"#;
const FORM: &[u8] = b"a=1&b=%7B%22x%22%3A1%7D&a=2&=&c";
const PARTS: &[u8] = b"--B\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\
    content-type: text/plain\r\n\r\nhello\r\n--B\r\ncontent-disposition: form-data; name=\"t\"\r\n\r\n\
    text\r\n--B--\r\n";
const EVENT: &[u8] = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{"a":1}}"#;
const BATCH: &[u8] = br#"[{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AAE="},{"specversion":"1.0","id":"2","source":"/s","type":"t"}]"#;

const CALLS: [(&str, &[u8]); 6] = [
    ("application/json", JSON),
    ("application/x-www-form-urlencoded", FORM),
    ("multipart/form-data; boundary=B", PARTS),
    ("application/cloudevents+json", EVENT),
    ("application/cloudevents-batch+json", BATCH),
    ("text/plain; charset=utf-8", b"{}"),
];

/// Disabled, the runnable's jobs wait: what is tried here is what takes them.
async fn host_that_only_takes() -> Host {
    let host = start().await;
    let url = format!(
        "{}/api/v1/workspaces/default/runnables/f%2Ft%2Fecho/state",
        host.url
    );
    let asked = host.client().post(url).bearer_auth(&host.token);
    let answer = asked.json(&json!({"state": "disabled"})).send().await;
    assert!(answer.expect("an answer").status().is_success());
    host
}

#[tokio::test]
async fn bodies_of_every_kind_are_taken_or_refused_whatever_is_in_them() {
    let host = host_that_only_takes().await;
    let mut noise = Noise::from(11);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..360 {
        let (kind, genuine) = CALLS[round % CALLS.len()];
        let mut body = genuine.to_vec();
        for _ in 0..noise.below(3) {
            noise.change(&mut body);
        }
        let call = Call::post(&host, "run/p/f/t/echo?raw=true").header("content-type", kind);
        let answer = call.body(body.clone()).send().await;
        let shown = String::from_utf8_lossy(&body);
        match answer.status.as_u16() {
            201 => taken += 1,
            400 | 413 | 415 | 422 => {
                refused += 1;
                let error: Value = serde_json::from_str(&answer.text).expect("JSON");
                assert!(error.is_object(), "{kind} {shown:?}: {answer:?}");
            }
            _ => panic!("{kind} {shown:?}: {answer:?}"),
        }
    }
    assert!(
        taken > 60 && refused > 60,
        "{taken} taken, {refused} refused"
    );
    let panics = host.metric("triggerd_panics_total").await;
    assert_eq!(panics, 0.0, "{}", host.log());
}

#[tokio::test]
async fn what_stands_beside_the_body_is_taken_or_refused_too() {
    let host = host_that_only_takes().await;
    let mut noise = Noise::from(12);
    for _ in 0..240 {
        let mut query = b"include_query=a&include_header=x-a,x-b&raw=true&payload=eyJhIjoxfQ&parent_job=x&tag=t".to_vec();
        let mut attribute = b"1.0; a=%C3%A4 \"q\"".to_vec();
        noise.change(&mut query);
        noise.change(&mut attribute);
        // What no client can send is not what this tries.
        let is_path = |byte: &u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(byte);
        let query: Vec<u8> = query.into_iter().filter(is_path).collect();
        let query = String::from_utf8(query).expect("ASCII");
        attribute.retain(|byte| (0x20..0x7f).contains(byte));
        let attribute = String::from_utf8(attribute).expect("ASCII");
        let path = format!("run/p/f/t/echo?{query}");
        let answer = Call::post(&host, &path)
            .header("ce-specversion", &attribute)
            .header("ce-type", &attribute)
            .header("ce-id", "1")
            .header("ce-source", "/s")
            .header("content-type", &attribute)
            .body("{}")
            .send()
            .await;
        let status = answer.status.as_u16();
        assert!(
            [201, 400, 404, 415, 422].contains(&status),
            "{path} {attribute:?}: {answer:?}"
        );
    }
    let panics = host.metric("triggerd_panics_total").await;
    assert_eq!(panics, 0.0, "{}", host.log());
}
