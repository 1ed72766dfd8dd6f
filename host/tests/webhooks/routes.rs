//! Routes as their callers see them: who may call, what is handed over, what is answered.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use super::harness::{self, Host};
use super::postgres_harness::Cluster;
use super::{Answer, Call, finished, host_with, start, token};

const SECRET: &str = "route-secret-1";

/// A route `r` at `/hooks/r/{id}` for the echo, with these fields beside.
fn route(fields: Value) -> Value {
    let mut route = json!({
        "name": "r",
        "path": "/hooks/r/{id}",
        "runnable": "f/t/echo",
        "mode": "sync",
        "auth": "none",
    });
    for (key, value) in fields.as_object().expect("fields") {
        route[key] = value.clone();
    }
    route
}

fn document(routes: &[Value]) -> String {
    json!({ "workspace": "default", "routes": routes }).to_string()
}

/// What `apply` says of a document that is refused.
fn refusal(host: &Host, document: &str) -> String {
    let path = host.path("refused.yaml");
    std::fs::write(&path, document).expect("a document");
    let output = host.cli(&["apply", "-f", path.to_str().expect("a path")]);
    assert!(!output.status.success(), "{document}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn post<'a>(host: &'a Host, path: &str) -> Call<'a> {
    Call {
        path: path.to_owned(),
        ..Call::post(host, "").token(None)
    }
}

fn by(method: Method, call: Call<'_>) -> Call<'_> {
    Call { method, ..call }
}

fn signed(body: &[u8], secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn rules(more: Value) -> Value {
    let mut auth = json!({
        "verify": {"scheme": "hmac-sha256", "header": "X-Sign", "prefix": "sha256="},
        "secret": SECRET,
    });
    for (key, value) in more.as_object().expect("fields") {
        auth[key] = value.clone();
    }
    auth
}

async fn signed_post(host: &Host, path: &str, body: &str, secret: &str) -> Answer {
    let signature = signed(body.as_bytes(), secret);
    let call = post(host, path).header("X-Sign", &signature).body(body);
    call.send().await
}

#[tokio::test]
async fn a_route_hands_over_its_parameters_and_what_it_includes() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        let fields =
            json!({"include_headers": ["X-A"], "include_query": ["q"], "methods": ["POST", "GET"]});
        let applied = host.apply(&document(&[route(fields)]));
        assert_eq!(applied["routes"][0]["action"], "created");
        let url = applied["routes"][0]["endpoint_url"].as_str().expect("text");
        assert!(url.ends_with("/hooks/r/{id}"), "{url}");
        let answer = post(&host, "/hooks/r/a%2Fb?q=1&other=2&token=x")
            .header("X-A", "yes")
            .body("{\"n\":1,\"id\":\"forged\"}")
            .send()
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json(), json!({"n":1,"id":"a/b","x_a":"yes","q":"1"}));
        let answer = by(Method::GET, post(&host, "/hooks/r/7?payload=eyJhIjoxfQ"))
            .send()
            .await;
        assert_eq!(answer.json(), json!({"a":1,"id":"7"}));
        let row = host.item("requests", |row| row["method"] == "POST").await;
        assert_eq!(row["query"], "q=1&other=2&token=[masked]");
        assert_eq!(row["outcome"], "accepted");
    }
}

#[tokio::test]
async fn answers_are_asynchronous_static_or_the_result() {
    let host = start().await;
    host.apply(&document(&[
        route(json!({"name": "a", "path": "/hooks/a", "mode": "async"})),
        route(json!({"name": "s", "path": "/hooks/s", "mode": "async",
            "answer": {"status": 202, "headers": {"X-B": "c"}, "body": {"ok": true}}})),
        json!({"name": "only", "path": "/hooks/only", "methods": ["GET"], "auth": "none",
            "answer": {"body": "here"}}),
        json!({"name": "page", "path": "/hooks/page", "methods": ["GET"], "auth": "none",
            "answer": {"headers": {"Content-Type": "text/html"}, "body": "<script>1</script>"}}),
        route(json!({"name": "y", "path": "/hooks/y"})),
        route(
            json!({"name": "f", "path": "/hooks/f", "runnable": "f/t/fail", "error_status": 422}),
        ),
    ]));
    let answer = post(&host, "/hooks/a").body("{\"n\":1}").send().await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        finished(&host, &answer.text).await["result"],
        json!({"n":1})
    );
    let answer = post(&host, "/hooks/s").body("{}").send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (202, "{\"ok\":true}")
    );
    assert_eq!(answer.headers["x-b"], "c");
    assert_eq!(answer.kind, "application/json");
    assert!(!answer.headers.contains_key("content-security-policy"));
    // What a browser would show acts in nobody's name there.
    let page = by(Method::GET, post(&host, "/hooks/page")).send().await;
    assert_eq!(page.kind, "text/html");
    assert_eq!(page.headers["content-security-policy"], "sandbox");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    let answer = by(Method::GET, post(&host, "/hooks/only")).send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, "here")
    );
    let shaped = br#"{"windmill_status_code":418,"result":{"a":1}}"#;
    let answer = post(&host, "/hooks/y").body(&shaped[..]).send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (418, json!({"a":1}))
    );
    assert_eq!(post(&host, "/hooks/f").send().await.status, 422);
    let row = host
        .item("requests", |row| row["path"] == "/hooks/only")
        .await;
    assert_eq!(
        (&row["outcome"], &row["status"]),
        (&json!("answered"), &json!(200))
    );
}

