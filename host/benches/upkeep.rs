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
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use triggerd::clock::{Clock, Millis};
use triggerd::id::*;
use triggerd::metrics::Metrics;
use triggerd::model::*;
use triggerd::plugins::CallScope;
use triggerd::plugins::sync_facts::{Lease, Renewal, SyncFacts};
use triggerd::seal::KeyRing;
use triggerd::secret::Secret;
use triggerd::store::{DatabaseConfig, Store};
use triggerd::sync::{
    AccountRefusal, Accounts, CallAccount, Engine, EngineConfig, EngineParts, Service, Services,
};

const HOUR: Duration = Duration::from_secs(3600);
/// Subscriptions in one commit.
const BATCH: usize = 1000;
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

    let store = open(&full).await;
    let begun = Instant::now();
    populate(&store, count, renewals).await;
    println!(
        "{count} subscriptions were made in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    store.close().await;

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

/// The first of them are to be renewed when the engine runs, the others spread over a day.
async fn populate(store: &Store, count: usize, renewals: usize) {
    let workspace = store
        .ensure_workspace("default")
        .await
        .expect("a workspace");
    let actor = Actor {
        workspace_id: workspace.id.clone(),
        token_id: None,
    };
    let now = Clock::system().now();
    let owner = HostId::generate(now);
    for first in (0..count).step_by(BATCH) {
        let numbers = first..(first + BATCH).min(count);
        let made = numbers.clone().map(|number| {
            Change::CreateSubscription(NewSubscription {
                id: SubscriptionId::generate(now),
                workspace_id: workspace.id.clone(),
                name: format!("s{number}"),
                provider: "acme".to_owned(),
                endpoint: EndpointId::generate(now),
                mode: SubscriptionMode::Managed,
                parameters: Map::from_iter([(
                    "repository".to_owned(),
                    json!(format!("o/r{number}")),
                )]),
                properties: Map::new(),
                secrets: None,
                state: SubscriptionState::Pending,
                state_reason: None,
                terms: Terms::default(),
            })
        });
        store.apply(&actor, made.collect()).await.expect("made");
        let claim = SyncClaim {
            owner: owner.clone(),
            now: Clock::system().now(),
            lease_until: now.plus(HOUR),
            limit: BATCH as u32,
            passed_over: Vec::new(),
        };
        let claimed = store
            .claim_due_subscriptions(&claim)
            .await
            .expect("claimed");
        let kept = claimed.into_iter().zip(numbers).map(|(one, number)| {
            let renew_at = match number < renewals {
                true => now.plus(2 * HOUR),
                false => now.plus(24 * HOUR + Duration::from_millis(number as u64 * 40)),
            };
            store.progress_subscription(active(one, renew_at))
        });
        for kept in futures_util::future::join_all(kept).await {
            assert!(matches!(kept, Ok(Progressed::Kept { .. })), "{kept:?}");
        }
    }
}

/// As a run leaves it behind that has made its registration.
fn active(claimed: Claimed, renew_at: Millis) -> Progress {
    let row = claimed.subscription;
    let id = RegistrationId::generate(row.created_at);
    let endpoint_url = format!("{ADDRESS}/webhooks/acme/{}", row.endpoint);
    let secrets = json!({ "webhook_secret": "rM8k2fQ0ZJx7vYqT1uHnB4cD9eGwLsAiPoRtXyKdVbE" });
    let answer = RegistrationAnswer {
        credential_id: None,
        external_id: row.name.clone(),
        endpoint_url: endpoint_url.clone(),
        parameters: row.parameters.clone(),
        events: Vec::new(),
        properties: Map::new(),
        secrets: None,
        expires_at: Some(renew_at.plus(6 * HOUR)),
    };
    let registrations = vec![
        RegistrationChange::Insert(NewRegistration {
            id: id.clone(),
            credential_id: None,
            endpoint_url,
            parameters: row.parameters,
            events: Vec::new(),
            secrets: Secret::new(secrets.to_string()),
        }),
        RegistrationChange::Answered {
            id: id.clone(),
            answer,
        },
        RegistrationChange::State {
            id,
            state: RegistrationState::Live,
        },
    ];
    Progress {
        subscription_id: row.id,
        fence: claimed.fence,
        registrations,
        upkeep: Upkeep {
            renew_at: Some(renew_at),
            ..claimed.upkeep
        },
        health: Some((SubscriptionState::Active, None)),
        adopted: None,
        pulled: None,
        audit: Vec::new(),
        end: End::Release {
            due_at: Some(renew_at),
            next_action: Some(SyncAction::Renew),
        },
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
