//! From a signed request to a finished job, and what bad input gets, against a whole host.

mod harness;

use harness::{Delivery, Host, Options, SECRET, push, text};
use serde_json::{Value, json};

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}, retry: {attempts_max: 1}}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: on-main, subscription: repo, event: push, parameters: {branches: [main]}, runnable: f/t/echo}
";

async fn host_with(document: &str) -> (Host, String) {
    host_set(document, &[]).await
}

async fn host_set(document: &str, settings: &[(&str, &str)]) -> (Host, String) {
    // A proxy is used if it is configured, and never because the environment names one.
    let proxies = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ];
    let nobody = |name: &str| (name.to_owned(), "http://127.0.0.1:9".to_owned());
    let host = Host::start_with(Options {
        variables: proxies
            .map(nobody)
            .into_iter()
            .chain(
                settings
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            )
            .collect(),
        ..Options::default()
    })
    .await;
    host.script("echo.sh", "cat");
    host.apply(document);
    let endpoint = host.endpoint("repo").await;
    (host, endpoint)
}

async fn attempts(host: &Host, job: &Value) -> Vec<Value> {
    let id = job["id"].as_str().expect("an id");
    host.items(&format!("jobs/{id}/attempts")).await
}

#[tokio::test]
async fn a_signed_push_becomes_a_finished_job_with_its_payload() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    };
    let response = delivery.send(&endpoint, SECRET).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let job = host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(job["cause"], "event");
    assert_eq!(job["runnable"], "f/t/echo");
    assert_eq!(job["result"]["ref"], "refs/heads/main");
    let attempts = attempts(&host, &job).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["outcome"], "ok");
    let event = host.items("events").await.remove(0);
    assert_eq!(
        (&event["name"], &event["state"], &event["matched"]),
        (&json!("push"), &json!("handled"), &json!(1))
    );
}

#[tokio::test]
async fn a_push_to_another_branch_fires_nothing_and_says_so() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("other");
    Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    let event = host
        .item("events", |event| event["state"] == "handled")
        .await;
    assert_eq!(event["matched"], 0);
    assert_eq!(event["reason"], "the parameters of no trigger match");
    assert!(host.items("jobs").await.is_empty());
}

#[tokio::test]
async fn a_wrong_signature_gets_401_one_row_and_no_event() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    };
    let response = delivery
        .send(&endpoint, "another-secret")
        .await
        .expect("an answer");
    assert_eq!(response.status(), 401);
    let unsigned = delivery.request(&endpoint).send().await.expect("an answer");
    assert_eq!(unsigned.status(), 401);
    host.until("both rows", async || {
        (host.items("requests").await.len() == 2).then_some(())
    })
    .await;
    for row in host.items("requests").await {
        assert_eq!(
            (&row["outcome"], &row["status"]),
            (&json!("refused"), &json!(401))
        );
        assert!(
            row["reason"]
                .as_str()
                .is_some_and(|reason| reason.to_lowercase().contains("signature")),
            "{row}"
        );
        let id = row["id"].as_str().expect("an id");
        let whole = host
            .get(&format!("/api/v1/workspaces/default/requests/{id}"))
            .await;
        assert_eq!(whole["body_size"], body.len());
        assert!(
            whole["body"].is_null() && whole["body_base64"].is_null(),
            "what nobody vouches for is not kept: {whole}"
        );
    }
    assert!(host.items("events").await.is_empty());
}

#[tokio::test]
async fn an_unknown_endpoint_and_an_unknown_provider_get_404() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    };
    let changed = format!("{}00000000", &endpoint[..endpoint.len() - 8]);
    for url in [
        changed,
        format!("{}/webhooks/github/x", host.url),
        format!("{}/webhooks/nobody/x", host.url),
    ] {
        assert_eq!(
            delivery
                .send(&url, SECRET)
                .await
                .expect("an answer")
                .status(),
            404,
            "{url}"
        );
    }
    assert!(host.items("requests").await.is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413_before_it_is_sent() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (host, endpoint) = host_with(DOCUMENT).await;
    let address = host.url.trim_start_matches("http://");
    let path = endpoint.trim_start_matches(&host.url);
    let heads = [
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 99999999\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ];
    for head in heads {
        let mut stream = tokio::net::TcpStream::connect(address)
            .await
            .expect("a connection");
        stream
            .write_all(head.as_bytes())
            .await
            .expect("the head is sent");
        let chunked = head.contains("chunked");
        let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
        let mut answer = vec![0; 64];
        let mut sent = 0;
        // A chunked body has no end here: the answer must come while it is still being sent.
        let read = loop {
            tokio::select! {
                read = stream.read(&mut answer) => break read.unwrap_or(0),
                written = async { if chunked { let (_, mut write) = tokio::io::split(tokio::io::empty()); let _ = write.flush().await; } std::future::pending::<()>().await } => written,
                () = std::future::ready(()), if chunked && sent < 40 => {
                    sent += 1;
                    if stream.write_all(chunk.as_bytes()).await.is_err() { continue }
                }
            }
        };
        assert!(
            text(&answer[..read]).starts_with("HTTP/1.1 413"),
            "{}",
            text(&answer[..read])
        );
    }
    assert!(host.items("requests").await.is_empty());
}