#[tokio::test]
async fn a_preprocessor_shapes_the_arguments_or_answers_by_itself() {
    let host = start().await;
    host.script(
        "shape.sh",
        r#"cat > shaped; echo "{\"told\": $(cat shaped)}""#,
    );
    host.script(
        "deny.sh",
        r#"echo '{"response": {"status_code": 402}, "result": "pay"}'"#,
    );
    host.apply("
workspace: default
runnables:
- {path: f/t/shape, command: {argv: [./shape.sh]}}
- {path: f/t/deny, command: {argv: [./deny.sh]}}
routes:
- {name: s, path: '/hooks/s/{id}', auth: token, mode: sync, runnable: f/t/echo, preprocessor: f/t/shape}
- {name: d, path: /hooks/d, auth: none, runnable: f/t/echo, preprocessor: f/t/deny}
- {name: b, path: /hooks/b, auth: none, runnable: f/t/echo, preprocessor: f/t/fail}
");
    let answer = post(&host, "/hooks/s/7?x=1")
        .token(host.token.clone())
        .header("X-A", "b")
        .body("{\"n\":1}")
        .send()
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = &answer.json()["told"];
    assert_eq!((&told["n"], &told["id"]), (&json!(1), &json!("7")));
    let about = &told["WEBHOOK__REQUEST__"];
    assert_eq!(about["route"], "s");
    assert_eq!(about["parameters"], json!({"id": "7"}));
    assert_eq!(about["query"], json!({"x": "1"}));
    assert_eq!(about["headers"]["x-a"], "b");
    assert!(
        !answer.text.contains(&host.token),
        "the token is handed over"
    );
    let jobs = host.items("jobs").await;
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    let answer = post(&host, "/hooks/d").send().await;
    assert_eq!((answer.status.as_u16(), answer.json()), (402, json!("pay")));
    let answer = post(&host, "/hooks/b").send().await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text.contains("CANARY-41"), "{answer:?}");
    assert!(answer.json()["job"].is_string());
    assert_eq!(host.items("jobs?runnable=f/t/echo").await.len(), 1);
}

#[tokio::test]
async fn files_outlive_the_preprocessor_that_saw_them_first() {
    let host = start().await;
    host.script("forge.sh", r#"echo '{"WEBHOOK__FILES__": "/etc"}'"#);
    host.apply(
        "
workspace: default
runnables:
- {path: f/t/forge, command: {argv: [./forge.sh]}}
routes:
- {name: f, path: /hooks/f, auth: none, mode: sync, runnable: f/t/first, preprocessor: f/t/echo}
- {name: x, path: /hooks/x, auth: none, mode: sync, runnable: f/t/echo, preprocessor: f/t/forge}
",
    );
    let body =
        "--B\r\ncontent-disposition: form-data; name=f; filename=x\r\n\r\n\"kept\"\r\n--B--\r\n";
    for (path, status) in [("/hooks/f", 200), ("/hooks/x", 500)] {
        let answer = post(&host, path)
            .header("content-type", "multipart/form-data; boundary=B")
            .body(body)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        if status == 200 {
            assert_eq!(answer.json(), json!("kept"));
        }
    }
}

#[tokio::test]
async fn a_token_is_good_for_the_route_of_its_runnable() {
    let host = start().await;
    host.cli_ok(&["workspace", "create", "other"]);
    host.apply(&document(&[route(json!({"auth": "token"}))]));
    let own = token(&host, &["--for", "f/t/echo"]);
    let other = token(&host, &["--for", "f/t/fail"]);
    let read = token(&host, &["reads", "--scope", "read"]);
    let foreign = token(
        &host,
        &["foreign", "--scope", "run", "--workspace", "other"],
    );
    for (token, status) in [(&own, 200), (&other, 403), (&read, 403), (&foreign, 401)] {
        let answer = post(&host, "/hooks/r/1").token(token.clone()).send().await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        let in_query = post(&host, &format!("/hooks/r/1?token={token}"))
            .send()
            .await;
        assert_eq!(in_query.status.as_u16(), status);
    }
    let rows = Value::from(host.items("requests").await).to_string();
    assert!(!rows.contains(&own) && !host.log().contains(&own));
}

#[tokio::test]
async fn a_password_is_asked_for_and_kept_out_of_sight() {
    let host = start().await;
    let basic = json!({"auth": {"basic": {"username": "u", "password": "CANARY-pw"}},
        "methods": ["POST", "GET"]});
    host.apply(&document(&[route(basic)]));
    // u:CANARY-pw, u:wrong, u:, x
    for (credentials, status) in [
        ("Basic dTpDQU5BUlktcHc=", 200),
        ("basic dTpDQU5BUlktcHc=", 200),
        ("Basic dTp3cm9uZw==", 401),
        ("Basic dTo=", 401),
        ("Basic eA==", 401),
        ("Basic", 401),
        ("Bearer CANARY-pw", 401),
        ("Digest dTpDQU5BUlktcHc=", 401),
    ] {
        let answer = post(&host, "/hooks/r/1")
            .header("Authorization", credentials)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status, "{credentials}: {answer:?}");
    }
    let doubled = post(&host, "/hooks/r/1")
        .header("Authorization", "Basic dTpDQU5BUlktcHc=")
        .header("Authorization", "Basic dTpDQU5BUlktcHc=");
    assert_eq!(doubled.send().await.status, 401);
    let shown = host.get("/api/v1/workspaces/default/routes/r").await;
    assert_eq!(shown["secrets"], json!(["password"]));
    for text in [
        shown.to_string(),
        host.cli_ok(&["routes"]),
        host.log(),
        Value::from(host.items("requests").await).to_string(),
    ] {
        assert!(!text.contains("CANARY-pw") && !text.contains("dTpDQU5BUlktcHc="));
    }
    for entry in std::fs::read_dir(host.path("data"))
        .expect("a folder")
        .flatten()
    {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let is_there = bytes.windows(9).any(|window| window == b"CANARY-pw");
        assert!(!is_there, "{:?} holds the password", entry.path());
    }
}

