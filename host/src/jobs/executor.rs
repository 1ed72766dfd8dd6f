//! The ticks: claiming and starting, keeping leases, draining.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Millis};
use crate::id::{HostId, JobId};
use crate::jobs::attempt;
use crate::jobs::context::Names;
use crate::jobs::ends::Ends;
use crate::jobs::remembered::Remembered;
use crate::jobs::running::Running;
use crate::jobs::schedule::{Candidate, Grant, Schedule};
use crate::jobs::telling::Telling;
use crate::jobs::versions::Versions;
use crate::metrics::Metrics;
use crate::model::{Attempt, AttemptOutcome, ReadyRunnable};
use crate::runnables::{Runner, strays};
use crate::store::{Claim, Store, StoreError};

/// How long nothing is looked for when nothing is known to be due: another host may have made
/// something ready and died before it could say so.
const IDLE: Duration = Duration::from_secs(5);

/// How much runs here, and how long a claim holds.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorConfig {
    /// Jobs running at the same time, over all runnables.
    pub running_max: u32,
    /// How long a claim holds without being extended. [`Executor::keep`] is to be called three
    /// times as often.
    pub lease: Duration,
}

impl Default for ExecutorConfig {
    fn default() -> ExecutorConfig {
        ExecutorConfig {
            running_max: 64,
            lease: Duration::from_secs(60),
        }
    }
}

/// What the executor is made of.
pub struct ExecutorParts {
    /// Where jobs are.
    pub store: Store,
    /// Runs them.
    pub runner: Runner,
    /// The time.
    pub clock: Clock,
    /// Who holds the leases.
    pub owner: HostId,
    /// Where attempts are counted.
    pub metrics: Arc<Metrics>,
    /// Told when a place becomes free, so that the next tick comes at once.
    pub wake: Arc<Notify>,
    /// Its limits.
    pub config: ExecutorConfig,
}

/// When the next tick is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There is more to claim.
    AtOnce,
    /// Not before, unless it is woken.
    After(Duration),
}

/// Turns ready jobs into attempts. Cheap to clone.
#[derive(Clone)]
pub struct Executor(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) runner: Runner,
    pub(super) clock: Clock,
    pub(super) owner: HostId,
    pub(super) metrics: Arc<Metrics>,
    pub(super) versions: Versions,
    pub(super) names: Names,
    pub(super) ends: Ends,
    pub(super) remembered: Remembered,
    pub(super) telling: Telling,
    pub(super) config: ExecutorConfig,
    pub(super) wake: Arc<Notify>,
    pub(super) failures_wake: Arc<Notify>,
    schedule: Mutex<Schedule>,
    pub(super) running: Running,
    pub(super) tasks: TaskTracker,
    is_draining: AtomicBool,
    is_killed: AtomicBool,
    /// A tick left jobs waiting for places, or none has looked yet.
    is_short: AtomicBool,
    /// Nothing ends here any more.
    stopped: CancellationToken,
}

impl Executor {
    /// An executor that does nothing until it is ticked.
    pub fn new(parts: ExecutorParts) -> Executor {
        Executor(Arc::new(Inner {
            versions: Versions::new(parts.store.clone()),
            names: Names::new(parts.store.clone()),
            store: parts.store,
            runner: parts.runner,
            clock: parts.clock,
            owner: parts.owner,
            metrics: parts.metrics,
            ends: Ends::default(),
            remembered: Remembered::default(),
            telling: Telling::default(),
            config: parts.config,
            wake: parts.wake,
            failures_wake: Arc::default(),
            schedule: Mutex::new(Schedule::new(parts.config.running_max)),
            running: Running::default(),
            tasks: TaskTracker::new(),
            is_draining: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            is_short: AtomicBool::new(true),
            stopped: CancellationToken::new(),
        }))
    }

