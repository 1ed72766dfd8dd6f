//! One claimed subscription: its steps, one after the other, until nothing is to be done now.
//!
//! What a step leaves behind is committed before the next begins, the last together with the
//! release. Everything is decided from what was read at the claim; whoever changed something since
//! has poked the row, which makes it due again at the release.

use std::sync::Arc;

use serde_json::{Map, Value};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::ExistingSubscription;

use super::calls::Calls;
use super::engine::Inner;
use super::lanes::Entered;
use super::next::{Step, View, Wanted};
use super::service::{AccountRefusal, CallAccount, Service};
use crate::clock::{Millis, random_fraction};
use crate::model::{
    Claimed, End, Note, NotedAudit, Progress, Progressed, PulledBatch, Registration,
    RegistrationChange, RegistrationState, Subscription, Upkeep,
};
use crate::secret::Secret;
use crate::store::StoreError;

/// A run that takes more steps goes on when the others had their turn.
const STEPS_MAX: u32 = 32;
/// Older notes go.
const NOTES_MAX: usize = 20;
/// Longer ones are cut.
const NOTE_LEN_MAX: usize = 500;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another host holds the subscription by now.
    #[error("the lease was lost")]
    LeaseLost,
}

/// Why a step did not work.
pub(super) enum StepError {
    Call(CallError),
    Cut(Cut),
}

impl From<CallError> for StepError {
    fn from(error: CallError) -> StepError {
        StepError::Call(error)
    }
}

impl From<Cut> for StepError {
    fn from(cut: Cut) -> StepError {
        StepError::Cut(cut)
    }
}

/// A subscription under our lease.
pub(super) struct Run<'e> {
    pub engine: &'e Inner,
    pub lane: &'e Entered,
    pub subscription: Subscription,
    pub upkeep: Upkeep,
    fence: i64,
    /// Newest first.
    pub registrations: Vec<Registration>,
    pub wanted: Wanted,
    pub service: Arc<dyn Service>,
    account: Option<CallAccount>,
    pub pending: Pending,
    is_removed: bool,
}

/// What is to be committed next.
#[derive(Default)]
pub(super) struct Pending {
    registrations: Vec<RegistrationChange>,
    pub adopted: Option<Map<String, Value>>,
    pub pulled: Option<PulledBatch>,
    audit: Vec<NotedAudit>,
    /// A step was taken, so there is something to commit.
    is_due: bool,
}

