//! Whole hosts with connections to a WebSocket server: messages, replies, ends, two hosts, kills.

mod declared;
#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "other tests stop their cluster")]
#[path = "../harness/postgres.rs"]
mod postgres_harness;
mod server;
mod stories;
mod trouble;

use std::fs;

use harness::{Host, Options, place, root, target};
use serde_json::Value;
use sqlx::{Executor, Row};

/// A host with the provider for any WebSocket server.
pub async fn start(options: Options) -> Host {
    let host = Host::start_with(options).await;
    with_provider(&host).await;
    host
}

pub async fn with_provider(host: &Host) {
    place(
        &target().join("libprovider_websocket.so"),
        &host.path("plugins/libprovider_websocket.so"),
    );
    fs::copy(
        root().join("manifests/websocket.yaml"),
        host.path("manifests/websocket.yaml"),
    )
    .expect("the manifest");
    host.until("the provider", async || {
        let providers = host.get("/api/v1/providers").await;
        let items = providers["items"].as_array().expect("items").clone();
        let is_loaded = |one: &&Value| one["name"] == "websocket" && one["state"] == "loaded";
        items.iter().find(is_loaded).map(|_| ())
    })
    .await;
}

pub fn options(database: Option<&str>) -> Options {
    let variable = database.map(|url| ("TRIGGERD_DATABASE".to_owned(), url.to_owned()));
    Options {
        variables: variable.into_iter().collect(),
        no_plugins: true,
        ..Options::default()
    }
}

/// A document with a subscription `feed` whose `socket` is this, and a trigger for all its messages.
pub fn document(socket: &str) -> String {
    format!(
        "
workspace: default
runnables:
- {{path: f/t/echo, command: {{argv: [./echo.sh]}}}}
- {{path: f/t/hello, command: {{argv: [./hello.sh]}}}}
subscriptions:
- name: feed
  provider: websocket
  socket: {socket}
triggers:
- {{name: all, subscription: feed, event: message, runnable: f/t/echo}}
"
    )
}

/// Where requests for `feed` would go. Nobody is told of it, since nothing is taken there.
pub async fn untold_endpoint(host: &Host) -> String {
    let shown = host.items("subscriptions").await;
    assert!(shown[0]["endpoint_url"].is_null(), "{shown:?}");
    let printed = host.cli_ok(&["subscriptions"]);
    assert!(!printed.contains("/webhooks/"), "{printed}");
    let pool = host.database(None).await;
    let found = pool.fetch_one("select provider, endpoint from subscriptions where name = 'feed'");
    let row = found.await.expect("the subscription");
    pool.close().await;
    let (provider, endpoint): (String, String) = (row.get(0), row.get(1));
    format!("{}/webhooks/{provider}/{endpoint}", host.url)
}

pub fn scripts(host: &Host) {
    host.script("echo.sh", "cat");
    host.script("hello.sh", "printf '\"hello from a runnable\"'");
}

/// The arguments of all jobs of the echo, oldest first.
pub async fn arguments(host: &Host) -> Vec<Value> {
    let mut found = host.all_items("jobs").await;
    found.retain(|job| job["runnable"] == "f/t/echo");
    found.reverse();
    let mut arguments = Vec::new();
    for job in found {
        let id = job["id"].as_str().expect("an id");
        let path = format!("/api/v1/workspaces/default/jobs/{id}");
        arguments.push(host.get(&path).await["arguments"].clone());
    }
    arguments
}

pub async fn messages(host: &Host) -> Vec<String> {
    let arguments = arguments(host).await;
    let message = |one: &Value| one["msg"].as_str().expect("a text").to_owned();
    arguments.iter().map(message).collect()
}
