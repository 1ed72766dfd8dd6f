//! A provider that is a declaration alone and says itself where its connection leads.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Host, place, target};
use crate::server::{Server, until};
use crate::trouble::reason;
use crate::{options, scripts};

fn declaration(network: &str) -> String {
    format!(
        "
identity: {{name: acme, author: us, label: Acme, description: A stream.}}
subscription_schema:
- {{name: channel, type: text-input, required: true, label: Channel}}
- {{name: token, type: secret-input, required: true, label: Token}}
extra:
  native:
    permissions: {{network: [{network}]}}
    transport:
      kind: websocket
      socket:
        url: 'ws://{{server}}/{{channel}}'
        headers: {{Authorization: 'Bearer {{token}}'}}
        initial_messages: [{{message: {{op: subscribe, channel: '{{channel}}'}}}}]
        heartbeat: {{message: 'beat {{{{state}}}}', every: 1s, state: seq}}
        message_max: 64KiB
        allow: [127.0.0.0/8]
    event: {{json: /type}}
    delivery_id: {{json: /id}}
"
    )
}

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
subscriptions:
- {name: feed, provider: acme, manual: {channel: news, token: canary-55}}
triggers:
- {name: trades, subscription: feed, event: trade, runnable: f/t/echo}
";

/// The address of a server without its scheme.
fn address(server: &Server) -> &str {
    server.url.strip_prefix("ws://").expect("an address")
}

/// A host with the provider `acme`, whose manifest names the server and says this of permissions.
async fn start(server: &Server, network: &str, permissions: &str) -> Host {
    let host = Host::start_with(options(None)).await;
    scripts(&host);
    let library = target().join("libprovider_declared.so");
    place(&library, &host.path("plugins/libprovider_declared.so"));
    let file = host.path("plugins/acme.provider.yaml");
    fs::write(file, declaration(network)).expect("written");
    let manifest = format!(
        "provider: acme\ndeclaration: acme.provider.yaml\nconfig: {{server: '{}'}}\n\
         permissions: {{{permissions}}}\n",
        address(server)
    );
    fs::write(host.path("manifests/acme.yaml"), manifest).expect("written");
    host.until("the provider", async || {
        let list = host.get("/api/v1/providers").await;
        let rows = list["items"].as_array()?;
        let is_loaded = |row: &&Value| row["name"] == "acme" && row["state"] == "loaded";
        rows.iter().find(is_loaded).map(|_| ())
    })
    .await;
    host.apply(DOCUMENT);
    host
}

const OPENED: &str = "allow: [127.0.0.0/8]";

#[tokio::test]
async fn a_declaration_alone_can_speak_over_a_connection() {
    let server = Server::start().await;
    let host = start(&server, "'{server}'", OPENED).await;
    let connection = server.connection(1).await;
    assert_eq!(connection.target, "/news");
    assert_eq!(connection.header("authorization"), Some("Bearer canary-55"));
    until("what is said first", || {
        let subscribed = r#"{"op":"subscribe","channel":"news"}"#;
        (connection.received().first()? == subscribed).then_some(())
    })
    .await;
    // By the declaration's rules: named by a field, marked by another, unknown names are no trigger's.
    for text in [
        r#"{"type":"trade","id":"t-1","seq":7,"price":1}"#,
        r#"{"type":"trade","id":"t-1","seq":7,"price":1}"#,
        r#"{"type":"quote","id":"q-1","seq":8}"#,
        r#"{"type":"trade","id":"t-2","seq":9,"price":2}"#,
    ] {
        connection.say(text);
    }
    host.until("both trades", async || {
        (host.items("jobs").await.len() == 2).then_some(())
    })
    .await;
    let mut prices: Vec<Value> = Vec::new();
    for job in host.items("jobs").await {
        let id = job["id"].as_str().expect("an id");
        let path = format!("/api/v1/workspaces/default/jobs/{id}");
        prices.push(host.get(&path).await["arguments"]["price"].clone());
    }
    prices.sort_by_key(Value::as_i64);
    assert_eq!(prices, [json!(1), json!(2)]);
    until("a heartbeat with the state", || {
        let beats = connection.received();
        beats.contains(&"beat 9".to_owned()).then_some(())
    })
    .await;
    for list in ["requests", "events", "jobs", "subscriptions"] {
        let shown = Value::from(host.items(list).await).to_string();
        assert!(!shown.contains("canary"), "{list}: {shown}");
    }
    assert!(!host.log().contains("canary"));
    // Over HTTP nobody speaks for it.
    let endpoint = crate::untold_endpoint(&host).await;
    let sent = host.client().post(endpoint).body("{}").send().await;
    assert!(sent.expect("an answer").status().is_client_error());
}

#[tokio::test]
async fn a_declared_connection_leads_only_where_the_provider_may_reach() {
    let server = Server::start().await;
    let elsewhere = "is not among the hosts that this caller may reach";
    // The declaration names another place, or none; or the manifest narrows it to another.
    for (network, permissions) in [
        ("'stream.acme.example:443'", OPENED.to_owned()),
        ("", OPENED.to_owned()),
        (
            "'{server}', 'stream.acme.example:443'",
            format!("{OPENED}, network: ['stream.acme.example:443']"),
        ),
    ] {
        let host = start(&server, network, &permissions).await;
        reason(&host, elsewhere).await;
    }
    assert!(server.made().is_empty());
}

#[tokio::test]
async fn a_declaration_opens_no_ranges_by_itself() {
    let server = Server::start().await;
    let host = start(&server, "'{server}'", "").await;
    reason(&host, "loopback").await;
    assert!(server.made().is_empty());
}

#[tokio::test]
async fn a_message_that_its_provider_cannot_read_is_refused_and_the_next_one_is_read() {
    let server = Server::start().await;
    let host = start(&server, "'{server}'", OPENED).await;
    let connection = server.connection(1).await;
    for text in ["no JSON", r#"{"type":7}"#, r#"{"type":"trade","id":"t-1"}"#] {
        connection.say(text);
    }
    host.item("jobs", |job| job["state"] == "done").await;
    let rows = host.items("requests").await;
    let refused = rows.iter().find(|row| row["outcome"] == "refused");
    let refused = refused.expect("a row that says so");
    assert_eq!(refused["status"], 400);
    assert!(refused["reason"].is_string(), "{refused}");
    assert_eq!(server.made().len(), 1, "the connection stays");
}

#[tokio::test]
async fn a_field_cannot_break_out_of_its_header() {
    let server = Server::start().await;
    let host = start(&server, "'{server}'", OPENED).await;
    server.connection(1).await;
    let broken = r#""canary\r\nX-Smuggled: y""#;
    host.apply(&DOCUMENT.replace("canary-55", broken));
    reason(&host, "a header cannot be sent as it is").await;
    assert_eq!(server.made().len(), 1, "it is not sent in another form");
}
