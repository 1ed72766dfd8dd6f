//! Ten thousand subscriptions over connections to one server on loopback: memory of each, messages a
//! second. `cargo bench -p triggerd --bench sockets [-- CONNECTIONS MESSAGES_EACH]`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Subscriptions in one document.
const BATCH: usize = 500;
const PATIENCE: Duration = Duration::from_secs(300);

struct Host {
    child: Child,
    url: String,
    token: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().filter_map(|text| text.parse::<usize>().ok());
    let connections = numbers.next().unwrap_or(10_000);
    let each = numbers.next().unwrap_or(20);
    raise_files();
    let (open, (tell, told)) = (Arc::new(AtomicUsize::new(0)), watch::channel(0usize));
    let server = serve(Arc::clone(&open), told).await;
    let host = Host::start().await;
    let idle = host.memory();

    let started = Instant::now();
    for first in (0..connections).step_by(BATCH) {
        host.subscribe(&server, first..connections.min(first + BATCH))
            .await;
    }
    wait("every connection", || async {
        open.load(Ordering::SeqCst) >= connections
    })
    .await;
    let connected = started.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let full = host.memory();

    let started = Instant::now();
    tell.send(each).expect("connections listen");
    let wanted = connections * each;
    wait("every message", || async { host.kept().await >= wanted }).await;
    let took = started.elapsed();

    let per_connection = full.saturating_sub(idle) as f64 / connections as f64;
    println!("connections                     {connections}");
    println!(
        "applied and connected in        {:.1} s",
        connected.as_secs_f64()
    );
    println!("memory of each                  {per_connection:.1} KiB");
    println!("messages kept (synced), each    {each}");
    println!(
        "messages a second               {:.0}",
        wanted as f64 / took.as_secs_f64()
    );
    println!(
        "memory after                    {} MiB",
        host.memory() / 1024
    );
}

/// Accepts, counts, and sends so many messages as it is told.
async fn serve(open: Arc<AtomicUsize>, told: watch::Receiver<usize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (open, mut told) = (Arc::clone(&open), told.clone());
            tokio::spawn(async move {
                let Ok(mut socket) = accept_async(stream).await else {
                    return;
                };
                open.fetch_add(1, Ordering::SeqCst);
                loop {
                    tokio::select! {
                        changed = told.changed() => {
                            if changed.is_err() {
                                return;
                            }
                            let count = *told.borrow();
                            for number in 0..count {
                                let text = format!("{{\"number\":{number},\"type\":\"trade\"}}");
                                if socket.send(Message::text(text)).await.is_err() {
                                    return;
                                }
                            }
                        }
                        message = socket.next() => match message {
                            Some(Ok(_)) => {}
                            _ => return,
                        },
                    }
                }
            });
        }
    });
    url
}

impl Host {
    async fn start() -> Host {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["plugins", "manifests", "data"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let program = Path::new(env!("CARGO_BIN_EXE_triggerd"));
        let library = "libprovider_websocket.so";
        let built = [
            program.with_file_name(library),
            program.with_file_name("deps").join(library),
        ];
        let built = built.iter().find(|path| path.exists());
        fs::copy(
            built.expect("the provider: cargo build --release"),
            folder.path().join("plugins").join(library),
        )
        .expect("copied");
        let manifest = root().join("manifests/websocket.yaml");
        fs::copy(manifest, folder.path().join("manifests/websocket.yaml")).expect("copied");
        let data = folder.path().join("data");
        let child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .arg("--plugins")
            .arg(folder.path().join("plugins"))
            .arg("--manifests")
            .arg(folder.path().join("manifests"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the host starts");
        let server = wait_for(|| {
            let text = fs::read_to_string(data.join("server.json")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        })
        .await;
        let url = server["url"].as_str().expect("an address").to_owned();
        let token = fs::read_to_string(data.join("admin.token")).expect("a token");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = Host {
            child,
            url,
            token: token.trim().to_owned(),
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            _folder: folder,
        };
        wait("the provider", || async {
            let ready = host.client.get(format!("{}/readyz", host.url)).send().await;
            ready.is_ok_and(|ready| ready.status().is_success())
        })
        .await;
        host
    }

    async fn subscribe(&self, server: &str, numbers: std::ops::Range<usize>) {
        let subscriptions: Vec<Value> = numbers
            .map(|number| {
                json!({"name": format!("feed-{number}"), "provider": "websocket",
                    "socket": {"url": format!("{server}/{number}"), "allow": ["127.0.0.0/8"]}})
            })
            .collect();
        let sent = self
            .client
            .post(format!("{}/api/v1/workspaces/default/apply", self.url))
            .bearer_auth(&self.token)
            .json(&json!({"subscriptions": subscriptions}))
            .send()
            .await
            .expect("an answer");
        assert!(
            sent.status().is_success(),
            "{}",
            sent.text().await.expect("a text")
        );
    }

    /// Messages whose events are committed.
    async fn kept(&self) -> usize {
        let sent = self
            .client
            .get(format!("{}/metrics", self.url))
            .send()
            .await;
        let text = sent.expect("an answer").text().await.expect("a text");
        let line = text
            .lines()
            .find(|line| line.starts_with("triggerd_events_total "));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// In KiB.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
        number
            .and_then(|number| number.parse().ok())
            .expect("a size")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// As many open files as the system lets us have, here and in the host.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, raised).expect("more open files");
}

async fn wait<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let started = Instant::now();
    while !look().await {
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
