//! The guarded client against targets that do what they should not.

use std::error::Error as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use triggerd::outbound::{
    BodyLimit, HostPort, Outbound, OutboundConfig, OutboundError, OutboundRequest,
    OutboundResponse, Policy, Refusal, SocketError, SocketRequest,
};
use url::Url;

use crate::outbound_client;
use crate::target::{Answer, Target};

const OK_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";

fn loopback() -> Policy {
    Policy {
        allow: vec!["127.0.0.0/8".parse().expect("a range")],
        hosts: None,
    }
}

fn get(url: &str) -> OutboundRequest {
    OutboundRequest {
        timeout: Duration::from_secs(10),
        body_limit: BodyLimit::Truncate(1000),
        ..OutboundRequest::parse("GET", url, &[]).expect("a request")
    }
}

async fn send(
    policy: &Policy,
    request: OutboundRequest,
) -> Result<OutboundResponse, OutboundError> {
    outbound_client().send(policy, request).await
}

#[tokio::test]
async fn loopback_is_refused_until_it_is_opened() {
    let mut target = Target::answering("200 OK", "", "hello").await;
    let url = target.url("/");
    let refused = send(&Policy::default(), get(&url)).await;
    assert!(matches!(
        refused,
        Err(OutboundError::Refused(Refusal::Address { .. }))
    ));
    assert!(!target.has_seen_more());
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
    let answer = send(&loopback(), get(&url)).await.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (200, &b"hello"[..])
    );
    assert!(!answer.truncated);
}

#[tokio::test]
async fn a_name_is_refused_by_what_it_resolves_to() {
    let target = Target::answering("200 OK", "", "hello").await;
    let url = format!("http://localhost:{}/", target.address.port());
    let refused = send(&Policy::default(), get(&url))
        .await
        .expect_err("loopback");
    assert!(
        matches!(refused, OutboundError::Refused(Refusal::Address { .. })),
        "{refused:?}"
    );
    assert!(!refused.is_transient());
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
    let opened = Policy {
        allow: vec![
            "127.0.0.0/8".parse().expect("a range"),
            "::1".parse().expect("a range"),
        ],
        hosts: None,
    };
    assert!(send(&opened, get(&url)).await.is_ok());
}

#[tokio::test]
async fn a_proxy_is_not_asked_for_what_is_not_open() {
    let mut proxy = Target::answering("200 OK", "", "by the proxy").await;
    let config = OutboundConfig {
        proxy: Some(Url::parse(&proxy.url("/")).expect("an address")),
    };
    let outbound = Outbound::open(&config).expect("a client");
    for url in [
        "http://localhost:9/",
        "http://127.0.0.1:9/",
        "http://[::1]:9/",
        "http://169.254.169.254/",
    ] {
        let refused = outbound.send(&Policy::default(), get(url)).await;
        assert!(
            matches!(
                refused,
                Err(OutboundError::Refused(Refusal::Address { .. }))
            ),
            "{url}: {refused:?}"
        );
    }
    assert!(!proxy.has_seen_more());
    let open = Policy {
        allow: vec![
            "127.0.0.0/8".parse().expect("a range"),
            "::1/128".parse().expect("a range"),
        ],
        hosts: None,
    };
    let answer = outbound.send(&open, get("http://localhost:9/")).await;
    assert_eq!(&answer.expect("an answer").body[..], b"by the proxy");
}

#[tokio::test]
async fn a_connection_opened_under_one_set_of_rules_is_not_used_under_another() {
    let target = Target::answering("200 OK", "", "hello").await;
    let outbound = outbound_client();
    let url = target.url("/");
    for _ in 0..3 {
        outbound
            .send(&loopback(), get(&url))
            .await
            .expect("an answer");
    }
    assert_eq!(
        target.connections.load(Ordering::SeqCst),
        1,
        "connections are reused"
    );
    let wider = Policy {
        allow: vec![
            "127.0.0.0/8".parse().expect("a range"),
            "10.0.0.0/8".parse().expect("a range"),
        ],
        hosts: None,
    };
    outbound.send(&wider, get(&url)).await.expect("an answer");
    assert_eq!(target.connections.load(Ordering::SeqCst), 2);
    assert!(outbound.send(&Policy::default(), get(&url)).await.is_err());
}

#[tokio::test]
async fn only_declared_hosts_are_reached() {
    let target = Target::answering("200 OK", "", "hello").await;
    let url = Url::parse(&target.url("/")).expect("a URL");
    let declared = Policy {
        hosts: Some(vec![HostPort::of_url(&url).expect("a host")]),
        ..loopback()
    };
    assert!(send(&declared, get(url.as_str())).await.is_ok());
    let other = Policy {
        hosts: Some(vec!["api.example.com:443".parse().expect("a host")]),
        ..loopback()
    };
    let refused = send(&other, get(url.as_str())).await;
    assert!(matches!(
        refused,
        Err(OutboundError::Refused(Refusal::Host(_)))
    ));
}

#[tokio::test]
async fn redirects_are_handed_back_and_not_followed() {
    let mut target = Target::answering("302 Found", "location: /elsewhere\r\n", "").await;
    let answer = send(&loopback(), get(&target.url("/first")))
        .await
        .expect("an answer");
    assert_eq!(answer.status.as_u16(), 302);
    assert!(target.seen().await.head.starts_with("GET /first "));
    assert!(!target.has_seen_more());
}

