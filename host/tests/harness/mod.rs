//! A whole host for a test: a process of its own with its own folders, ended and removed with it.
#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// Nothing that a test waits for takes longer; a machine under load is given time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a thing that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// The secret of the genuine samples.
pub const SECRET: &str = "corpus-secret";

/// How a host is started.
#[derive(Default)]
pub struct Options {
    /// Settings as `TRIGGERD_…` variables.
    pub variables: Vec<(String, String)>,
    /// Starts without any provider library.
    pub no_plugins: bool,
    /// Starts without the manifest of the provider.
    pub no_manifests: bool,
    /// Where its log goes; a file in its folder if absent.
    pub log: Option<PathBuf>,
    /// A write past [`Host::limit_files`] fails instead of ending the process.
    pub outlives_file_limit: bool,
    /// So many files may it have open, unless it asks for more.
    pub descriptors: Option<u64>,
}

/// A running host.
pub struct Host {
    pub folder: tempfile::TempDir,
    pub url: String,
    pub token: String,
    options: Options,
    child: Option<Child>,
    client: reqwest::Client,
}

impl Host {
    /// With the provider library and its manifest, on SQLite.
    pub async fn start() -> Host {
        Host::start_with(Options::default()).await
    }

    /// As told.
    pub async fn start_with(options: Options) -> Host {
        let mut host = Host::prepare(options);
        host.resume().await;
        host
    }

