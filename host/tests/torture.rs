//! Torture: load, and in the middle of it a fault of some kind, again and again. What a sender was
//! answered 2xx for has run, under one job; nothing else counts.
//!
//! A short form runs with the tests. `make torture MINUTES=10` goes on for so long, prints a table,
//! and takes `TORTURE_SEED` to do the same choices again.

mod harness;
#[path = "harness/postgres.rs"]
#[allow(dead_code, reason = "the cluster that others share is not used here")]
mod postgres_harness;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{Delivery, Host, Options, SECRET, push};
use postgres_harness::Cluster;
use serde_json::Value;

const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/note, command: {argv: [./note.sh]}, concurrency: 16, retry: {attempts_max: 50, first: 50ms, delay_max: 1s}}
subscriptions:
- {name: repo, provider: github, manual: {webhook_secret: corpus-secret}}
triggers:
- {name: on-push, subscription: repo, event: push, runnable: f/t/note}
";
/// One line for each run: which delivery, which job.
const NOTE: &str = "echo \"$(grep -o 'torture-[0-9]*' | head -n 1) $TRIGGERD_JOB_ID\" >>ledger";
const SENDERS: u64 = 8;
/// After so many rounds a new host begins with an empty database.
const ROUNDS: usize = 12;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fault {
    Killed,
    Stopped,
    Paused,
    LibraryReplaced,
    DiskFull,
    DatabaseRestarted,
    ConnectionsCut,
}

const ON_SQLITE: [Fault; 5] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::Paused,
    Fault::LibraryReplaced,
    Fault::DiskFull,
];
const ON_POSTGRES: [Fault; 5] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::Paused,
    Fault::DatabaseRestarted,
    Fault::ConnectionsCut,
];

/// Choices that a seed repeats (splitmix64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    async fn moment(&mut self, ms_max: u64) {
        tokio::time::sleep(Duration::from_millis(20 + self.below(ms_max))).await;
    }
}

#[derive(Default)]
struct Row {
    rounds: u64,
    deliveries: u64,
    sent: u64,
    runs: u64,
}

