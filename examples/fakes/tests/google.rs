//! The fake Google: what Google's own client sends is accepted, what Google would refuse is not.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

use serde_json::{Value, json};
use triggerd_fakes::google::{ACCOUNT, Google, STANDING_TOKEN};
use triggerd_fakes::{Answer, Exchange, Service};

const NOW_MS: i64 = 1_790_000_000_000;

fn request(method: &str, address: &str, body: Option<&Value>) -> Exchange {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut headers = vec![(
        "authorization".to_owned(),
        format!("Bearer {STANDING_TOKEN}"),
    )];
    headers.extend(body.map(|_| ("content-type".to_owned(), "application/json".to_owned())));
    Exchange {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        host: "www.googleapis.com".to_owned(),
        headers,
        body: body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default(),
    }
}

fn ask(google: &Google, method: &str, address: &str, body: Option<&Value>) -> (u16, Value) {
    said(&google.handle(NOW_MS, &request(method, address, body)))
}

fn said(answer: &Answer) -> (u16, Value) {
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or_default(),
    )
}

fn channel(id: &str) -> Value {
    json!({
        "id": id, "type": "web_hook", "address": "https://h.example/n", "token": "t",
        "expiration": (NOW_MS + 1_000_000).to_string(),
    })
}

#[test]
fn what_the_official_client_sends_is_accepted() {
    let recorded: Vec<Value> =
        serde_json::from_str(include_str!("../data/google/official-client-requests.json")).unwrap();
    assert_eq!(recorded.len(), 11);
    let google = Google::new();
    google
        .control(NOW_MS, "create_file", &json!({"id": "F1", "name": "one"}))
        .unwrap();
    for _ in 0..42 {
        google
            .control(NOW_MS, "touch", &json!({"id": "F1"}))
            .unwrap();
    }
    for (number, recorded) in recorded.iter().enumerate() {
        let uri = recorded["uri"].as_str().unwrap();
        let address = uri.strip_prefix("https://www.googleapis.com").unwrap();
        // The recording is of another account, and uses one channel id for every call.
        let address = address
            .replace("user%40example.com", &ACCOUNT.replace('@', "%40"))
            .replace("CPDAlvWDx70CEPDAlvWDx70CGAU%3D", "0");
        let body = recorded["body"].as_str().map(|body| {
            let mut body: Value = serde_json::from_str(body).unwrap();
            if uri.contains("/watch") {
                body["id"] = json!(format!("01234567-89ab-cdef-{number}"));
            }
            body
        });
        let mut request = request(
            recorded["method"].as_str().unwrap(),
            address.trim_end_matches('?'),
            body.as_ref(),
        );
        request.headers.extend(["accept", "user-agent"].map(|name| {
            (
                name.to_owned(),
                recorded["headers"][name].as_str().unwrap_or("").to_owned(),
            )
        }));
        let (status, answer) = said(&google.handle(NOW_MS, &request));
        // The channel that the recording stops was never opened here.
        let expected = if uri.contains("/stop") { 404 } else { 200 };
        assert_eq!(status, expected, "{uri}: {answer}");
    }
    assert_eq!(google.violations(), Vec::<String>::new());
}