    fn prepare(options: Options) -> Host {
        let folder = tempfile::Builder::new()
            .prefix("triggerd-test-")
            .tempdir()
            .expect("a folder");
        for name in ["plugins", "manifests", "commands", "data"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        if !options.no_plugins {
            place(
                &provider_library(),
                &folder.path().join("plugins/libprovider_github.so"),
            );
        }
        if !options.no_plugins && !options.no_manifests {
            fs::copy(
                root().join("manifests/github.yaml"),
                folder.path().join("manifests/github.yaml"),
            )
            .expect("the manifest");
        }
        Host {
            folder,
            url: String::new(),
            token: String::new(),
            options,
            child: None,
            client: client(),
        }
    }

    /// Another host with the keys and the first token of this one, for one database.
    pub async fn start_like(other: &Host, options: Options) -> Host {
        let mut host = Host::prepare(options);
        for file in ["keys", "admin.token"] {
            fs::copy(other.path("data").join(file), host.path("data").join(file)).expect("copied");
        }
        host.resume().await;
        host
    }

    /// An address of another host, on this one.
    pub fn with_own_address(&self, url: &str) -> String {
        let path = &url[url.find("/webhooks/").expect("an endpoint")..];
        format!("{}{path}", self.url)
    }

    /// Its database, beside it: the file in its folder, or this one of PostgreSQL.
    pub async fn database(&self, postgres: Option<&str>) -> sqlx::AnyPool {
        sqlx::any::install_default_drivers();
        let file = format!("sqlite://{}", self.path("data/triggerd.db").display());
        let url = postgres.map_or(file, str::to_owned);
        sqlx::AnyPool::connect(&url).await.expect("a connection")
    }

    /// Starts the process (again) over the same folders and waits until it serves.
    pub async fn resume(&mut self) {
        let data = self.path("data");
        let _ = fs::remove_file(data.join("server.json"));
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.options.log.clone().unwrap_or_else(|| self.path("log")))
            .expect("a log");
        let mut program = Command::new(env!("CARGO_BIN_EXE_triggerd"));
        let mut first = String::new();
        if self.options.outlives_file_limit {
            first += "trap '' XFSZ; ";
        }
        if let Some(descriptors) = self.options.descriptors {
            first += &format!("ulimit -Sn {descriptors}; ");
        }
        if !first.is_empty() {
            program = Command::new("/bin/sh");
            program.args(["-c", &format!("{first}exec \"$0\" \"$@\"")]);
            program.arg(env!("CARGO_BIN_EXE_triggerd"));
        }
        let child = program
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .arg("--plugins")
            .arg(self.path("plugins"))
            .arg("--manifests")
            .arg(self.path("manifests"))
            .arg("--command-dir")
            .arg(self.path("commands"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.options.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the host starts");
        self.child = Some(child);
        let server = self.wait_for("the server's address", || {
            assert!(self.is_running(), "the host ended: {}", self.log());
            let text = fs::read_to_string(data.join("server.json")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        self.url = server["url"].as_str().expect("an address").to_owned();
        self.token = fs::read_to_string(data.join("admin.token"))
            .expect("the first token")
            .trim()
            .to_owned();
        let client = self.client.clone();
        let ready = format!("{}/readyz", self.url);
        self.until("the host is ready", async || {
            let response = client.get(&ready).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
    }

    /// As it is: without the variables that it was started with.
    pub fn forget_variables(&mut self) {
        self.options.variables.clear();
    }

    /// Waits until the process has ended without being asked.
    pub fn ended_by_itself(&mut self) {
        self.wait_for("the end of the process", || {
            (!self.is_running()).then_some(())
        });
        self.kill();
    }

    /// Whether the process lives, as far as the system tells.
    fn is_running(&self) -> bool {
        let stat = format!("/proc/{}/stat", self.pid());
        fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// A path in the host's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends the process as a power loss would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to end, and waits for it. Returns whether it ended by itself with success.
    pub fn terminate(&mut self) -> bool {
        self.ask_to_end();
        self.ends_well()
    }

    /// Asks the process to end.
    pub fn ask_to_end(&self) {
        let term = rustix::process::Signal::TERM;
        rustix::process::kill_process(self.process(), term).expect("a signal");
    }

    /// Stands still until [`Host::go_on`], as a host does whose machine has no time for it.
    pub fn pause(&self) {
        let stop = rustix::process::Signal::STOP;
        rustix::process::kill_process(self.process(), stop).expect("a signal");
    }

    pub fn go_on(&self) {
        let go_on = rustix::process::Signal::CONT;
        rustix::process::kill_process(self.process(), go_on).expect("a signal");
    }

    /// Waits until it takes no connection any more: it has heard that it is to end.
    pub async fn stops_listening(&self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        self.until("the end of listening", async || {
            let connected = tokio::net::TcpStream::connect(&address).await;
            connected.is_err().then_some(())
        })
        .await;
    }

    /// Waits for the end of the process. Returns whether that was one of its own, with success.
    pub fn ends_well(&mut self) -> bool {
        let mut child = self.child.take().expect("a running host");
        let status = self.wait_for("the host's end", || child.try_wait().expect("a status"));
        status.success()
    }

    /// No file of the process grows beyond this, as on a full disk; with `None` there is room again.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = rustix::process::Rlimit {
            current: bytes,
            maximum: None,
        };
        let resource = rustix::process::Resource::Fsize;
        rustix::process::prlimit(Some(self.process()), resource, limit).expect("a limit");
    }

    fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().expect("a running host"))
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running host").id()
    }

    /// Everything that the host wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Writes an executable script into the allowed folder.
    pub fn script(&self, name: &str, text: &str) {
        let path = self.path("commands").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
    }

    /// Runs a client command against this host.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.client_command(arguments)
            .output()
            .expect("the client runs")
    }

    /// Starts a client command against this host and does not wait for its end.
    pub fn start_cli(&self, arguments: &[&str]) -> Child {
        self.client_command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client starts")
    }

    fn client_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triggerd"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TRIGGERD_URL", &self.url)
            .env("TRIGGERD_TOKEN", &self.token)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// The same, and it must work; returns what it printed.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(
            output.status.success(),
            "triggerd {arguments:?} failed:\n{}{}\nhost log:\n{}",
            text(&output.stdout),
            text(&output.stderr),
            self.log(),
        );
        text(&output.stdout)
    }

    /// Applies a document, which must work; returns the endpoint's address by subscription name.
    pub fn apply(&self, document: &str) -> Value {
        let path = self.path("document.yaml");
        fs::write(&path, document).expect("a document");
        let printed = self.cli_ok(&["apply", "-f", path.to_str().expect("a path"), "--json"]);
        serde_json::from_str(&printed).expect("one JSON document")
    }

