//! WebSocket connections (RFC 6455), dialled under one caller's rules: what is classified is dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as Tungstenite, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::{Host, Url};

use super::client::Outbound;
use super::message::OutboundError;
use super::policy::Policy;
use super::resolver::{check_answer, lookup};

/// So much is read at once; a connection that waits holds no more.
const READ_BUFFER: usize = 4 << 10;
/// What a proxy answers to `CONNECT` is no longer.
const PROXY_HEAD_MAX: usize = 8 << 10;

/// A connection to be made.
pub struct SocketRequest {
    /// `ws` or `wss`.
    pub url: Url,
    pub headers: HeaderMap,
    /// Larger messages end the connection, in bytes.
    pub message_max: usize,
    /// From the resolution of the name to the end of the handshake.
    pub within: Duration,
}

/// One message, whole, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Bytes),
    Ping,
    Pong,
}

/// Why there is no connection (any more).
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It answered with something else than a WebSocket.
    #[error("the server refused the WebSocket with status {0}")]
    Refused(u16),
    #[error("the server sent a message of more than {max} bytes")]
    TooLarge { max: usize },
    #[error("the server closed the connection{0}")]
    Closed(String),
    #[error("the server does not speak WebSocket as it should: {0}")]
    Protocol(String),
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl SocketError {
    /// With its causes.
    pub fn chain(&self) -> String {
        match self {
            SocketError::Outbound(error) => error.chain(),
            other => other.to_string(),
        }
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open connection.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Wire>>,
    message_max: usize,
}

impl Outbound {
    /// Connects and shakes hands.
    pub async fn open_socket(
        &self,
        policy: &Policy,
        request: SocketRequest,
    ) -> Result<Socket, SocketError> {
        let after = request.within;
        tokio::time::timeout(after, self.handshake(policy, request))
            .await
            .unwrap_or(Err(OutboundError::Timeout { after }.into()))
    }

    async fn handshake(
        &self,
        policy: &Policy,
        request: SocketRequest,
    ) -> Result<Socket, SocketError> {
        let target = as_http(&request.url)?;
        policy.check_url(&target).map_err(OutboundError::from)?;
        let wire = self.dial(policy, &target).await?;
        let mut handshake = request
            .url
            .as_str()
            .into_client_request()
            .map_err(|error| SocketError::Protocol(error.to_string()))?;
        handshake.headers_mut().extend(request.headers);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(request.message_max.max(1 << 20) * 2)
            .max_message_size(Some(request.message_max))
            .max_frame_size(Some(request.message_max));
        let max = request.message_max;
        let (stream, _) = client_async_with_config(handshake, wire, Some(config))
            .await
            .map_err(|error| of(error, max))?;
        Ok(Socket {
            stream,
            message_max: max,
        })
    }

    async fn dial(&self, policy: &Policy, target: &Url) -> Result<Box<dyn Wire>, SocketError> {
        let port = target.port_or_known_default().unwrap_or(443);
        let (name, addresses) = match target.host() {
            Some(Host::Domain(name)) => {
                let addresses = lookup(name).await.map_err(|failure| {
                    SocketError::from(OutboundError::Resolve {
                        host: failure.host,
                        source: std::io::Error::other(failure.reason),
                    })
                })?;
                check_answer(&policy.allow, name, &addresses).map_err(OutboundError::from)?;
                let addresses = addresses.into_iter().map(|address| address.ip());
                (name.to_owned(), addresses.collect())
            }
            Some(Host::Ipv4(address)) => (address.to_string(), vec![IpAddr::V4(address)]),
            Some(Host::Ipv6(address)) => (address.to_string(), vec![IpAddr::V6(address)]),
            None => return Err(SocketError::Protocol("the URL names no host".to_owned())),
        };
        let stream = match self.proxy() {
            Some(proxy) => through(proxy, target, port).await?,
            None => connect(&addresses, port).await?,
        };
        // Small messages are not held back for others.
        let _ = stream.set_nodelay(true);
        if target.scheme() == "http" {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(name)
            .map_err(|_| SocketError::Protocol("the host has no name for TLS".to_owned()))?;
        let tls = TlsConnector::from(Arc::clone(self.socket_tls()));
        let stream = tls.connect(name, stream).await.map_err(broken)?;
        Ok(Box::new(stream))
    }
}

impl Socket {
    /// The next frame. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Frame, SocketError> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(of(error, self.message_max)),
                None => return Err(SocketError::Closed(String::new())),
            };
            return Ok(match message {
                Message::Text(text) => Frame::Text(text.as_str().to_owned()),
                Message::Binary(bytes) => Frame::Binary(bytes),
                // It is answered by what reads next.
                Message::Ping(_) => Frame::Ping,
                Message::Pong(_) => Frame::Pong,
                Message::Close(frame) => return Err(SocketError::Closed(said(frame.as_ref()))),
                Message::Frame(_) => continue,
            });
        }
    }

    pub async fn send(&mut self, frame: Frame) -> Result<(), SocketError> {
        let message = match frame {
            Frame::Text(text) => Message::Text(text.into()),
            Frame::Binary(bytes) => Message::Binary(bytes),
            Frame::Ping => Message::Ping(Bytes::new()),
            Frame::Pong => Message::Pong(Bytes::new()),
        };
        let sent = self.stream.send(message).await;
        sent.map_err(|error| of(error, self.message_max))
    }

    /// Says goodbye, and why.
    pub async fn close(&mut self, because: &SocketError) {
        let code = match because {
            SocketError::TooLarge { .. } => CloseCode::Size,
            SocketError::Protocol(_) => CloseCode::Protocol,
            _ => CloseCode::Away,
        };
        self.bid_farewell(code).await;
    }

    /// Says goodbye: it is not needed any more.
    pub async fn leave(&mut self) {
        self.bid_farewell(CloseCode::Normal).await;
    }

    async fn bid_farewell(&mut self, code: CloseCode) {
        /// Who does not take the goodbye is left without it.
        const GOODBYE: Duration = Duration::from_secs(1);
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        let _ = tokio::time::timeout(GOODBYE, self.stream.close(Some(frame))).await;
    }
}

