//! The fake GitHub against GitHub's own description, and its oddities.

use serde_json::{Value, json};
use triggerd_fakes::github::{CLIENT_ID, CLIENT_SECRET, Github, TOKEN};
use triggerd_fakes::{Answer, Exchange, Service};

const AT_MS: i64 = 1_700_000_000_000;
const HOOKS: &str = "/repos/acme/site/hooks";

#[test]
fn every_answer_is_one_that_github_describes() {
    let github = Github::new();
    let url = "https://triggers.acme.test/1";
    let body =
        json!({"name": "web", "config": {"url": url, "content_type": "json", "secret": "s"}});
    for hooks in [HOOKS, "/orgs/acme/hooks"] {
        let made = api(&github, "POST", hooks, body.clone());
        assert_eq!(made.0, 201, "{made:?}");
        assert_eq!(made.1["config"]["secret"], "********");
        let hook = format!("{hooks}/{}", made.1["id"]);
        assert_eq!(
            api(&github, "POST", &format!("{hook}/pings"), Value::Null).0,
            204
        );
        for delivery in github.outbox(AT_MS) {
            github.delivered(AT_MS, delivery.id, Some(500));
        }
        let log = api(&github, "GET", &format!("{hook}/deliveries"), Value::Null).1;
        let one = format!("{hook}/deliveries/{}", log[0]["id"]);
        for (method, path, body, status) in [
            ("GET", hooks.to_owned(), Value::Null, 200),
            ("GET", hook.clone(), Value::Null, 200),
            ("GET", format!("{hook}/config"), Value::Null, 200),
            (
                "PATCH",
                format!("{hook}/config"),
                json!({"content_type": "form"}),
                200,
            ),
            (
                "PATCH",
                hook.clone(),
                json!({"events": ["push"], "active": false}),
                200,
            ),
            ("GET", one.clone(), Value::Null, 200),
            ("POST", format!("{one}/attempts"), Value::Null, 202),
            (
                "POST",
                hooks.to_owned(),
                json!({"name": "web", "config": {"url": url}}),
                422,
            ),
            ("DELETE", hook.clone(), Value::Null, 204),
            ("GET", hook.clone(), Value::Null, 404),
            ("GET", format!("{hook}/deliveries"), Value::Null, 404),
        ] {
            assert_eq!(
                api(&github, method, &path, body).0,
                status,
                "{method} {path}"
            );
        }
    }
    for path in [
        "/user",
        "/user/repos",
        "/user/orgs",
        "/orgs/acme",
        "/repos/acme/site",
        "/rate_limit",
    ] {
        assert_eq!(api(&github, "GET", path, Value::Null).0, 200, "{path}");
        assert_eq!(
            api(&github, "GET", &format!("/api/v3{path}"), Value::Null).0,
            200,
            "{path}"
        );
    }
    assert_eq!(github.violations(), Vec::<String>::new());
}

#[test]
fn what_the_real_one_refuses_is_refused_and_noted() {
    for (method, path, body) in [
        ("GET", "/repos/acme/site/webhooks", Value::Null),
        ("GET", "/repos/acme/site/hooks/first", Value::Null),
        ("GET", "/repos/acme/site/hooks?limit=5", Value::Null),
        ("GET", "/repos/acme/site/hooks?per_page=500", Value::Null),
        ("PUT", "/repos/acme/site/hooks/1", json!({})),
        (
            "POST",
            HOOKS,
            json!({"url": "https://triggers.acme.test/1"}),
        ),
        ("POST", HOOKS, json!({"config": {"url": 7}})),
        (
            "POST",
            "/orgs/acme/hooks",
            json!({"config": {"url": "https://triggers.acme.test/1"}}),
        ),
        (
            "POST",
            "/repos/acme/site/hooks/1/pings",
            json!({"now": true}),
        ),
    ] {
        let github = Github::new();
        let (status, _, _) = api(&github, method, path, body);
        assert!([404, 422].contains(&status), "{method} {path}: {status}");
        assert_eq!(github.violations().len(), 1, "{method} {path}");
    }
    let github = Github::new();
    let nameless = Exchange {
        headers: vec![("authorization".to_owned(), format!("Bearer {TOKEN}"))],
        ..exchange("GET", "/user", &Value::Null)
    };
    assert_eq!(github.handle(AT_MS, &nameless).status, 403);
    assert_eq!(github.violations().len(), 1);
}

