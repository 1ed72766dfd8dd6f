//! Takes the connections that nobody holds, and starts and stops what this host holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asking::Runs;
use super::connection::Connection;
use super::lease::{LEASE, Lease, TICK};
use crate::clock::{Clock, Millis};
use crate::id::{HostId, SubscriptionId};
use crate::metrics::Metrics;
use crate::model::HeldSocket;
use crate::outbound::Outbound;
use crate::plugins::{LiveProvider, Registry};
use crate::store::{Store, StoreError};

/// As many are taken in one statement.
const CLAIM_MAX: u32 = 500;
/// What is held is compared with what is open this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So many connections are being made at once.
const CONNECTING_MAX: usize = 64;

/// What a [`Holder`] is made of.
pub struct HolderParts {
    pub store: Store,
    pub registry: Registry,
    pub outbound: Outbound,
    pub runs: Runs,
    pub clock: Clock,
    pub owner: HostId,
    pub metrics: Arc<Metrics>,
    /// Told when an event waits to be matched.
    pub events_wake: Arc<Notify>,
}

/// Holds connections. Cheap to clone.
#[derive(Clone)]
pub struct Holder(Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: HolderParts,
    pub(super) lease: Lease,
    pub(super) connecting: Semaphore,
    held: Mutex<HashMap<SubscriptionId, Holding>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    last_look: AtomicI64,
}

/// A connection that is open, or being made.
struct Holding {
    of: HeldSocket,
    generation: u64,
    stop: CancellationToken,
}

/// What a tick wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There is more to do now.
    AtOnce,
    /// Nothing to do before this, unless a wake comes.
    After(Duration),
}

impl Holder {
    pub fn new(parts: HolderParts) -> Holder {
        Holder(Arc::new(Inner {
            parts,
            lease: Lease::default(),
            connecting: Semaphore::new(CONNECTING_MAX),
            held: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            last_look: AtomicI64::new(i64::MIN),
        }))
    }

    /// Gives back at start what an earlier run of this host held.
    pub async fn recover(&self) -> Result<u64, StoreError> {
        let parts = &self.0.parts;
        parts.store.release_sockets(&parts.owner).await
    }

    /// Idempotent; called by a timer.
    pub async fn tick(&self) -> Result<Tick, StoreError> {
        let inner = &*self.0;
        let (store, owner) = (&inner.parts.store, &inner.parts.owner);
        let providers = inner.providers();
        if providers.is_empty() && inner.lock().is_empty() {
            return Ok(Tick::After(LOOK_EVERY));
        }
        let now = inner.parts.clock.now();
        let is_time = inner.is_time_to_look(now);
        if is_time {
            for provider in providers.keys() {
                store.enroll_sockets(provider, now).await?;
            }
        }
        if inner.lock().is_empty() && !store.are_sockets_free(now).await? {
            return Ok(Tick::After(TICK));
        }
        if inner.lease.is_to_be_renewed() {
            let asked = Instant::now();
            store.keep_sockets(owner, now.plus(LEASE)).await?;
            inner.lease.renewed(asked);
        }
        let claimed = store.claim_sockets(owner, now, CLAIM_MAX).await?;
        if claimed > 0 || is_time {
            let held = store.held_sockets(owner).await?;
            self.settle(held, &providers);
        }
        Ok(match claimed == u64::from(CLAIM_MAX) {
            true => Tick::AtOnce,
            false => Tick::After(TICK),
        })
    }

    /// Closes every connection and gives it back, so that another host takes it at once.
    pub async fn end(&self) {
        self.0.stop.cancel();
        for (_, holding) in self.0.lock().drain() {
            holding.stop.cancel();
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let parts = &self.0.parts;
        if let Err(error) = parts.store.release_sockets(&parts.owner).await {
            tracing::debug!(%error, "connections were not given back: their lease ends soon");
        }
    }

    /// Starts what is held and not open, stops what is open and not held, both where it changed.
    fn settle(&self, held: Vec<HeldSocket>, providers: &HashMap<String, Arc<LiveProvider>>) {
        let mut open = self.0.lock();
        let wanted: HashMap<&SubscriptionId, &HeldSocket> =
            held.iter().map(|one| (&one.subscription_id, one)).collect();
        let is_as_wanted = |id: &SubscriptionId, holding: &Holding| {
            let live = providers.get(&holding.of.provider);
            wanted.get(id).is_some_and(|one| **one == holding.of)
                && live.is_some_and(|live| live.generation == holding.generation)
        };
        open.retain(|id, holding| {
            let stays = is_as_wanted(id, holding);
            if !stays {
                holding.stop.cancel();
            }
            stays
        });
        if self.0.stop.is_cancelled() {
            return;
        }
        for one in held {
            let Some(live) = providers.get(&one.provider) else {
                continue;
            };
            if open.contains_key(&one.subscription_id) {
                continue;
            }
            let stop = self.0.stop.child_token();
            let holding = Holding {
                of: one.clone(),
                generation: live.generation,
                stop: stop.clone(),
            };
            open.insert(one.subscription_id.clone(), holding);
            let connection = Connection {
                inner: Arc::clone(&self.0),
                live: Arc::clone(live),
                held: one,
                stop,
            };
            self.0.tasks.spawn(connection.run());
        }
    }
}

impl Inner {
    /// A connection ended for good: it is started anew if it is still held.
    pub(super) fn forget(&self, held: &HeldSocket) {
        let mut open = self.lock();
        if open
            .get(&held.subscription_id)
            .is_some_and(|holding| holding.of == *held)
        {
            open.remove(&held.subscription_id);
        }
    }

    /// Those that serve and speak over a connection.
    fn providers(&self) -> HashMap<String, Arc<LiveProvider>> {
        let rows = self.parts.registry.rows().into_iter();
        rows.filter(|row| row.serving)
            .filter_map(|row| self.parts.registry.live(&row.name))
            .filter(|live| live.facts.socket.is_some())
            .map(|live| (live.name.to_string(), live))
            .collect()
    }

    fn is_time_to_look(&self, now: Millis) -> bool {
        let last = Millis(self.last_look.load(Ordering::Acquire));
        let is_time = last.0 == i64::MIN || now.since(last) >= LOOK_EVERY || now < last;
        if is_time {
            self.last_look.store(now.0, Ordering::Release);
        }
        is_time
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Holding>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