fn as_http(url: &Url) -> Result<Url, SocketError> {
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        other => {
            let found = format!("the URL's scheme is `{other}`, expected ws or wss");
            return Err(SocketError::Protocol(found));
        }
    };
    let rest = url.as_str().split_once(':').map_or("", |(_, rest)| rest);
    Url::parse(&format!("{scheme}:{rest}"))
        .map_err(|error| SocketError::Protocol(error.to_string()))
}

async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, SocketError> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => broken(error),
        None => SocketError::Broken("the name has no address".to_owned()),
    })
}

/// By the configured proxy, which dials by itself what was classified here.
async fn through(proxy: &Url, target: &Url, port: u16) -> Result<TcpStream, SocketError> {
    let host = proxy.host_str().unwrap_or_default().to_owned();
    let proxy_port = proxy.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host, proxy_port))
        .await
        .map_err(broken)?;
    let place = format!("{}:{port}", target.host_str().unwrap_or_default());
    let head = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > PROXY_HEAD_MAX {
            return Err(SocketError::Protocol(
                "the proxy's answer is too long".to_owned(),
            ));
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let status = std::str::from_utf8(&answer)
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1))
        .and_then(|status| status.parse().ok());
    match status {
        Some(200) => Ok(stream),
        other => Err(SocketError::Refused(other.unwrap_or(0))),
    }
}

fn broken(error: std::io::Error) -> SocketError {
    SocketError::Broken(error.to_string())
}

fn of(error: Tungstenite, max: usize) -> SocketError {
    match error {
        Tungstenite::ConnectionClosed | Tungstenite::AlreadyClosed => {
            SocketError::Closed(String::new())
        }
        Tungstenite::Io(error) => broken(error),
        Tungstenite::Capacity(CapacityError::MessageTooLong { .. }) => {
            SocketError::TooLarge { max }
        }
        Tungstenite::Http(response) => SocketError::Refused(response.status().as_u16()),
        other => SocketError::Protocol(other.to_string()),
    }
}

/// What a server said when it closed: a number, and at most a short text of it.
fn said(frame: Option<&CloseFrame>) -> String {
    let Some(frame) = frame else {
        return String::new();
    };
    let reason: String = frame.reason.chars().take(100).collect();
    match reason.is_empty() {
        true => format!(" with code {}", u16::from(frame.code)),
        false => format!(" with code {}: {reason}", u16::from(frame.code)),
    }
}

/// Headers that only the handshake itself sets.
pub fn is_of_handshake(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sec-websocket-") && name != "sec-websocket-protocol"
        || matches!(
            name.as_str(),
            "host" | "upgrade" | "connection" | "content-length" | "transfer-encoding"
        )
}

/// A header of the handshake.
pub fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
