//! What goes wrong: ends, junk, sizes, silence, forbidden addresses, two hosts, kills.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::Host;
use crate::postgres_harness::Cluster;
use crate::server::{Order, Server, until};
use crate::{document, messages, options, scripts, start, with_provider};

fn local(server: &Server) -> String {
    document(&format!(
        "{{url: '{}', allow: [127.0.0.0/8], message_max: 64KiB}}",
        server.url
    ))
}

async fn holds(host: &Host) -> bool {
    let metrics = host.client().get(format!("{}/metrics", host.url)).send();
    let text = metrics.await.expect("an answer").text().await;
    text.expect("a text").contains("triggerd_sockets_open 1")
}

/// Waits until the subscription is degraded for such a reason.
pub async fn reason(host: &Host, part: &str) {
    host.until(part, async || {
        let feed = host.items("subscriptions").await;
        let feed = feed.iter().find(|one| one["name"] == "feed")?;
        let reason = feed["state_reason"].as_str()?;
        (feed["state"] == "degraded" && reason.contains(part)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_ends_is_made_again_and_loses_nothing_that_came() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    host.apply(&local(&server));
    for number in 1..=2 {
        let connection = server.connection(number).await;
        connection.say(format!("m-{number}"));
        connection.tell(Order::Close);
    }
    host.until("both messages", async || {
        (messages(&host).await == ["m-1", "m-2"]).then_some(())
    })
    .await;
    server.connection(3).await;
}

#[tokio::test]
async fn junk_and_messages_too_large_end_the_connection_visibly() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    host.apply(&local(&server));
    // The head of a frame of 100 MB; not a byte of it is waited for.
    let mut head = vec![0x81, 127];
    head.extend(100_000_000u64.to_be_bytes());
    server.connection(1).await.tell(Order::Raw(head.clone()));
    let second = server.connection(2).await;
    second.tell(Order::Raw(head));
    reason(&host, "more than 65536 bytes").await;
    until("a close with its code", || {
        (*second.closed.lock().expect("no panic") == Some(1009)).then_some(())
    })
    .await;
    server
        .connection(3)
        .await
        .tell(Order::Raw(b"GET / HTTP/1.1\r\n\r\n".to_vec()));
    reason(&host, "does not speak WebSocket").await;
    let fourth = server.connection(4).await;
    fourth.say("fine");
    host.until("the message", async || {
        (messages(&host).await == ["fine"]).then_some(())
    })
    .await;
    assert!(host.get("/readyz").await.is_object(), "the host serves on");
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_tried_ever_more_rarely_and_said_to() {
    let server = Server::start().await;
    server.close_at_once(true);
    let host = start(options(None)).await;
    scripts(&host);
    host.apply(&local(&server));
    reason(&host, "in a row, tried again in").await;
    let started = Instant::now();
    server.connection(4).await;
    assert!(
        started.elapsed() > Duration::from_millis(500),
        "it is not hammered"
    );
    server.close_at_once(false);
    host.until("the subscription is well again", async || {
        let feed = host.items("subscriptions").await;
        (feed[0]["state"] == "active" && feed[0]["state_reason"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_gives_no_sign_of_life_is_left() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    host.apply(&local(&server).replace("message_max: 64KiB", "idle: 1s"));
    for number in 1..=2 {
        server.connection(number).await.tell(Order::Freeze);
    }
    reason(&host, "no sign of life for 1 s").await;
    let third = server.connection(3).await;
    third.say("awake");
    host.until("the message", async || {
        (messages(&host).await == ["awake"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_private_address_is_not_reached_unless_it_is_opened() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    let closed = format!("{{url: '{}'}}", server.url);
    host.apply(&document(&closed));
    reason(&host, "loopback").await;
    let by_name = closed.replace("127.0.0.1", "localhost");
    host.apply(&document(&by_name));
    reason(&host, "`localhost` has a loopback").await;
    assert!(server.made().is_empty());
    let opened = by_name.replace("'}", "', allow: [127.0.0.0/8, '::1/128']}");
    host.apply(&document(&opened));
    server.connection(1).await;
}

#[tokio::test]
async fn a_request_at_the_endpoint_is_not_taken_for_a_message() {
    let server = Server::start().await;
    let host = start(options(None)).await;
    scripts(&host);
    host.apply(&local(&server));
    let endpoint = crate::untold_endpoint(&host).await;
    for method in ["POST", "MESSAGE", "GET"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let sent = host
            .client()
            .request(method.clone(), &endpoint)
            .body("{}")
            .send();
        let status = sent.await.expect("an answer").status();
        assert!(status.is_client_error(), "{method}: {status}");
        if method.as_str() == "MESSAGE" {
            assert_eq!(status, 404, "the host's own word");
        }
    }
    server.connection(1).await.say("genuine");
    host.until("the message", async || {
        (messages(&host).await == ["genuine"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_two_hosts_one_holds_the_connection_and_the_other_takes_over() {
    let server = Server::start().await;
    let database = Cluster::shared().database().await;
    let first = start(options(Some(&database))).await;
    let second = Host::start_like(&first, options(Some(&database))).await;
    with_provider(&second).await;
    for host in [&first, &second] {
        scripts(host);
    }
    first.apply(&local(&server));
    let connection = server.connection(1).await;
    connection.say("one");
    second
        .until("the first message", async || {
            (messages(&second).await == ["one"]).then_some(())
        })
        .await;
    assert_eq!(server.made().len(), 1, "held once");

    let first_holds = holds(&first).await;
    assert_ne!(first_holds, holds(&second).await, "one of them holds it");
    let (mut holder, other) = match first_holds {
        true => (first, second),
        false => (second, first),
    };
    holder.kill();
    let killed = Instant::now();
    let next = server.connection(2).await;
    let took = killed.elapsed();
    // Five seconds on a machine that has time; what a test can hold under load is that it is no timeout.
    assert!(took < Duration::from_secs(30), "taken over after {took:?}");
    next.say("two");
    other
        .until("the second message", async || {
            (messages(&other).await == ["one", "two"]).then_some(())
        })
        .await;
    assert_eq!(server.open().len(), 1);
}

#[tokio::test]
async fn after_kills_every_message_is_run_at_most_once_and_the_connection_is_there_again() {
    let server = Server::start().await;
    let mut host = start(options(None)).await;
    scripts(&host);
    host.apply(&local(&server));
    for round in 1..=3 {
        let connection = server.connection(round).await;
        for number in 0..50 {
            connection.say(format!("{round}-{number}"));
        }
        let last = format!("{round}-49");
        host.until("the last of the round", async || {
            messages(&host).await.contains(&last).then_some(())
        })
        .await;
        host.kill();
        host.resume().await;
    }
    let all = messages(&host).await;
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (150, 150));
}
