//! A row for each sentence of the specification that one call can show. The echo answers with its
//! arguments, so that what was handed over and how a result is answered is seen by one call.

use serde_json::{Value, json};

use super::harness::Host;
use super::postgres_harness::Cluster;
use super::{Answer, Call, host_with, start, token};

/// One call and what it must be answered.
struct Row {
    says: &'static str,
    call: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
    status: u16,
    kind: &'static str,
    answer: Value,
}

const ECHO: &str = "POST run_wait_result/p/f/t/echo";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PROBLEM: &str = "application/problem+json";

fn echo(
    says: &'static str,
    call: &'static str,
    (headers, body): (&'static [(&'static str, &'static str)], &'static [u8]),
    answer: Value,
) -> Row {
    Row {
        says,
        call,
        headers,
        body,
        status: 200,
        kind: JSON,
        answer,
    }
}

fn shaped(
    says: &'static str,
    body: &'static [u8],
    (status, kind): (u16, &'static str),
    answer: Value,
) -> Row {
    Row {
        says,
        call: ECHO,
        headers: &[],
        body,
        status,
        kind,
        answer,
    }
}

/// Problems are compared by the field they name.
fn refused(
    says: &'static str,
    call: &'static str,
    (headers, body): (&'static [(&'static str, &'static str)], &'static [u8]),
    (status, field): (u16, &'static str),
) -> Row {
    Row {
        says,
        call,
        headers,
        body,
        status,
        kind: PROBLEM,
        answer: json!(field),
    }
}

fn bodies() -> Vec<Row> {
    vec![
        echo("JSON", ECHO, (&[("content-type", JSON)], br#"{"a":1}"#), json!({"a":1})),
        echo("JSON with no Content-Type", ECHO, (&[], br#"{"a":1}"#), json!({"a":1})),
        echo("JSON with leading white space", ECHO, (&[], b" \r\n\t{\"a\":1}"), json!({"a":1})),
        echo("a suffix says JSON too", ECHO, (&[("content-type", "application/vnd.a+json; charset=utf-8")], b"{\"a\":1}"), json!({"a":1})),
        echo("no body is no arguments", ECHO, (&[], b""), json!({})),
        echo("a value that is no object arrives as body: list", ECHO, (&[], b"[1,2]"), json!({"body":[1,2]})),
        echo("a value that is no object arrives as body: text", ECHO, (&[], b"\"x\""), json!({"body":"x"})),
        echo("wrap_body wraps an object too", "POST run_wait_result/p/f/t/echo?wrap_body=true", (&[], b"{\"body\":1}"), json!({"body":{"body":1}})),
        echo("wrap_body wraps nothing twice", "POST run_wait_result/p/f/t/echo?wrap_body=true", (&[], b"[1]"), json!({"body":[1]})),
        echo("raw adds the body exactly as sent", "POST run_wait_result/p/f/t/echo?raw=true", (&[], b" {\"a\" : 1}\n"), json!({"a":1,"raw_string":" {\"a\" : 1}\n"})),
        echo("form", ECHO, (&[("content-type", FORM)], b"a=1&b=x+y%26&a=2"), json!({"a":["1","2"],"b":"x y&"})),
        echo("form, wrapped", "POST run_wait_result/p/f/t/echo?wrap_body=true", (&[("content-type", FORM)], b"a=1"), json!({"body":{"a":"1"}})),
        echo("text", ECHO, (&[("content-type", "text/plain")], "schön".as_bytes()), json!({"raw_string":"schön"})),
        echo("XML", ECHO, (&[("content-type", "application/xml")], b"<a/>"), json!({"raw_string":"<a/>"})),
        echo("XML by its suffix", ECHO, (&[("content-type", "application/atom+xml")], b"<a/>"), json!({"raw_string":"<a/>"})),
        echo("any other type as bytes", ECHO, (&[("content-type", "image/png")], b"\x89PNG\xff"), json!({"raw_bytes":"iVBOR/8="})),
        echo("text that is not UTF-8 as bytes", ECHO, (&[("content-type", "text/plain")], b"\xff"), json!({"raw_bytes":"/w=="})),
        echo("multipart texts", ECHO, (&[("content-type", "multipart/form-data; boundary=B")], b"--B\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n"), json!({"a":"1"})),
        echo("multipart files by path", "POST run_wait_result/p/f/t/first", (&[("content-type", "multipart/form-data; boundary=B")], b"--B\r\ncontent-disposition: form-data; name=\"f\"; filename=\"../../etc/passwd\"\r\ncontent-type: text/plain\r\n\r\n\"inside\"\r\n--B--\r\n"), json!("inside")),
    ]
}

fn beside_the_body() -> Vec<Row> {
    vec![
        echo(
            "include_header adds headers, lower-cased, - as _",
            "POST run_wait_result/p/f/t/echo?include_header=X-Sign,foo,absent",
            (&[("X-Sign", "abc"), ("Foo", "bar")], b"{\"a\":1}"),
            json!({"a":1,"x_sign":"abc","foo":"bar"}),
        ),
        echo(
            "what the host adds wins over the sender",
            "POST run_wait_result/p/f/t/echo?include_header=x-sign",
            (&[("x-sign", "real")], b"{\"x_sign\":\"forged\"}"),
            json!({"x_sign":"real"}),
        ),
        echo(
            "a setting names headers that are always added",
            ECHO,
            (&[("X-Always", "yes")], b"{}"),
            json!({"x_always":"yes"}),
        ),
        echo(
            "include_query adds those arguments and no others",
            "POST run_wait_result/p/f/t/echo?include_query=a,b&a=1&b=%20&c=3",
            (&[], b"{}"),
            json!({"a":"1","b":" "}),
        ),
        echo(
            "include_query beside a wrapped body",
            "POST run_wait_result/p/f/t/echo?include_query=a&a=1&wrap_body=true",
            (&[], b"{\"x\":1}"),
            json!({"body":{"x":1},"a":"1"}),
        ),
        echo(
            "GET takes base64 of JSON",
            "GET run_wait_result/p/f/t/echo?payload=eyJhIjoiPz4ifQ==",
            (&[], b""),
            json!({"a":"?>"}),
        ),
        echo(
            "unpadded",
            "GET run_wait_result/p/f/t/echo?payload=eyJhIjoiPz4ifQ",
            (&[], b""),
            json!({"a":"?>"}),
        ),
        echo(
            "URL-safe",
            "GET run_wait_result/p/f/t/echo?payload=eyJhIjoiPz4_In0",
            (&[], b""),
            json!({"a":"?>?"}),
        ),
        echo(
            "standard alphabet",
            "GET run_wait_result/p/f/t/echo?payload=eyJhIjoiPz4/In0=",
            (&[], b""),
            json!({"a":"?>?"}),
        ),
        echo(
            "GET of no object",
            "GET run_wait_result/p/f/t/echo?payload=WzFd",
            (&[], b""),
            json!({"body":[1]}),
        ),
        echo(
            "GET without payload",
            "GET run_wait_result/p/f/t/echo",
            (&[], b""),
            json!({}),
        ),
        refused(
            "a payload that is no base64",
            "GET run_wait_result/p/f/t/echo?payload=***",
            (&[], b""),
            (400, "?payload"),
        ),
        refused(
            "a payload that is no JSON",
            "GET run_wait_result/p/f/t/echo?payload=eA",
            (&[], b""),
            (400, "?payload"),
        ),
        refused("a body that is no JSON", ECHO, (&[], b"{"), (400, "body")),
        refused(
            "our token is not handed over: header",
            "POST run_wait_result/p/f/t/echo?include_header=authorization",
            (&[], b"{}"),
            (422, "?include_header=authorization"),
        ),
        refused(
            "our token is not handed over: query",
            "POST run_wait_result/p/f/t/echo?include_query=token",
            (&[], b"{}"),
            (422, "?include_query=token"),
        ),
        refused(
            "nobody pretends to be the host",
            ECHO,
            (&[], b"{\"WEBHOOK__METADATA__\":{}}"),
            (422, "/WEBHOOK__METADATA__"),
        ),
        refused(
            "nor in a form",
            ECHO,
            (&[("content-type", FORM)], b"WEBHOOK__FILES__=%2Fetc"),
            (422, "/WEBHOOK__FILES__"),
        ),
        refused(
            "nor in a field of a multipart form",
            ECHO,
            (&[("content-type", "multipart/form-data; boundary=B")], b"--B\r\ncontent-disposition: form-data; name=WEBHOOK__FILES__\r\n\r\n/etc\r\n--B--\r\n"),
            (422, "/WEBHOOK__FILES__"),
        ),
        refused(
            "nor by the name of a file's field",
            ECHO,
            (&[("content-type", "multipart/form-data; boundary=B")], b"--B\r\ncontent-disposition: form-data; name=WEBHOOK__METADATA__; filename=f\r\n\r\nx\r\n--B--\r\n"),
            (422, "/WEBHOOK__METADATA__"),
        ),
        refused(
            "nor in the query",
            "POST run_wait_result/p/f/t/echo?include_query=a,WEBHOOK__METADATA__&WEBHOOK__METADATA__=x",
            (&[], b"{}"),
            (422, "?include_query=WEBHOOK__METADATA__"),
        ),
        refused(
            "nor in the data of an event",
            ECHO,
            (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"WEBHOOK__METADATA__":{"id":"2"}}}"#),
            (422, "/WEBHOOK__METADATA__"),
        ),
        refused(
            "a field of a multipart form that is not UTF-8",
            ECHO,
            (&[("content-type", "multipart/form-data; boundary=B")], b"--B\r\ncontent-disposition: form-data; name=a\r\n\r\n\xff\r\n--B--\r\n"),
            (400, "body"),
        ),
        refused(
            "a key that stands there twice",
            ECHO,
            (&[("Idempotency-Key", "k"), ("Idempotency-Key", "k")], b"{}"),
            (400, "idempotency-key"),
        ),
        refused(
            "a key that is none",
            ECHO,
            (&[("Idempotency-Key", "a\tb")], b"{}"),
            (422, "idempotency-key"),
        ),
        refused(
            "a packed body",
            ECHO,
            (&[("content-encoding", "gzip")], b"{}"),
            (415, "content-encoding"),
        ),
        refused(
            "a flag that is none",
            "POST run_wait_result/p/f/t/echo?raw=maybe",
            (&[], b"{}"),
            (422, "?raw"),
        ),
        refused(
            "a time that is none",
            "POST run_wait_result/p/f/t/echo?timeout=soon",
            (&[], b"{}"),
            (422, "?timeout"),
        ),
    ]
}

fn answers() -> Vec<Row> {
    vec![
        shaped(
            "the result as JSON",
            br#"{"x":[1]}"#,
            (200, JSON),
            json!({"x":[1]}),
        ),
        shaped(
            "windmill_status_code",
            br#"{"windmill_status_code":418,"result":{"a":1}}"#,
            (418, JSON),
            json!({"a":1}),
        ),
        shaped(
            "windmill_content_type: a text is sent as it is",
            br#"{"windmill_content_type":"text/csv","result":"a,b"}"#,
            (200, "text/csv"),
            json!("a,b"),
        ),
        shaped(
            "windmill_content_type: anything else as JSON",
            br#"{"windmill_content_type":"application/hal+json","result":{"a":1}}"#,
            (200, "application/hal+json"),
            json!({"a":1}),
        ),
        shaped(
            "no result",
            br#"{"windmill_status_code":202}"#,
            (202, ""),
            json!(""),
        ),
        shaped(
            "the neutral names",
            br#"{"response":{"status_code":201,"content_type":"text/plain"},"result":"made"}"#,
            (201, "text/plain"),
            json!("made"),
        ),
        shaped(
            "a response of the result's own",
            br#"{"response":{"status_code":201},"more":1}"#,
            (200, JSON),
            json!({"response":{"status_code":201},"more":1}),
        ),
        shaped(
            "a response that is a text",
            br#"{"response":"ok"}"#,
            (200, JSON),
            json!({"response":"ok"}),
        ),
        shaped(
            "a code that is none",
            br#"{"windmill_status_code":1000,"result":1}"#,
            (500, PROBLEM),
            json!("/windmill_status_code"),
        ),
        shaped(
            "an interim code",
            br#"{"windmill_status_code":101,"result":1}"#,
            (500, PROBLEM),
            json!("/windmill_status_code"),
        ),
        shaped(
            "a code that is a text",
            br#"{"response":{"status_code":"x"}}"#,
            (500, PROBLEM),
            json!("/response/status_code"),
        ),
        shaped(
            "a header with a line break",
            br#"{"windmill_headers":{"x-a":"b\r\nx: y"},"result":1}"#,
            (500, PROBLEM),
            json!("/windmill_headers/x-a"),
        ),
        shaped(
            "a header of the connection",
            br#"{"windmill_headers":{"content-length":"1"},"result":1}"#,
            (500, PROBLEM),
            json!("/windmill_headers/content-length"),
        ),
        shaped(
            "a cookie in our name",
            br#"{"windmill_headers":{"Set-Cookie":"a=b"},"result":1}"#,
            (500, PROBLEM),
            json!("/windmill_headers/Set-Cookie"),
        ),
    ]
}

const CE: &str = "application/cloudevents+json";

fn cloudevents() -> Vec<Row> {
    let metadata = json!({"specversion":"1.0","id":"1","source":"/s","type":"t"});
    vec![
        echo("structured", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}"#), json!({"a":1,"WEBHOOK__METADATA__":metadata})),
        echo("structured, extensions of three kinds", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","ext1":"x","ext2":7,"ext3":true,"ext4":null}"#), json!({"WEBHOOK__METADATA__":{"specversion":"1.0","id":"1","source":"/s","type":"t","ext1":"x","ext2":7,"ext3":true}})),
        echo("structured, data that is no object", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1]}"#), json!({"body":[1],"WEBHOOK__METADATA__":metadata})),
        echo("structured, text", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/xml","data":"<a/>"}"#), json!({"raw_string":"<a/>","WEBHOOK__METADATA__":{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/xml"}})),
        echo("structured, base64", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"/w=="}"#), json!({"raw_bytes":"/w==","WEBHOOK__METADATA__":metadata})),
        echo("binary", ECHO, (&[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-subject", "a%20%E2%82%AC%2525"), ("content-type", JSON)], br#"{"a":1}"#), json!({"a":1,"WEBHOOK__METADATA__":{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a €%25","datacontenttype":JSON}})),
        echo("a batch answers with all results", ECHO, (&[("content-type", "application/cloudevents-batch+json")], br#"[{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}},{"specversion":"1.0","id":"1","source":"/s","type":"t"}]"#), json!([{"a":1,"WEBHOOK__METADATA__":metadata},{"WEBHOOK__METADATA__":metadata}])),
        echo("binary, with a form", ECHO, (&[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("content-type", "multipart/form-data; boundary=B")], b"--B\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--B--\r\n"), json!({"a":"1","WEBHOOK__METADATA__":{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"multipart/form-data; boundary=B"}})),
        refused("a form whose event has no id", ECHO, (&[("ce-specversion", "1.0"), ("content-type", "multipart/form-data; boundary=B")], b"--B--\r\n"), (400, "ce-id")),
        refused("an unknown format", ECHO, (&[("content-type", "application/cloudevents+xml")], b"<e/>"), (415, "content-type")),
        refused("an attribute is missing", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s"}"#), (400, "/type")),
        refused("an attribute is empty", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#), (400, "/id")),
        refused("another version", ECHO, (&[("content-type", CE)], br#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#), (400, "/specversion")),
        refused("a time that is none", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"noon"}"#), (400, "/time")),
        refused("an attribute that is an object", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":{}}"#), (400, "/x")),
        refused("an attribute whose name is none", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","Ext":"x"}"#), (400, "/Ext")),
        refused("an attribute that is a broken number", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":1.5}"#), (400, "/x")),
        refused("a subject that is no text", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":7}"#), (400, "/subject")),
        refused("data that is no base64", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"***"}"#), (400, "/data_base64")),
        refused("data twice", ECHO, (&[("content-type", CE)], br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":"AA=="}"#), (400, "/data_base64")),
        refused("a header that is not UTF-8 when decoded", ECHO, (&[("ce-specversion", "1.0"), ("ce-id", "%ff")], b""), (400, "ce-id")),
        refused("a header that stands there twice", ECHO, (&[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-id", "2")], b""), (400, "ce-id")),
        refused("one bad event of a batch", ECHO, (&[("content-type", "application/cloudevents-batch+json")], br#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"id":"2"}]"#), (400, "/1/source")),
    ]
}

async fn check(host: &Host, row: &Row) {
    let (method, path) = row.call.split_once(' ').expect("method and path");
    let mut call = match method {
        "GET" => Call::get(host, path),
        _ => Call::post(host, path),
    };
    for (name, value) in row.headers {
        call = call.header(name, value);
    }
    let answer = call.body(row.body).send().await;
    assert_eq!(
        answer.status.as_u16(),
        row.status,
        "{}: {answer:?}",
        row.says
    );
    assert_eq!(answer.kind, row.kind, "{}", row.says);
    let found = match row.kind {
        PROBLEM => answer.json()["field"].clone(),
        _ => serde_json::from_str(&answer.text).unwrap_or(json!(answer.text)),
    };
    assert_eq!(found, row.answer, "{}", row.says);
}

async fn check_all(host: &Host) {
    for table in [bodies(), beside_the_body(), answers(), cloudevents()] {
        for row in table {
            check(host, &row).await;
        }
    }
}

const ALWAYS: (&str, &str) = ("TRIGGERD_WEBHOOKS_INCLUDE_HEADERS", "X-Always");

#[tokio::test]
async fn each_sentence_holds_on_sqlite() {
    check_all(&host_with(&[ALWAYS]).await).await;
}

#[tokio::test]
async fn each_sentence_holds_on_postgres() {
    let database = Cluster::shared().database().await;
    check_all(&host_with(&[ALWAYS, ("TRIGGERD_DATABASE", &database)]).await).await;
}

#[tokio::test]
async fn headers_of_a_result_are_sent_and_a_page_of_it_is_boxed_in() {
    let host = start().await;
    for body in [
        r#"{"windmill_headers":{"X-A":"b","x-n":7},"windmill_content_type":"text/html","result":"<script>"}"#,
        r#"{"response":{"headers":{"X-A":"b","x-n":7},"content_type":"text/html"},"result":"<script>"}"#,
    ] {
        let call = Call::post(&host, "run_wait_result/p/f/t/echo").body(body);
        let answer = call.send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, "<script>")
        );
        for (name, value) in [
            ("x-a", "b"),
            ("x-n", "7"),
            ("content-security-policy", "sandbox"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.headers[name], value, "{body}");
        }
    }
    // Also where a header alone says what it is.
    let body = r#"{"windmill_headers":{"Content-Type":"text/html"},"result":"<script>"}"#;
    let call = Call::post(&host, "run_wait_result/p/f/t/echo").body(body);
    let answer = call.send().await;
    assert_eq!(answer.kind, "text/html");
    assert_eq!(answer.headers["content-security-policy"], "sandbox");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn every_refusal_says_what_was_wrong_and_with_which_field() {
    let host = host_with(&[("TRIGGERD_LIMITS_BODY_MAX", "64KiB")]).await;
    let disabled = host
        .request(
            reqwest::Method::POST,
            "/api/v1/workspaces/default/runnables/f%2Ft%2Fwait/state",
        )
        .header("content-type", "application/json")
        .body("{\"state\":\"disabled\"}")
        .send();
    assert_eq!(disabled.await.expect("an answer").status(), 200);
    let read = token(&host, &["reads", "--scope", "read"]);
    let own = token(&host, &["--for", "f/t/echo"]);
    host.apply("{runnables: [{path: f/t/flow, flow: {steps: [{id: a, run: f/t/echo}]}}]}");
    let flow = token(&host, &["--for", "f/t/flow"]);
    let none = Some("nonsense".to_owned());
    let path = "run/p/f/t/echo";
    let large = vec![b' '; 70_000];
    let refused = async |path: &str, token: Option<String>, body: &[u8], told: (u16, &str)| {
        let call = Call::post(&host, path).token(token).body(body);
        says(&call.send().await, told);
    };
    refused(path, None, b"{}", (401, "token")).await;
    refused(path, none, b"{}", (401, "token")).await;
    refused(path, Some(read), b"{}", (403, "token")).await;
    let for_echo = || Some(own.clone());
    refused("run/p/f/t/fail", for_echo(), b"{}", (403, "token")).await;
    refused("run/f/f/t/echo", for_echo(), b"{}", (403, "token")).await;
    refused(path, Some(flow), b"{}", (403, "token")).await;
    let admin = || Some(host.token.clone());
    refused("run/p/f/t/none", admin(), b"{}", (404, "path")).await;
    refused("run/f/f/t/echo", admin(), b"{}", (422, "path")).await;
    refused(path, admin(), &large, (413, "body")).await;
    refused(path, admin(), b"{", (400, "body")).await;
    let disabled = "run_wait_result/p/f/t/wait";
    refused(disabled, admin(), b"{}", (409, "path")).await;
    let mut other = Call::post(&host, path);
    other.method = reqwest::Method::PUT;
    says(&other.send().await, (405, "method"));
    let elsewhere = Call {
        path: "/api/w/nowhere/jobs/run/p/f/t/echo".to_owned(),
        ..Call::post(&host, path)
    };
    says(&elsewhere.send().await, (404, "workspace"));
    let job = Call {
        path: "/api/w/default/jobs_u/get/job_none".to_owned(),
        ..Call::get(&host, path)
    };
    says(&job.send().await, (404, "id"));
    for path in [
        "%ff/jobs/run/p/f/t/echo",
        "default/jobs/run/p/%ff",
        "default/jobs/run_wait_result/h/%ff",
        "default/jobs_u/get/%ff",
    ] {
        let mut call = Call::post(&host, "");
        call.path = format!("/api/w/{path}");
        if path.contains("jobs_u") {
            call.method = reqwest::Method::GET;
        }
        says(&call.send().await, (400, "path"));
    }
    let route = Call {
        path: "/hooks/none".to_owned(),
        ..Call::post(&host, path)
    };
    says(&route.send().await, (401, "authorization"));
    // What was deleted after use is not there for a second answer to the same key.
    let once =
        || Call::post(&host, "run_wait_result/p/f/t/secret").header("Idempotency-Key", "once");
    assert_eq!(once().send().await.status, 200);
    let gone = host.until("the job is wiped", async || {
        let answer = once().send().await;
        (answer.status != 200).then_some(answer)
    });
    says(&gone.await, (410, "idempotency-key"));
    host.apply(
        "
workspace: default
routes:
- {name: own, path: /hooks/own, runnable: f/t/echo, auth: none, cors: {origins: ['https://app.example.org']}}
",
    );
    let page = Call {
        path: "/hooks/own".to_owned(),
        ..Call::post(&host, path).header("Origin", "https://evil.example.org")
    };
    says(&page.send().await, (403, "origin"));
}

fn says(answer: &Answer, (status, field): (u16, &str)) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.kind, PROBLEM, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["field"], field, "{answer:?}");
    assert_eq!(told["status"], status, "{answer:?}");
    assert!(told["detail"].as_str().is_some_and(|text| !text.is_empty()));
}
