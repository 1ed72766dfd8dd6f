//! Matching: which triggers an event fires, and the jobs that follow.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{CallError, EventCall, Outcome};

use super::trigger_handles::TriggerHandles;
use crate::clock::{Clock, Millis};
use crate::id::{JobId, SubscriptionId, VersionId};
use crate::model::{
    Event, HandledEvent, Handling, JobCause, NewJob, PendingEvent, Runnable, Trigger,
};
use crate::plugins::{Found, LiveProvider, Registry};
use crate::runnables::RunnableSpec;
use crate::store::{Store, StoreError};

/// As many events are matched in one commit.
const BATCH: u32 = 256;
/// After so many tries a plugin that fails on an event is not asked again.
const TRIES_MAX: u32 = 6;
/// An event on which a plugin panics is given up sooner: the next ones are to find the provider still
/// there, which is left alone after five panics within a minute.
const PANICS_MAX: u32 = 2;
/// The longest wait between two tries.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// Reads pending events and makes their jobs. [`Matching::tick`] is idempotent: whatever it does is
/// found again in the store.
pub struct Matching {
    store: Store,
    registry: Registry,
    clock: Clock,
    handles: TriggerHandles,
    attempts_max: Mutex<HashMap<VersionId, u32>>,
}

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// How many events it looked at.
    pub events: usize,
    /// How many of them fired at least one trigger.
    pub fired: usize,
    /// How many fired none.
    pub unmatched: usize,
    /// How many were given up.
    pub failed: usize,
    /// How many jobs it made.
    pub jobs: usize,
    /// More events wait.
    pub more: bool,
}

type Triggers = HashMap<(SubscriptionId, String), Vec<(Trigger, Runnable)>>;

impl Matching {
    /// Over these parts.
    pub fn new(store: Store, registry: Registry, clock: Clock) -> Matching {
        Matching {
            store,
            registry,
            clock,
            handles: TriggerHandles::default(),
            attempts_max: Mutex::default(),
        }
    }

    /// Matches one batch of the events that are due.
    pub async fn tick(&self) -> Result<Matched, StoreError> {
        let now = self.clock.now();
        let pending = self.store.pending_events(now, BATCH).await?;
        if pending.is_empty() {
            return Ok(Matched::default());
        }
        let mut triggers = Triggers::new();
        let mut handled = Vec::with_capacity(pending.len());
        let mut matched = Matched {
            events: pending.len(),
            more: pending.len() == BATCH as usize,
            ..Matched::default()
        };
        for event in &pending {
            let key = (
                event.event.subscription_id.clone(),
                event.event.name.clone(),
            );
            if !triggers.contains_key(&key) {
                let found = self.store.triggers_for_event(&key.0, &key.1).await?;
                triggers.insert(key.clone(), found);
            }
            let candidates = triggers.get(&key).map(Vec::as_slice).unwrap_or_default();
            let handling = self.handle(event, candidates, now).await?;
            match &handling {
                Handling::Handled { jobs, .. } if jobs.is_empty() => matched.unmatched += 1,
                Handling::Handled { jobs, .. } => {
                    matched.fired += 1;
                    matched.jobs += jobs.len();
                }
                Handling::Failed { .. } => matched.failed += 1,
                Handling::Deferred { .. } | Handling::Waiting { .. } => {}
            }
            handled.push(HandledEvent {
                workspace_id: event.event.workspace_id.clone(),
                id: event.event.id.clone(),
                handling,
            });
        }
        self.store.handle_events(handled).await?;
        Ok(matched)
    }

