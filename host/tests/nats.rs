//! A NATS subject as a runnable, against a real server: what arrives, what comes back, what is told
//! apart when it does not work.

mod harness;
#[path = "harness/nats.rs"]
mod nats_harness;

use harness::{Host, Options};
use nats_harness::NatsServer;
use serde_json::{Value, json};

/// A runnable `f/t/nats` with these fields, its server opened, and one attempt for each job.
fn document(server: &NatsServer, fields: &str) -> String {
    format!(
        "workspace: default\nrunnables:\n- path: f/t/nats\n  retry: {{attempts_max: 1}}\n  \
         nats: {{url: '{}', allow: [127.0.0.0/8], timeout: 20s, {fields}}}\n",
        server.url()
    )
}

/// Calls the runnable; the job when it has ended, with the last attempt under `attempt`.
async fn run(host: &Host, arguments: Value) -> Value {
    let path = "/api/w/default/jobs/run/p/f/t/nats";
    let call = host.request(reqwest::Method::POST, path).json(&arguments);
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let id = answer.text().await.expect("an id");
    let id = id.trim_matches('"').to_owned();
    let mut job = host
        .item("jobs", |job| {
            job["id"] == id.as_str() && (job["state"] == "done" || job["state"] == "dead")
        })
        .await;
    let mut attempts = host.items(&format!("jobs/{id}/attempts")).await;
    job["attempt"] = attempts.pop().expect("an attempt");
    job
}

fn error_of(job: &Value) -> &str {
    assert_eq!(job["state"], "dead", "{job}");
    job["attempt"]["error"].as_str().expect("an error")
}

#[tokio::test]
async fn arguments_reach_whoever_listens_with_the_jobs_id() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    host.apply(&document(
        &server,
        "subject: orders.new, headers: {Kind: test}",
    ));
    let mut client = server.client(json!({})).await;
    client.subscribe("orders.>").await;
    let job = run(&host, json!({"order": 7})).await;
    assert_eq!(
        (&job["state"], &job["result"]),
        (&json!("done"), &Value::Null)
    );
    let heard = client.next().await;
    assert_eq!(heard.subject, "orders.new");
    assert_eq!(heard.json(), json!({"order": 7}));
    assert_eq!(heard.header("Nats-Msg-Id"), job["id"].as_str());
    assert_eq!(heard.header("Content-Type"), Some("application/json"));
    assert_eq!(heard.header("Kind"), Some("test"));
    assert_eq!(heard.header("Triggerd-Attempt"), Some("1"));
    assert_eq!(heard.reply_to, None);
}

#[tokio::test]
async fn a_stream_keeps_each_job_once_and_its_acknowledgement_is_the_result() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    host.apply(&document(&server, "subject: orders.new, jetstream: true"));
    let mut client = server.client(json!({})).await;
    let error = run(&host, json!(1)).await;
    assert!(
        error_of(&error).contains("no stream takes this subject"),
        "{error}"
    );
    client
        .make_stream(
            "ORDERS",
            "orders.*",
            json!({"max_msgs": 2, "discard": "new"}),
        )
        .await;

    let job = run(&host, json!(2)).await;
    assert_eq!(
        (&job["result"]["stream"], &job["result"]["seq"]),
        (&json!("ORDERS"), &json!(1))
    );
    // What an attempt before has left there already.
    let id = job["id"].as_str().expect("an id");
    let again = [format!("Nats-Msg-Id: {id}")];
    client
        .publish_with("orders.new", &[again[0].as_str()], "2")
        .await;
    assert_eq!(client.kept("ORDERS").await, 1);
    run(&host, json!(3)).await;
    assert_eq!(client.kept("ORDERS").await, 2);
    let full = run(&host, json!(4)).await;
    assert!(
        error_of(&full).contains("maximum messages exceeded"),
        "{full}"
    );
}

#[tokio::test]
async fn a_reply_is_the_result_and_its_error_the_attempts() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    host.apply(&document(
        &server,
        "subject: prices.get, reply: true, response_max: 1KiB",
    ));
    let nobody = run(&host, json!({})).await;
    assert_eq!(error_of(&nobody), "nobody listens on the subject");
    assert_eq!(nobody["attempt"]["outcome"], "failed");

    let mut client = server.client(json!({})).await;
    client.subscribe("prices.get").await;
    let answering = tokio::spawn(async move {
        for (headers, payload) in [
            (vec!["A: b"], r#"{"price": 12}"#.to_owned()),
            (vec!["A: b"], "x".repeat(5000)),
            (
                vec![
                    "Nats-Service-Error: unknown",
                    "Nats-Service-Error-Code: 404",
                ],
                "{}".to_owned(),
            ),
        ] {
            let asked = client.next().await;
            let reply_to = asked.reply_to.expect("an address for the reply");
            client.publish_with(&reply_to, &headers, &payload).await;
        }
        client
    });
    let job = run(&host, json!({"of": "tea"})).await;
    assert_eq!(job["result"], json!({"price": 12}));
    let long = run(&host, json!({})).await;
    assert_eq!(long["result"].as_str().map(str::len), Some(1024));
    let failed = run(&host, json!({})).await;
    assert_eq!(
        error_of(&failed),
        "the service could not do it: unknown (404)"
    );
    answering.await.expect("answered");
}

