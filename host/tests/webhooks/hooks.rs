//! The webhook of a workspace: told of every change, signed, until it is taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::harness::Host;
use super::postgres_harness::Cluster;
use super::target::{Seen, Target};
use super::{host_with, start};

const LOOPBACK: &str = "127.0.0.0/8";

/// Names a target; returns the secret that was made.
fn set(host: &Host, target: &Target, more: &[&str]) -> Option<String> {
    let url = target.url("/changes");
    let fixed = [
        "workspace",
        "webhook",
        "set",
        &url,
        "--allow",
        LOOPBACK,
        "--json",
    ];
    let printed = host.cli_ok(&[&fixed, more].concat());
    let set: Value = serde_json::from_str(&printed).expect("JSON");
    set["secret"].as_str().map(str::to_owned)
}

async fn shown(host: &Host) -> Value {
    host.get("/api/v1/workspaces/default/webhook").await
}

/// What was told, after its signature was found to hold.
fn told(seen: &Seen, secret: &str) -> Value {
    let header = |name: &str| seen.header(name).expect(name);
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").expect("a secret"))
        .expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&seen.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
    assert_eq!(header("content-type"), "application/json");
    serde_json::from_slice(&seen.body).expect("JSON")
}

fn runnable(path: &str, script: &str) -> String {
    json!({"workspace": "default", "runnables": [{"path": path, "command": {"argv": [script]}}]})
        .to_string()
}

#[tokio::test]
async fn every_change_is_told_signed() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        let mut target = Target::answering("204 No Content", "", "").await;
        let secret = set(&host, &target, &[]).expect("a new secret");
        host.apply(&runnable("f/t/new", "./echo.sh"));
        let created = told(&target.seen().await, &secret);
        assert_eq!(created["type"], "runnable.created");
        assert_eq!(
            (&created["data"]["workspace"], &created["data"]["name"]),
            (&json!("default"), &json!("f/t/new"))
        );
        host.apply(&runnable("f/t/new", "./fail.sh"));
        let updated = told(&target.seen().await, &secret);
        assert_eq!(updated["type"], "runnable.updated");
        assert_eq!(updated["data"]["id"], created["data"]["id"]);
        assert_eq!(updated["data"]["name"], "f/t/new");
        let route = json!({"routes": [{"name": "r", "path": "/hooks/r", "auth": "none",
            "runnable": "f/t/new"}]});
        host.apply(&route.to_string());
        assert_eq!(told(&target.seen().await, &secret)["type"], "route.created");
        let delete = host.request(
            reqwest::Method::DELETE,
            "/api/v1/workspaces/default/routes/r",
        );
        let deleted = delete.send().await.expect("an answer");
        assert_eq!(deleted.status(), 204);
        let deleted = told(&target.seen().await, &secret);
        assert_eq!(
            (&deleted["type"], &deleted["data"]["name"]),
            (&json!("route.deleted"), &json!("r"))
        );
        // What changes nothing is not told, and of another workspace nothing either.
        host.apply(&runnable("f/t/new", "./fail.sh"));
        host.cli_ok(&["workspace", "create", "other"]);
        assert!(set(&host, &target, &[]).is_none(), "the secret stays");
        host.apply(&runnable("f/t/last", "./echo.sh"));
        let last = told(&target.seen().await, &secret);
        assert_eq!(last["data"]["name"], "f/t/last");
        host.until("all was told", async || {
            let shown = shown(&host).await;
            (shown["waiting"] == 0 && !shown["told_at"].is_null()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_change_that_was_not_taken_is_told_again_also_after_a_kill() {
    let mut host = start().await;
    let mut broken = Target::answering("503 Service Unavailable", "", "").await;
    let secret = set(&host, &broken, &[]).expect("a new secret");
    host.apply(&runnable("f/t/new", "./echo.sh"));
    let first = broken.seen().await;
    let second = broken.seen().await;
    assert_eq!(
        first.header("webhook-id"),
        second.header("webhook-id"),
        "one id over all tries"
    );
    host.until("the failure is shown", async || {
        let shown = shown(&host).await;
        let failure = shown["failure"].as_str()?.to_owned();
        failure.contains("503").then_some(())
    })
    .await;
    host.kill();
    host.resume().await;
    let mut target = Target::answering("200 OK", "", "").await;
    set(&host, &target, &[]);
    let seen = target.seen().await;
    assert_eq!(seen.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(told(&seen, &secret)["data"]["name"], "f/t/new");
    assert!(
        host.cli_ok(&["workspace", "webhook", "show"])
            .contains("/changes")
    );
}

#[tokio::test]
async fn what_is_not_open_is_not_reached_and_said_so() {
    let host = start().await;
    let mut target = Target::answering("200 OK", "", "").await;
    let url = target.url("/changes");
    host.cli_ok(&["workspace", "webhook", "set", &url]);
    host.apply(&runnable("f/t/new", "./echo.sh"));
    host.until("the refusal is shown", async || {
        let shown = shown(&host).await;
        let failure = shown["failure"].as_str()?.to_owned();
        failure.contains("loopback").then_some(())
    })
    .await;
    assert!(!target.has_seen_more());
    host.cli_ok(&["workspace", "webhook", "remove"]);
    let gone = host.cli(&["workspace", "webhook", "show"]);
    assert!(!gone.status.success());
}

#[tokio::test]
async fn one_that_is_gone_for_good_is_given_up_in_plain_sight() {
    let host = start().await;
    let mut target = Target::answering("410 Gone", "", "").await;
    set(&host, &target, &[]);
    host.apply(&runnable("f/t/new", "./echo.sh"));
    target.seen().await;
    let shown = host
        .until("it is given up", async || {
            let shown = shown(&host).await;
            (shown["waiting"] == 0 && !shown["failure"].is_null()).then_some(shown)
        })
        .await;
    let failure = shown["failure"].as_str().expect("text");
    assert!(
        failure.contains("runnable.create was given up"),
        "{failure}"
    );
}

#[tokio::test]
async fn its_secret_is_sealed_and_its_form_is_checked() {
    let host = start().await;
    let target = Target::answering("200 OK", "", "").await;
    let secret = format!("whsec_{}", STANDARD.encode([7; 32]));
    std::fs::write(host.path("secret"), &secret).expect("a file");
    assert!(set(&host, &target, &["--secret", "file:secret"]).is_none());
    for text in [
        shown(&host).await.to_string(),
        host.log(),
        host.get("/api/v1/workspaces/default/audit")
            .await
            .to_string(),
    ] {
        assert!(!text.contains(&secret));
    }
    for (wish, pointer) in [
        (json!({"url": "ftp://x/"}), "/url"),
        (json!({"url": "http://u:p@example.org/"}), "/url"),
        (
            json!({"url": "http://example.org/", "secret": "short"}),
            "/secret",
        ),
        (
            json!({"url": "http://example.org/", "allow": ["x"]}),
            "/allow/0",
        ),
    ] {
        let answer = host
            .request(reqwest::Method::PUT, "/api/v1/workspaces/default/webhook")
            .header("content-type", "application/json")
            .body(wish.to_string())
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 422);
        let body: Value =
            serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        assert_eq!(body["errors"][0]["pointer"], pointer);
    }
}