    /// When the next event that waits is due.
    pub async fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        self.store.next_event_due(self.clock.now()).await
    }

    async fn handle(
        &self,
        pending: &PendingEvent,
        candidates: &[(Trigger, Runnable)],
        now: Millis,
    ) -> Result<Handling, StoreError> {
        if candidates.is_empty() {
            let reason = Some("no trigger waits for this event".to_owned());
            return Ok(Handling::Handled {
                jobs: Vec::new(),
                reason,
            });
        }
        let event = &pending.event;
        let Found::Live(live) = self.registry.find(&event.provider) else {
            let reason = format!("the provider `{}` is not loaded", event.provider);
            return Ok(wait(event, now, reason));
        };
        let mut jobs = Vec::new();
        let mut problems = Vec::new();
        let mut panics = 0;
        for (trigger, runnable) in candidates {
            match self.ask(&live, trigger, pending) {
                Ok(Outcome::NotForThisTrigger) => {}
                Ok(Outcome::Fires(variables)) => {
                    jobs.push(self.job(event, trigger, runnable, variables, now).await?);
                }
                // That says nothing of this event: it waits until the provider serves again.
                Err(error) if live.is_quarantined() && error.code != codes::PANIC => {
                    return Ok(wait(event, now, error.message));
                }
                Err(error) if event.tries + 1 < tries_max(&error) => {
                    // Nothing of this event is kept yet, so that all its jobs are made together.
                    return Ok(defer(
                        event,
                        now,
                        format!("trigger `{}`: {}", trigger.name, error.message),
                    ));
                }
                Err(error) => {
                    problems.push(format!("trigger `{}`: {}", trigger.name, error.message));
                    panics += u32::from(error.code == codes::PANIC);
                    if panics == PANICS_MAX {
                        problems.push("no other trigger was asked".to_owned());
                        break;
                    }
                }
            }
        }
        let reason = problems.join("; ");
        Ok(match (jobs.is_empty(), problems.is_empty()) {
            (true, false) => Handling::Failed { reason },
            (true, true) => Handling::Handled {
                jobs,
                reason: Some("the parameters of no trigger match".to_owned()),
            },
            (false, clean) => Handling::Handled {
                jobs,
                reason: (!clean).then_some(reason),
            },
        })
    }

    fn ask(
        &self,
        live: &LiveProvider,
        trigger: &Trigger,
        pending: &PendingEvent,
    ) -> Result<Outcome, CallError> {
        let handle = self.handles.open(live, trigger)?;
        let call = EventCall {
            event: &pending.event.name,
            payload: &pending.payload,
            occurred_at_ms: pending.event.occurred_at.map(|at| at.0),
        };
        live.on_event(&handle, &call)
    }

    async fn job(
        &self,
        event: &Event,
        trigger: &Trigger,
        runnable: &Runnable,
        variables: Option<Vec<u8>>,
        now: Millis,
    ) -> Result<NewJob, StoreError> {
        Ok(NewJob {
            id: JobId::generate(now),
            workspace_id: event.workspace_id.clone(),
            cause: JobCause::Event,
            event_id: Some(event.id.clone()),
            trigger_id: Some(trigger.id.clone()),
            runnable_id: runnable.id.clone(),
            version_id: runnable.version_id.clone(),
            arguments: variables.map(Bytes::from),
            attempts_max: self.attempts_max(&runnable.version_id).await?,
            due_at: now,
            created_at: now,
        })
    }

    /// From the version's retry policy; versions never change, so the answer is kept.
    async fn attempts_max(&self, version: &VersionId) -> Result<u32, StoreError> {
        let kept = |id: &VersionId| {
            let all = self
                .attempts_max
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            all.get(id).copied()
        };
        if let Some(attempts) = kept(version) {
            return Ok(attempts);
        }
        let row = self.store.runnable_version(version).await?;
        let spec = row.and_then(|row| RunnableSpec::parse(row.kind, &row.spec).ok());
        // A version that does not read fails at its attempt, where that is said.
        let attempts = spec.map_or(1, |spec| spec.policy().retry.attempts_max);
        let mut all = self
            .attempts_max
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        all.insert(version.clone(), attempts);
        Ok(attempts)
    }
}

/// Mistakes in the payload or the parameters stay as they are; everything else may pass.
fn tries_max(error: &CallError) -> u32 {
    match error.code {
        codes::INVALID_INPUT | codes::UNSUPPORTED | codes::NOT_FOUND => 1,
        codes::PANIC => PANICS_MAX,
        _ => TRIES_MAX,
    }
}

fn defer(event: &Event, now: Millis, reason: String) -> Handling {
    let delay = Duration::from_secs(1 << event.tries.min(6)).min(DELAY_MAX);
    Handling::Deferred {
        due_at: now.plus(delay),
        reason,
    }
}

/// Who waited long is looked at more rarely: what waits for a provider may be very much.
fn wait(event: &Event, now: Millis, reason: String) -> Handling {
    let waited = now.since(event.received_at);
    Handling::Waiting {
        due_at: now.plus(waited.clamp(Duration::from_secs(1), DELAY_MAX)),
        reason,
    }
}