#[test]
fn what_google_would_refuse_is_refused_and_noted() {
    let watch = "/drive/v3/changes/watch?pageToken=0";
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = channel("c");
        change(&mut body);
        Some(body)
    };
    let refused: Vec<(&str, &str, Option<Value>)> = vec![
        ("GET", "/drive/v3/changes", None),
        ("GET", "/drive/v3/changes?pageToken=0&page=1", None),
        ("GET", "/drive/v3/files?pageSize=1001", None),
        ("GET", "/drive/v3/files?supportsAllDrives=yes", None),
        ("GET", "/drive/v3/files?fields=files(id,nmae)", None),
        ("GET", "/drive/v3/files?fields=files(id", None),
        ("GET", "/drive/v3/files?q=name%20like%20%27a%27", None),
        ("GET", "/drive/v3/files?driveId=0ATEAM", None),
        ("GET", "/drive/v3/about", None),
        ("GET", "/drive/v3/nothing", None),
        ("PUT", "/drive/v3/files/F1", None),
        ("POST", watch, None),
        ("POST", watch, with(&|body| body["type"] = json!("email"))),
        (
            "POST",
            watch,
            with(&|body| body["id"] = json!("x".repeat(65))),
        ),
        (
            "POST",
            watch,
            with(&|body| body["token"] = json!("x".repeat(257))),
        ),
        ("POST", watch, with(&|body| body["expiration"] = json!("1"))),
        (
            "POST",
            watch,
            with(&|body| body["expiration"] = json!("soon")),
        ),
        ("POST", watch, with(&|body| body["ttl"] = json!(5))),
        ("POST", "/drive/v3/channels/stop", Some(json!({"id": "c"}))),
        (
            "GET",
            "/calendar/v3/calendars/primary/events?orderBy=startTime",
            None,
        ),
        (
            "GET",
            "/calendar/v3/calendars/primary/events?syncToken=0&timeMin=2026-01-01T00:00:00Z",
            None,
        ),
        (
            "GET",
            "/calendar/v3/calendars/primary/events?orderBy=name",
            None,
        ),
    ];
    for (method, address, body) in refused {
        let google = Google::new();
        let (status, answer) = ask(&google, method, address, body.as_ref());
        assert!(matches!(status, 400 | 404), "{method} {address}: {answer}");
        assert_eq!(google.violations().len(), 1, "{method} {address} {body:?}");
    }
}

#[test]
fn a_channel_s_id_is_used_once_and_its_address_is_https() {
    let google = Google::new();
    let watch = "/calendar/v3/calendars/primary/events/watch";
    let (status, opened) = ask(&google, "POST", watch, Some(&channel("c1")));
    assert_eq!((status, &opened["kind"]), (200, &json!("api#channel")));
    let stop = json!({"id": "c1", "resourceId": opened["resourceId"]});
    let stopped = google.handle(
        NOW_MS,
        &request("POST", "/calendar/v3/channels/stop", Some(&stop)),
    );
    assert_eq!((stopped.status, stopped.body.len()), (204, 0));
    let (status, again) = ask(&google, "POST", watch, Some(&channel("c1")));
    assert_eq!(status, 400);
    assert_eq!(again["error"]["errors"][0]["reason"], "channelIdNotUnique");
    let mut plain = channel("c2");
    plain["address"] = json!("http://h.example/n");
    let (status, refused) = ask(&google, "POST", watch, Some(&plain));
    assert_eq!(status, 400);
    assert_eq!(
        refused["error"]["errors"][0]["reason"],
        "push.webhookUrlNotHttps"
    );
    plain["address"] = json!("http://127.0.0.1:8080/n");
    assert_eq!(ask(&google, "POST", watch, Some(&plain)).0, 200);
}

