//! What a million idle subscriptions cost, how soon what is due is found, and renewals a second.
//!
//! `cargo bench -p triggerd --bench upkeep -- [SUBSCRIPTIONS] [RENEWALS]`. Makes a data folder with
//! so many managed subscriptions, starts a whole host over it and over an empty one, and compares
//! their memory; then asks the store what is due; then renews some of them at a service on loopback,
//! each by a second registration and the end of the first.

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::routing::post;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::params;
use serde_json::{Value, json};
use tokio::sync::Notify;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use triggerd::clock::{Clock, Millis};
use triggerd::id::*;
use triggerd::metrics::Metrics;
use triggerd::plugins::CallScope;
use triggerd::plugins::sync_facts::{Lease, Renewal, SyncFacts};
use triggerd::seal::KeyRing;
use triggerd::store::{DatabaseConfig, Store};
use triggerd::sync::{
    AccountRefusal, Accounts, CallAccount, Engine, EngineConfig, EngineParts, Service, Services,
};

const HOUR: Duration = Duration::from_secs(3600);
/// Subscriptions in one commit.
const BATCH: usize = 10_000;
/// A host has given back by then what its start needed.
const SETTLED: Duration = Duration::from_secs(15);
const LOOKS: usize = 2000;

#[tokio::main]
async fn main() {
    let given = std::env::args().skip(1).filter(|one| one != "--bench");
    let mut numbers = given.map(|text| text.parse::<usize>().expect("a number"));
    let count = numbers.next().unwrap_or(1_000_000);
    let renewals = numbers.next().unwrap_or(10_000).min(count);
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
    let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
    for data in [&empty, &full] {
        std::fs::create_dir(data).expect("a folder");
    }

    let begun = Instant::now();
    populate(&full, count, renewals).await;
    println!(
        "{count} subscriptions were written in {:.0} s",
        begun.elapsed().as_secs_f64()
    );

    let (base, with_all) = (resident(&empty), resident(&full));
    println!(
        "idle: {:.1} MB resident without a subscription, {:.1} MB with {count}: {:.0} bytes for each   (target 300)",
        base as f64 / 1e6,
        with_all as f64 / 1e6,
        with_all.saturating_sub(base) as f64 / count as f64
    );

    let store = open(&full).await;
    find_due(&store).await;
    renew(&store, renewals).await;
    store.close().await;
}

async fn open(data: &Path) -> Store {
    let url = format!("sqlite:{}", data.join("triggerd.db").display());
    let keys = KeyRing::load(data, None).expect("keys");
    let store = Store::open(DatabaseConfig::new(url), keys, Clock::system());
    store.await.expect("the store opens")
}

/// As runs leave them behind that have made their registrations: rows of both tables, written by
/// themselves, since a million runs would take longer than all that is measured. The first of them
/// are to be renewed when the engine runs, the others spread over a day.
async fn populate(data: &Path, count: usize, renewals: usize) {
    let store = open(data).await;
    let workspace = store
        .ensure_workspace("default")
        .await
        .expect("a workspace");
    store.close().await;
    let keys = KeyRing::load(data, None).expect("keys");
    let now = Clock::system().now();
    let mut database = rusqlite::Connection::open(data.join("triggerd.db")).expect("opened");
    database
        .execute_batch("pragma synchronous = off; pragma cache_size = -400000;")
        .expect("said");
    for first in (0..count).step_by(BATCH) {
        let transaction = database.transaction().expect("begun");
        {
            let mut subscriptions = transaction.prepare_cached(SUBSCRIPTION).expect("read");
            let mut registrations = transaction.prepare_cached(REGISTRATION).expect("read");
            for number in first..(first + BATCH).min(count) {
                let renew_at = match number < renewals {
                    true => now.plus(2 * HOUR),
                    false => now.plus(24 * HOUR + Duration::from_millis(number as u64 * 86)),
                };
                let row = Made::numbered(number, now);
                let secrets =
                    json!({ "webhook_secret": "rM8k2fQ0ZJx7vYqT1uHnB4cD9eGwLsAiPoRtXyKdVbE" });
                let place = format!("registrations:{}:secrets", row.registration);
                let secrets = keys.seal(&place, secrets.to_string().as_bytes());
                subscriptions
                    .execute(params![
                        row.id,
                        workspace.id.as_str(),
                        row.name,
                        row.endpoint,
                        row.parameters,
                        now.0,
                        renew_at.0
                    ])
                    .expect("a subscription");
                registrations
                    .execute(params![
                        row.registration,
                        row.id,
                        row.name,
                        row.endpoint_url,
                        row.parameters,
                        secrets,
                        renew_at.plus(6 * HOUR).0,
                        now.0
                    ])
                    .expect("a registration");
            }
        }
        transaction.commit().expect("kept");
    }
    database.close().expect("closed");
}

const SUBSCRIPTION: &str = "insert into subscriptions (id, workspace_id, name, provider, endpoint, \
    mode, parameters, properties, state, state_since, revision, created_at, updated_at, due_at, \
    next_action, renew_at) values (?1, ?2, ?3, 'acme', ?4, 'managed', ?5, '{}', 'active', ?6, 4, \
    ?6, ?6, ?7, 'renew', ?7)";
const REGISTRATION: &str = "insert into registrations (id, subscription_id, state, external_id, \
    endpoint_url, parameters, events, properties, learned, secrets, expires_at, created_at, \
    updated_at) values (?1, ?2, 'live', ?3, ?4, ?5, '[]', '{}', '{}', ?6, ?7, ?8, ?8)";

/// A subscription with its registration, as texts.
struct Made {
    id: String,
    name: String,
    endpoint: String,
    endpoint_url: String,
    parameters: String,
    registration: String,
}

