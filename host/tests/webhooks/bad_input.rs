//! What hostile and clumsy senders do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::harness::Host;
use super::{Call, host_with, start};

const LIMIT: (&str, &str) = ("TRIGGERD_LIMITS_BODY_MAX", "64KiB");

/// Sends these bytes; returns the first line of the answer.
fn raw(host: &Host, bytes: &[u8]) -> String {
    let address = host.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("connected");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a timeout");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.windows(2).any(|two| two == b"\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

fn head(host: &Host, more: &str) -> String {
    format!(
        "POST /api/w/default/jobs/run/p/f/t/echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n\r\n",
        host.token
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_as_soon_as_that_is_known() {
    let host = host_with(&[LIMIT]).await;
    // Nothing of the body was sent yet.
    let announced = raw(&host, head(&host, "content-length: 99999999999").as_bytes());
    assert!(announced.contains("413"), "{announced}");
    // The last chunk never comes.
    let mut chunked = head(&host, "transfer-encoding: chunked").into_bytes();
    chunked.extend_from_slice(format!("{:x}\r\n", 70_000).as_bytes());
    chunked.extend(std::iter::repeat_n(b' ', 70_000));
    assert!(raw(&host, &chunked).contains("413"));
    assert_eq!(host.items("jobs").await.len(), 0);
    host.item("requests", |row| {
        row["status"] == 413 && row["outcome"] == "refused"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_dawdles_is_cut_off() {
    let host = host_with(&[("TRIGGERD_LIMITS_READ_TIMEOUT", "300ms")]).await;
    let mut slow = head(&host, "content-length: 10").into_bytes();
    slow.extend_from_slice(b"{\"a\"");
    let answer = raw(&host, &slow);
    assert!(answer.contains("408"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_framing_is_refused() {
    let host = start().await;
    for more in [
        "content-length: 2\r\ntransfer-encoding: chunked",
        "content-length: 2\r\ncontent-length: 3",
        "transfer-encoding: chunked\r\ncontent-length: 2",
    ] {
        let mut bytes = head(&host, more).into_bytes();
        bytes.extend_from_slice(b"zz\r\n{}");
        let answer = raw(&host, &bytes);
        assert!(!answer.contains(" 20"), "{more}: {answer}");
    }
    let many = "x-a: b\r\n".repeat(200);
    let answer = raw(&host, head(&host, many.trim_end()).as_bytes());
    assert!(answer.contains("431"), "{answer}");
    assert_eq!(host.items("jobs").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_calls_are_answered_in_their_order() {
    let host = start().await;
    let one = head(&host, "content-length: 2").trim_end().to_owned() + "\r\n\r\n{}";
    let address = host.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.write_all(one.repeat(3).as_bytes()).expect("sent");
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("half closed");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[tokio::test]
async fn poison_is_refused_or_passes_through_unharmed() {
    let host = start().await;
    let deep = "[".repeat(100_000);
    for (body, status) in [
        (deep.as_bytes(), 400),
        (b"{\"a\":\"\\ud800\"}", 400),
        (b"{\"a\":1e999}", 400),
        (b"{\"a\":\"\xff\"}", 400),
        (b"{\"a\":\"\\u0000\"}", 200),
        (b"{\"a\":123456789012345678901234567890}", 200),
        (b"{\"a\":1,\"a\":2}", 200),
    ] {
        let answer = Call::post(&host, "run_wait_result/p/f/t/echo")
            .body(body)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        if status == 200 && body.len() > 30 {
            assert!(answer.text.contains("123456789012345678901234567890"));
        }
    }
}

#[tokio::test]
async fn names_that_could_be_paths_are_only_names() {
    let host = start().await;
    for path in [
        "run/p/../../../etc/passwd",
        "run/p/%2e%2e%2f%2e%2e",
        "run/p/%00",
        "run/p/f/t/echo/",
        "run/h/%27or%201=1",
    ] {
        let answer = Call::post(&host, path).send().await;
        assert!(
            [404, 405].contains(&answer.status.as_u16()),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn uploads_lie_where_we_put_them_and_go_with_their_job() {
    let host = host_with(&[("TRIGGERD_WEBHOOKS_UPLOADS_MAX", "1KiB")]).await;
    let part = |name: &str, size: usize| {
        let content = "x".repeat(size);
        format!(
            "--B\r\ncontent-disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n{content}\r\n--B--\r\n"
        )
    };
    let send = |body: String| {
        Call::post(&host, "run_wait_result/p/f/t/echo")
            .header("content-type", "multipart/form-data; boundary=B")
            .body(body)
            .send()
    };
    let answer = send(part("/etc/passwd", 5)).await.json();
    let file = &answer["f"][0];
    let path = file["path"].as_str().expect("a path");
    let folder = answer["WEBHOOK__FILES__"].as_str().expect("a folder");
    assert!(path.starts_with(folder), "{answer}");
    let uploads = host.path("data/uploads").canonicalize().expect("a folder");
    assert!(
        folder.starts_with(uploads.to_str().expect("text")),
        "{answer}"
    );
    assert_eq!(
        (&file["filename"], &file["size"]),
        (&json!("/etc/passwd"), &json!(5))
    );
    let full = send(part("big", 2000)).await;
    assert_eq!(full.status, 503);
    for body in ["--B\r\n\r\n\r\n--B--", "--B", "", "--X--"] {
        let answer = send(body.to_owned()).await;
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
    }
    let no_boundary = Call::post(&host, "run/p/f/t/echo")
        .header("content-type", "multipart/form-data")
        .body("--B--")
        .send()
        .await;
    assert_eq!(no_boundary.status, 400);
}

#[tokio::test]
async fn a_head_request_runs_nothing_and_other_methods_are_refused() {
    let host = start().await;
    for method in ["HEAD", "PUT", "DELETE", "PATCH"] {
        for path in ["run/p/f/t/echo", "run_wait_result/p/f/t/echo"] {
            let mut call = Call::post(&host, path);
            call.method = method.parse().expect("a method");
            assert_eq!(call.send().await.status, 405, "{method} {path}");
        }
    }
    let get = Call::get(&host, "run/p/f/t/echo").send().await;
    assert_eq!(get.status, 405);
    assert_eq!(host.items("jobs").await.len(), 0);
}
