//! An HTTP target that misbehaves as it is told to, on a loopback port.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How the target answers each request.
#[derive(Clone)]
pub enum Answer {
    /// These bytes, and the connection stays open for the next request.
    Raw(Vec<u8>),
    /// These bytes again and again, for as long as someone reads.
    Endless { head: Vec<u8>, chunk: Vec<u8> },
    /// A head, then one byte at each tick.
    Drip { head: Vec<u8>, tick: Duration },
    /// Nothing, ever.
    Silence,
    /// The connection is closed without a word.
    HangUp,
}

/// A request as it arrived.
#[derive(Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A running target; it ends with this value.
pub struct Target {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
    seen: mpsc::UnboundedReceiver<Seen>,
    accepting: JoinHandle<()>,
}

impl Target {
    pub async fn start(answer: Answer) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (tell, seen) = mpsc::unbounded_channel();
        let counted = Arc::clone(&connections);
        let answer = Arc::new(Mutex::new(answer));
        let answering = Arc::clone(&answer);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&answering), tell.clone()));
            }
        });
        Target {
            address,
            connections,
            answer,
            seen,
            accepting,
        }
    }

    /// A target that answers with this status line, headers and body.
    pub async fn answering(status: &str, headers: &str, body: &str) -> Target {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        Target::start(Answer::Raw(text.into_bytes())).await
    }

    /// From the next request on it answers like this.
    pub fn answer_from_now(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request that arrived.
    pub async fn seen(&mut self) -> Seen {
        let wait = tokio::time::timeout(Duration::from_secs(10), self.seen.recv());
        wait.await.expect("a request in time").expect("a request")
    }

    /// Whether any request is there that was not looked at.
    pub fn has_seen_more(&mut self) -> bool {
        self.seen.try_recv().is_ok()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<Mutex<Answer>>,
    tell: mpsc::UnboundedSender<Seen>,
) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer).await {
        // Nobody may be listening any more.
        let _ = tell.send(seen);
        let answer = answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match &answer {
            Answer::Raw(bytes) => {
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Answer::Endless { head, chunk } => {
                if stream.write_all(head).await.is_err() {
                    return;
                }
                while stream.write_all(chunk).await.is_ok() {}
                return;
            }
            Answer::Drip { head, tick } => {
                let mut ticks = tokio::time::interval(*tick);
                if stream.write_all(head).await.is_err() {
                    return;
                }
                while stream.write_all(b"x").await.is_ok() {
                    ticks.tick().await;
                }
                return;
            }
            Answer::Silence => std::future::pending().await,
            Answer::HangUp => return,
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut seen = Seen {
                head,
                body: Vec::new(),
            };
            let length = seen
                .header("content-length")
                .and_then(|text| text.parse().ok());
            let total = end + 4 + length.unwrap_or(0usize);
            while buffer.len() < total {
                read_some(stream, buffer).await?;
            }
            seen.body = buffer[end + 4..total].to_vec();
            buffer.drain(..total);
            return Some(seen);
        }
        read_some(stream, buffer).await?;
    }
}

async fn read_some(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(1..) => Some(()),
        _ => None,
    }
}
