//! What hostile and clumsy senders do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::harness::Host;
use super::{Call, finished, host_with, start};

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
async fn a_request_with_two_lengths_is_read_by_its_chunks_and_is_the_last() {
    let host = start().await;
    let behind = head(&host, "content-length: 2") + "{}";
    for more in [
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 12",
        "content-length: 2\r\ncontent-length: 2\r\ntransfer-encoding: chunked",
    ] {
        let before = host.items("jobs?limit=100").await.len();
        let address = host.url.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("connected");
        let both = head(&host, more) + "2\r\n{}\r\n0\r\n\r\n" + &behind;
        stream.write_all(both.as_bytes()).expect("sent");
        let mut answers = Vec::new();
        // What stood behind it was not read, and the connection may end abruptly for that.
        let _ = stream.read_to_end(&mut answers);
        let answers = String::from_utf8_lossy(&answers);
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{answers}");
        let made = host.items("jobs?limit=100").await.len() - before;
        assert_eq!(
            made, 1,
            "{more}: what stood behind it was taken for a request"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_none_is_refused() {
    let host = start().await;
    for (more, body) in [
        ("content-length: 2\r\ncontent-length: 4", "{}{}"),
        ("content-length: 2, 4", "{}{}"),
        ("content-length: +2", "{}"),
        ("content-length: -2", "{}"),
        ("transfer-encoding: identity, x", "{}"),
        ("transfer-encoding: xchunked", "2\r\n{}\r\n0\r\n\r\n"),
        (
            "transfer-encoding: chunked, identity",
            "2\r\n{}\r\n0\r\n\r\n",
        ),
        ("transfer-encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
        (
            "transfer-encoding: chunked",
            "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        ),
        ("transfer-encoding: chunked", "2\r\n{}xx0\r\n\r\n"),
        (" x: y\r\ncontent-length: 2", "{}"),
        ("x : y\r\ncontent-length: 2", "{}"),
    ] {
        let bytes = head(&host, more) + body;
        let answer = raw(&host, bytes.as_bytes());
        assert!(answer.contains(" 400 "), "{more:?} {body:?}: {answer}");
    }
    assert_eq!(host.items("jobs").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let host = start().await;
    // As much as is read of a head, and no end yet.
    let mut long = head(&host, &format!("x-long: {}", "a".repeat(70_000)));
    long.truncate(64 << 10);
    let answer = raw(&host, long.as_bytes());
    assert!(answer.contains(" 431 "), "{answer}");
    let fits = format!("x-long: {}\r\ncontent-length: 2", "a".repeat(30_000));
    let answer = raw(&host, (head(&host, &fits) + "{}").as_bytes());
    assert!(answer.contains(" 201 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_calls_are_answered_in_their_order() {
    let host = start().await;
    let call = |number: usize| {
        let last = if number == 3 {
            "connection: close\r\n"
        } else {
            ""
        };
        let body = format!("{{\"n\":{number}}}");
        let head = head(&host, &format!("{last}content-length: {}", body.len()));
        head.replace("/run/", "/run_wait_result/") + &body
    };
    let address = host.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("connected");
    let all: String = (1..=3).map(call).collect();
    stream.write_all(all.as_bytes()).expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    let at = |number: usize| answers.find(&format!("{{\"n\":{number}}}"));
    assert!(
        at(1).is_some() && at(1) < at(2) && at(2) < at(3),
        "{answers}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_at_once_than_are_read_hear_503() {
    let host = host_with(&[("TRIGGERD_LIMITS_WEBHOOKS_IN_FLIGHT", "1")]).await;
    host.apply("{routes: [{name: r, path: /hooks/r, runnable: f/t/echo, auth: none}]}");
    for path in ["/api/w/default/jobs/run/p/f/t/echo", "/hooks/r"] {
        let call = || {
            let url = format!("{}{path}", host.url);
            let call = host.client().post(url).bearer_auth(&host.token);
            call.body("{}").send()
        };
        let address = host.url.strip_prefix("http://").expect("an address");
        let begun = head(&host, "content-length: 2") + "{";
        let begun = begun.replace("/api/w/default/jobs/run/p/f/t/echo", path);
        let mut slow = Vec::new();
        let refused = host
            .until("a call that finds no place", async || {
                let mut stream = TcpStream::connect(address).expect("connected");
                stream.write_all(begun.as_bytes()).expect("sent");
                slow.push(stream);
                let answer = call().await.expect("an answer");
                (answer.status() == 503).then_some(answer)
            })
            .await;
        assert!(refused.headers().contains_key("retry-after"), "{path}");
        drop(slow);
        host.until("a call that finds a place again", async || {
            let answer = call().await.expect("an answer");
            (answer.status() == 201).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_of_the_api_at_once_than_are_served_hear_503() {
    let host = host_with(&[("TRIGGERD_LIMITS_API_IN_FLIGHT", "1")]).await;
    let begun = head(&host, "content-type: application/json\r\ncontent-length: 9");
    let begun = begun.replace("/api/w/default/jobs/run/p/f/t/echo", "/api/v1/workspaces") + "{";
    let address = host.url.strip_prefix("http://").expect("an address");
    let list = || {
        let url = format!("{}/api/v1/workspaces", host.url);
        host.client().get(url).bearer_auth(&host.token).send()
    };
    let mut slow = Vec::new();
    host.until("a call that finds no place", async || {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.write_all(begun.as_bytes()).expect("sent");
        slow.push(stream);
        let answer = list().await.expect("an answer");
        (answer.status() == 503).then_some(())
    })
    .await;
    drop(slow);
    host.until("a call that finds a place again", async || {
        let answer = list().await.expect("an answer");
        (answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_no_route_waits_in_a_lane_of_its_own() {
    let host = start().await;
    let address = host.url.strip_prefix("http://").expect("an address");
    let head = "POST /hooks/none HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx";
    let mut strangers = Vec::new();
    for _ in 0..80 {
        let mut stream = tokio::net::TcpStream::connect(address)
            .await
            .expect("connected");
        let sent = tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes());
        sent.await.expect("sent");
        strangers.push(stream);
    }
    // Some find no place, and are not waited for.
    let answers = strangers.iter_mut().rev().map(|stream| {
        Box::pin(async move {
            let mut answer = [0; 12];
            let read = tokio::io::AsyncReadExt::read_exact(stream, &mut answer);
            read.await.expect("an answer");
            String::from_utf8_lossy(&answer).into_owned()
        })
    });
    let (first, ..) = futures_util::future::select_all(answers).await;
    assert_eq!(first, "HTTP/1.1 401");
    let echo = Call::post(&host, "run_wait_result/p/f/t/echo").body("{}");
    assert_eq!(echo.send().await.status, 200, "nobody else waits for them");
}

#[tokio::test]
async fn a_call_with_two_tokens_has_none() {
    let host = start().await;
    let good = format!("Bearer {}", host.token);
    let call = |path: &str| Call::post(&host, path).token(None);
    for second in [good.as_str(), "Bearer x", "Basic eDp5"] {
        let headers = call("run/p/f/t/echo")
            .header("authorization", &good)
            .header("authorization", second);
        assert_eq!(headers.send().await.status, 401, "{second}");
    }
    let path = format!("run/p/f/t/echo?token={0}&token={0}", host.token);
    assert_eq!(call(&path).send().await.status, 401);
    let once = format!("run/p/f/t/echo?token={}", host.token);
    assert_eq!(call(&once).send().await.status, 201);
    assert_eq!(host.items("jobs").await.len(), 1);
}

#[tokio::test]
async fn forms_have_a_bounded_number_of_fields_and_files() {
    let host = start().await;
    let part =
        |more: &str| format!("--B\r\ncontent-disposition: form-data; name=a{more}\r\n\r\nx\r\n");
    let multipart = "multipart/form-data; boundary=B";
    let of = |more: &str, count: usize| part(more).repeat(count) + "--B--\r\n";
    let pairs = |count: usize| "a=1&".repeat(count);
    let form = "application/x-www-form-urlencoded";
    for (kind, body, status) in [
        (form, pairs(10_000), 201),
        (form, pairs(10_001), 400),
        (multipart, of("", 10_000), 201),
        (multipart, of("", 10_001), 413),
        (multipart, of("; filename=f", 256), 201),
        (multipart, of("; filename=f", 257), 413),
    ] {
        let call = Call::post(&host, "run/p/f/t/echo").header("content-type", kind);
        let size = body.len();
        let answer = call.body(body).send().await;
        assert_eq!(answer.status, status, "{kind} of {size}: {answer:?}");
    }
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
        (
            br#"{"a":[{"$serde_json::private::RawValue":"{\"WEBHOOK__FILES__\":\"/etc\"}"}]}"#,
            400,
        ),
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
async fn what_is_taken_can_be_shown_however_deep_it_is() {
    let host = start().await;
    for path in ["run/p/f/t/echo", "run/p/f/t/echo?wrap_body=true"] {
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(119), "]".repeat(119));
        let answer = Call::post(&host, path).body(nested.clone()).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let job = answer.text.trim();
        let shown = finished(&host, job).await;
        let found = Call::get(&host, &format!("../jobs_u/get/{job}"))
            .send()
            .await;
        assert!(found.text.contains(&nested), "{shown}");
    }
    let deeper = format!("{}{}", "[".repeat(121), "]".repeat(121));
    let answer = Call::post(&host, "run/p/f/t/echo")
        .body(deeper)
        .send()
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[tokio::test]
async fn a_result_that_was_cut_is_said_and_not_answered_as_if_it_were_whole() {
    let host = start().await;
    host.apply(
        "
workspace: default
runnables:
- {path: f/t/short, command: {argv: [./echo.sh], stdout_max: 10}}
",
    );
    let call = Call::post(&host, "run_wait_result/p/f/t/short").body("{\"a\":1}");
    assert_eq!(call.send().await.text, "{\"a\":1}");
    let call = Call::post(&host, "run_wait_result/p/f/t/short").body("{\"a\":1000000}");
    let answer = call.send().await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.text.contains("`stdout_max`"), "{answer:?}");
    let cut = host.item("jobs", |job| job["error"].is_string()).await;
    assert_eq!(cut["state"], "done");
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
async fn a_job_that_goes_on_after_its_caller_was_answered_keeps_its_files() {
    let host = host_with(&[]).await;
    host.script(
        "late.sh",
        "file=$(sed -E 's/.*\"path\":\"([^\"]*)\".*/\\1/')
         until [ -e go ]; do [ -e late.sh ] || exit 1; sleep 0.05; done
         cp \"$file\" found",
    );
    host.apply(
        "{runnables: [{path: f/t/late, command: {argv: [./late.sh]}, delete_after_use: true, \
         retry: {attempts_max: 1}}]}",
    );
    let answer = Call::post(&host, "run_wait_result/p/f/t/late?timeout=0.2")
        .header("content-type", "multipart/form-data; boundary=B")
        .body("--B\r\ncontent-disposition: form-data; name=f; filename=x\r\n\r\nwhole\r\n--B--\r\n")
        .send()
        .await;
    assert_eq!(answer.status, 504, "{answer:?}");
    // Another call that is wiped comes to its end in between: it took its turn after the first.
    let other = Call::post(&host, "run_wait_result/p/f/t/secret").send();
    assert_eq!(other.await.status, 200);
    host.script("go", "");
    let ended = "jobs?runnable=f/t/late&state=done";
    host.until("the job is done", async || {
        (host.items(ended).await.len() == 1).then_some(())
    })
    .await;
    let found = std::fs::read_to_string(host.path("commands/found"));
    assert_eq!(found.expect("its file"), "whole");
}

#[tokio::test]
async fn uploads_are_for_the_host_alone_and_gone_with_their_job() {
    let mut host = host_with(&[("TRIGGERD_WEBHOOKS_UPLOADS_MAX", "1KiB")]).await;
    host.script(
        "modes.sh",
        "stat -c %a ../data/uploads/* ../data/uploads/*/* | sort -u",
    );
    host.apply("{runnables: [{path: f/t/modes, command: {argv: [./modes.sh]}}]}");
    let send = async |host: &Host, path: &str, size: usize, key: &str| {
        let part = "--B\r\ncontent-disposition: form-data; name=f; filename=x\r\n\r\n";
        let call = Call::post(host, path)
            .header("content-type", "multipart/form-data; boundary=B")
            .header("Idempotency-Key", key)
            .body(format!("{part}{}\r\n--B--\r\n", "x".repeat(size)));
        call.send().await
    };
    let folders = |host: &Host| {
        let found = std::fs::read_dir(host.path("data/uploads")).expect("a folder");
        found.count()
    };
    let modes = send(&host, "run_wait_result/p/f/t/modes", 400, "k-1").await;
    assert_eq!(modes.json().as_str().map(str::trim), Some("600\n700"));
    // The files of a call that is repeated, or leaves no trace, are gone at once and take no room.
    for (path, key) in [
        ("run_wait_result/p/f/t/modes", "k-1"),
        ("run_wait_result/p/f/t/secret", "k-2"),
    ] {
        assert_eq!(send(&host, path, 400, key).await.status, 200, "{path}");
        host.until("its files are gone", async || {
            (folders(&host) == 1).then_some(())
        })
        .await;
    }
    let more = send(&host, "run_wait_result/p/f/t/echo", 600, "k-3").await;
    assert_eq!(more.status, 200, "there is room for it");
    let full = send(&host, "run_wait_result/p/f/t/echo", 600, "k-4").await;
    assert_eq!(full.status, 503);
    // What is left of a host that was killed counts, until its jobs are known to have ended.
    host.kill();
    host.resume().await;
    host.until("the files of ended jobs are gone", async || {
        (folders(&host) == 0).then_some(())
    })
    .await;
    let again = send(&host, "run_wait_result/p/f/t/echo", 1000, "k-5").await;
    assert_eq!(again.status, 200, "there is room again");
}

#[tokio::test]
async fn a_head_request_runs_nothing_and_other_methods_are_refused() {
    let host = start().await;
    for method in ["HEAD", "PUT", "DELETE", "PATCH"] {
        for (path, allowed) in [
            ("run/p/f/t/echo", "POST, OPTIONS"),
            ("run_wait_result/p/f/t/echo", "GET, POST, OPTIONS"),
        ] {
            let mut call = Call::post(&host, path);
            call.method = method.parse().expect("a method");
            let refused = call.send().await;
            assert_eq!(refused.status, 405, "{method} {path}");
            assert_eq!(refused.headers["allow"], allowed, "{method} {path}");
        }
    }
    let get = Call::get(&host, "run/p/f/t/echo").send().await;
    assert_eq!(get.status, 405);
    assert_eq!(get.headers["allow"], "POST, OPTIONS");
    assert_eq!(host.items("jobs").await.len(), 0);
}
