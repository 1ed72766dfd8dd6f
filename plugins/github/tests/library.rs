//! The library as the host loads it: what is exported really answers.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};
use trigger_plugin_abi::host::{CallError, HostServices, Level, Library};
use trigger_plugin_api::prelude::{HttpRequest, HttpResponse};
use trigger_plugin_api::testkit::block_on;
use triggerd_fakes::github::{Github, TOKEN};
use triggerd_fakes::{Exchange, Service};

const NOW_MS: i64 = 1_700_000_000_000;
const URL: &str = "https://triggers.acme.test/webhooks/github/ep_1";

/// A host that passes requests on to the fake.
struct Bridge(Arc<Github>);

impl HostServices for Bridge {
    fn log(&self, _: Level, _: &str, _: &str) {}

    fn now_ms(&self) -> i64 {
        NOW_MS
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(4);
    }

    fn call(
        &self,
        op: &str,
        json: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send>> {
        assert_eq!(op, "http");
        let request: HttpRequest = serde_json::from_slice(&json).unwrap();
        let address = request.url.strip_prefix("https://api.github.com").unwrap();
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut headers = request.headers;
        headers.push(("Authorization".to_owned(), format!("Bearer {TOKEN}")));
        let exchange = Exchange {
            method: request.method,
            path: path.to_owned(),
            query: query.to_owned(),
            host: "api.github.com".to_owned(),
            headers,
            body: request.body,
        };
        let answer = self.0.handle(NOW_MS, &exchange);
        let response = HttpResponse {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        };
        Box::pin(ready(Ok(serde_json::to_vec(&response).unwrap())))
    }
}

#[test]
fn the_exported_library_makes_checks_tests_pulls_and_deletes() {
    let github = Arc::new(Github::new());
    let mut path = std::env::current_exe().unwrap();
    path.set_file_name("libprovider_github.so");
    let library = Library::open(&path).unwrap();
    let bridge = Arc::new(Bridge(Arc::clone(&github)));
    let provider = library.create(bridge, r#"{"config":null}"#).unwrap();
    let call = |op: &str, input: &Value| -> Value {
        let answer = block_on(provider.call(op, input.to_string()));
        serde_json::from_slice(&answer.unwrap_or_else(|error| panic!("{op}: {error:?}"))).unwrap()
    };
    let mut held = json!({
        "id": "sub_1",
        "key": "reg_1",
        "endpoint_url": URL,
        "parameters": {"repository": "acme/site"},
        "secrets": {"webhook_secret": "Zm9yIHRlc3RzIG9ubHk"},
    });
    let created = call("create", &held);
    held["external_id"] = created["external_id"].clone();
    held["properties"] = created["properties"].clone();
    assert_eq!(call("check", &held)["state"], "ok");
    call("test", &held);
    github.control(NOW_MS, "push", &json!({})).unwrap();
    let sent = github.outbox(NOW_MS);
    assert_eq!(sent.len(), 3, "two pings and a push");
    for delivery in sent {
        github.delivered(NOW_MS, delivery.id, None);
    }
    let pulled = call("pull", &json!({"subscription": held, "cursor": null}));
    assert_eq!(
        pulled["notes"],
        json!(["1 delivery had failed; asked for again"])
    );
    assert_eq!(github.outbox(NOW_MS).len(), 1);
    call("delete", &held);
    assert_eq!(github.violations(), Vec::<String>::new());
}
