//! NATS for tests: a server of the system's package in a temporary folder, and a client of few words
//! that hears and answers.
#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct NatsServer {
    pub folder: tempfile::TempDir,
    pub port: u16,
    monitor: String,
    config: String,
    child: Option<Child>,
}

impl NatsServer {
    /// With JetStream in its folder, and these lines of configuration.
    pub fn start(config: &str) -> NatsServer {
        let folder = tempfile::Builder::new()
            .prefix("triggerd-nats-")
            .tempdir()
            .expect("a folder");
        let mut server = NatsServer {
            folder,
            port: 0,
            monitor: String::new(),
            config: config.to_owned(),
            child: None,
        };
        server.resume();
        server
    }

    /// Starts it (again), at the same port.
    pub fn resume(&mut self) {
        let folder = self.folder.path();
        let port = match self.port {
            0 => "-1".to_owned(),
            port => port.to_string(),
        };
        let config = format!(
            "host: 127.0.0.1\nport: {port}\nhttp_port: -1\nports_file_dir: {folder:?}\n\
             jetstream {{store_dir: {folder:?}}}\n{}\n",
            self.config
        );
        std::fs::write(folder.join("nats.conf"), config).expect("a configuration");
        let child = Command::new(program())
            .arg("-c")
            .arg(folder.join("nats.conf"))
            .arg("-l")
            .arg(folder.join("nats.log"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        let ports = folder.join(format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        let start = Instant::now();
        (self.port, self.monitor) = loop {
            if let Some(read) = read_ports(&ports) {
                break read;
            }
            assert!(start.elapsed() < PATIENCE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        };
    }

    /// How many connections there have been since it started.
    pub async fn connections(&self) -> u64 {
        let varz = reqwest::get(format!("{}/varz", self.monitor)).await;
        let varz: Value = varz.expect("an answer").json().await.expect("JSON");
        varz["total_connections"].as_u64().expect("a number")
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("nats.log")).unwrap_or_default()
    }

    /// A client of this server; `login` are fields of its introduction.
    pub async fn client(&self, login: Value) -> NatsClient {
        NatsClient::connect(self.port, login).await
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(Path::new);
    let mut programs = places.iter().map(|place| place.join("nats-server"));
    programs.find(|path| path.exists()).unwrap_or_else(|| {
        panic!("these tests need the program nats-server: install the package `nats-server`")
    })
}

fn read_ports(ports: &Path) -> Option<(u16, String)> {
    let ports: Value = serde_json::from_str(&std::fs::read_to_string(ports).ok()?).ok()?;
    let url = ports["nats"][0].as_str()?;
    let monitor = ports["monitoring"][0].as_str()?;
    Some((url.rsplit(':').next()?.parse().ok()?, monitor.to_owned()))
}

/// A message as the client heard it.
#[derive(Debug)]
pub struct Heard {
    pub subject: String,
    pub reply_to: Option<String>,
    pub headers: String,
    pub payload: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).expect("JSON")
    }
}

/// Whoever listens.
pub struct NatsClient {
    stream: BufReader<TcpStream>,
}

impl NatsClient {
    async fn connect(port: u16, login: Value) -> NatsClient {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let mut client = NatsClient {
            stream: BufReader::new(stream.expect("connected")),
        };
        let mut hello = json!({"verbose": false, "headers": true, "no_responders": true});
        if let (Value::Object(hello), Value::Object(login)) = (&mut hello, login) {
            hello.extend(login);
        }
        assert!(client.line().await.starts_with("INFO "));
        client.say(&format!("CONNECT {hello}\r\n")).await;
        client.settle().await;
        client
    }

    /// Listens to a subject from now on.
    pub async fn subscribe(&mut self, subject: &str) {
        self.say(&format!("SUB {subject} 1\r\n")).await;
        self.settle().await;
    }

    pub async fn publish(&mut self, subject: &str, payload: &str) {
        let line = format!("PUB {subject} {}\r\n{payload}\r\n", payload.len());
        self.say(&line).await;
    }

    /// With headers, each as `Name: value`.
    pub async fn publish_with(&mut self, subject: &str, headers: &[&str], payload: &str) {
        let head = format!("NATS/1.0\r\n{}\r\n\r\n", headers.join("\r\n"));
        let (head_size, size) = (head.len(), head.len() + payload.len());
        let line = format!("HPUB {subject} {head_size} {size}\r\n{head}{payload}\r\n");
        self.say(&line).await;
    }

    /// The next message.
    pub async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(PATIENCE, self.hear());
        next.await.expect("a message in time")
    }

    /// Asks and hears the answer; nothing else may be subscribed to.
    pub async fn request(&mut self, subject: &str, payload: &Value) -> Value {
        let payload = payload.to_string();
        self.say("SUB answers.* 9\r\n").await;
        let size = payload.len();
        self.say(&format!("PUB {subject} answers.1 {size}\r\n{payload}\r\n"))
            .await;
        let answer = self.next().await.json();
        self.say("UNSUB 9\r\n").await;
        self.settle().await;
        answer
    }

    /// A stream that keeps these subjects.
    pub async fn make_stream(&mut self, name: &str, subject: &str, more: Value) {
        let mut wanted = json!({"name": name, "subjects": [subject], "storage": "file",
            "retention": "limits", "num_replicas": 1, "duplicate_window": 60_000_000_000_i64});
        if let (Value::Object(wanted), Value::Object(more)) = (&mut wanted, more) {
            wanted.extend(more);
        }
        let made = self
            .request(&format!("$JS.API.STREAM.CREATE.{name}"), &wanted)
            .await;
        assert!(made["error"].is_null(), "{made}");
    }

    /// How many messages a stream keeps.
    pub async fn kept(&mut self, name: &str) -> u64 {
        let info = self
            .request(&format!("$JS.API.STREAM.INFO.{name}"), &json!({}))
            .await;
        info["state"]["messages"].as_u64().expect("a number")
    }

    async fn hear(&mut self) -> Heard {
        loop {
            let line = self.line().await;
            let parts: Vec<&str> = line.split_ascii_whitespace().collect();
            let (head, reply_to) = match parts.as_slice() {
                ["PING"] => {
                    self.say("PONG\r\n").await;
                    continue;
                }
                ["MSG", _, _, _] => (0, None),
                ["MSG", _, _, reply, _] => (0, Some(*reply)),
                ["HMSG", _, _, head, _] => (number(head), None),
                ["HMSG", _, _, reply, head, _] => (number(head), Some(*reply)),
                _ => continue,
            };
            let total = number(parts[parts.len() - 1]);
            let mut bytes = vec![0; total + 2];
            self.stream.read_exact(&mut bytes).await.expect("a message");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Heard {
                subject: parts[1].to_owned(),
                reply_to: reply_to.map(str::to_owned),
                headers: text(&bytes[..head]),
                payload: text(&bytes[head..total]),
            };
        }
    }

    /// Until the server has worked off what was said.
    async fn settle(&mut self) {
        self.say("PING\r\n").await;
        loop {
            let line = self.line().await;
            assert!(!line.starts_with("-ERR"), "{line}");
            if line == "PONG" {
                return;
            }
        }
    }

    async fn say(&mut self, text: &str) {
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes()).await.expect("said");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line));
        let read = read.await.expect("a line in time").expect("a line");
        assert!(read > 0, "the server hung up");
        line.trim_end().to_owned()
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}