#[tokio::test]
async fn a_signature_rule_fails_closed() {
    let host = start().await;
    let auth = rules(json!({"previous_secret": "route-secret-0"}));
    host.apply(&document(&[route(json!({"auth": auth}))]));
    let body = "{\"n\":1}";
    let good = signed(body.as_bytes(), SECRET);
    assert_eq!(
        signed_post(&host, "/hooks/r/1", body, SECRET).await.status,
        200
    );
    let rotated = signed_post(&host, "/hooks/r/1", body, "route-secret-0").await;
    assert_eq!(
        rotated.status, 200,
        "while a secret is rotated both are good"
    );
    let upper = good.replace("sha256=", "").to_uppercase();
    let mut flipped = good.clone().into_bytes();
    let last = flipped.last_mut().expect("a byte");
    *last = if *last == b'0' { b'1' } else { b'0' };
    let flipped = String::from_utf8(flipped).expect("text");
    for (says, header, status) in [
        ("good", good.clone(), 200),
        ("upper-case hex", format!("sha256={upper}"), 200),
        ("one bit off", flipped, 401),
        ("truncated", good[..20].to_owned(), 401),
        ("no prefix", good[7..].to_owned(), 401),
        ("another prefix", good.replace("sha256", "sha1"), 401),
        ("empty", String::new(), 401),
        ("another secret", signed(body.as_bytes(), "other"), 401),
        ("another body", signed(b"{}", SECRET), 401),
    ] {
        let call = post(&host, "/hooks/r/1")
            .header("X-Sign", &header)
            .body(body);
        let answer = call.send().await;
        assert_eq!(answer.status.as_u16(), status, "{says}: {answer:?}");
    }
    let missing = post(&host, "/hooks/r/1").body(body).send().await;
    assert_eq!(missing.status, 401);
    let doubled = post(&host, "/hooks/r/1")
        .header("X-Sign", &good)
        .header("X-Sign", &good)
        .body(body);
    assert_eq!(doubled.send().await.status, 401);
    let odd = b"\xff\xfe";
    let signature = signed(odd, SECRET);
    let bytes = post(&host, "/hooks/r/1")
        .header("X-Sign", &signature)
        .header("content-type", "application/octet-stream")
        .body(&odd[..]);
    assert_eq!(bytes.send().await.status, 200, "a body need not be text");
    let row = host.item("requests", |row| row["status"] == 401).await;
    assert_eq!(row["outcome"], "refused");
    assert_eq!(host.items("jobs?limit=100").await.len(), 5);
}