    /// The address of a subscription's endpoint, on the address that the host serves on now.
    pub async fn endpoint(&self, name: &str) -> String {
        let list = self.get("/api/v1/workspaces/default/subscriptions").await;
        let found = list["items"]
            .as_array()
            .and_then(|items| items.iter().find(|item| item["name"] == name));
        let url = found.expect("the subscription")["endpoint_url"]
            .as_str()
            .expect("an address");
        let path = &url[url.find("/webhooks/").expect("an endpoint")..];
        format!("{}{path}", self.url)
    }

    /// Reads from the API.
    pub async fn get(&self, path: &str) -> Value {
        let response = self
            .request(reqwest::Method::GET, path)
            .send()
            .await
            .expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The items of a list of the default workspace.
    pub async fn items(&self, list: &str) -> Vec<Value> {
        let page = self
            .get(&format!("/api/v1/workspaces/default/{list}"))
            .await;
        page["items"].as_array().expect("items").clone()
    }

    /// Every item of a list of the default workspace, page after page.
    pub async fn all_items(&self, list: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .get(&format!(
                    "/api/v1/workspaces/default/{list}?limit=500{cursor}"
                ))
                .await;
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// A request to the API with the admin token.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
    }

    /// Without a token.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// What `/metrics` says of a series without labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self
            .client
            .get(format!("{}/metrics", self.url))
            .send()
            .await;
        let page = page.expect("an answer").text().await.expect("a page");
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{name} is not told:\n{page}"))
    }

    /// Waits until a list of the default workspace has an item like this; returns it.
    pub async fn item(&self, list: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let what = format!("an item of {list}");
        self.until(&what, async || {
            self.items(list).await.into_iter().find(|item| is_it(item))
        })
        .await
    }

    /// Looks again and again until there is something.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{what} did not come; host log:\n{}",
                self.log()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{what} did not come; host log:\n{}",
                self.log()
            );
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        // Programs outlive a host that is killed. None outlives its test.
        while end_programs(self.folder.path()) {}
    }
}

/// Ends the processes that are at home in a folder; tells whether there were any.
fn end_programs(folder: &Path) -> bool {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let at_home = processes.filter(|process| {
        let home = fs::read_link(process.path().join("cwd"));
        home.is_ok_and(|home| home.starts_with(folder))
    });
    let mut ended = false;
    for process in at_home {
        let pid = process.file_name().to_string_lossy().parse().ok();
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            ended |= rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok();
        }
    }
    ended
}

/// A signed delivery, as the service sends it.
pub struct Delivery<'a> {
    pub event: &'a str,
    pub id: &'a str,
    pub body: &'a [u8],
}

impl Delivery<'_> {
    /// Sends it with a signature of this secret.
    pub async fn send(&self, endpoint: &str, secret: &str) -> reqwest::Result<reqwest::Response> {
        self.request(endpoint)
            .header("X-Hub-Signature-256", signature(secret, self.body))
            .send()
            .await
    }

    /// The request without a signature.
    pub fn request(&self, endpoint: &str) -> reqwest::RequestBuilder {
        client()
            .post(endpoint)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", self.event)
            .header("X-GitHub-Delivery", self.id)
            .body(self.body.to_vec())
    }
}

/// `sha256=` and the HMAC in hex.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A genuine push to `refs/heads/<branch>`.
pub fn push(branch: &str) -> Vec<u8> {
    let sample = include_str!("../fixtures/push.json");
    let mut value: Value = serde_json::from_str(sample).expect("the sample");
    value["ref"] = format!("refs/heads/{branch}").into();
    serde_json::to_vec(&value).expect("JSON")
}

/// A client that follows nothing and keeps nothing.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .pool_idle_timeout(Duration::from_secs(2))
        .build()
        .expect("a client")
}

/// Moves a library into place whole, as an operator should.
pub fn place(library: &Path, to: &Path) {
    let beside = to.with_extension("new");
    fs::copy(library, &beside).expect("a library");
    fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a mode");
    fs::rename(&beside, to).expect("moved");
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// Where cargo put what it built.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_triggerd"))
        .parent()
        .expect("the target folder")
        .to_owned()
}

/// The provider that the tests use.
pub fn provider_library() -> PathBuf {
    let library = target().join("libprovider_github.so");
    assert!(
        library.exists(),
        "{} is not built: run `cargo build --workspace` first",
        library.display()
    );
    library
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
