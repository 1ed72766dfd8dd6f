//! The engine: finds what is due, claims it, and runs it within bounds.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::lanes::{Entered, Lanes, lane_of};
use super::run::{Cut, Run};
use super::service::{Accounts, Service, Services};
use super::times;
use crate::clock::{Clock, Millis, random_fraction};
use crate::id::{HostId, SubscriptionId};
use crate::metrics::Metrics;
use crate::model::{Claimed, End, Progress, Subscription, SyncClaim};
use crate::store::{Store, StoreError};

/// As many are claimed in one statement.
const CLAIM_MAX: usize = 32;
/// The store is looked at this often, whether or not somebody said that something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A clock that goes back further was put back.
const CLOCK_SLACK_MS: i64 = 5 * 60_000;
/// A subscription whose provider is not there is looked at this often.
const NOT_LOADED: Duration = Duration::from_secs(60);
/// A run that waited for its place for more than such a part of its lease asks whether it has it yet.
const LONG_WAIT: u32 = 4;
/// Who wants a subscription that is worked on waits so often, so long.
const BUSY_LOOKS: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Subscriptions at once.
    pub running_max: usize,
    /// Calls at once for one account, or to one service where there is none.
    pub lane_max: usize,
    /// How long a host that fell silent keeps what it claimed.
    pub lease: Duration,
}

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig {
            running_max: 256,
            lane_max: 32,
            lease: Duration::from_secs(600),
        }
    }
}

/// What an [`Engine`] is made of.
pub struct EngineParts {
    pub store: Store,
    pub services: Arc<dyn Services>,
    pub accounts: Arc<dyn Accounts>,
    pub clock: Clock,
    pub owner: HostId,
    /// How services reach this host, without a slash at its end.
    pub public_url: String,
    pub metrics: Arc<Metrics>,
    /// Told when something may be due.
    pub wake: Arc<Notify>,
    /// Told when a timer was set.
    pub timers_wake: Arc<Notify>,
    /// Told when an event waits to be matched.
    pub events_wake: Arc<Notify>,
    pub config: EngineConfig,
}

/// Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    services: Arc<dyn Services>,
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) clock: Clock,
    owner: HostId,
    public_url: String,
    pub(super) metrics: Arc<Metrics>,
    wake: Arc<Notify>,
    pub(super) timers_wake: Arc<Notify>,
    pub(super) events_wake: Arc<Notify>,
    pub(super) config: EngineConfig,
    lanes: Arc<Lanes>,
    running: AtomicUsize,
    idle: Notify,
    runs: TaskTracker,
    /// Providers whose subscriptions were pulled since this host started, where they ask for that.
    started: Mutex<HashSet<String>>,
    last_look: AtomicI64,
}

/// What a tick wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There is more to do now.
    AtOnce,
    /// Nothing to do before this, unless a wake comes.
    After(Duration),
}