#[tokio::test]
async fn a_route_whose_secret_is_lost_lets_nobody_in() {
    use sqlx::{Connection as _, Executor as _};

    let database = Cluster::shared().database().await;
    let mut host = host_with(&[("TRIGGERD_DATABASE", &database)]).await;
    host.apply(&document(&[
        route(json!({"name": "s", "path": "/hooks/s", "auth": rules(json!({}))})),
        route(json!({"name": "b", "path": "/hooks/b",
            "auth": {"basic": {"username": "u", "password": "p"}}})),
    ]));
    let calls = async |host: &Host| {
        let signed = signed_post(host, "/hooks/s", "{}", SECRET).await;
        // u:p, and u: without one.
        let mut found = vec![signed.status.as_u16()];
        for credentials in ["Basic dTpw", "Basic dTo="] {
            let call = post(host, "/hooks/b").header("Authorization", credentials);
            found.push(call.send().await.status.as_u16());
        }
        let nothing = post(host, "/hooks/s").body("{}").send().await;
        found.push(nothing.status.as_u16());
        found
    };
    assert_eq!(calls(&host).await, [200, 200, 401, 401]);
    host.kill();
    let mut beside = sqlx::PgConnection::connect(&database)
        .await
        .expect("a connection");
    let lost = beside.execute("update routes set secrets = null").await;
    assert_eq!(lost.expect("done").rows_affected(), 2);
    host.resume().await;
    assert_eq!(calls(&host).await, [401, 401, 401, 401]);
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_not_run_again() {
    let host = start().await;
    let auth = rules(json!({"delivery_id": {"header": "X-Delivery"}}));
    let fields = json!({"auth": auth, "mode": "async"});
    host.apply(&document(&[route(fields.clone()), {
        let mut other = route(fields);
        other["name"] = json!("other");
        other["path"] = json!("/hooks/other");
        other
    }]));
    let send = async |path: &str, id: &str| {
        let signature = signed(b"{}", SECRET);
        let call = post(&host, path).header("X-Sign", &signature);
        let answer = call.header("X-Delivery", id).body("{}").send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text
    };
    let long = "d".repeat(2000);
    let (first, second) = (
        send("/hooks/r/1", "d-1").await,
        send("/hooks/r/1", "d-2").await,
    );
    assert_ne!(first, second);
    assert_eq!(send("/hooks/r/1", "d-1").await, first);
    assert_ne!(send("/hooks/other", "d-1").await, first);
    assert_eq!(
        send("/hooks/r/1", &long).await,
        send("/hooks/r/1", &long).await
    );
    assert_eq!(host.items("jobs").await.len(), 4);
    // Whoever may replay a signed request cannot mark it as another one.
    host.apply(&document(&[route(json!({"mode": "async"}))]));
    let call = || {
        post(&host, "/hooks/r/1")
            .header("Idempotency-Key", "k")
            .send()
    };
    assert_ne!(call().await.text, call().await.text);
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_not_shaped_again() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        host.script("shape.sh", "cat > shaped; echo '{\"n\":7}'");
        host.script(
            "ask.sh",
            r#"echo "{\"response\": {\"status_code\": 202}, \"result\": \"$(date +%s%N)\"}""#,
        );
        host.script(
            "busy.sh",
            r#"echo '{"response": {"status_code": 503}, "result": "busy"}'"#,
        );
        host.apply(
            "
workspace: default
runnables:
- {path: f/t/shape, command: {argv: [./shape.sh]}}
- {path: f/t/ask, command: {argv: [./ask.sh]}}
- {path: f/t/busy, command: {argv: [./busy.sh]}}
",
        );
        let auth = rules(json!({"delivery_id": {"header": "X-Delivery"}}));
        let one = |name: &str, mode: &str, preprocessor: &str| {
            route(
                json!({"name": name, "path": format!("/hooks/{name}"), "mode": mode, "auth": auth,
                "preprocessor": format!("f/t/{preprocessor}")}),
            )
        };
        host.apply(&document(&[
            one("s", "sync", "shape"),
            one("a", "async", "shape"),
            one("sq", "sync", "ask"),
            one("aq", "async", "ask"),
            one("b", "async", "busy"),
        ]));
        let send = async |path: &str| {
            let signature = signed(b"{}", SECRET);
            let call = post(&host, &format!("/hooks/{path}")).header("X-Sign", &signature);
            call.header("X-Delivery", "d-1").body("{}").send().await
        };
        for (path, status, preprocessor) in [
            ("s", 200, "shape"),
            ("a", 201, "shape"),
            ("sq", 202, "ask"),
            ("aq", 202, "ask"),
        ] {
            let of_it = format!("jobs?runnable=f/t/{preprocessor}");
            let shaped = async || host.items(&of_it).await.len();
            let first = send(path).await;
            assert_eq!(first.status.as_u16(), status, "{first:?}");
            let ran = shaped().await;
            let again = send(path).await;
            assert_eq!(
                (again.status, &again.text),
                (first.status, &first.text),
                "{path}"
            );
            assert_eq!(shaped().await, ran, "{path}");
        }
        assert_eq!(host.items("jobs?runnable=f/t/echo").await.len(), 2);
        // Who is asked to come later is not recognised as served.
        for ran in [1, 2] {
            assert_eq!(send("b").await.status, 503);
            assert_eq!(host.items("jobs?runnable=f/t/busy").await.len(), ran);
        }
    }
}

#[tokio::test]
async fn a_challenge_is_answered_and_runs_nothing() {
    let host = start().await;
    let auth = rules(json!({"challenge": {
        "when": {"at": "/type", "value": "url_verification"},
        "verified": false,
        "answer": {"json": "/challenge"},
        "reply": {"status": 200, "content_type": "text/plain", "body": "{answer}"},
    }}));
    host.apply(&document(&[route(json!({"auth": auth}))]));
    let body = "{\"type\":\"url_verification\",\"challenge\":\"c-1\"}";
    let answer = post(&host, "/hooks/r/1").body(body).send().await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "c-1"));
    assert_eq!(host.items("jobs").await.len(), 0);
}

