//! The conformance feature of CloudEvents' HTTP binding, run as it is written against a whole host.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use serde_json::Value;

use super::harness::Host;
use super::{Call, start};

const FEATURE: &str = include_str!("../fixtures/cloudevents/http-protocol-binding.feature");

/// One example of an outline, its placeholders filled in.
struct Example {
    name: String,
    request: Vec<String>,
    attributes: BTreeMap<String, String>,
    data: Value,
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// The lines between the next two `"""`, without their indent.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<String> {
    lines
        .by_ref()
        .skip_while(|line| line.trim() != "\"\"\"")
        .skip(1)
        .take_while(|line| line.trim() != "\"\"\"")
        .map(|line| {
            line.strip_prefix("        ")
                .unwrap_or(line.trim())
                .to_owned()
        })
        .collect()
}

fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    for outline in FEATURE.split("Scenario Outline: ").skip(1) {
        let name = outline.lines().next().expect("a name");
        let mut lines = outline.lines();
        let request = block(&mut lines);
        let table: Vec<Vec<String>> = lines
            .by_ref()
            .take_while(|line| !line.contains("the data is equal"))
            .filter(|line| line.trim().starts_with('|'))
            .map(cells)
            .collect();
        let data = block(&mut lines).join("\n");
        let kinds: Vec<String> = lines
            .filter(|line| line.trim().starts_with('|'))
            .map(|line| cells(line).remove(0))
            .skip(1)
            .collect();
        for kind in kinds {
            let fill = |text: &str| text.replace("<contentType>", &kind);
            examples.push(Example {
                name: fill(name),
                request: request.iter().map(|line| fill(line)).collect(),
                attributes: table[1..]
                    .iter()
                    .map(|row| (row[0].clone(), fill(&row[1])))
                    .collect(),
                data: serde_json::from_str(&data).expect("JSON"),
            });
        }
    }
    examples
}

/// Sends the request as it is written, to our path and with our token; returns the body of the answer.
fn send(host: &Host, request: &[String]) -> Value {
    let address = host.url.strip_prefix("http://").expect("an address");
    let empty = request.iter().position(String::is_empty).expect("a body");
    let mut head = vec![format!(
        "POST /api/w/default/jobs/run_wait_result/p/f/t/echo?token={} HTTP/1.1",
        host.token
    )];
    head.extend(request[1..empty].iter().cloned());
    head.retain(|line| !line.to_ascii_lowercase().starts_with("content-length"));
    let body = request[empty + 1..].join("\n");
    head.push(format!("Content-Length: {}", body.len()));
    head.push("Connection: close".to_owned());
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    stream
        .write_all(format!("{}\r\n\r\n{body}", head.join("\r\n")).as_bytes())
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_conformance_feature_holds() {
    let host = start().await;
    let examples = examples();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let mut found = send(&host, &example.request);
        let found_attributes = found["WEBHOOK__METADATA__"].take();
        let attributes = serde_json::to_value(&example.attributes).expect("JSON");
        assert_eq!(found_attributes, attributes, "{}", example.name);
        found
            .as_object_mut()
            .expect("arguments")
            .remove("WEBHOOK__METADATA__");
        assert_eq!(found, example.data, "{}", example.name);
    }
}

#[tokio::test]
async fn the_handshake_is_answered() {
    let host = start().await;
    for path in ["run/p/f/t/echo", "run_wait_result/p/f/t/echo", "run/h/abc"] {
        let mut call = Call::post(&host, path)
            .token(None)
            .header("WebHook-Request-Origin", "eventemitter.example.com")
            .header("WebHook-Request-Callback", "http://127.0.0.1:9/never")
            .header("WebHook-Request-Rate", "120");
        call.method = reqwest::Method::OPTIONS;
        let answer = call.send().await;
        assert_eq!(answer.status, 200);
        let origin = &answer.headers["webhook-allowed-origin"];
        assert_eq!(origin, "eventemitter.example.com");
        assert_eq!(answer.headers["webhook-allowed-rate"], "120");
    }
    for rate in ["0", "-1", "fast", "99999999999", ""] {
        let mut call = Call::post(&host, "run/p/f/t/echo")
            .token(None)
            .header("WebHook-Request-Origin", "eventemitter.example.com")
            .header("WebHook-Request-Rate", rate);
        call.method = reqwest::Method::OPTIONS;
        let answer = call.send().await;
        assert_eq!(answer.headers["webhook-allowed-rate"], "*", "{rate}");
    }
}