#[tokio::test]
async fn an_event_that_nobody_declared_is_kept_and_shown_as_unmatched() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let delivery = Delivery {
        event: "brand_new_thing",
        id: "d-1",
        body: b"{\"action\":\"x\"}",
    };
    assert_eq!(
        delivery
            .send(&endpoint, SECRET)
            .await
            .expect("an answer")
            .status(),
        200
    );
    let event = host
        .item("events", |event| event["state"] == "handled")
        .await;
    assert_eq!(
        (&event["name"], &event["matched"]),
        (&json!("brand_new_thing"), &json!(0))
    );
}

#[tokio::test]
async fn a_ping_is_answered_and_logged_and_fires_nothing() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let delivery = Delivery {
        event: "ping",
        id: "d-1",
        body: b"{\"zen\":\"Anything added dilutes everything else.\"}",
    };
    assert_eq!(
        delivery
            .send(&endpoint, SECRET)
            .await
            .expect("an answer")
            .status(),
        200
    );
    let row = host.items("requests").await.remove(0);
    assert_eq!(
        (&row["outcome"], &row["events"]),
        (&json!("answered"), &json!(0))
    );
    assert!(host.items("events").await.is_empty());
}

#[tokio::test]
async fn a_repeated_delivery_is_answered_and_not_run_again() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "same",
        body: &body,
    };
    for _ in 0..3 {
        assert_eq!(
            delivery
                .send(&endpoint, SECRET)
                .await
                .expect("an answer")
                .status(),
            200
        );
    }
    host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(host.items("jobs").await.len(), 1);
    assert_eq!(host.items("events").await.len(), 1);
    let outcomes: Vec<Value> = host
        .items("requests")
        .await
        .iter()
        .map(|row| row["outcome"].clone())
        .collect();
    assert_eq!(
        outcomes,
        [json!("duplicate"), json!("duplicate"), json!("accepted")]
    );
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_set_aside_and_the_queue_moves_on() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let poison: [&[u8]; 4] = [
        b"{\"ref\": ",
        b"\xff\xfe\x00",
        b"{\"ref\":\"\\ud800\"}",
        b"",
    ];
    for (number, body) in poison.iter().enumerate() {
        let id = format!("poison-{number}");
        let status = Delivery {
            event: "push",
            id: &id,
            body,
        }
        .send(&endpoint, SECRET)
        .await
        .expect("an answer")
        .status();
        assert!(status == 200 || status == 400, "{status}");
    }
    let deep = "[".repeat(100_000);
    Delivery {
        event: "push",
        id: "deep",
        body: deep.as_bytes(),
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    let body = push("main");
    Delivery {
        event: "push",
        id: "good",
        body: &body,
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    host.item("jobs", |job| job["state"] == "done").await;
    for event in host.items("events").await {
        assert_ne!(event["state"], "pending", "{event}");
    }
}

#[tokio::test]
async fn every_way_in_which_a_command_fails_is_said_by_its_attempt() {
    let cases = [
        ("missing", "", "refused"),
        ("crash", "exit 3", "failed"),
        ("hang", "sleep 600 & sleep 600", "timeout"),
        (
            "loud",
            "head -c 5000000 /dev/zero | tr '\\0' x; echo done >&2",
            "ok",
        ),
        ("killed", "kill -SEGV $$", "failed"),
    ];
    let host = Host::start().await;
    let mut document = "workspace: default\nrunnables:\n".to_owned();
    let mut triggers = "triggers:\n".to_owned();
    for (name, script, _) in cases {
        host.script(&format!("{name}.sh"), script);
        document += &format!(
            "- {{path: f/t/{name}, command: {{argv: [./{name}.sh], timeout: 1s}}, retry: {{attempts_max: 1}}}}\n"
        );
        triggers +=
            &format!("- {{name: {name}, subscription: repo, event: push, runnable: f/t/{name}}}\n");
    }
    document += "subscriptions:\n- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}\n";
    host.apply(&(document + &triggers));
    std::fs::remove_file(host.path("commands/missing.sh")).expect("removed");
    let endpoint = host.endpoint("repo").await;
    let body = push("main");
    Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    for (name, _, outcome) in cases {
        let path = format!("f/t/{name}");
        let job = host
            .item("jobs", |job| {
                job["runnable"] == path && (job["state"] == "done" || job["state"] == "dead")
            })
            .await;
        let attempt = attempts(&host, &job).await.remove(0);
        assert_eq!(attempt["outcome"], outcome, "{name}: {attempt}");
        match name {
            "crash" => assert_eq!(attempt["exit_code"], 3),
            "killed" => assert_eq!(attempt["signal"], 11),
            "loud" => assert!(
                attempt["stdout"]
                    .as_str()
                    .is_some_and(|out| out.len() < 1_000_000),
                "kept up to a cap"
            ),
            "missing" => assert!(
                attempt["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("missing.sh")),
                "{attempt}"
            ),
            _ => assert!(attempt["error"].is_string(), "{attempt}"),
        }
    }
}

#[tokio::test]
async fn an_http_target_gets_a_signed_request_and_its_answer_is_the_result() {
    use axum::body::Bytes;
    use axum::http::HeaderMap;

    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let router = axum::Router::new().route(
        "/hook",
        axum::routing::post(move |headers: HeaderMap, body: Bytes| async move {
            told.send((headers, body)).expect("the test listens");
            axum::Json(json!({"seen": true}))
        }),
    );
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (host, endpoint) = host_with(&format!(
        "
workspace: default
runnables:
- {{path: f/t/notify, http: {{url: \"http://127.0.0.1:{port}/hook\", secret: {secret}, allow: [127.0.0.0/8]}}}}
subscriptions:
- {{name: repo, provider: github, manual: {{webhook_secret: corpus-secret}}}}
triggers:
- {{name: all, subscription: repo, event: push, runnable: f/t/notify}}
"
    ))
    .await;
    let body = push("main");
    Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    }
    .send(&endpoint, SECRET)
    .await
    .expect("an answer");
    let (headers, sent) = heard.recv().await.expect("the target is called");
    let job = host.item("jobs", |job| job["state"] == "done").await;
    assert_eq!(job["result"], json!({"seen": true}));
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    assert_eq!(header("webhook-id"), job["id"].as_str().expect("an id"));
    let signed = [
        header("webhook-id").as_bytes(),
        b".",
        header("webhook-timestamp").as_bytes(),
        b".",
        &sent,
    ]
    .concat();
    assert!(
        header("webhook-signature")
            .split(' ')
            .any(|one| one == standard_signature(secret, &signed))
    );
    server.abort();
}

fn standard_signature(secret: &str, signed: &[u8]) -> String {
    use base64::Engine as _;
    use hmac::{KeyInit as _, Mac as _};

    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64
        .decode(secret.trim_start_matches("whsec_"))
        .expect("a key");
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length");
    mac.update(signed);
    format!("v1,{}", base64.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn no_secret_appears_in_log_database_or_answers() {
    let canary = "canary-7f3a9c-secret";
    let (mut host, endpoint) = host_with(&DOCUMENT.replace("corpus-secret", canary)).await;
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    };
    delivery.send(&endpoint, canary).await.expect("an answer");
    delivery
        .request(&endpoint)
        .header("Authorization", format!("Bearer {canary}"))
        .send()
        .await
        .expect("an answer");
    host.item("jobs", |job| job["state"] == "done").await;
    let mut shown = String::new();
    for list in [
        "subscriptions",
        "runnables",
        "triggers",
        "requests",
        "events",
        "jobs",
    ] {
        shown += &Value::from(host.items(list).await).to_string();
    }
    shown += &host.cli_ok(&["subscriptions", "--json"]);
    assert!(!shown.contains(canary), "an answer shows the secret");
    let token = host.token.clone();
    assert!(host.terminate(), "the host ends by itself");
    for entry in std::fs::read_dir(host.path("data"))
        .expect("the data")
        .flatten()
    {
        let path = entry.path();
        if !path.is_file() || path.ends_with("admin.token") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for secret in [canary, token.as_str()] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    assert!(!host.log().contains(canary), "the log shows the secret");
}

/// Sends raw bytes and reads until the host ends the connection, or for as long as a test waits.
async fn raw(host: &Host, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let address = host.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(
        std::time::Duration::from_secs(30),
        stream.read_to_end(&mut answer),
    )
    .await;
    read.expect("the host ends the connection")
        .expect("an answer");
    text(&answer)
}

#[tokio::test]
async fn a_request_with_two_lengths_smuggles_nothing_behind_itself() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let path = endpoint.trim_start_matches(&host.url);
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answers = raw(&host, request.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(!answers.contains("alive"), "{answers}");
}

#[tokio::test]
async fn clients_that_say_nothing_or_half_a_head_are_cut_off() {
    let host = Host::start().await;
    let (silent, half) = tokio::join!(
        raw(&host, b""),
        raw(&host, b"POST /webhooks/github/x HTTP/1.1\r\nHost: x\r\n")
    );
    assert!(
        !silent.contains("200") && !half.contains("200"),
        "{silent}{half}"
    );
    assert_eq!(
        raw(&host, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .matches("200")
            .count(),
        0
    );
}

#[tokio::test]
async fn strangers_take_no_place_and_no_memory_from_endpoints() {
    use tokio::io::AsyncWriteExt;

    let (host, endpoint) = host_with(DOCUMENT).await;
    let address = host.url.trim_start_matches("http://").to_owned();
    let mut strangers = Vec::new();
    for _ in 0..1100 {
        let mut stream = tokio::net::TcpStream::connect(&address)
            .await
            .expect("a connection");
        let head =
            "POST /webhooks/github/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.expect("sent");
        strangers.push(stream);
    }
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    };
    assert_eq!(
        delivery
            .send(&endpoint, SECRET)
            .await
            .expect("an answer")
            .status(),
        200
    );
    // Nor do they all wait: those who find no place in their lane are answered at once.
    let answers = strangers.iter_mut().rev().map(|stream| {
        Box::pin(async move {
            let mut answer = [0; 12];
            let read = tokio::io::AsyncReadExt::read_exact(stream, &mut answer);
            read.await.expect("an answer");
            text(&answer)
        })
    });
    let (first, ..) = futures_util::future::select_all(answers).await;
    assert_eq!(first, "HTTP/1.1 404");
}

#[tokio::test]
async fn more_requests_at_once_than_are_read_hear_503() {
    use tokio::io::AsyncWriteExt;

    let one = ("TRIGGERD_LIMITS_WEBHOOKS_IN_FLIGHT", "1");
    let (host, endpoint) = host_set(DOCUMENT, &[one]).await;
    let path = endpoint.trim_start_matches(&host.url);
    let address = host.url.trim_start_matches("http://");
    let begun = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{");
    let mut slow = Vec::new();
    let body = push("main");
    let send = async |id: &str| {
        let delivery = Delivery {
            event: "push",
            id,
            body: &body,
        };
        delivery.send(&endpoint, SECRET).await.expect("an answer")
    };
    let refused = host
        .until("a request that finds no place", async || {
            let connecting = tokio::net::TcpStream::connect(address).await;
            let mut stream = connecting.expect("a connection");
            stream.write_all(begun.as_bytes()).await.expect("sent");
            slow.push(stream);
            let answer = send("d-1").await;
            (answer.status() == 503).then_some(answer)
        })
        .await;
    assert!(refused.headers().contains_key("retry-after"));
    drop(slow);
    host.until("a request that finds a place again", async || {
        (send("d-2").await.status() == 200).then_some(())
    })
    .await;
}

/// What a host takes from the last byte of a body to its answer, at the least of several times.
async fn answered_after(host: &Host, path: &str, body: &[u8]) -> (std::time::Duration, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let address = host.url.trim_start_matches("http://");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256={}\r\nContent-Length: {}\r\n\r\n",
        "0".repeat(64),
        body.len()
    );
    let (most, last) = body.split_at(body.len() - 1);
    let mut least = None;
    for _ in 0..5 {
        let mut stream = tokio::net::TcpStream::connect(address)
            .await
            .expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(most).await.expect("sent");
        let started = std::time::Instant::now();
        stream.write_all(last).await.expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        let taken = (started.elapsed(), text(&answer));
        least = least.into_iter().chain([taken]).min();
    }
    least.expect("several times")
}

#[tokio::test]
async fn a_large_body_for_nobody_takes_as_long_as_one_that_is_verified() {
    use sha2::{Digest as _, Sha256};

    let (host, _) = host_with(DOCUMENT).await;
    let body = vec![b' '; 24 << 20];
    let hashing = (0..5).map(|_| {
        let started = std::time::Instant::now();
        std::hint::black_box(Sha256::digest(&body));
        started.elapsed()
    });
    let hashed = hashing.min().expect("several times");
    let (taken, status) = answered_after(&host, "/webhooks/github/nobody", &body).await;
    assert_eq!(status, "HTTP/1.1 404");
    // A host under load takes longer, never less; far less than it takes to hash it is a sign.
    assert!(taken > hashed / 5, "{taken:?} of {hashed:?}");
}

#[tokio::test]
async fn what_a_paused_subscription_is_sent_is_noted_and_fires_nothing() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    host.cli_ok(&["subscriptions", "pause", "repo"]);
    let body = push("main");
    let delivery = Delivery {
        event: "push",
        id: "d-1",
        body: &body,
    };
    let answer = delivery.send(&endpoint, SECRET).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let row = host.item("requests", |row| row["status"] == 200).await;
    assert_eq!(row["outcome"], "answered");
    assert_eq!(row["reason"], "the subscription is paused");
    assert!(host.items("events").await.is_empty());

    // The service sends it again, under the same id, when its operator asks for that.
    host.cli_ok(&["subscriptions", "resume", "repo"]);
    let again = delivery.send(&endpoint, SECRET).await.expect("an answer");
    assert_eq!(again.status(), 200);
    host.item("events", |event| event["name"] == "push").await;
}

#[tokio::test]
async fn a_deleted_subscription_and_an_old_secret_are_refused_at_once() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("main");
    let send = async |id: &str, secret: &str| {
        let delivery = Delivery {
            event: "push",
            id,
            body: &body,
        };
        delivery
            .send(&endpoint, secret)
            .await
            .expect("an answer")
            .status()
            .as_u16()
    };
    assert_eq!(send("d-1", SECRET).await, 200);
    host.apply(&DOCUMENT.replace("corpus-secret", "another-secret"));
    assert_eq!(send("d-2", SECRET).await, 401);
    assert_eq!(send("d-2", "another-secret").await, 200);
    host.apply("workspace: default\n");
    let path = host.path("document.yaml");
    host.cli_ok(&["apply", "-f", path.to_str().expect("a path"), "--prune"]);
    assert_eq!(send("d-3", "another-secret").await, 404);
}

#[tokio::test]
async fn events_are_taken_by_post_alone() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let body = push("main");
    let request = host
        .client()
        .put(&endpoint)
        .header("X-GitHub-Event", "push")
        .header("X-GitHub-Delivery", "d-1");
    let signed = request
        .header("X-Hub-Signature-256", harness::signature(SECRET, &body))
        .body(body);
    assert_eq!(signed.send().await.expect("an answer").status(), 405);
    assert!(host.items("events").await.is_empty());
    for odd in [
        "/webhooks/github/%ff",
        "/webhooks/github",
        "/webhooks/github/a/b",
    ] {
        let answer = host
            .client()
            .get(format!("{}{odd}", host.url))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 404, "{odd}");
        assert_eq!(
            answer.headers()["content-type"],
            "application/problem+json",
            "{odd}"
        );
    }
}

#[tokio::test]
async fn a_job_is_shown_with_a_note_of_what_was_cut_and_its_result_once() {
    let (host, endpoint) = host_with(DOCUMENT).await;
    let shown = async |id: &str| {
        let delivery = Delivery {
            event: "push",
            id,
            body: &push("main"),
        };
        delivery.send(&endpoint, SECRET).await.expect("an answer");
        let newest = host
            .until("the end of all jobs", async || {
                let jobs = host.items("jobs").await;
                let is_new = jobs.iter().all(|job| job["state"] == "done");
                (is_new && jobs.len() == id.len()).then(|| jobs[0].clone())
            })
            .await;
        newest["id"].as_str().expect("an id").to_owned()
    };
    let job = shown("1").await;
    let text = host.cli_ok(&["jobs", "show", &job]);
    assert!(!text.contains("stdout"), "{text}");
    let document = host.cli_ok(&["jobs", "show", &job, "--json"]);
    let document: Value = serde_json::from_str(&document).expect("one JSON document");
    assert_eq!(document["result"]["ref"], "refs/heads/main");
    assert!(document["history"][0].get("result").is_none());

    host.script("echo.sh", "head -c 300000 /dev/zero | tr '\\0' x");
    let job = shown("22").await;
    let text = host.cli_ok(&["jobs", "show", &job]);
    assert!(text.contains("more bytes were not kept]"), "no note");
}
