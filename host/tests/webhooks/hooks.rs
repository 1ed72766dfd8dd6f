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
async fn runnables_triggers_and_subscriptions_are_told_of_from_their_making_to_their_end() {
    let host = Host::start().await;
    host.script("echo.sh", "cat");
    host.script("fail.sh", "exit 3");
    let mut target = Target::answering("204 No Content", "", "").await;
    let secret = set(&host, &target, &[]).expect("a new secret");
    let document = |script: &str, secret: &str, branch: &str| {
        json!({"workspace": "default",
            "runnables": [{"path": "f/t/a", "command": {"argv": [script]}}],
            "subscriptions": [{"name": "repo", "provider": "github",
                "manual": {"webhook_secret": secret}}],
            "triggers": [{"name": "on-push", "subscription": "repo", "event": "push",
                "parameters": {"branches": [branch]}, "runnable": "f/t/a"}]})
        .to_string()
    };
    let url = target.url("/changes");
    let mut hear = async |verb: &str| {
        let mut told_of = Vec::new();
        for _ in 0..3 {
            let told = told(&target.seen().await, &secret);
            let kind = told["type"].as_str().expect("a type");
            let name = told["data"]["name"].as_str().expect("a name");
            told_of.push(format!("{kind} {name}"));
        }
        told_of.sort();
        let expected = [
            format!("runnable.{verb} f/t/a"),
            format!("subscription.{verb} repo"),
            format!("trigger.{verb} on-push"),
        ];
        assert_eq!(told_of, expected);
    };
    host.apply(&document("./echo.sh", "secret-one", "main"));
    hear("created").await;
    host.apply(&document("./fail.sh", "secret-two", "other"));
    hear("updated").await;
    let hook = json!({"url": url, "allow": [LOOPBACK]});
    let empty = json!({"workspace": "default", "webhook": hook}).to_string();
    let path = host.path("empty.yaml");
    std::fs::write(&path, empty).expect("a document");
    let path = path.to_str().expect("a path");
    host.cli_ok(&["apply", "-f", path, "--prune"]);
    hear("deleted").await;
    assert!(!target.has_seen_more());
}

