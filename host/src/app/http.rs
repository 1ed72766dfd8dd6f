//! The HTTP server: accepts, bounds what a slow or greedy client may hold, ends gracefully.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::peers::Peers;
use super::stall::Stall;

/// A client has this long for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer of which nothing is taken for so long is given up, and its connection with it.
const STALL_MAX: Duration = Duration::from_secs(30);
/// More headers, or larger ones, are refused by the server library.
const HEADERS_MAX: usize = 100;
const HEAD_SIZE_MAX: usize = 64 << 10;
/// Connections at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 8192;
/// When no connection can be accepted (out of descriptors), how long to wait before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may hold, and for how long.
pub struct Bounds {
    /// How many connections each peer has.
    pub(super) peers: Peers,
    connections_max: usize,
    stall_max: Duration,
}

impl Bounds {
    /// Those of a server.
    pub(super) fn new(peers: Peers) -> Bounds {
        Bounds {
            peers,
            connections_max: CONNECTIONS_MAX,
            stall_max: STALL_MAX,
        }
    }
}

/// Serves until `stop`, then lets requests in flight end, for at most `drain`.
pub async fn serve_http(
    listener: TcpListener,
    bounds: Bounds,
    router: Router,
    stop: CancellationToken,
    drain: Duration,
) {
    let graceful = GracefulShutdown::new();
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(bounds.connections_max));
    let builder = builder();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = std::sync::Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(held) = bounds.peers.enter(peer.ip()) else {
            tracing::debug!("a peer holds as many connections as it may, and one more was closed");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service =
            router
                .clone()
                .map_request(move |mut request: Request<hyper::body::Incoming>| {
                    request
                        .extensions_mut()
                        .insert(axum::extract::ConnectInfo::<SocketAddr>(peer));
                    request.map(axum::body::Body::new)
                });
        let service = hyper_util::service::TowerToHyperService::new(service);
        let stream = TokioIo::new(Stall::new(stream, bounds.stall_max));
        let connection = builder.serve_connection(stream, service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _held = (place, held);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time and were cut off");
    }
}

/// HTTP/1.1 alone: services and proxies that send webhooks speak it, and its time limit for a head
/// begins with the connection, so that a client which says nothing is cut off too.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_SIZE_MAX)
        .max_buf_size(HEAD_SIZE_MAX);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_util::sync::DropGuard;

    use super::*;

    /// A server that answers with this until it is dropped.
    async fn serving(bounds: Bounds, router: Router) -> (SocketAddr, DropGuard) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let drain = Duration::from_secs(1);
        tokio::spawn(serve_http(listener, bounds, router, stop.clone(), drain));
        (address, stop.drop_guard())
    }

    async fn ask(stream: &mut TcpStream) -> std::io::Result<String> {
        let mut answer = vec![0; 15];
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            .await?;
        stream.read_exact(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Until a connection of this peer is served again.
    async fn is_served(address: SocketAddr) {
        let served = async {
            loop {
                let mut next = TcpStream::connect(address).await.expect("connected");
                if ask(&mut next).await.is_ok() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), served)
            .await
            .expect("a place is free again");
    }

    #[tokio::test]
    async fn a_peer_that_holds_too_many_connections_gets_no_other_one() {
        let bounds = Bounds::new(Peers::new(2, Vec::new()));
        let router = Router::new().fallback(async || "here");
        let (address, _serving) = serving(bounds, router).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            assert_eq!(
                ask(&mut stream).await.expect("an answer"),
                "HTTP/1.1 200 OK"
            );
            held.push(stream);
        }
        let mut third = TcpStream::connect(address).await.expect("connected");
        ask(&mut third).await.expect_err("it was closed");
        drop(held.pop());
        is_served(address).await;
    }

    #[tokio::test]
    async fn who_does_not_read_an_answer_loses_the_connection() {
        let mut bounds = Bounds::new(Peers::new(1, Vec::new()));
        bounds.stall_max = Duration::from_millis(50);
        // More than the system holds for a connection.
        let router = Router::new().fallback(async || vec![0; 64 << 20]);
        let (address, _serving) = serving(bounds, router).await;
        let mut greedy = TcpStream::connect(address).await.expect("connected");
        ask(&mut greedy).await.expect("the beginning of an answer");
        is_served(address).await;
    }

    #[tokio::test]
    async fn more_connections_than_there_are_places_for_wait() {
        let mut bounds = Bounds::new(Peers::new(0, Vec::new()));
        bounds.connections_max = 1;
        let (open, _) = tokio::sync::watch::channel(0);
        let router = Router::new().fallback(async move || {
            open.send_modify(|open| *open += 1);
            let mut seen = open.subscribe();
            let another = seen.wait_for(|open| *open > 1);
            let found = tokio::time::timeout(Duration::from_millis(100), another).await;
            let said = found.map_or("alone", |_| "beside another");
            open.send_modify(|open| *open -= 1);
            ([("connection", "close")], said)
        });
        let (address, _serving) = serving(bounds, router).await;
        let call = async || {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            ask(&mut stream).await.expect("an answer");
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.expect("its end");
            rest
        };
        let answers: [String; 3] = tokio::join!(call(), call(), call()).into();
        for answer in answers {
            assert!(answer.ends_with("alone"), "{answer}");
        }
    }
}