#[test]
fn pushes_carry_the_real_headers_and_are_tried_again_after_some_answers_only() {
    let google = Google::new();
    google
        .control(NOW_MS, "create_file", &json!({"id": "F1", "name": "one"}))
        .unwrap();
    ask(
        &google,
        "POST",
        "/drive/v3/files/F1/watch",
        Some(&channel("c1")),
    );
    let [sync] = google.outbox(NOW_MS).try_into().unwrap();
    let header = |delivery: &triggerd_fakes::Delivery, name: &str| {
        let found = delivery.headers.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(header(&sync, "X-Goog-Resource-State").unwrap(), "sync");
    assert_eq!(header(&sync, "X-Goog-Message-Number").unwrap(), "1");
    assert_eq!(header(&sync, "X-Goog-Channel-Token").unwrap(), "t");
    assert_eq!(sync.body, b"");
    google.delivered(NOW_MS, sync.id, Some(200));

    google
        .control(NOW_MS, "rename", &json!({"id": "F1", "name": "two"}))
        .unwrap();
    let [update] = google.outbox(NOW_MS).try_into().unwrap();
    assert_eq!(header(&update, "X-Goog-Resource-State").unwrap(), "update");
    assert_eq!(header(&update, "X-Goog-Changed").unwrap(), "properties");
    assert_ne!(header(&update, "X-Goog-Message-Number").unwrap(), "2");
    google.delivered(NOW_MS, update.id, Some(503));
    assert_eq!(google.outbox(NOW_MS), []);
    let [again] = google.outbox(NOW_MS + 10_000).try_into().unwrap();
    assert_eq!(again, update);
    google.delivered(NOW_MS + 10_000, again.id, Some(401));
    assert_eq!(google.outbox(NOW_MS + 100_000), []);

    // The channel has ended.
    let late = NOW_MS + 2_000_000;
    google
        .control(late, "rename", &json!({"id": "F1", "name": "three"}))
        .unwrap();
    assert_eq!(google.outbox(late), []);
}

#[test]
fn consent_gives_tokens_that_end() {
    let google = Google::new();
    let authorize = |prompt: &str| {
        let query = format!(
            "client_id=c&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb&response_type=code&state=s\
             &scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdrive.readonly&access_type=offline{prompt}\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        let answer = google.handle(
            NOW_MS,
            &Exchange {
                method: "GET".to_owned(),
                path: "/o/oauth2/v2/auth".to_owned(),
                query,
                ..Exchange::default()
            },
        );
        assert_eq!(answer.status, 302);
        let location = &answer.headers[0].1;
        let code = location
            .split("code=")
            .nth(1)
            .unwrap()
            .split('&')
            .next()
            .unwrap();
        code.to_owned()
    };
    let token = |body: String| {
        said(&google.handle(
            NOW_MS,
            &Exchange {
                method: "POST".to_owned(),
                path: "/token".to_owned(),
                body: body.into_bytes(),
                ..Exchange::default()
            },
        ))
    };
    // The verifier of RFC 7636, appendix B.
    let redeem = |code: &str, verifier: &str| {
        token(format!(
            "grant_type=authorization_code&code={code}&client_id=c&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb&code_verifier={verifier}"
        ))
    };
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let code = authorize("");
    let (status, given) = redeem(&code, verifier);
    assert_eq!(status, 200, "{given}");
    assert_eq!(redeem(&code, verifier).1["error"], "invalid_grant");
    let (_, wrong) = redeem(&authorize("&prompt=consent"), "another");
    assert_eq!(wrong["error"], "invalid_grant");
    let (_, second) = redeem(&authorize(""), verifier);
    assert_eq!(second["refresh_token"], Value::Null);
    let refresh = given["refresh_token"].as_str().unwrap();
    let (status, _) = token(format!("grant_type=refresh_token&refresh_token={refresh}"));
    assert_eq!(status, 200);

    let mut about = request("GET", "/drive/v3/about?fields=user", None);
    about.headers[0].1 = format!("Bearer {}", given["access_token"].as_str().unwrap());
    assert_eq!(google.handle(NOW_MS, &about).status, 200);
    assert_eq!(google.handle(NOW_MS + 3_600_000, &about).status, 401);
    about.path = "/calendar/v3/calendars/primary".to_owned();
    about.query = String::new();
    let (status, refused) = said(&google.handle(NOW_MS, &about));
    assert_eq!(status, 403);
    assert_eq!(
        refused["error"]["errors"][0]["reason"],
        "insufficientPermissions"
    );

    google.control(NOW_MS, "revoke_tokens", &json!({})).unwrap();
    let (status, ended) = token(format!("grant_type=refresh_token&refresh_token={refresh}"));
    assert_eq!((status, &ended["error"]), (400, &json!("invalid_grant")));
    assert_eq!(google.handle(NOW_MS, &about).status, 401);
    assert_eq!(google.violations(), Vec::<String>::new());
}