    /// Takes back what an earlier run of this host held, and ends what is left of its programs, so
    /// that none runs beside its job's next attempt. To be called once, before the first tick.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        let host = &self.0;
        let lost = host
            .store
            .recover_own_jobs(&host.owner, host.clock.now())
            .await?;
        let mut doomed = HashSet::new();
        for (job, attempt) in strays::marks().await {
            let attempts = host.store.list_attempts(&job).await?;
            // What an attempt that came to its end left behind was left on purpose.
            let is_cut_off = |ended: &Attempt| {
                let outcome = ended.outcome;
                (&ended.host_id, ended.number) == (&host.owner, attempt)
                    && matches!(outcome, AttemptOutcome::Lost | AttemptOutcome::Cancelled)
            };
            if attempts.iter().any(is_cut_off) {
                doomed.insert((job, attempt));
            }
        }
        let ended = strays::end(doomed).await;
        if ended > 0 {
            tracing::warn!(
                processes = ended,
                "programs of an earlier run were still there and were ended"
            );
        }
        Ok(lost.len())
    }

    /// Claims ready jobs for the free places and starts them; does not wait for their ends.
    pub async fn tick(&self) -> Result<Tick, StoreError> {
        let host = &self.0;
        // Whoever drains waits for a tick that is under way.
        let _under_way = host.tasks.token();
        if host.is_draining() {
            return Ok(Tick::After(IDLE));
        }
        let now = host.clock.now();
        let was_told = host.telling.take_told();
        // Whoever frees a place from here on wakes another tick, until this one knows better.
        host.is_short.store(true, Ordering::SeqCst);
        let ready = host.store.runnables_with_ready_jobs(now).await?;
        let candidates = host.candidates(&ready).await?;
        let grants = host.schedule().grant(&candidates, now);
        let claims = grants.iter().map(|grant| self.claim(grant, now));
        let mut are_places_back = false;
        let mut is_in_vain = was_told;
        let mut is_short = grants.len() < candidates.len();
        for claimed in join_all(claims).await {
            let claimed = claimed?;
            are_places_back |= claimed == Claimed::Some;
            is_short |= claimed == Claimed::All;
            is_in_vain &= claimed == Claimed::None;
        }
        if are_places_back {
            return Ok(Tick::AtOnce);
        }
        host.is_short.store(is_short, Ordering::SeqCst);
        let rest = match is_short {
            true => self.tell_of_rest(is_in_vain, now).await?,
            false => None,
        };
        let due = host.store.next_job_due(now).await?;
        let probe = host.schedule().next_probe(&candidates, now);
        let next = due.into_iter().chain(probe).min();
        let pause = next.map_or(IDLE, |next| next.since(host.clock.now()));
        // A breaker that is open at this moment and a job that is due at it would spin.
        let pause = pause.min(rest.unwrap_or(IDLE));
        Ok(Tick::After(pause.clamp(Duration::from_millis(1), IDLE)))
    }

    /// Says that this host lives, extends the leases of everything that runs here, stops what is no longer ours (cancelled, or
    /// taken over by another host), and takes over what other hosts lost.
    pub async fn keep(&self) -> Result<(), StoreError> {
        let host = &self.0;
        let now = host.clock.now();
        let until = now.plus(host.config.lease);
        for job in host
            .store
            .extend_leases(host.running.claims(), until)
            .await?
        {
            // It may also have ended between the two.
            if host.running.stop(&job) {
                tracing::info!(%job, "a job is no longer ours; its attempt is stopped");
            }
        }
        let lost = host.store.recover_jobs(now).await?;
        if !lost.is_empty() {
            tracing::warn!(
                jobs = lost.len(),
                "jobs were taken back whose host went away"
            );
            host.wake.notify_one();
            host.failures_wake.notify_one();
        }
        host.store.note_host(&host.owner, now).await
    }

    /// How often [`Executor::keep`] is to be called.
    pub fn keep_interval(&self) -> Duration {
        self.0.config.lease / 3
    }

    /// Stops the attempt of a cancelled job at once, if it runs here.
    pub fn stop_attempt(&self, job: &JobId) -> bool {
        self.0.running.stop(job)
    }

    /// Who waits for the ends of jobs.
    pub fn ends(&self) -> &Ends {
        &self.0.ends
    }

    /// How many jobs run here.
    pub fn running(&self) -> u32 {
        self.0.schedule().running()
    }

    /// Waits for what runs, its leases kept, and at the deadline stops it: its jobs are ready again
    /// at once, for another host or the next start. A tick that is under way gives back what it
    /// claims, later ones claim nothing. Returns whether all ended by themselves.
    pub async fn drain(&self, deadline: Duration) -> bool {
        /// For what was stopped to be recorded.
        const RECORD_GRACE: Duration = Duration::from_secs(5);
        let host = &self.0;
        host.is_draining.store(true, Ordering::SeqCst);
        host.tasks.close();
        let is_done = tokio::select! {
            () = host.tasks.wait() => true,
            () = tokio::time::sleep(deadline) => false,
            () = self.keep_on() => false,
        };
        host.stopped.cancel();
        if !is_done {
            host.is_killed.store(true, Ordering::SeqCst);
            host.running.stop_all();
            if tokio::time::timeout(RECORD_GRACE, host.tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!("attempts could not be recorded; their leases run out instead");
            }
        }
        is_done
    }

    /// Resolves when the drain is over: what has not ended by then ends elsewhere, or later.
    pub async fn stopped(&self) {
        self.0.stopped.cancelled().await;
    }

    /// Keeps leases until it is dropped.
    async fn keep_on(&self) {
        let mut ticks = tokio::time::interval(self.keep_interval());
        loop {
            ticks.tick().await;
            if let Err(error) = self.keep().await {
                tracing::warn!(%error, "leases cannot be extended");
            }
        }
    }

    /// Claims jobs for a grant and starts them.
    async fn claim(&self, grant: &Grant, now: Millis) -> Result<Claimed, StoreError> {
        let host = &self.0;
        let claim = Claim {
            runnable_id: grant.runnable.clone(),
            owner: host.owner.clone(),
            now,
            lease_until: now.plus(host.config.lease),
            limit: grant.places,
        };
        let claimed = match host.store.claim_jobs(claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                host.schedule().give_back(&grant.runnable, grant.places);
                return Err(error);
            }
        };
        if host.is_draining.load(Ordering::SeqCst) {
            let unrun = claimed.into_iter().map(|job| (job.job.id, job.job.fence));
            host.schedule().give_back(&grant.runnable, grant.places);
            host.store.release_jobs(unrun.collect(), now).await?;
            return Ok(Claimed::None);
        }
        let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        let unused = grant.places.saturating_sub(count);
        if unused > 0 {
            host.schedule().give_back(&grant.runnable, unused);
        }
        for job in claimed {
            attempt::start(host, job);
        }
        Ok(match (count, unused) {
            (_, 0) => Claimed::All,
            (0, _) => Claimed::None,
            _ => Claimed::Some,
        })
    }
}

/// How many of the places of a grant found jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claimed {
    /// There may be more jobs.
    All,
    /// The others came back, and somebody else may want them.
    Some,
    None,
}

impl Inner {
    /// Whether jobs may wait for a place.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::SeqCst)
    }

    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing new is begun here.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Whether the host's patience with what runs is over.
    pub(super) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    /// The limits of those that have ready jobs, by their current versions.
    pub(super) async fn candidates(
        &self,
        ready: &[ReadyRunnable],
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut candidates = Vec::with_capacity(ready.len());
        for runnable in ready {
            let version = self.versions.read(&runnable.version_id).await?;
            let policy = version
                .as_ref()
                .as_ref()
                .map(|version| *version.spec.policy());
            candidates.push(Candidate {
                runnable: runnable.runnable_id.clone(),
                // A version that does not read fails at its attempt, where that is said.
                concurrency: policy.map_or(1, |policy| policy.concurrency),
            });
        }
        Ok(candidates)
    }
}