#[tokio::test]
async fn strangers_cannot_tell_what_is_there() {
    let host = start().await;
    host.apply(&document(&[
        route(json!({"name": "t", "path": "/hooks/t", "auth": "token"})),
        route(json!({"name": "s", "path": "/hooks/s", "auth": rules(json!({}))})),
        route(json!({"name": "b", "path": "/hooks/b",
            "auth": {"basic": {"username": "u", "password": "p"}}})),
        route(json!({"name": "off", "path": "/hooks/off", "enabled": false})),
    ]));
    let mut answers = Vec::new();
    for path in [
        "t",
        "s",
        "b",
        "off",
        "none",
        "t/deeper",
        "%ff",
        "a//b",
        "../api/v1",
    ] {
        for method in [Method::POST, Method::PUT] {
            let call = by(method, post(&host, &format!("/hooks/{path}")));
            let answer = call.body("{}").send().await;
            let mut headers = answer.headers.clone();
            headers.remove("date");
            answers.push((answer.status, answer.text, format!("{headers:?}")));
        }
    }
    // The last one is no path under /hooks any more by the time it is sent.
    answers.truncate(answers.len() - 2);
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn strangers_are_answered_at_the_same_beat() {
    let host = start().await;
    host.apply(&document(&[
        route(json!({"name": "t", "path": "/hooks/t", "auth": "token"})),
        route(json!({"name": "s", "path": "/hooks/s", "auth": rules(json!({}))})),
    ]));
    // Not how fast the machine is, but that nobody is answered before the first beat.
    for path in ["/hooks/t", "/hooks/s", "/hooks/none"] {
        let started = std::time::Instant::now();
        assert_eq!(post(&host, path).body("{}").send().await.status, 401);
        assert!(
            started.elapsed() >= std::time::Duration::from_millis(20),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_of_named_origins_may_call() {
    let host = start().await;
    let cors =
        json!({"cors": {"origins": ["https://app.example.org"]}, "methods": ["POST", "PUT"]});
    host.apply(&document(&[route(cors)]));
    let ask = async |path: &str, origin: &str, method: &str| {
        let call = by(Method::OPTIONS, post(&host, path))
            .header("Origin", origin)
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", "x-own");
        call.send().await
    };
    let good = ask("/hooks/r/1", "https://app.example.org", "PUT").await;
    assert_eq!(good.status, 204);
    assert_eq!(
        good.headers["access-control-allow-origin"],
        "https://app.example.org"
    );
    assert_eq!(good.headers["access-control-allow-methods"], "POST, PUT");
    assert_eq!(good.headers["access-control-allow-headers"], "x-own");
    for (path, origin, method) in [
        ("/hooks/r/1", "https://evil.example.org", "PUT"),
        ("/hooks/r/1", "https://app.example.org", "DELETE"),
        ("/hooks/none", "https://app.example.org", "POST"),
    ] {
        let answer = ask(path, origin, method).await;
        assert_eq!(answer.status, 204);
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let answer = post(&host, "/hooks/r/1")
        .header("Origin", "https://app.example.org")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "https://app.example.org"
    );
    assert_eq!(answer.headers["vary"], "origin");
    let answer = post(&host, "/hooks/r/1")
        .header("Origin", "https://evil.example.org")
        .send()
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(host.items("jobs").await.len(), 1);
    // Where no origin is named, no page reads an answer, though anybody may call.
    host.apply(&document(&[route(json!({}))]));
    let answer = post(&host, "/hooks/r/1")
        .header("Origin", "https://app.example.org")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    let asked = ask("/hooks/r/1", "https://app.example.org", "POST").await;
    for answer in [answer, asked] {
        let name = "access-control-allow-origin";
        assert!(!answer.headers.contains_key(name), "{answer:?}");
    }
}

#[tokio::test]
async fn what_proves_a_caller_is_handed_to_nobody_and_logged_nowhere() {
    let host = host_with(&[("TRIGGERD_WEBHOOKS_INCLUDE_HEADERS", "X-Proof,X-Always")]).await;
    let shaped = "cat > shaped; echo \"{\\\"told\\\": $(cat shaped)}\"";
    host.script("shape.sh", shaped);
    host.apply("{runnables: [{path: f/t/shape, command: {argv: [./shape.sh]}}]}");
    let auth = json!({
        "verify": {"scheme": "token", "header": "X-Proof", "secret": "proof"},
        "challenge": {
            "when": {"query": "mode", "value": "subscribe"},
            "token": {"query": "told", "secret": "told"},
            "answer": {"query": "challenge"},
        },
        "secrets": {"proof": "CANARY-header", "told": "CANARY-query"},
    });
    let fields = json!({"auth": auth, "preprocessor": "f/t/shape", "methods": ["GET", "POST"]});
    host.apply(&document(&[route(fields)]));
    let challenge = "/hooks/r/1?mode=subscribe&%74old=CANARY-query&challenge=c-1";
    let asked = by(Method::GET, post(&host, challenge)).send().await;
    assert_eq!((asked.status.as_u16(), asked.text.as_str()), (200, "c-1"));
    let wrong = challenge.replace("CANARY-query", "CANARY-almost");
    let refused = by(Method::GET, post(&host, &wrong)).send().await;
    assert_eq!(refused.status, 401);
    let called = post(&host, "/hooks/r/1?told=CANARY-query&token=CANARY-token&b=2")
        .header("X-Proof", "CANARY-header")
        .header("X-Always", "yes")
        .header("Cookie", "CANARY-cookie")
        .header("Authorization", "Basic CANARY")
        .body("{}")
        .send()
        .await;
    let told = called.json()["told"].clone();
    assert_eq!(told["x_always"], "yes");
    assert_eq!(told["WEBHOOK__REQUEST__"]["query"], json!({"b": "2"}));
    let rows = host
        .until("all three requests in the log", async || {
            let rows = host.items("requests").await;
            (rows.len() == 3).then_some(rows)
        })
        .await;
    let mut shown = vec![told, Value::from(rows.clone())];
    for row in &rows {
        let id = row["id"].as_str().expect("an id");
        let path = format!("/api/v1/workspaces/default/requests/{id}");
        shown.push(host.get(&path).await);
    }
    shown.push(host.log().into());
    for text in shown.iter().map(ToString::to_string) {
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[tokio::test]
async fn routes_that_take_the_same_requests_are_refused_by_name() {
    let host = start().await;
    host.cli_ok(&["workspace", "create", "other"]);
    host.apply(&document(&[route(json!({}))]));
    let second = |path: &str, methods: Value| {
        route(json!({"name": "second", "path": path, "methods": methods}))
    };
    for (path, methods) in [
        ("/hooks/r/{other}", json!(["POST", "GET"])),
        ("/hooks/r/fixed", json!(["POST"])),
        ("/hooks/{*rest}", json!(["POST"])),
    ] {
        let said = refusal(&host, &document(&[second(path, methods)]));
        assert!(
            said.contains("overlaps with the route `r` (POST /hooks/r/{id})"),
            "{said}"
        );
        assert!(said.contains("refused.yaml:1:"), "{said}");
    }
    for (path, methods) in [
        ("/hooks/r/{other}", json!(["GET"])),
        ("/hooks/r/a/b", json!(["POST"])),
    ] {
        host.apply(&document(&[second(path, methods)]));
    }
    let within = refusal(
        &host,
        &document(&[
            route(json!({"name": "x", "path": "/hooks/x"})),
            route(json!({"name": "y", "path": "/hooks/{y}"})),
        ]),
    );
    assert!(
        within.contains("`/hooks/{y}` overlaps with the route `x`"),
        "{within}"
    );
    let foreign = json!({"workspace": "other", "routes": [
        {"name": "z", "path": "/hooks/r/1", "auth": "none", "answer": {"body": "x"}}]});
    let said = refusal(&host, &foreign.to_string());
    assert!(
        said.contains("another workspace has taken") && !said.contains("`r`"),
        "{said}"
    );
}

#[tokio::test]
async fn routes_of_one_document_may_swap_their_paths() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        let says = |name: &str, path: &str| json!({"name": name, "path": path, "auth": "none", "answer": {"body": name}});
        let pair = |a: &str, b: &str| document(&[says("a", a), says("b", b)]);
        host.apply(&pair("/hooks/one", "/hooks/two/{x}"));
        let swapped = host.apply(&pair("/hooks/two/{x}", "/hooks/one"));
        for route in swapped["routes"].as_array().expect("routes") {
            assert_eq!(route["action"], "updated", "{swapped}");
        }
        for (path, answer) in [("/hooks/one", "b"), ("/hooks/two/7", "a")] {
            assert_eq!(post(&host, path).send().await.text, answer);
        }
        // In a ring, one path freed by a route that goes elsewhere, and one that is new.
        host.apply(&document(&[
            says("a", "/hooks/one"),
            says("b", "/hooks/three"),
            says("c", "/hooks/two/{x}"),
        ]));
        for (path, answer) in [
            ("/hooks/one", "a"),
            ("/hooks/two/7", "c"),
            ("/hooks/three", "b"),
        ] {
            assert_eq!(post(&host, path).send().await.text, answer);
        }
        let said = refusal(&host, &pair("/hooks/three", "/hooks/three"));
        assert!(said.contains("overlaps with the route `a`"), "{said}");
        assert_eq!(post(&host, "/hooks/one").send().await.text, "a");
    }
}

#[tokio::test]
async fn two_who_save_at_once_cannot_take_the_same_path() {
    let database = Cluster::shared().database().await;
    for variables in [vec![], vec![("TRIGGERD_DATABASE", database.as_str())]] {
        let host = host_with(&variables).await;
        let saves = (0..8).map(|index| {
            let path = if index % 2 == 0 {
                "/hooks/same/{x}"
            } else {
                "/hooks/{y}/same"
            };
            let body = route(json!({"name": format!("r{index}"), "path": path}));
            let url = "/api/v1/workspaces/default/routes";
            let request = host.request(Method::PUT, url);
            let json = "application/json";
            request
                .header("content-type", json)
                .body(body.to_string())
                .send()
        });
        let mut made = 0;
        for answer in futures_util::future::join_all(saves).await {
            let status = answer.expect("an answer").status().as_u16();
            assert!([200, 409, 422].contains(&status), "{status}");
            made += usize::from(status == 200);
        }
        assert_eq!(made, 1);
        assert_eq!(host.items("routes").await.len(), 1);
    }
}

#[tokio::test]
async fn a_document_changes_routes_shows_how_and_prunes_them() {
    let host = start().await;
    host.apply(&document(&[route(json!({"auth": rules(json!({}))}))]));
    let again = host.apply(&document(&[route(json!({"auth": rules(json!({}))}))]));
    assert_eq!(again["routes"][0]["action"], "unchanged");
    let mut auth = rules(json!({}));
    auth["secret"] = json!("route-secret-2");
    let changed = route(json!({"auth": auth, "methods": ["PUT"], "mode": "async"}));
    let path = host.path("dry.yaml");
    std::fs::write(&path, document(std::slice::from_ref(&changed))).expect("a document");
    let file = path.to_str().expect("a path");
    let dry = host.cli_ok(&["apply", "-f", file, "--dry-run", "--json"]);
    let dry: Value = serde_json::from_str(&dry).expect("JSON");
    let mut fields: Vec<&str> = dry["routes"][0]["differences"]
        .as_array()
        .expect("differences")
        .iter()
        .filter_map(|one| one["field"].as_str())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["methods", "mode", "webhook_secret"]);
    assert!(!dry.to_string().contains("route-secret"), "{dry}");
    assert_eq!(
        signed_post(&host, "/hooks/r/1", "{}", SECRET).await.status,
        200
    );
    host.apply(&document(&[changed]));
    assert_eq!(
        signed_post(&host, "/hooks/r/1", "{}", SECRET).await.status,
        401
    );
    let signature = signed(b"{}", "route-secret-2");
    let put = by(Method::PUT, post(&host, "/hooks/r/1"));
    let answer = put.header("X-Sign", &signature).body("{}").send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let shown = host.cli_ok(&["routes"]);
    assert!(
        shown.contains("/hooks/r/{id}") && shown.contains("verify"),
        "{shown}"
    );
    let used = host
        .request(
            Method::DELETE,
            "/api/v1/workspaces/default/runnables/f%2Ft%2Fecho",
        )
        .send()
        .await
        .expect("an answer");
    assert_eq!(used.status(), 409);
    assert!(used.text().await.expect("text").contains("routes (r)"));
    std::fs::write(&path, super::DOCUMENT).expect("a document");
    host.cli_ok(&["apply", "-f", file, "--prune"]);
    assert_eq!(host.items("routes").await.len(), 0);
    let gone = by(Method::PUT, post(&host, "/hooks/r/1")).header("X-Sign", &signature);
    assert_eq!(gone.body("{}").send().await.status, 401);
}

#[tokio::test]
async fn mistakes_in_a_route_are_placed() {
    let host = start().await;
    for (fields, said) in [
        (json!({"path": "/other"}), "begins with `/hooks/`"),
        (json!({"path": "/hooks/{WEBHOOK__X}"}), "are the host's"),
        (json!({"methods": []}), "at least one"),
        (json!({"methods": ["HEAD"]}), "allowed: DELETE"),
        (json!({"auth": null}), "`auth` is missing"),
        (json!({"auth": "any"}), "expected `none`, `token`"),
        (
            json!({"auth": {"basic": {"username": "u", "password": ""}}}),
            "let everyone in",
        ),
        (
            json!({"auth": {"basic": {"username": "u:v", "password": "p"}}}),
            "without `:`",
        ),
        (
            json!({"auth": {"verify": {"scheme": "rot13", "header": "X"}}}),
            "verify.scheme",
        ),
        (
            json!({"auth": rules(json!({"secret": " "}))}),
            "accept everybody",
        ),
        (
            json!({"auth": rules(json!({"secret": null}))}),
            "is missing",
        ),
        (
            json!({"auth": rules(json!({"secrets": {"other": "x"}}))}),
            "`other` is not known",
        ),
        (
            json!({"auth": rules(json!({"basic": {}}))}),
            "exactly one of",
        ),
        (
            json!({"auth": {"provider": "acme"}}),
            "there is no provider `acme`",
        ),
        (
            json!({"auth": "token", "include_headers": ["Authorization"]}),
            "proves who calls",
        ),
        (
            json!({"cors": {"origins": ["app.example.org"]}}),
            "expected an origin",
        ),
        (
            json!({"cors": {"origins": ["*", "https://a.example"]}}),
            "`*` alone",
        ),
        (json!({"include_headers": ["x y"]}), "an HTTP header"),
        (
            json!({"auth": "token", "include_query": ["token"]}),
            "not the host's own",
        ),
        (
            json!({"include_query": ["a", "WEBHOOK__FILES__"]}),
            "not the host's own",
        ),
        (json!({"include_query": [""]}), "not the host's own"),
        (
            json!({"auth": {"basic": {"username": "u", "password": "p\r\nq"}}}),
            "`password`",
        ),
        (
            json!({"mode": "async", "answer": {"headers": {"x-a": "b\r\nx-smuggled: c"}}}),
            "one line",
        ),
        (
            json!({"mode": "async", "answer": {"headers": {"Content-Length": "1"}}}),
            "set by the host itself",
        ),
        (
            json!({"mode": "async", "answer": {"body": "x".repeat((64 << 10) + 1)}}),
            "at most 65536 bytes",
        ),
        (json!({"mode": "sync", "answer": {}}), "exclude each other"),
        (
            json!({"mode": "async", "answer": {"status": 101}}),
            "from 200 to 599",
        ),
        (
            json!({"mode": "async", "answer": {"headers": {"Set-Cookie": "a=b"}}}),
            "no cookie",
        ),
        (
            json!({"runnable": "f/t/none"}),
            "there is no runnable `f/t/none`",
        ),
        (
            json!({"preprocessor": "f/t/none"}),
            "there is no runnable `f/t/none`",
        ),
        (json!({"runnable": null}), "what is run"),
        (json!({"colour": "red"}), "`colour` is not known here"),
        (
            json!({"auth": {"verify": {"scheme": "hmac-sha256", "header": "X", "signed": "{url}{body}"},
            "secret": "s"}}),
            "`{url}` cannot be signed",
        ),
    ] {
        let said_really = refusal(&host, &document(&[route(fields.clone())]));
        assert!(said_really.contains(said), "{fields}: {said_really}");
        assert!(said_really.contains("refused.yaml:1:"), "{said_really}");
    }
}

#[tokio::test]
async fn a_provider_can_know_the_callers() {
    let host = Host::start().await;
    host.script("echo.sh", "cat");
    let manual = json!({"webhook_secret": SECRET});
    let doc = json!({"workspace": "default",
        "runnables": [{"path": "f/t/echo", "command": {"argv": ["./echo.sh"]}}],
        "routes": [route(json!({"auth": {"provider": "github", "manual": manual}}))]});
    host.apply(&doc.to_string());
    let body = "{\"ref\":\"refs/heads/main\"}";
    let send = async |event: &'static str, id: &'static str, secret: &str| {
        let signature = signed(body.as_bytes(), secret);
        let call = post(&host, "/hooks/r/1")
            .header("X-Hub-Signature-256", &signature)
            .header("X-GitHub-Event", event)
            .header("X-GitHub-Delivery", id);
        call.body(body).send().await
    };
    let first = send("push", "11111111-1111-1111-1111-111111111111", SECRET).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.json(), json!({"ref":"refs/heads/main","id":"1"}));
    let again = send("push", "11111111-1111-1111-1111-111111111111", SECRET).await;
    assert_eq!(again.json(), first.json());
    assert_eq!(
        host.items("jobs").await.len(),
        1,
        "a redelivery is recognised"
    );
    let forged = send("push", "22222222-2222-2222-2222-222222222222", "other").await;
    assert_eq!(forged.status, 401);
    let ping = send("ping", "33333333-3333-3333-3333-333333333333", SECRET).await;
    assert_eq!(ping.status, 200, "{ping:?}");
    assert_eq!(host.items("jobs").await.len(), 1, "a ping runs nothing");
    host.cli_ok(&["provider", "disable", "github"]);
    let down = send("push", "44444444-4444-4444-4444-444444444444", SECRET).await;
    assert_eq!(down.status, 503, "{down:?}");
}

#[tokio::test]
async fn the_header_that_proves_a_providers_caller_is_not_handed_over() {
    let mut host = start().await;
    assert!(host.terminate(), "{}", host.log());
    let library = "libprovider_nextcloud.so";
    let placed = host.path("plugins").join(library);
    harness::place(&harness::target().join(library), &placed);
    let manifest = harness::root().join("manifests/nextcloud.yaml");
    std::fs::copy(manifest, host.path("manifests/nextcloud.yaml")).expect("a manifest");
    host.resume().await;
    let auth = json!({"provider": "nextcloud", "manual": {"webhook_secret": "CANARY-secret"}});
    let fields = json!({"auth": auth, "include_headers": ["X-Trigger-Secret", "X-A"]});
    host.until("the provider is live", async || {
        let shown = host.get("/api/v1/providers").await;
        shown.to_string().contains("nextcloud").then_some(())
    })
    .await;
    host.apply(&document(&[route(fields)]));
    let body = json!({"time": 1, "user": {"uid": "a"}, "event": {"class": "OCA\\Any\\Event"}});
    let answer = post(&host, "/hooks/r/1")
        .header("X-Trigger-Secret", "CANARY-secret")
        .header("X-A", "yes")
        .body(body.to_string())
        .send()
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["x_a"], "yes");
    assert!(!answer.text.contains("CANARY-secret"), "{answer:?}");
}

#[tokio::test]
async fn limits_hold_for_routes_and_for_strangers() {
    let host = host_with(&[("TRIGGERD_LIMITS_BODY_MAX", "1KiB")]).await;
    host.apply(&document(&[route(json!({}))]));
    for path in ["/hooks/r/1", "/hooks/none"] {
        let answer = post(&host, path).body(vec![b' '; 2000]).send().await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        let ends = answer.headers.get("connection");
        assert_eq!(ends.expect("said"), "close", "the rest is not read");
    }
    let head = by(Method::HEAD, post(&host, "/hooks/r/1")).send().await;
    assert_eq!(head.status, 401, "a look runs nothing");
    assert_eq!(host.items("jobs").await.len(), 0);
}

#[tokio::test]
async fn a_key_of_the_callers_own_is_good_where_the_caller_is_known() {
    let host = start().await;
    host.apply(&document(&[route(json!({"auth": "token"}))]));
    let call = |body: &'static str| {
        post(&host, "/hooks/r/1")
            .token(host.token.clone())
            .header("Idempotency-Key", "k-1")
            .body(body)
            .send()
    };
    let first = call("{\"n\":1}").await;
    let again = call("{\"n\":2}").await;
    assert_eq!(first.json(), again.json());
    assert_eq!(host.items("jobs").await.len(), 1);
}

#[tokio::test]
async fn sealed_secrets_of_routes_follow_a_new_key() {
    let host = start().await;
    host.apply(&document(&[route(json!({"auth": rules(json!({}))}))]));
    host.cli_ok(&["key", "rotate"]);
    // Read from its row again, with the new key alone.
    host.apply(&document(&[
        route(json!({"auth": rules(json!({}))})),
        route(json!({"name": "other", "path": "/hooks/other"})),
    ]));
    assert_eq!(
        signed_post(&host, "/hooks/r/1", "{}", SECRET).await.status,
        200
    );
}