impl<'e> Run<'e> {
    /// Reads what the steps are decided from.
    pub(super) async fn load(
        engine: &'e Inner,
        lane: &'e Entered,
        claimed: Claimed,
        service: Arc<dyn Service>,
    ) -> Result<Run<'e>, StoreError> {
        let Claimed {
            subscription,
            upkeep,
            fence,
        } = claimed;
        let registrations = engine.store.registrations(&subscription.id).await?;
        let events = match &subscription.terms.events {
            Some(events) => events.clone(),
            None => engine.store.events_waited_for(&subscription.id).await?,
        };
        let wanted = Wanted {
            parameters: subscription.parameters.clone(),
            events,
            endpoint_url: engine.endpoint_url(&subscription),
        };
        let mut run = Run {
            engine,
            lane,
            subscription,
            upkeep,
            fence,
            registrations,
            wanted,
            service,
            account: None,
            pending: Pending::default(),
            is_removed: false,
        };
        run.mind_the_clock();
        run.mind_the_poll();
        Ok(run)
    }

    /// Takes every step that is due, then lets go.
    pub(super) async fn work(mut self) -> Result<(), Cut> {
        for _ in 0..STEPS_MAX {
            let Some(step) = self.view().step(self.now()) else {
                break;
            };
            if let Some(until) = self.lane.blocked_until(self.now()) {
                return self.put_off(until).await;
            }
            self.flush().await?;
            let action = self.view().action(&step);
            let clears = self.clears_failures(&step);
            let taken = match self.prepare(&step).await {
                Ok(true) => Box::pin(self.take(step)).await,
                // Its credential cannot be used, which was noted.
                Ok(false) => break,
                Err(error) => Err(error),
            };
            self.pending.is_due = true;
            match taken {
                Ok(()) => {
                    if clears {
                        self.succeeded(action);
                    }
                    self.engine.metrics.sync_steps.increment(action.as_str());
                }
                Err(StepError::Call(error)) => self.failed(action, &error).await,
                Err(StepError::Cut(cut)) => return Err(cut),
            }
            if self.is_removed {
                return self.commit(End::Remove).await;
            }
        }
        self.mind_the_account().await;
        let (due_at, next_action) = self.view().due(self.now());
        let release = End::Release {
            due_at,
            next_action,
        };
        self.commit(release).await
    }

    async fn take(&mut self, step: Step) -> Result<(), StepError> {
        match step {
            Step::Lose(id) => {
                self.change(RegistrationChange::State {
                    id,
                    state: RegistrationState::Lost,
                });
                Ok(())
            }
            Step::Retire(id) => self.retire(&id).await,
            Step::Remove => {
                self.is_removed = true;
                Ok(())
            }
            Step::Make => self.make().await,
            Step::Update => self.update().await,
            Step::Renew => self.renew().await,
            Step::Check => self.check().await,
            Step::Pull => self.pull().await,
        }
    }

    /// Gets what the step's calls are made with.
    async fn prepare(&mut self, step: &Step) -> Result<bool, StepError> {
        let needs_none = matches!(step, Step::Lose(_) | Step::Remove);
        let Some(id) = &self.subscription.terms.credential_id else {
            return Ok(true);
        };
        if needs_none || self.account.is_some() {
            return Ok(true);
        }
        match self.engine.accounts.for_call(id).await {
            Ok(account) => {
                if let Some(until) = account.throttled_until.filter(|at| *at > self.now()) {
                    self.lane.block(until);
                    let error = CallError {
                        retry_after_ms: Some(until.since(self.now()).as_millis() as u64),
                        ..CallError::new(codes::RATE_LIMITED, "the service asked for time")
                    };
                    return Err(error.into());
                }
                self.account = Some(account);
                Ok(true)
            }
            Err(AccountRefusal::Lasting(reason)) => {
                self.wait_for_reconnect(reason);
                self.pending.is_due = true;
                Ok(false)
            }
            Err(AccountRefusal::Passing(reason)) => {
                Err(CallError::new(codes::UPSTREAM, reason).into())
            }
        }
    }

    /// A run that called nobody asks after the credential all the same: that it needs reconnecting,
    /// found by another run, shows at everything that hangs on it.
    async fn mind_the_account(&mut self) {
        let is_held_up = self.upkeep.retry_at.is_some_and(|at| at > self.now());
        if self.account.is_some() || is_held_up || self.subscription.is_deleting {
            return;
        }
        let Some(id) = &self.subscription.terms.credential_id else {
            return;
        };
        if let Err(AccountRefusal::Lasting(reason)) = self.engine.accounts.for_call(id).await {
            self.wait_for_reconnect(reason);
        }
    }

    pub(super) fn account(&self) -> Option<&CallAccount> {
        self.account.as_ref()
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls_of(self.account.as_ref())
    }

    /// In the name of this account.
    pub(super) fn calls_of(&self, account: Option<&CallAccount>) -> Calls {
        let subscription = Some(self.subscription.id.clone());
        Calls::of(Arc::clone(&self.service), account, subscription)
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            subscription: &self.subscription,
            upkeep: &self.upkeep,
            registrations: &self.registrations,
            wanted: &self.wanted,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.engine.clock.now()
    }

    /// A registration as plugins get it.
    pub(super) fn existing(&self, registration: &Registration) -> ExistingSubscription {
        self.existing_for(registration, &self.calls())
    }

    /// The same for calls in another name.
    pub(super) fn existing_for(
        &self,
        registration: &Registration,
        calls: &Calls,
    ) -> ExistingSubscription {
        ExistingSubscription {
            id: self.subscription.id.to_string(),
            endpoint_url: registration.endpoint_url.clone(),
            external_id: registration.external_id.clone(),
            key: registration.id.to_string(),
            parameters: registration.parameters.clone(),
            properties: registration.all_properties(),
            secrets: texts(&registration.secrets),
            events: registration.events.clone(),
            credentials: calls.credentials(),
            expires_at_ms: registration.expires_at.map(|at| at.0),
        }
    }

    /// Notes a change for the next commit, and makes it here.
    pub(super) fn change(&mut self, change: RegistrationChange) {
        apply(
            &mut self.registrations,
            &self.subscription,
            &change,
            self.engine.clock.now(),
        );
        self.pending.registrations.push(change);
        self.pending.is_due = true;
    }

    /// Says something to the operator; what was said last is not said again.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text: String = text.into().chars().take(NOTE_LEN_MAX).collect();
        if self
            .upkeep
            .notes
            .last()
            .is_some_and(|last| last.text == text)
        {
            return;
        }
        tracing::info!(
            subscription = %self.subscription.id,
            provider = self.subscription.provider,
            "{text}"
        );
        self.upkeep.notes.push(Note {
            at: self.now(),
            text,
        });
        let surplus = self.upkeep.notes.len().saturating_sub(NOTES_MAX);
        self.upkeep.notes.drain(..surplus);
    }

    pub(super) fn audit(&mut self, action: &'static str, detail: Value) {
        self.pending.audit.push(NotedAudit { action, detail });
    }

    pub(super) fn pending_is_due(&mut self) {
        self.pending.is_due = true;
    }

    /// Lengthens the lease, if it is still ours.
    pub(super) async fn hold_lease(&mut self) -> Result<(), Cut> {
        self.pending.is_due = true;
        self.flush().await
    }

    /// Commits what steps left behind, if there is something.
    pub(super) async fn flush(&mut self) -> Result<(), Cut> {
        if !self.pending.is_due {
            return Ok(());
        }
        let lease_until = self.now().plus(self.engine.config.lease);
        self.commit(End::GoOn { lease_until }).await
    }

    async fn commit(&mut self, end: End) -> Result<(), Cut> {
        let health = self.health();
        if matches!(end, End::Release { .. }) {
            self.tell_health(health.as_ref());
        }
        let pending = std::mem::take(&mut self.pending);
        let pulled = pending.pulled.is_some();
        let progress = Progress {
            subscription_id: self.subscription.id.clone(),
            fence: self.fence,
            registrations: pending.registrations,
            upkeep: self.upkeep.clone(),
            health,
            adopted: pending.adopted,
            pulled: pending.pulled,
            audit: pending.audit,
            end,
        };
        match self.engine.store.progress_subscription(progress).await? {
            Progressed::LeaseLost => Err(Cut::LeaseLost),
            Progressed::Kept { events, waiting } => {
                self.engine.metrics.events.add(events as u64);
                let unmatched = events.saturating_sub(waiting) as u64;
                self.engine
                    .metrics
                    .events_handled
                    .add("unmatched", unmatched);
                if waiting > 0 {
                    self.engine.events_wake.notify_one();
                }
                if pulled {
                    self.engine.timers_wake.notify_one();
                }
                Ok(())
            }
        }
    }

    /// The lane is closed: the rest is done when it opens.
    async fn put_off(mut self, until: Millis) -> Result<(), Cut> {
        let wait = until.since(self.now()).mul_f64(0.1 * random_fraction());
        let (_, next_action) = self.view().due(self.now());
        let release = End::Release {
            due_at: Some(until.plus(wait)),
            next_action,
        };
        self.commit(release).await
    }
}