#[tokio::test]
async fn a_listener_that_does_not_reply_is_a_timeout() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    let fields = "subject: prices.get, reply: true";
    host.apply(&document(&server, fields).replace("20s", "300ms"));
    let mut client = server.client(json!({})).await;
    client.subscribe("prices.get").await;
    let job = run(&host, json!({})).await;
    assert_eq!(error_of(&job), "no answer within 300 ms");
    assert_eq!(job["attempt"]["outcome"], "timeout");
}

const USERS: &str = "authorization {users: [
  {user: full, password: right},
  {user: narrow, password: right, permissions: {publish: [\"orders.>\"], subscribe: [\"orders.>\"]}}
]}";

#[tokio::test]
async fn logins_are_sealed_and_what_they_may_not_is_told_apart() {
    let server = NatsServer::start(USERS);
    let host = Host::start().await;
    let with = |user: &str, password: &str, more: &str| {
        let login = format!("login: {{user: {user}, password: {password}}}, {more}");
        document(&server, &login)
    };
    host.apply(&document(&server, "subject: orders.new"));
    let none = run(&host, json!(1)).await;
    assert!(error_of(&none).contains("refuses the login"), "{none}");
    host.apply(&with("full", "canary-wrong", "subject: orders.new"));
    let wrong = run(&host, json!(1)).await;
    assert!(
        error_of(&wrong).contains("refuses the login: Authorization Violation"),
        "{wrong}"
    );
    host.apply(&with("narrow", "right", "subject: orders.new"));
    assert_eq!(run(&host, json!(1)).await["state"], "done");
    host.apply(&with("narrow", "right", "subject: secret.new"));
    let closed = run(&host, json!(1)).await;
    assert!(error_of(&closed).contains("no right to this"), "{closed}");
    assert!(error_of(&closed).contains("secret.new"), "{closed}");
    // It may not hear answers, which come to an inbox.
    host.apply(&with("narrow", "right", "subject: orders.new, reply: true"));
    let deaf = run(&host, json!(1)).await;
    assert!(error_of(&deaf).contains("no right to this"), "{deaf}");
    // The connection serves on.
    host.apply(&with("narrow", "right", "subject: orders.new"));
    assert_eq!(run(&host, json!(1)).await["state"], "done");
    let said = host
        .get("/api/v1/workspaces/default/runnables")
        .await
        .to_string()
        + &host.log();
    assert!(
        !said.contains("canary-wrong") && !said.contains("right"),
        "{said}"
    );
    let kept = std::fs::read(host.path("data/triggerd.db-wal")).expect("the database");
    assert!(!kept.windows(12).any(|part| part == b"canary-wrong"));
}

#[tokio::test]
async fn a_token_by_reference_logs_in() {
    let server = NatsServer::start("authorization {token: t-in-a-file}");
    let host = Host::start().await;
    std::fs::write(host.path("nats.token"), "t-in-a-file\n").expect("a file");
    let reference = format!(
        "login: {{token: 'file:{}'}}",
        host.path("nats.token").display()
    );
    host.apply(&document(
        &server,
        &format!("subject: orders.new, {reference}"),
    ));
    assert_eq!(run(&host, json!(1)).await["state"], "done");
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again_and_until_then_attempts_say_that_it_is_away() {
    let mut server = NatsServer::start("");
    let host = Host::start().await;
    host.apply(&document(&server, "subject: orders.new"));
    assert_eq!(run(&host, json!(1)).await["state"], "done");
    server.stop();
    let away = run(&host, json!(2)).await;
    let error = error_of(&away);
    assert!(
        error.contains("lost") || error.contains("no connection"),
        "{error}"
    );
    server.resume();
    let mut client = server.client(json!({})).await;
    client.subscribe("orders.*").await;
    host.until("an attempt that works", async || {
        (run(&host, json!(3)).await["state"] == "done").then_some(())
    })
    .await;
    assert_eq!(client.next().await.json(), json!({"body": 3}));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_given_up_at_once() {
    let server = NatsServer::start("max_payload: 2048");
    let host = Host::start().await;
    host.apply(
        &document(&server, "subject: orders.new").replace("attempts_max: 1", "attempts_max: 5"),
    );
    let job = run(&host, json!({"text": "x".repeat(4000)})).await;
    assert!(
        error_of(&job).contains("larger than the 2048 bytes"),
        "{job}"
    );
    assert_eq!(job["attempts"], 1);
    assert_eq!(run(&host, json!(1)).await["state"], "done");
}

#[tokio::test]
async fn servers_that_are_not_opened_are_refused_when_saved_and_when_dialled() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    let file = host.path("closed.yaml");
    let closed = document(&server, "subject: a").replace("allow: [127.0.0.0/8], ", "");
    std::fs::write(&file, &closed).expect("a file");
    let refused = host.cli(&["apply", "-f", file.to_str().expect("a path")]);
    assert!(!refused.status.success());
    let said = harness::text(&refused.stderr) + &harness::text(&refused.stdout);
    assert!(said.contains("closed.yaml:5:"), "{said}");
    assert!(said.contains("loopback"), "{said}");
    // A name is classified when it is resolved.
    host.apply(&closed.replace("127.0.0.1", "localhost"));
    let job = run(&host, json!(1)).await;
    assert_eq!(job["attempt"]["outcome"], "refused", "{job}");
    assert!(error_of(&job).contains("loopback"), "{job}");
}

/// A key and a certificate for `localhost`, signed by itself.
fn certificate(folder: &std::path::Path) {
    let made = std::process::Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '))
        .args(["-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", harness::text(&made.stderr));
}

#[tokio::test]
async fn tls_is_verified_by_the_servers_name() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!(
        "tls {{cert_file: {:?}, key_file: {:?}}}",
        file("cert.pem"),
        file("key.pem")
    );
    let server = NatsServer::start(&tls);
    let trusting = Options {
        variables: vec![("SSL_CERT_FILE".to_owned(), file("cert.pem"))],
        ..Options::default()
    };
    let open = |text: String| text.replace("127.0.0.0/8]", "127.0.0.0/8, '::1/128']");
    let named = open(document(&server, "subject: a").replace("127.0.0.1", "localhost"));
    let host = Host::start_with(trusting).await;
    for scheme in ["nats:", "tls:"] {
        host.apply(&named.replace("nats:/", &format!("{scheme}/")));
        let job = run(&host, json!(1)).await;
        assert_eq!(job["state"], "done", "{scheme} {job}");
    }
    // The certificate is not this address's.
    host.apply(&document(&server, "subject: a"));
    let other = run(&host, json!(1)).await;
    assert!(error_of(&other).contains("certificate"), "{other}");
    let doubting = Host::start().await;
    doubting.apply(&named);
    let unknown = run(&doubting, json!(1)).await;
    assert!(error_of(&unknown).contains("certificate"), "{unknown}");
}

#[tokio::test]
async fn many_jobs_share_one_connection() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    host.apply(&document(&server, "subject: orders.new"));
    let mut client = server.client(json!({})).await;
    client.subscribe("orders.*").await;
    let jobs: Vec<_> = (0..20).map(|number| run(&host, json!(number))).collect();
    for job in futures_util::future::join_all(jobs).await {
        assert_eq!(job["state"], "done");
    }
    let mut heard = Vec::new();
    for _ in 0..20 {
        heard.push(client.next().await.json()["body"].as_u64());
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..20).map(Some).collect::<Vec<_>>());
    assert_eq!(server.connections().await, 2, "the client's and the host's");
}

#[tokio::test]
async fn the_example_works_as_it_stands() {
    let server = NatsServer::start("");
    let host = Host::start().await;
    let example = harness::root().join("examples/nats/runnables.yaml");
    let example = std::fs::read_to_string(example).expect("the example");
    host.apply(&example.replace("nats://127.0.0.1:4222", &server.url()));
    let mut client = server.client(json!({})).await;
    client.make_stream("ORDERS", "orders.new", json!({})).await;
    client.subscribe("prices.get").await;
    let answering = tokio::spawn(async move {
        let reply_to = client.next().await.reply_to.expect("an address");
        client.publish(&reply_to, "12").await;
        client
    });
    for (path, result) in [
        ("f/nats/announce", Value::Null),
        ("f/nats/keep", json!({"stream": "ORDERS", "seq": 1})),
        ("f/nats/ask", json!(12)),
    ] {
        let path = format!("/api/w/default/jobs/run_wait_result/p/{path}");
        let call = host.request(reqwest::Method::POST, &path).json(&json!({}));
        let answer = call.send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(
            answer.json::<Value>().await.expect("JSON"),
            result,
            "{path}"
        );
    }
    answering.await.expect("answered");
}