type Table = BTreeMap<(&'static str, Fault), Row>;

/// A host under load.
struct World {
    name: &'static str,
    host: Host,
    cluster: Option<(Cluster, String)>,
    endpoint: Arc<Mutex<String>>,
    number: Arc<AtomicU64>,
    runs: usize,
}

impl World {
    async fn begin(name: &'static str) -> World {
        let mut options = Options {
            variables: vec![("TRIGGERD_DRAIN".to_owned(), "2s".to_owned())],
            outlives_file_limit: true,
            ..Options::default()
        };
        let mut cluster = None;
        if name == "postgres" {
            let own = Cluster::own();
            let url = own.database().await;
            let database = ("TRIGGERD_DATABASE".to_owned(), url.clone());
            options.variables.push(database);
            cluster = Some((own, url));
        }
        let host = Host::start_with(options).await;
        host.script("note.sh", NOTE);
        host.apply(DOCUMENT);
        let endpoint = host.endpoint("repo").await;
        World {
            name,
            host,
            cluster,
            endpoint: Arc::new(Mutex::new(endpoint)),
            number: Arc::default(),
            runs: 0,
        }
    }

    async fn resume(&mut self) {
        self.host.resume().await;
        let mut endpoint = self.endpoint.lock().expect("no sender panics with it");
        *endpoint = self.host.with_own_address(&endpoint);
    }

    /// Senders, and the fault among them. All that was begun is answered in the end.
    async fn round(&mut self, fault: Fault, choices: &mut Choices) -> Row {
        let first = self.number.load(Ordering::SeqCst);
        let (over, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
                let (endpoint, number) = (Arc::clone(&self.endpoint), Arc::clone(&self.number));
                tokio::spawn(async move {
                    while !over.load(Ordering::SeqCst) {
                        let number = number.fetch_add(1, Ordering::SeqCst);
                        sent.fetch_add(deliver(&endpoint, number).await, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        choices.moment(400).await;
        self.suffer(fault, choices).await;
        choices.moment(300).await;
        over.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await.expect("a sender that is answered");
        }
        let deliveries = self.number.load(Ordering::SeqCst) - first;
        let runs = self.check().await;
        let row = Row {
            rounds: 1,
            deliveries,
            sent: sent.load(Ordering::SeqCst),
            runs: (runs - self.runs) as u64,
        };
        self.runs = runs;
        row
    }

    async fn suffer(&mut self, fault: Fault, choices: &mut Choices) {
        match fault {
            Fault::Killed => {
                self.host.kill();
                self.resume().await;
            }
            Fault::Stopped => {
                assert!(self.host.terminate(), "{}", self.host.log());
                self.resume().await;
            }
            Fault::Paused => {
                self.host.pause();
                choices.moment(500).await;
                self.host.go_on();
            }
            Fault::LibraryReplaced => {
                let library = self.host.path("plugins/libprovider_github.so");
                harness::place(&harness::provider_library(), &library);
            }
            Fault::DiskFull => {
                let log = self.host.path("data/triggerd.db-wal");
                let length = std::fs::metadata(log).map_or(0, |log| log.len());
                self.host
                    .limit_files(Some(length.max(400_000) + choices.below(200_000)));
                choices.moment(800).await;
                self.host.limit_files(None);
            }
            Fault::DatabaseRestarted => {
                let (cluster, _) = self.cluster.as_ref().expect("it is on PostgreSQL");
                cluster.stop();
                choices.moment(300).await;
                cluster.resume();
            }
            Fault::ConnectionsCut => {
                let (_, url) = self.cluster.as_ref().expect("it is on PostgreSQL");
                let pool = sqlx::PgPool::connect(url).await.expect("connected");
                let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
                    where datname = current_database() and pid <> pg_backend_pid()";
                for _ in 0..5 {
                    sqlx::query(cut).fetch_all(&pool).await.expect("cut");
                    choices.moment(50).await;
                }
            }
        }
    }

    /// Waits until every delivery has run; tells how many runs there were.
    async fn check(&self) -> usize {
        let wanted: BTreeSet<u64> = (0..self.number.load(Ordering::SeqCst)).collect();
        let ledger = self.host.path("commands/ledger");
        let read = || {
            let text = std::fs::read_to_string(&ledger).unwrap_or_default();
            let lines = text.lines().filter_map(|line| {
                let (number, job) = line.strip_prefix("torture-")?.split_once(' ')?;
                Some((number.parse().ok()?, job.to_owned()))
            });
            lines.collect::<Vec<(u64, String)>>()
        };
        let began = Instant::now();
        let runs = loop {
            let runs = read();
            let seen: BTreeSet<u64> = runs.iter().map(|(number, _)| *number).collect();
            let missing: Vec<&u64> = wanted.difference(&seen).collect();
            if missing.is_empty() {
                break runs;
            }
            assert!(
                began.elapsed() < Duration::from_secs(90),
                "answered 2xx and never run: {missing:?}; host log:\n{}",
                self.host.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let mut jobs: HashMap<u64, &str> = HashMap::new();
        for (number, job) in &runs {
            let first = jobs.entry(*number).or_insert(job);
            assert_eq!(first, job, "delivery {number} became two jobs");
        }
        runs.len()
    }

    async fn end(mut self) {
        let dead = "/api/v1/workspaces/default/jobs?state=dead";
        let dead = self.host.get(dead).await;
        assert_eq!(dead["items"], Value::Array(Vec::new()), "{dead}");
        assert!(self.host.terminate(), "{}", self.host.log());
        if self.name == "sqlite" {
            let url = format!("sqlite:{}", self.host.path("data/triggerd.db").display());
            let pool = sqlx::SqlitePool::connect(&url).await.expect("opened");
            let checked = sqlx::query_scalar("pragma integrity_check");
            let checked: String = checked.fetch_one(&pool).await.expect("checked");
            assert_eq!(checked, "ok");
        }
    }
}

/// Sends one push until it is answered 2xx, as services do; tells how often.
async fn deliver(endpoint: &Mutex<String>, number: u64) -> u64 {
    let mut body: Value = serde_json::from_slice(&push("main")).expect("the sample");
    body["torture"] = format!("torture-{number}").into();
    let body = serde_json::to_vec(&body).expect("JSON");
    let id = format!("d-{number}");
    let delivery = Delivery {
        event: "push",
        id: &id,
        body: &body,
    };
    let began = Instant::now();
    for sent in 1.. {
        let to = endpoint.lock().expect("no sender panics with it").clone();
        match delivery.send(&to, SECRET).await {
            Ok(answer) if answer.status().is_success() => return sent,
            Ok(answer) => assert!(answer.status().is_server_error(), "{}", answer.status()),
            // Cut off, or nobody is there.
            Err(_) => {}
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no 2xx for {number}"
        );
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    unreachable!("a sender does not stop")
}

async fn live(name: &'static str, faults: &[Fault], choices: &mut Choices, table: &mut Table) {
    let mut world = World::begin(name).await;
    for fault in faults {
        let round = world.round(*fault, choices).await;
        let row = table.entry((name, *fault)).or_default();
        row.rounds += round.rounds;
        row.deliveries += round.deliveries;
        row.sent += round.sent;
        row.runs += round.runs;
    }
    world.end().await;
}

fn print(table: &Table) {
    let heads = [
        "database",
        "fault",
        "rounds",
        "deliveries",
        "sent",
        "runs",
        "lost",
    ];
    let [database, fault, rounds, deliveries, sent, runs, lost] = heads;
    println!(
        "{database:<9} {fault:<18} {rounds:>6} {deliveries:>10} {sent:>8} {runs:>8} {lost:>5}"
    );
    for ((database, fault), row) in table {
        let fault = format!("{fault:?}");
        let (rounds, deliveries) = (row.rounds, row.deliveries);
        let (sent, runs) = (row.sent, row.runs);
        println!(
            "{database:<9} {fault:<18} {rounds:>6} {deliveries:>10} {sent:>8} {runs:>8} {:>5}",
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_2xx_runs_whatever_happens_meanwhile() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    let seed: u64 = number("TORTURE_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        triggerd::clock::random(&mut bytes);
        u64::from_le_bytes(bytes)
    });
    println!("TORTURE_SEED={seed}");
    let (mut choices, mut table) = (Choices(seed), Table::new());
    let Some(minutes) = number("TORTURE_MINUTES") else {
        live("sqlite", &ON_SQLITE, &mut choices, &mut table).await;
        live("postgres", &ON_POSTGRES, &mut choices, &mut table).await;
        return print(&table);
    };
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    while Instant::now() < until {
        for (name, faults) in [("sqlite", ON_SQLITE), ("postgres", ON_POSTGRES)] {
            let chosen: Vec<Fault> = (0..ROUNDS)
                .map(|_| faults[choices.below(faults.len() as u64) as usize])
                .collect();
            live(name, &chosen, &mut choices, &mut table).await;
        }
        print(&table);
    }
}
