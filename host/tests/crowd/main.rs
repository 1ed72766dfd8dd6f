//! Ten thousand subscriptions that are due in one minute. Alone in its process, whose memory is measured.

#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the store's own tests use the rest of it"
)]
#[path = "../store/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "other tests stop their cluster")]
#[path = "../harness/postgres.rs"]
mod postgres_harness;
#[allow(dead_code, reason = "the tests of the engine use the rest of it")]
#[path = "../sync/world.rs"]
mod world;

use std::time::Duration;

use serde_json::Map;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::secret::Secret;
use triggerd::sync::EngineConfig;

use crate::fixture::Fixture;
use crate::world::*;

/// So much a service says of each, in bytes: what keeps all answers, or takes on ten thousand runs
/// at once, needs three times what is allowed.
const ANSWER_LEN: usize = 8 << 10;
/// The database has a cache, and the allocator its pages.
const GROWN_MAX_MB: usize = 24;

#[tokio::test]
async fn ten_thousand_that_are_due_in_one_minute_are_all_renewed_in_time() {
    let fixture = Fixture::sqlite().await;
    let mut facts = channels();
    facts.pull = None;
    let world = World::new(&fixture, facts);
    crowd(&fixture, 10_000).await;
    make_without_the_engine(&fixture, &world).await;
    let config = EngineConfig {
        running_max: 128,
        lane_max: 16,
        ..EngineConfig::default()
    };
    let engine = engine_with(&world, config);

    // Now and then the service asks for two seconds.
    world.lock().throttle_every = Some(700);
    fixture.advance(18 * 3600);
    let start = fixture.now();
    world.lock().answer_len = ANSWER_LEN;
    resident_peak();
    let before = resident_peak();
    // The service does not answer: what the engine takes on meanwhile is bounded.
    let shut = world.gate.acquire_many(GATE).await.expect("it is open");
    for _ in 0..400 {
        engine.tick().await.expect("a tick");
        tokio::task::yield_now().await;
    }
    assert_flat(before, "while the service did not answer");
    drop(shut);
    let is_done = async || {
        let next = fixture.store.next_subscription_due().await.expect("read");
        next > Some(fixture.later(600))
    };
    while !is_done().await {
        engine.tick().await.expect("a tick");
        engine.settled().await;
        fixture.clock.advance(Duration::from_millis(250));
        // Of the stand-in's own memory only its hooks are left, and of them there are as many as before.
        world.lock().journal.clear();
    }
    assert_flat(before, "in the wave");
    let took = fixture.now().since(start);
    assert!(
        took < HOUR,
        "it took {took:?} of the six hours that it may take"
    );
    let hooks = world.hooks();
    assert_eq!(hooks.len(), 10_000, "one each, and none ended");
    assert!(
        hooks.iter().all(|hook| hook.key.starts_with("reg_")),
        "all of them are new"
    );
    let most = world.lock().in_flight_max;
    assert!(most <= 16, "{most} calls at once");
    // What was made together does not come back together.
    let mut due = Vec::new();
    let mut page = PageQuery::first(1000);
    loop {
        let found = fixture
            .store
            .list_subscription_upkeep(&fixture.workspace, &page)
            .await
            .expect("read");
        due.extend(
            found
                .items
                .iter()
                .filter_map(|row| row.upkeep.renew_at)
                .map(|at| at.0),
        );
        match found.next {
            Some(next) => page.cursor = Some(next),
            None => break,
        }
    }
    due.sort_unstable();
    assert_eq!(due.len(), 10_000);
    assert!(
        due[9_000] - due[1_000] > 30 * 60_000,
        "they are spread over more than half an hour"
    );
}

fn assert_flat(before: usize, when: &str) {
    let grown = resident_peak().saturating_sub(before) >> 20;
    println!("memory grew by {grown} MB {when}, of {GROWN_MAX_MB} that it may");
    assert!(grown < GROWN_MAX_MB, "memory grew by {grown} MB {when}");
}

/// The most memory that this process had since it was asked the last time, in bytes (proc(5)).
fn resident_peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: usize = kilobytes
        .and_then(|text| text.parse().ok())
        .expect("a size");
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak begins anew");
    kilobytes << 10
}

/// As if they had been made a while ago, all in one minute.
async fn make_without_the_engine(fixture: &Fixture, world: &World) {
    let claim = SyncClaim {
        owner: HostId::generate(fixture.now()),
        now: fixture.now(),
        lease_until: fixture.later(600),
        limit: 1000,
        passed_over: Vec::new(),
    };
    let expires_at = fixture.later(24 * 3600);
    let renew_at = fixture.later(18 * 3600);
    loop {
        let claimed = fixture
            .store
            .claim_due_subscriptions(&claim)
            .await
            .expect("claimed");
        if claimed.is_empty() {
            return;
        }
        let kept = claimed.into_iter().map(|one| {
            let row = &one.subscription;
            let id = RegistrationId::generate(fixture.now());
            let url = format!("https://hooks.example/webhooks/acme/{}", row.endpoint);
            let hook = Hook {
                key: format!("first-{}", row.name),
                url: url.clone(),
                events: Vec::new(),
                parameters: row.parameters.clone(),
                secret: String::new(),
                expires_at_ms: Some(expires_at.0),
                owner: String::new(),
            };
            world.lock().hooks.insert(row.name.clone(), hook);
            let registrations = vec![
                RegistrationChange::Insert(NewRegistration {
                    id: id.clone(),
                    credential_id: None,
                    endpoint_url: url.clone(),
                    parameters: row.parameters.clone(),
                    events: Vec::new(),
                    secrets: Secret::new("{}".to_owned()),
                }),
                RegistrationChange::Answered {
                    id: id.clone(),
                    answer: RegistrationAnswer {
                        credential_id: None,
                        external_id: row.name.clone(),
                        endpoint_url: url,
                        parameters: row.parameters.clone(),
                        events: Vec::new(),
                        properties: Map::new(),
                        secrets: None,
                        expires_at: Some(expires_at),
                    },
                },
                RegistrationChange::State {
                    id,
                    state: RegistrationState::Live,
                },
            ];
            fixture.store.progress_subscription(Progress {
                subscription_id: row.id.clone(),
                fence: one.fence,
                registrations,
                upkeep: Upkeep {
                    renew_at: Some(renew_at),
                    ..one.upkeep
                },
                health: Some((SubscriptionState::Active, None)),
                adopted: None,
                pulled: None,
                audit: Vec::new(),
                end: End::Release {
                    due_at: Some(renew_at),
                    next_action: Some(SyncAction::Renew),
                },
            })
        });
        for kept in futures_util::future::join_all(kept).await {
            assert!(matches!(kept, Ok(Progressed::Kept { .. })), "{kept:?}");
        }
    }
}
