//! A WebSocket server of the tests' own: it notes what comes and does what it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What a connection is told to do.
pub enum Order {
    Text(String),
    Binary(Vec<u8>),
    /// Bytes past the protocol.
    Raw(Vec<u8>),
    Close,
    /// Reads and writes nothing any more.
    Freeze,
}

/// A connection that was made.
#[derive(Clone)]
pub struct Made {
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub received: Arc<Mutex<Vec<String>>>,
    /// The code that the client closed it with; 0 if it went without one.
    pub closed: Arc<Mutex<Option<u16>>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Made {
    pub fn tell(&self, order: Order) {
        // Who is gone hears nothing.
        let _ = self.orders.send(order);
    }

    pub fn say(&self, text: impl Into<String>) {
        self.tell(Order::Text(text.into()));
    }

    pub fn received(&self) -> Vec<String> {
        self.received.lock().expect("no panic").clone()
    }

    pub fn is_open(&self) -> bool {
        self.closed.lock().expect("no panic").is_none()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The server.
pub struct Server {
    pub url: String,
    made: Arc<Mutex<Vec<Made>>>,
    closes_at_once: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let made: Arc<Mutex<Vec<Made>>> = Arc::default();
        let closes_at_once = Arc::new(AtomicBool::new(false));
        let (noted, closes) = (Arc::clone(&made), Arc::clone(&closes_at_once));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, closes) = (Arc::clone(&noted), Arc::clone(&closes));
                tokio::spawn(serve(stream, noted, closes));
            }
        });
        Server {
            url,
            made,
            closes_at_once,
            task,
        }
    }

    pub fn close_at_once(&self, yes: bool) {
        self.closes_at_once.store(yes, Ordering::SeqCst);
    }

    pub fn made(&self) -> Vec<Made> {
        self.made.lock().expect("no panic").clone()
    }

    pub fn open(&self) -> Vec<Made> {
        self.made().into_iter().filter(Made::is_open).collect()
    }

    /// Waits for the connection of this number, counted from 1, and returns it.
    pub async fn connection(&self, number: usize) -> Made {
        until("a connection", || self.made().get(number - 1).cloned()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks again and again until there is something.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come");
}

async fn serve(stream: TcpStream, noted: Arc<Mutex<Vec<Made>>>, closes: Arc<AtomicBool>) {
    let mut target = String::new();
    let mut headers = Vec::new();
    #[expect(clippy::result_large_err, reason = "the library's own shape")]
    let look = |request: &Request, response: Response| {
        target = request.uri().to_string();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.push((name.as_str().to_owned(), value));
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, look).await else {
        return;
    };
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let made = Made {
        target,
        headers,
        received: Arc::default(),
        closed: Arc::default(),
        orders,
    };
    noted.lock().expect("no panic").push(made.clone());
    if closes.load(Ordering::SeqCst) {
        let _ = socket.close(None).await;
    }
    let mut code = 0;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    made.received.lock().expect("no panic").push(text.to_string());
                }
                Some(Ok(Message::Close(frame))) => {
                    code = frame.map_or(0, |frame| frame.code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
            Some(order) = ordered.recv() => {
                let _ = match order {
                    Order::Text(text) => socket.send(Message::text(text)).await,
                    Order::Binary(bytes) => socket.send(Message::binary(bytes)).await,
                    Order::Raw(bytes) => {
                        let _ = socket.get_mut().write_all(&bytes).await;
                        Ok(())
                    }
                    Order::Close => socket.close(None).await,
                    Order::Freeze => std::future::pending().await,
                };
            }
        }
    }
    *made.closed.lock().expect("no panic") = Some(code);
}