#[tokio::test]
async fn a_document_names_who_is_told_and_changes_and_prunes_it() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        let mut target = Target::answering("204 No Content", "", "").await;
        let with = |hook: Value| {
            json!({"workspace": "default", "webhook": hook,
                "runnables": [{"path": "f/t/new", "command": {"argv": ["./echo.sh"]}}]})
        };
        let hook = json!({"url": target.url("/changes?key=CANARY-9"), "allow": [LOOPBACK]});
        let apply = |document: &Value, more: &[&str]| -> Value {
            let path = host.path("hook.yaml");
            std::fs::write(&path, document.to_string()).expect("a document");
            let path = path.to_str().expect("a path");
            let fixed = ["apply", "-f", path, "--json"];
            let printed = host.cli_ok(&[&fixed[..], more].concat());
            serde_json::from_str(&printed).expect("JSON")
        };
        let dry = apply(&with(hook.clone()), &["--dry-run"]);
        assert_eq!(dry["settings"][0]["action"], "created");
        assert!(dry["settings"][0]["secret"].is_null(), "{dry}");
        assert!(host.cli(&["workspace", "webhook", "show"]).status.code() != Some(0));

        // What it makes beside is told too.
        let made = apply(&with(hook.clone()), &[]);
        let setting = &made["settings"][0];
        assert_eq!(
            (&setting["name"], &setting["action"]),
            (&json!("webhook"), &json!("created"))
        );
        let url = target.url("/changes?[masked]");
        assert_eq!(setting["endpoint_url"], url);
        assert!(!made.to_string().contains("CANARY-9"), "{made}");
        let secret = setting["secret"].as_str().expect("a new secret").to_owned();
        assert_eq!(
            told(&target.seen().await, &secret)["type"],
            "runnable.created"
        );

        let again = apply(&with(hook.clone()), &[]);
        assert_eq!(again["settings"][0]["action"], "unchanged");
        assert!(again["settings"][0]["secret"].is_null(), "{again}");

        let own = format!("whsec_{}", STANDARD.encode([7; 32]));
        let other = json!({"url": target.url("/other"), "allow": [LOOPBACK], "secret": own});
        let dry = apply(&with(other.clone()), &["--dry-run"]);
        let differences = &dry["settings"][0]["differences"];
        let expected = json!([
            {"field": "url", "from": url, "to": target.url("/other")},
            {"field": "secret", "secret": true},
        ]);
        assert_eq!(*differences, expected);
        apply(&with(other), &[]);
        host.apply(&runnable("f/t/newer", "./echo.sh"));
        let seen = target.seen().await;
        assert!(seen.head.starts_with("POST /other "), "{seen:?}");
        told(&seen, &own);

        // A document that does not say it leaves it, and `null` or pruning takes it away.
        let silent = json!({"workspace": "default", "runnables": []});
        assert_eq!(apply(&silent, &[])["settings"], json!([]));
        let dry = apply(&silent, &["--prune", "--dry-run"]);
        assert_eq!(dry["settings"][0]["action"], "deleted");
        assert_eq!(shown(&host).await["url"], target.url("/other"));
        let gone = match variables.is_empty() {
            true => apply(&json!({"workspace": "default", "webhook": null}), &[]),
            false => apply(&silent, &["--prune"]),
        };
        assert_eq!(gone["settings"][0]["action"], "deleted");
        assert!(!host.cli(&["workspace", "webhook", "show"]).status.success());
        let audit = host.get("/api/v1/workspaces/default/audit?limit=100").await;
        let said = audit.to_string();
        assert!(said.contains("webhook.set") && said.contains("webhook.remove"));
        assert!(!said.contains(&own) && !said.contains("CANARY-9"));
    }
}

#[tokio::test]
async fn mistakes_of_a_webhook_in_a_document_are_placed() {
    let host = start().await;
    let path = host.path("wrong.yaml");
    let text = "workspace: default
webhook:
  url: ftp://example.org/
  secret: short
  allow: [x]
  colour: red
";
    std::fs::write(&path, text).expect("a document");
    let refused = host.cli(&["apply", "-f", path.to_str().expect("a path")]);
    let said = super::harness::text(&refused.stderr);
    for place in [
        "yaml:3:8: `url`",
        "yaml:4:11: `secret`",
        "yaml:5:11: `allow`",
        "yaml:6:3: `colour`",
    ] {
        assert!(said.contains(place), "{place}: {said}");
    }
}

#[tokio::test]
async fn another_host_tells_what_the_first_one_changed_and_each_change_once() {
    let database = Cluster::shared().database().await;
    let first = host_with(&[("TRIGGERD_DATABASE", &database)]).await;
    let second = super::beside(&first, &database, &[]).await;
    let mut target = Target::answering("204 No Content", "", "").await;
    let secret = set(&first, &target, &[]).expect("a new secret");
    for number in 0..6 {
        let host = [&first, &second][number % 2];
        host.apply(&runnable(&format!("f/t/r{number}"), "./echo.sh"));
    }
    let mut names = Vec::new();
    for _ in 0..6 {
        let told = told(&target.seen().await, &secret);
        names.push(told["data"]["name"].as_str().expect("a name").to_owned());
    }
    let expected: Vec<String> = (0..6).map(|number| format!("f/t/r{number}")).collect();
    assert_eq!(names, expected, "in their order, each once");
    second
        .until("nothing waits", async || {
            (shown(&second).await["waiting"] == 0).then_some(())
        })
        .await;
    assert!(!target.has_seen_more());
    // The host that changed it dies before it is told; the other one tells.
    let mut first = first;
    first.kill();
    second.apply(&runnable("f/t/last", "./echo.sh"));
    let last = told(&target.seen().await, &secret);
    assert_eq!(last["data"]["name"], "f/t/last");
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