/// Makes a change as the store will.
fn apply(
    registrations: &mut Vec<Registration>,
    subscription: &Subscription,
    change: &RegistrationChange,
    now: Millis,
) {
    match change {
        RegistrationChange::Insert(new) => registrations.insert(
            0,
            Registration {
                id: new.id.clone(),
                subscription_id: subscription.id.clone(),
                state: RegistrationState::Making,
                credential_id: new.credential_id.clone(),
                external_id: String::new(),
                endpoint_url: new.endpoint_url.clone(),
                parameters: new.parameters.clone(),
                events: new.events.clone(),
                properties: Map::new(),
                learned: Map::new(),
                secrets: new.secrets.clone(),
                expires_at: None,
                created_at: now,
                updated_at: now,
            },
        ),
        RegistrationChange::Answered { id, answer } => {
            if let Some(one) = registrations.iter_mut().find(|one| one.id == *id) {
                one.credential_id.clone_from(&answer.credential_id);
                one.external_id.clone_from(&answer.external_id);
                one.endpoint_url.clone_from(&answer.endpoint_url);
                one.parameters.clone_from(&answer.parameters);
                one.events.clone_from(&answer.events);
                one.properties.clone_from(&answer.properties);
                if let Some(secrets) = &answer.secrets {
                    one.secrets = secrets.clone();
                }
                one.expires_at = answer.expires_at;
            }
        }
        RegistrationChange::State { id, state } => {
            if let Some(one) = registrations.iter_mut().find(|one| one.id == *id) {
                one.state = *state;
            }
        }
        RegistrationChange::Delete(id) => registrations.retain(|one| one.id != *id),
    }
}

/// Secrets by field; what is no text is left out.
pub(super) fn texts(secrets: &Secret<String>) -> std::collections::BTreeMap<String, String> {
    serde_json::from_str(secrets.expose()).unwrap_or_default()
}
