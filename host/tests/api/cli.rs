//! The client commands as a person types them, against the API on a loopback port.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;

use crate::support::{Api, CANARY};

const DOCUMENT: &str = "\
workspace: default
runnables:
- {path: f/demo/record, command: {argv: [./record.sh], timeout: 30s}}
subscriptions:
- name: my-repo
  provider: acme
  manual: {webhook_secret: '${HOOK_SECRET}'}
triggers:
- {name: on-main, subscription: my-repo, event: push, parameters: {branches: [main]}, runnable: f/demo/record}
";

/// The API and an endpoint beside it, served.
struct Served {
    api: Api,
    url: String,
    folder: tempfile::TempDir,
    /// Requests that came to the endpoint.
    arrived: Arc<AtomicU32>,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(endpoint_answers: StatusCode) -> Served {
        let api = Api::start().await;
        let arrived = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&arrived);
        let endpoint = post(async move || {
            counter.fetch_add(1, Ordering::Relaxed);
            endpoint_answers
        });
        let router: Router = api.router.clone();
        let router = router.route("/webhooks/acme/{endpoint}", endpoint);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("d.yaml"), DOCUMENT).expect("a document");
        Served {
            api,
            url,
            folder,
            arrived,
            server,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triggerd"));
        command
            .args(arguments)
            .env_clear()
            .env("TRIGGERD_URL", &self.url)
            .env("TRIGGERD_TOKEN", &self.api.admin)
            .env("HOOK_SECRET", CANARY)
            .env("TZ", "UTC")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        output.await.expect("no panic").expect("it runs")
    }

    async fn run_ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    async fn run_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run_ok(arguments).await).expect("one JSON document")
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_applied_and_shown_for_people_and_for_scripts() {
    let served = Served::start(StatusCode::OK).await;
    let dry = served.run_ok(&["apply", "-f", "d.yaml", "--dry-run"]).await;
    assert!(
        dry.contains("dry run, nothing was changed: 3 created"),
        "{dry}"
    );
    let shown = served.run_ok(&["apply", "-f", "d.yaml"]).await;
    let line = shown
        .lines()
        .find(|line| line.starts_with("subscription"))
        .expect("a line");
    assert!(
        line.contains("my-repo") && line.contains("active"),
        "{line}"
    );
    assert!(
        line.contains("http://hooks.example.org/webhooks/acme/ep_"),
        "{line}"
    );
    assert!(!shown.contains('\x1b'), "no colours where no terminal is");
    let again = served.run_json(&["apply", "-f", "d.yaml", "--json"]).await;
    assert_eq!(again["triggers"][0]["action"], "unchanged");

    let list = served.run_json(&["subscriptions", "--json"]).await;
    assert_eq!(list["items"][0]["name"], "my-repo");
    for command in ["runnables", "triggers", "requests", "events", "jobs"] {
        assert!(
            !served.run_ok(&[command]).await.contains(CANARY),
            "{command}"
        );
        assert!(
            served.run_json(&[command, "--json"]).await["items"].is_array(),
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_mistakes_is_refused_by_line() {
    let served = Served::start(StatusCode::OK).await;
    let text = DOCUMENT
        .replace("event: push", "event: no-such")
        .replace("argv:", "argw:")
        .replace("provider: acme", "provider: acne");
    std::fs::write(served.folder.path().join("bad.yaml"), text).expect("a document");
    let said = served.refused(&["apply", "-f", "bad.yaml"]).await;
    assert!(
        said.contains("bad.yaml:3:35: `argw` is not known here; allowed: argv, timeout, "),
        "{said}"
    );
    std::fs::write(
        served.folder.path().join("bad.yaml"),
        DOCUMENT
            .replace("event: push", "event: no-such")
            .replace("acme", "acne"),
    )
    .expect("a document");
    let said = served.refused(&["apply", "-f", "bad.yaml"]).await;
    let line = "bad.yaml:6:13: there is no provider `acne`; allowed: acme";
    assert!(said.contains(line), "{said}");
    assert_eq!(
        served.api.get("runnables").await["items"],
        serde_json::json!([])
    );

    let said = served.refused(&["apply", "-f", "gone.yaml"]).await;
    assert!(said.contains("cannot read gone.yaml"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_sent_counted_and_refusals_fail_the_command() {
    let served = Served::start(StatusCode::OK).await;
    served.run_ok(&["apply", "-f", "d.yaml"]).await;
    let arguments = [
        "send", "acme", "push", "--to", "my-repo", "--count", "230", "--json",
    ];
    let sent = served.run_json(&arguments).await;
    assert_eq!(
        (&sent["accepted"], &sent["refused"]),
        (&230.into(), &0.into())
    );
    assert_eq!(served.arrived.load(Ordering::Relaxed), 230);

    let said = served
        .refused(&["send", "acme", "issues", "--to", "my-repo"])
        .await;
    assert!(said.contains("there is no sample of `issues`"), "{said}");
    let said = served
        .refused(&["send", "other", "push", "--to", "my-repo"])
        .await;
    assert!(
        said.contains("`my-repo` is a subscription of `acme`, not of `other`"),
        "{said}"
    );
    let said = served
        .refused(&["send", "acme", "push", "--to", "gone"])
        .await;
    assert!(said.contains("there is no subscription `gone`"), "{said}");

    let broken = Served::start(StatusCode::SERVICE_UNAVAILABLE).await;
    broken.run_ok(&["apply", "-f", "d.yaml"]).await;
    let output = broken
        .run(&["send", "acme", "push", "--to", "my-repo", "--count", "3"])
        .await;
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("0 accepted, 3 refused"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_shown_cancelled_and_replayed() {
    let served = Served::start(StatusCode::OK).await;
    served.run_ok(&["apply", "-f", "d.yaml"]).await;
    let body = serde_json::json!({ "runnable": "f/demo/record", "arguments": { "a": 1 } });
    let job = served.api.post("jobs", body).await.body;
    let id = job["id"].as_str().expect("an id");
    let list = served.run_ok(&["jobs", "--state", "ready"]).await;
    assert!(
        list.contains(id) && list.contains("2027-01-15 08:00:00"),
        "{list}"
    );
    served.run_ok(&["jobs", "cancel", id]).await;
    let replayed = served.run_json(&["jobs", "replay", id, "--json"]).await;
    assert_eq!(replayed["origin_job_id"], id);
    let shown = served.run_json(&["jobs", "show", id, "--json"]).await;
    assert_eq!(
        (&shown["state"], &shown["arguments"]["a"]),
        (&"cancelled".into(), &1.into())
    );
    let shown = served.run_ok(&["jobs", "show", id]).await;
    assert!(
        shown.contains("cancelled") && shown.contains("f/demo/record"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_said_once_and_asks_for_nothing_that_is_there() {
    let served = Served::start(StatusCode::OK).await;
    let said = served.refused(&["workspace", "create", "../x"]).await;
    assert_eq!(said.matches("letters").count(), 1, "{said}");
    assert!(said.contains("(/name)"), "{said}");
    // The harness sets TRIGGERD_URL and TRIGGERD_TOKEN.
    let output = served.run(&["send", "acme"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("<EVENT>") && !said.contains("--token"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_workspaces_are_managed() {
    let served = Served::start(StatusCode::OK).await;
    served.run_ok(&["workspace", "create", "third"]).await;
    assert!(
        served
            .run_ok(&["workspace", "list"])
            .await
            .contains("third")
    );
    let arguments = [
        "token",
        "create",
        "ci",
        "--scope",
        "read",
        "--workspace",
        "third",
    ];
    let token = served.run_ok(&arguments).await.trim().to_owned();
    let mine = ["jobs", "--token", &token, "--workspace", "third"];
    served.run_ok(&mine).await;
    let said = served.refused(&["jobs", "--token", &token]).await;
    assert!(said.contains("there is no workspace `default`"), "{said}");
    let said = served.refused(&["jobs", "--token", "tdt_wrong"]).await;
    assert!(said.contains("TRIGGERD_TOKEN"), "{said}");
    let list = served.run_json(&["token", "list", "--json"]).await;
    let items = list["items"].as_array().expect("items");
    let made = items
        .iter()
        .find(|item| item["name"] == "ci")
        .expect("the token");
    let id = made["id"].as_str().expect("an id").to_owned();
    let arguments = [
        "token",
        "create",
        "brief",
        "--scope",
        "read",
        "--expires-in",
    ];
    let arguments: Vec<&str> = arguments.into_iter().chain(["1h"]).collect();
    served.run_ok(&arguments).await;
    served.api.clock.advance(Duration::from_secs(3600));
    served.run_ok(&["token", "revoke", &id]).await;
    let shown = served.run_ok(&["token", "list"]).await;
    for (name, state) in [("ci", "revoked"), ("brief", "expired")] {
        let mut lines = shown.lines();
        let line = lines.find(|line| line.split_whitespace().nth(1) == Some(name));
        let line = line.expect("a line");
        assert!(line.contains(state), "{line}");
    }
    served.refused(&mine).await;
    assert!(served.run_ok(&["provider", "list"]).await.contains("acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_command_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |url: Option<&str>, folder: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triggerd"));
        command.arg("jobs").arg("--data").arg(folder).env_clear();
        if let Some(url) = url {
            command.args(["--url", url]);
        }
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = run(None, folder.path());
    assert!(
        said.contains("triggerd serve") && said.contains("TRIGGERD_URL"),
        "{said}"
    );
    // The port was free a moment ago and nobody listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    assert!(
        run(Some(&url), folder.path()).contains("cannot reach"),
        "unreachable"
    );
}

#[test]
fn the_settings_file_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_triggerd"))
        .arg("config")
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text, triggerd::config::SETTINGS_TEXT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_ends_nothing_badly() {
    let served = Served::start(StatusCode::OK).await;
    served.run_ok(&["apply", "-f", "d.yaml"]).await;
    for arguments in [
        &["config"][..],
        &["runnables"],
        &["runnables", "--json"],
        &["apply", "-f", "d.yaml"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_triggerd"));
        command
            .args(arguments)
            .env_clear()
            .env("TRIGGERD_URL", &served.url)
            .env("TRIGGERD_TOKEN", &served.api.admin)
            .env("HOOK_SECRET", CANARY)
            .current_dir(served.folder.path())
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("no panic").expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
    }
}