/// Why a subscription was not worked on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another run holds it, here or at another host.
    #[error("it is being worked on at the moment: try again in a few seconds")]
    Busy,
    /// The host ends, or the run did not come to its end; it is taken up again.
    #[error("it was cut off and is taken up again later")]
    CutOff,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    pub fn new(parts: EngineParts) -> Engine {
        Engine(Arc::new(Inner {
            lanes: Lanes::of(parts.config.lane_max),
            store: parts.store,
            services: parts.services,
            accounts: parts.accounts,
            clock: parts.clock,
            owner: parts.owner,
            public_url: parts.public_url,
            metrics: parts.metrics,
            wake: parts.wake,
            timers_wake: parts.timers_wake,
            events_wake: parts.events_wake,
            config: parts.config,
            running: AtomicUsize::new(0),
            idle: Notify::new(),
            runs: TaskTracker::new(),
            started: Mutex::default(),
            last_look: AtomicI64::new(i64::MIN),
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Takes back at start what an earlier run of this host held; and notices where the clock was
    /// put back since that was seen.
    pub async fn recover(&self) -> Result<u64, StoreError> {
        let now = self.0.clock.now();
        if let Some(seen) = self.0.store.host_seen_at(&self.0.owner).await? {
            self.0.last_look.store(seen.0, Ordering::Release);
        }
        self.0
            .store
            .recover_own_subscriptions(&self.0.owner, now)
            .await
    }

    /// Claims what is due and starts its runs. Idempotent; called by a timer and a wake.
    pub async fn tick(&self) -> Result<Tick, StoreError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        self.mind_the_clock(now).await?;
        self.pull_at_start(now).await?;
        loop {
            let next = inner.store.next_subscription_due().await?;
            let Some(due_in) = next.map(|next| next.since(now)) else {
                return Ok(Tick::After(LOOK_EVERY));
            };
            if !due_in.is_zero() {
                return Ok(Tick::After(due_in.min(LOOK_EVERY)));
            }
            let free = inner.config.running_max - inner.running.load(Ordering::Acquire);
            if free == 0 {
                // The end of a run wakes us.
                return Ok(Tick::After(LOOK_EVERY));
            }
            let claim = SyncClaim {
                limit: u32::try_from(free.min(CLAIM_MAX)).unwrap_or(1),
                passed_over: inner.lanes.passed_over(now),
                ..inner.claim(now)
            };
            let claimed = inner.store.claim_due_subscriptions(&claim).await?;
            if claimed.is_empty() {
                // What is due is passed over: until a lane opens.
                let open = inner.lanes.next_open(now).map(|at| at.since(now));
                return Ok(Tick::After(open.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)));
            }
            for one in claimed {
                self.start(one);
            }
        }
    }

    /// Works on one subscription now, whether or not it is due, and returns when that is done.
    pub async fn run_now(&self, id: &SubscriptionId) -> Result<(), RunError> {
        for _ in 0..BUSY_LOOKS {
            let claim = self.0.claim(self.0.clock.now());
            if let Some(claimed) = self.0.store.claim_subscription(id, &claim).await? {
                let lane = self.0.lanes.enter(lane_of(&claimed.subscription));
                self.0.run(claimed, &lane).await;
                return Ok(());
            }
            if self.0.store.subscription_upkeep(id).await?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        Err(RunError::Busy)
    }

    /// The same in a task of its own, which goes on when who asked for it goes away: a run that is
    /// cut off would keep its lease.
    pub async fn run_apart(&self, id: &SubscriptionId) -> Result<(), RunError> {
        let (engine, id) = (self.clone(), id.clone());
        let run = self.0.runs.spawn(async move { engine.run_now(&id).await });
        run.await.unwrap_or(Err(RunError::CutOff))
    }

    /// Whether something is due now that is not passed over.
    pub async fn is_due_now(&self) -> Result<bool, StoreError> {
        let now = self.0.clock.now();
        let next = self.0.store.next_subscription_due().await?;
        let is_open = self.0.lanes.passed_over(now).is_empty();
        Ok(is_open && next.is_some_and(|next| next <= now))
    }

    /// Waits until no run is under way.
    pub async fn settled(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Waits for the runs that are under way, for so long at most; what is cut off then is taken up
    /// again when its lease is over, or at the next start.
    pub async fn drain(&self, within: Duration) {
        self.0.runs.close();
        let _ = tokio::time::timeout(within, self.0.runs.wait()).await;
    }

    fn start(&self, claimed: Claimed) {
        let inner = Arc::clone(&self.0);
        inner.running.fetch_add(1, Ordering::AcqRel);
        let lane = inner.lanes.enter(lane_of(&claimed.subscription));
        let running = Running(Arc::clone(&inner));
        self.0.runs.spawn(async move {
            let _running = running;
            inner.run(claimed, &lane).await;
        });
    }

    /// Where a clock was put back, times that were noted before lie too far ahead.
    async fn mind_the_clock(&self, now: Millis) -> Result<(), StoreError> {
        let last = self.0.last_look.load(Ordering::Acquire);
        if last.saturating_sub(now.0) > CLOCK_SLACK_MS {
            tracing::warn!("the clock was put back: every subscription is looked at");
            self.0.lanes.open();
            self.0.store.poke_all_subscriptions(now).await?;
        }
        // Only now: a store that is away is asked again.
        self.0.last_look.store(now.0, Ordering::Release);
        Ok(())
    }

    /// What happened while this host was down is read, where a provider asks for that.
    async fn pull_at_start(&self, now: Millis) -> Result<(), StoreError> {
        for name in self.0.services.names() {
            let started = || {
                self.0
                    .started
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
            };
            if started().contains(&name) {
                continue;
            }
            let asks =
                |service: Arc<dyn Service>| service.facts().pull.is_some_and(|pull| pull.at_start);
            if self.0.services.find(&name).is_some_and(asks) {
                self.0
                    .store
                    .pull_subscriptions_of_provider(&name, now)
                    .await?;
            }
            started().insert(name);
        }
        Ok(())
    }
}

/// Counts a run until it ends, however it ends.
struct Running(Arc<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.idle.notify_waiters();
        self.0.wake.notify_one();
    }
}

impl Inner {
    fn claim(&self, now: Millis) -> SyncClaim {
        SyncClaim {
            owner: self.owner.clone(),
            now,
            lease_until: now.plus(self.config.lease),
            limit: 1,
            passed_over: Vec::new(),
        }
    }

    pub(super) fn endpoint_url(&self, subscription: &Subscription) -> String {
        let (provider, endpoint) = (&subscription.provider, &subscription.endpoint);
        format!("{}/webhooks/{provider}/{endpoint}", self.public_url)
    }

    async fn run(&self, claimed: Claimed, lane: &Entered) {
        let id = claimed.subscription.id.clone();
        let claimed_at = self.clock.now();
        let Some(_place) = lane.place().await else {
            return;
        };
        let has_waited = self.clock.now().since(claimed_at) > self.config.lease / LONG_WAIT;
        match self.work(claimed, lane, has_waited).await {
            Ok(()) => {}
            Err(Cut::LeaseLost) => {
                tracing::warn!(subscription = %id, "another host took the subscription over");
            }
            Err(Cut::Store(error)) => {
                // It is due again when the lease is over.
                tracing::warn!(subscription = %id, %error, "a run could not be kept");
            }
        }
    }

    async fn work(&self, claimed: Claimed, lane: &Entered, has_waited: bool) -> Result<(), Cut> {
        let Some(service) = self.services.find(&claimed.subscription.provider) else {
            return self.put_off(claimed).await;
        };
        let mut run = Run::load(self, lane, claimed, service).await?;
        if has_waited {
            run.hold_lease().await?;
        }
        run.work().await
    }

    /// Its provider is not loaded now.
    async fn put_off(&self, claimed: Claimed) -> Result<(), Cut> {
        let now = self.clock.now();
        let next_action = claimed.upkeep.next_action;
        let progress = Progress {
            subscription_id: claimed.subscription.id,
            fence: claimed.fence,
            registrations: Vec::new(),
            upkeep: claimed.upkeep,
            health: None,
            adopted: None,
            pulled: None,
            audit: Vec::new(),
            end: End::Release {
                due_at: Some(times::next(now, NOT_LOADED, random_fraction())),
                next_action,
            },
        };
        self.store.progress_subscription(progress).await?;
        Ok(())
    }
}
