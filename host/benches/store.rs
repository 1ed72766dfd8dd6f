//! How many requests a second the store keeps: a 7.7 KB body, a delivery id and one event each.
//!
//! `cargo bench -p triggerd --bench store -- [CLIENTS] [SECONDS] [URL]`; a file named by `BODY` is
//! used instead of the made-up body. Prints appends a second, the mean batch and the slowest append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use triggerd::clock::Clock;
use triggerd::id::{EventId, RequestId, SubscriptionId, WorkspaceId};
use triggerd::model::{Append, Delivery, NewEvent, NewRequest, Queue, RequestOutcome};
use triggerd::seal::KeyRing;
use triggerd::store::{DatabaseConfig, Store};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let mut number = |otherwise: u64| {
        let given = arguments.next().map(|text| text.parse().expect("a number"));
        given.unwrap_or(otherwise)
    };
    let (clients, seconds) = (number(64), number(5));
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk that is measured");
    let url = arguments
        .next()
        .unwrap_or_else(|| format!("sqlite:{}", folder.path().join("bench.db").display()));
    let store = Store::open(
        DatabaseConfig::new(url),
        KeyRing::ephemeral(),
        Clock::system(),
    );
    let store = store.await.expect("the store opens");
    let body = match std::env::var("BODY") {
        Ok(path) => Bytes::from(std::fs::read(path).expect("the body")),
        Err(_) => made_up_body(7_700),
    };

    let (count, slowest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (store, body) = (store.clone(), body.clone());
            let (count, slowest) = (count.clone(), slowest.clone());
            tokio::spawn(async move {
                while Instant::now() < end {
                    let started = Instant::now();
                    store.append(append(&body)).await.expect("appended");
                    count.fetch_add(1, Ordering::Relaxed);
                    let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                    slowest.fetch_max(took, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a client");
    }
    let rate = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    println!(
        "{clients} clients, {} bytes: {rate:.0} appends/s, {:.2} ms each on average, {:.1} ms the slowest",
        body.len(),
        clients as f64 / rate * 1000.0,
        slowest.load(Ordering::Relaxed) as f64 / 1000.0
    );
    store.close().await;
}

fn append(body: &Bytes) -> Append {
    let now = Clock::system().now();
    let id = RequestId::generate(now);
    let delivery = Delivery {
        // Not in the order of time, like those of the services.
        id: id.as_str().chars().rev().collect(),
        expires_at: now.plus(Duration::from_secs(72 * 3600)),
    };
    Append {
        request: NewRequest {
            id,
            workspace_id: workspace(),
            subscription_id: subscription(),
            provider: "acme".to_owned(),
            method: "POST".to_owned(),
            path: "/webhooks/acme/ep_00000000000000000000000000".to_owned(),
            query: String::new(),
            headers: HEADERS.to_owned(),
            body: Some(body.clone()),
            body_size: body.len() as u64,
            received_at: now,
            outcome: RequestOutcome::Accepted,
            status: 202,
            reason: None,
        },
        delivery: Some(delivery),
        events: vec![NewEvent {
            id: EventId::generate(now),
            name: "push".to_owned(),
            payload: None,
            occurred_at: None,
        }],
        queue: Queue::Every,
        wake: false,
    }
}

const HEADERS: &str = r#"[["host","example.org"],["user-agent","acme-hookshot/044aadd"],["content-type","application/json"],["x-acme-event","push"],["x-acme-delivery","72d3162e-cc78-11e3-81ab-4c9367dc0958"],["x-acme-signature","[masked]"]]"#;

fn workspace() -> WorkspaceId {
    "ws_00000000000000000000000000".parse().expect("an id")
}

fn subscription() -> SubscriptionId {
    "sub_00000000000000000000000000".parse().expect("an id")
}

/// JSON with about as much in it that repeats as a push has.
fn made_up_body(bytes: usize) -> Bytes {
    let mut text = String::from(r#"{"ref":"refs/heads/main","commits":["#);
    while text.len() < bytes {
        let mut random = [0u8; 20];
        triggerd::clock::random(&mut random);
        let sha = random.map(|byte| format!("{byte:02x}")).concat();
        text.push_str(&format!(
            r#"{{"id":"{sha}","tree_url":"https://api.example.org/repos/o/r/git/trees/{sha}","author":{{"name":"A. Writer","email":"writer@example.org"}},"added":[],"removed":[],"modified":["src/main.rs"]}},"#
        ));
    }
    text.push_str("null]}");
    Bytes::from(text)
}