impl Made {
    fn numbered(number: usize, now: Millis) -> Made {
        // Ids that rise with their times, as in life, are written at the end of each index.
        let now = Millis(now.0 - 10_000_000 + i64::try_from(number).expect("a count"));
        let endpoint = EndpointId::generate(now).to_string();
        Made {
            id: SubscriptionId::generate(now).to_string(),
            name: format!("s{number:07}"),
            endpoint_url: format!("{ADDRESS}/webhooks/acme/{endpoint}"),
            endpoint,
            parameters: json!({ "repository": format!("o/r{number}") }).to_string(),
            registration: RegistrationId::generate(now).to_string(),
        }
    }
}

/// The memory of a host over this folder, in bytes (proc(5)).
fn resident(data: &Path) -> u64 {
    let mut host = Host::start(data);
    std::thread::sleep(SETTLED);
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.0.id())).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    assert!(
        host.0.try_wait().expect("asked").is_none(),
        "the host ended"
    );
    kilobytes
        .and_then(|text| text.parse::<u64>().ok())
        .expect("a size")
        * 1024
}

struct Host(Child);

impl Host {
    fn start(data: &Path) -> Host {
        let mut child = Command::new(env!("CARGO_BIN_EXE_triggerd"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let mut lines = std::io::BufReader::new(stdout).lines();
        lines.next().expect("it serves").expect("a line");
        // Read on, or what it prints next would have no reader.
        std::thread::spawn(move || lines.for_each(drop));
        Host(child)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn find_due(store: &Store) {
    let mut took = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let begun = Instant::now();
        let next = store.next_subscription_due().await.expect("read");
        took.push(begun.elapsed());
        assert!(next.is_some(), "something is due some day");
    }
    took.sort_unstable();
    let ms = |at: usize| took[at].as_secs_f64() * 1000.0;
    println!(
        "finding what is due: median {:.3} ms, p99 {:.3} ms   (target 1)",
        ms(LOOKS / 2),
        ms(LOOKS * 99 / 100)
    );
}

async fn renew(store: &Store, renewals: usize) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let router = axum::Router::new().route("/", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = Acme {
        facts: SyncFacts {
            lease: Some(Lease {
                lifetime: 24 * HOUR,
                renew_before: 6 * HOUR,
                renew: Renewal::Recreate,
            }),
            ..SyncFacts::default()
        },
        client: reqwest::Client::new(),
        url,
    };
    // Those are due by then, and nothing else is.
    let clock = Clock::fixed(Clock::system().now().plus(3 * HOUR));
    let wake = Arc::new(Notify::new());
    let engine = Engine::new(EngineParts {
        store: store.clone(),
        services: Arc::new(service.clone()),
        accounts: Arc::new(service),
        clock: clock.clone(),
        owner: HostId::generate(clock.now()),
        public_url: ADDRESS.to_owned(),
        metrics: Arc::new(Metrics::default()),
        wake: Arc::clone(&wake),
        timers_wake: Arc::default(),
        events_wake: Arc::default(),
        config: EngineConfig::default(),
    });
    let begun = Instant::now();
    while store
        .count_due_subscriptions(clock.now())
        .await
        .expect("read")
        > 0
    {
        engine.tick().await.expect("a tick");
        let _ = tokio::time::timeout(Duration::from_millis(100), wake.notified()).await;
    }
    engine.settled().await;
    let rate = renewals as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{renewals} renewals, each a making and an end at the service: {rate:.0} a second   (target 500)"
    );
}

const ADDRESS: &str = "https://hooks.example";

/// The service: takes everything.
async fn answer(Json(asked): Json<Value>) -> Json<Value> {
    Json(match asked["operation"].as_str() {
        Some("create") => json!({ "external_id": asked["arguments"]["key"] }),
        _ => Value::Null,
    })
}

/// A plugin that asks the service on loopback.
#[derive(Clone)]
struct Acme {
    facts: SyncFacts,
    client: reqwest::Client,
    url: String,
}

impl Services for Acme {
    fn find(&self, _: &str) -> Option<Arc<dyn Service>> {
        Some(Arc::new(self.clone()))
    }

    fn names(&self) -> Vec<String> {
        vec!["acme".to_owned()]
    }
}

impl Service for Acme {
    fn facts(&self) -> &SyncFacts {
        &self.facts
    }

    fn secret_fields(&self) -> Vec<String> {
        vec!["webhook_secret".to_owned()]
    }

    fn call<'a>(
        &'a self,
        _: Arc<CallScope>,
        operation: &'static str,
        arguments: Value,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallError>> {
        let failed = |error: reqwest::Error| CallError::new(codes::UPSTREAM, error.to_string());
        async move {
            let asked = json!({ "operation": operation, "arguments": arguments });
            let sent = self.client.post(&self.url).json(&asked).send().await;
            let body = sent.map_err(failed)?.bytes().await.map_err(failed)?;
            Ok(body.to_vec())
        }
        .boxed()
    }
}

impl Accounts for Acme {
    fn for_call<'a>(
        &'a self,
        _: &'a CredentialId,
    ) -> BoxFuture<'a, Result<CallAccount, AccountRefusal>> {
        let refusal = AccountRefusal::Lasting("there are no accounts here".to_owned());
        std::future::ready(Err(refusal)).boxed()
    }

    fn mark_refused<'a>(&'a self, _: &'a CallAccount, _: &'a str) -> BoxFuture<'a, bool> {
        std::future::ready(true).boxed()
    }

    fn throttle<'a>(&'a self, _: &'a CredentialId, _: Millis) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }
}