#[tokio::test]
async fn the_deadline_covers_a_dripping_body() {
    let answer = Answer::Drip {
        head: OK_HEAD.to_vec(),
        tick: Duration::from_millis(20),
    };
    let target = Target::start(answer).await;
    let begun = Instant::now();
    let request = OutboundRequest {
        timeout: Duration::from_millis(200),
        ..get(&target.url("/"))
    };
    let failed = send(&loopback(), request).await;
    assert!(matches!(failed, Err(OutboundError::Timeout { .. })));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_deadline_covers_silence() {
    let target = Target::start(Answer::Silence).await;
    let request = OutboundRequest {
        timeout: Duration::from_millis(100),
        ..get(&target.url("/"))
    };
    let failed = send(&loopback(), request).await.expect_err("a timeout");
    assert!(matches!(failed, OutboundError::Timeout { .. }));
    assert!(failed.is_transient());
}

#[tokio::test]
async fn the_deadline_covers_a_handshake_that_is_not_answered() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let request = SocketRequest {
        url: Url::parse(&format!("ws://{address}/")).expect("an address"),
        headers: http::HeaderMap::new(),
        message_max: 1000,
        within: Duration::from_millis(50),
    };
    let opened = outbound_client().open_socket(&loopback(), request).await;
    let Err(SocketError::Outbound(OutboundError::Timeout { after })) = opened.map(drop) else {
        panic!("it was opened, or failed otherwise");
    };
    assert_eq!(after, Duration::from_millis(50));
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_off() {
    let answer = Answer::Endless {
        head: OK_HEAD.to_vec(),
        chunk: vec![b'x'; 64 * 1024],
    };
    let target = Target::start(answer).await;
    let cut = send(&loopback(), get(&target.url("/")))
        .await
        .expect("an answer");
    assert_eq!((cut.body.len(), cut.truncated), (1000, true));
    let request = OutboundRequest {
        body_limit: BodyLimit::Refuse(1000),
        ..get(&target.url("/"))
    };
    let refused = send(&loopback(), request).await;
    assert!(matches!(
        refused,
        Err(OutboundError::BodyTooLarge { max: 1000 })
    ));
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let many: Vec<u8> = (0..1000)
        .flat_map(|n| format!("x-{n}: y\r\n").into_bytes())
        .collect();
    let long = format!("x-long: {}\r\n", "y".repeat(100 * 1024)).into_bytes();
    for flood in [many, long] {
        let head = [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"[..],
            &flood,
            b"\r\n",
        ]
        .concat();
        let target = Target::start(Answer::Raw(head)).await;
        let refused = send(&loopback(), get(&target.url("/"))).await;
        assert!(
            matches!(refused, Err(OutboundError::HeadersTooLarge)),
            "{refused:?}"
        );
    }
    let endless = Answer::Endless {
        head: b"HTTP/1.1 200 OK\r\nx-endless: ".to_vec(),
        chunk: vec![b'y'; 64 * 1024],
    };
    let target = Target::start(endless).await;
    let refused = send(&loopback(), get(&target.url("/"))).await;
    assert!(
        matches!(refused, Err(OutboundError::HeadersTooLarge)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn headers_of_the_connection_may_not_be_set() {
    for name in ["Host", "content-length", "Transfer-Encoding", "connection"] {
        let headers = [(name.to_owned(), "x".to_owned())];
        let request = OutboundRequest::parse("GET", "http://127.0.0.1:1/", &headers);
        let refused = send(&loopback(), request.expect("a request")).await;
        assert!(
            matches!(refused, Err(OutboundError::Refused(Refusal::Header(_)))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn malformed_parts_are_named() {
    let parse = |method: &str, url: &str, (name, value): (&str, &str)| {
        let headers = [(name.to_owned(), value.to_owned())];
        OutboundRequest::parse(method, url, &headers)
            .expect_err(url)
            .to_string()
    };
    assert!(parse("G T", "http://example.com", ("a", "b")).contains("method"));
    assert!(parse("GET", "nonsense", ("a", "b")).contains("url"));
    assert!(parse("GET", "http://example.com", ("a b", "b")).contains("header `a b`"));
    assert!(parse("GET", "http://example.com", ("a", "b\r\nc: d")).contains("header `a`"));
}

#[tokio::test]
async fn failures_are_told_apart_and_never_show_the_url() {
    let gone = Target::answering("200 OK", "", "")
        .await
        .url("/hook?token=hunter2");
    let hung_up = Target::start(Answer::HangUp).await;
    let nonsense = Target::start(Answer::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())).await;
    let cases = [
        (gone, "connect"),
        (hung_up.url("/hook?token=hunter2"), "exchange"),
        (nonsense.url("/hook?token=hunter2"), "exchange"),
        (
            "http://name.invalid/hook?token=hunter2".to_owned(),
            "resolve",
        ),
    ];
    for (url, expected) in cases {
        let error = send(&loopback(), get(&url)).await.expect_err(&url);
        let found = match &error {
            OutboundError::Connect { .. } => "connect",
            OutboundError::Exchange { .. } => "exchange",
            OutboundError::Resolve { .. } => "resolve",
            _ => "something else",
        };
        assert_eq!(found, expected, "{error:?}");
        assert!(error.is_transient() && error.source().is_some());
        let shown = format!("{} {error:?}", error.chain());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
