//! A fake on a real port: answers, faults, controls, and what it sends.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use triggerd_fakes::{Answer, Delivery, Exchange, FakeServer, Service};

/// Greets, and calls back whoever asks for it.
#[derive(Default)]
struct Greeter {
    outbox: Mutex<Vec<Delivery>>,
    heard: Mutex<Vec<String>>,
}

impl Service for Greeter {
    fn name(&self) -> &'static str {
        "greeter"
    }

    fn handle(&self, _at_ms: i64, request: &Exchange) -> Answer {
        let line = format!("{} {}", request.method, request.path);
        self.heard.lock().expect("no test panics here").push(line);
        if let Some(url) = request.query_value("call") {
            self.outbox
                .lock()
                .expect("no test panics here")
                .push(Delivery {
                    id: 7,
                    url,
                    headers: vec![("x-greeting".to_owned(), "hello".to_owned())],
                    body: b"{}".to_vec(),
                    before_answer: true,
                });
        }
        Answer::json(200, &json!({"hello": request.segments()}))
    }

    fn control(&self, at_ms: i64, action: &str, _arguments: &Value) -> Result<Value, String> {
        match action {
            "time" => Ok(json!(at_ms)),
            "heard" => Ok(json!(*self.heard.lock().expect("no test panics here"))),
            _ => Err(format!("there is no `{action}`")),
        }
    }

    fn outbox(&self, _at_ms: i64) -> Vec<Delivery> {
        std::mem::take(&mut self.outbox.lock().expect("no test panics here"))
    }

    fn delivered(&self, _at_ms: i64, id: u64, status: Option<u16>) {
        let line = format!("delivered {id} {status:?}");
        self.heard.lock().expect("no test panics here").push(line);
    }

    fn violations(&self) -> Vec<String> {
        vec!["too polite".to_owned()]
    }
}

async fn get(url: &str) -> Result<(u16, String), reqwest::Error> {
    let answer = client().get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn post(url: &str, body: &Value) -> (u16, Value) {
    let request = client().post(url).body(body.to_string());
    let answer = request.send().await.expect("the fake answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("it answers whole");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    builder.no_proxy().build().expect("a client")
}

async fn start() -> FakeServer {
    FakeServer::start(Arc::new(Greeter::default()))
        .await
        .expect("a free port")
}

#[tokio::test]
async fn a_request_is_answered_and_a_callback_comes_before_the_answer() {
    let caller = start().await;
    let called = start().await;
    let url = format!("{}/a/b%20c?call={}/back", caller.url, called.url);
    let (status, body) = get(&url).await.expect("it answers");
    assert_eq!((status, body.as_str()), (200, r#"{"hello":["a","b c"]}"#));
    assert_eq!(
        called.control("heard", &json!({})),
        Ok(json!(["POST /back"]))
    );
    let heard = caller.control("heard", &json!({})).expect("it knows");
    assert_eq!(heard, json!(["GET /a/b%20c", "delivered 7 Some(200)"]));
}

#[tokio::test]
async fn faults_are_set_by_request_and_healed() {
    let fake = start().await;
    let faults = format!("{}/_fake/faults", fake.url);
    let fault = json!({"path": "/x", "status": 503, "retry_after": 2});
    assert_eq!(post(&faults, &fault).await.0, 200);
    assert_eq!(
        get(&format!("{}/x", fake.url)).await.expect("an answer").0,
        503
    );
    assert_eq!(
        post(&format!("{}/_fake/heal", fake.url), &json!({}))
            .await
            .0,
        200
    );
    assert_eq!(
        post(
            &faults,
            &json!({"path": "/x", "after": true, "cut": true, "times": 1})
        )
        .await
        .0,
        200
    );
    assert!(
        get(&format!("{}/x", fake.url)).await.is_err(),
        "the answer is lost"
    );
    assert_eq!(
        get(&format!("{}/x", fake.url)).await.expect("an answer").0,
        200
    );
    assert_eq!(
        fake.control("heard", &json!({})),
        Ok(json!(["GET /x", "GET /x"]))
    );
    assert_eq!(post(&faults, &json!({"colour": "red"})).await.0, 400);
}

#[tokio::test]
async fn its_clock_runs_ahead_when_told_and_an_unknown_action_is_refused() {
    let fake = start().await;
    let before = fake.control("time", &json!({})).expect("a time");
    let ahead = format!("{}/_fake/ahead", fake.url);
    assert_eq!(post(&ahead, &json!({"ms": 86_400_000})).await.0, 200);
    let after = fake.control("time", &json!({})).expect("a time");
    let passed = after.as_i64().expect("ms") - before.as_i64().expect("ms");
    assert!((86_400_000..86_500_000).contains(&passed), "{passed}");
    let (status, body) = post(&format!("{}/_fake/sing", fake.url), &json!({})).await;
    assert_eq!(
        (status, body),
        (400, json!({"error": "there is no `sing`"}))
    );
    let violations = post(&format!("{}/_fake/violations", fake.url), &json!({})).await;
    assert_eq!(violations, (200, json!(["too polite"])));
}