#[test]
fn a_change_without_the_secret_removes_it() {
    let github = Github::new();
    let config =
        json!({"url": "https://triggers.acme.test/1", "content_type": "json", "secret": "s"});
    let (_, made, _) = api(&github, "POST", HOOKS, json!({"config": config}));
    let hook = format!("{HOOKS}/{}", made["id"]);
    let (_, changed, _) = api(
        &github,
        "PATCH",
        &hook,
        json!({"config": {"url": "https://triggers.acme.test/2"}}),
    );
    assert_eq!(
        changed["config"],
        json!({"url": "https://triggers.acme.test/2", "insecure_ssl": "0"})
    );
}

#[test]
fn a_code_is_good_once_for_who_began_and_the_token_works() {
    let github = Github::new();
    // RFC 7636, appendix B.
    let (verifier, challenge) = (
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    );
    let code = authorize(
        &github,
        &format!("&code_challenge={challenge}&code_challenge_method=S256"),
    );
    for (form, error) in [
        (
            format!("code={code}&client_id={CLIENT_ID}&client_secret=wrong"),
            "incorrect_client_credentials",
        ),
        (
            format!("code=other&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}"),
            "bad_verification_code",
        ),
    ] {
        assert_eq!(token(&github, AT_MS, &form)["error"], error);
    }
    let form = format!(
        "code={code}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&code_verifier={verifier}"
    );
    let granted = token(&github, AT_MS, &form);
    assert_eq!(granted["scope"], "admin:repo_hook,read:org");
    let access = granted["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let (status, user, headers) = api_as(&github, &access, AT_MS, "GET", "/user", Value::Null);
    assert_eq!((status, &user["login"]), (200, &json!("octocat")));
    assert!(headers.contains(&(
        "x-oauth-scopes".to_owned(),
        "admin:repo_hook, read:org".to_owned()
    )));
    assert_eq!(
        token(&github, AT_MS, &form)["error"],
        "bad_verification_code"
    );

    let code = authorize(
        &github,
        &format!("&code_challenge={challenge}&code_challenge_method=S256"),
    );
    let form = format!(
        "code={code}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&code_verifier=guessed"
    );
    assert_eq!(
        token(&github, AT_MS, &form)["error"],
        "bad_verification_code"
    );
    let code = authorize(&github, "");
    let form = format!("code={code}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    assert_eq!(
        token(&github, AT_MS + 600_000, &form)["error"],
        "bad_verification_code"
    );
}

#[test]
fn a_refresh_replaces_both_tokens_and_the_old_ones_are_dead() {
    let github = Github::new();
    github
        .control(AT_MS, "expiring_tokens", &json!({"seconds": 28_800}))
        .expect("a control");
    let code = authorize(&github, "");
    let client = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let first = token(&github, AT_MS, &format!("{client}&code={code}"));
    let access = first["access_token"].as_str().expect("a token").to_owned();
    let status =
        |access: &str, at_ms| api_as(&github, access, at_ms, "GET", "/user", Value::Null).0;
    assert_eq!(status(&access, AT_MS + 28_799_000), 200);
    assert_eq!(status(&access, AT_MS + 28_800_000), 401);

    let refresh = format!(
        "{client}&grant_type=refresh_token&refresh_token={}",
        first["refresh_token"].as_str().expect("one")
    );
    let second = token(&github, AT_MS, &refresh);
    assert_eq!(status(&access, AT_MS), 401);
    let access = second["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(status(&access, AT_MS), 200);
    assert_eq!(
        token(&github, AT_MS, &refresh)["error"],
        "bad_refresh_token"
    );

    github
        .control(AT_MS, "revoke_tokens", &Value::Null)
        .expect("a control");
    assert_eq!(status(&access, AT_MS), 401);
    let refresh = format!(
        "{client}&grant_type=refresh_token&refresh_token={}",
        second["refresh_token"].as_str().expect("one")
    );
    assert_eq!(
        token(&github, AT_MS, &refresh)["error"],
        "bad_refresh_token"
    );
}

#[test]
fn who_does_not_ask_for_json_gets_a_form() {
    let github = Github::new();
    let mut request = exchange("POST", "/login/oauth/access_token", &Value::Null);
    request.headers.retain(|(name, _)| name != "accept");
    request.body = b"code=none".to_vec();
    let answer = github.handle(AT_MS, &request);
    assert_eq!(answer.status, 200);
    let body = String::from_utf8(answer.body).expect("a form is text");
    assert!(
        body.contains("error=incorrect_client_credentials&"),
        "{body}"
    );
}

#[test]
fn an_hour_s_requests_are_counted() {
    let github = Github::new();
    github
        .control(
            AT_MS,
            "quota",
            &json!({"limit": 3, "remaining": 1, "resets_in_s": 60}),
        )
        .expect("a control");
    assert_eq!(api(&github, "GET", "/user", Value::Null).0, 200);
    let (status, body, headers) = api(&github, "GET", "/user", Value::Null);
    assert_eq!(
        (status, &body["message"]),
        (403, &json!("API rate limit exceeded for user ID 1."))
    );
    assert!(headers.contains(&("x-ratelimit-remaining".to_owned(), "0".to_owned())));
    let at_ms = AT_MS + 60_000;
    assert_eq!(
        api_as(&github, TOKEN, at_ms, "GET", "/user", Value::Null).0,
        200
    );
}

#[test]
fn an_unknown_control_is_an_error() {
    let github = Github::new();
    assert!(github.control(AT_MS, "explode", &Value::Null).is_err());
    assert!(
        github
            .control(AT_MS, "push", &json!({"repository": "acme/none"}))
            .is_err()
    );
    assert!(
        github
            .control(AT_MS, "throttle", &json!({"kind": "sometimes"}))
            .is_err()
    );
}

fn authorize(github: &Github, more: &str) -> String {
    let back = "http%3A%2F%2F127.0.0.1%2Fback";
    let mut request = exchange("GET", "/login/oauth/authorize", &Value::Null);
    request.query = format!(
        "client_id={CLIENT_ID}&redirect_uri={back}&state=s1&scope=admin%3Arepo_hook%20read%3Aorg{more}"
    );
    let answer = github.handle(AT_MS, &request);
    assert_eq!(answer.status, 302);
    let location = &answer.headers[0].1;
    let code = location
        .strip_prefix("http://127.0.0.1/back?code=")
        .expect("a code");
    code.strip_suffix("&state=s1")
        .expect("the state")
        .to_owned()
}

fn token(github: &Github, at_ms: i64, form: &str) -> Value {
    let mut request = exchange("POST", "/login/oauth/access_token", &Value::Null);
    request.body = form.as_bytes().to_vec();
    body(&github.handle(at_ms, &request))
}

fn api(
    github: &Github,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Value, Vec<(String, String)>) {
    api_as(github, TOKEN, AT_MS, method, path, body)
}

fn api_as(
    github: &Github,
    token: &str,
    at_ms: i64,
    method: &str,
    path: &str,
    sent: Value,
) -> (u16, Value, Vec<(String, String)>) {
    let mut request = exchange(method, path, &sent);
    request
        .headers
        .push(("Authorization".to_owned(), format!("Bearer {token}")));
    let answer = github.handle(at_ms, &request);
    (answer.status, body(&answer), answer.headers)
}

fn exchange(method: &str, address: &str, body: &Value) -> Exchange {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    Exchange {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        host: "127.0.0.1:9101".to_owned(),
        headers: vec![
            ("user-agent".to_owned(), "a test".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ],
        body: match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        },
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}
