//! A provider that is loaded and serves: calls into its library, counted and bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{
    CallError, Dispatched, EventCall, Outcome, Provider, Request, SubscriptionHandle, TriggerHandle,
};

use super::facts::Facts;
use super::health::{PanicWindow, RateLimit};
use super::library_file::Digest;
use super::scope::{CallScope, Scopes};
use super::sound;
use super::watch::Calls;

/// What an operator bounded, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct ResolvedLimits {
    /// A reading that takes longer is named in the log.
    pub dispatch_budget: Duration,
    /// In bytes.
    pub body_max: usize,
    /// Requests a second over the provider; no limit if absent.
    pub rate: Option<u32>,
}

/// A loaded library with its provider. Calls in flight keep it alive after a newer one took over.
pub struct LiveProvider {
    /// The provider's name.
    pub name: Box<str>,
    /// Rises with every load; what is cached for one generation is not used for another.
    pub generation: u64,
    /// Of the library.
    pub digest: Digest,
    /// Of the library, in bytes.
    pub size: u64,
    /// What the host needs of its declaration.
    pub facts: Facts,
    /// Bounds on it.
    pub limits: ResolvedLimits,
    provider: Provider,
    scopes: Arc<Scopes>,
    decoy: SubscriptionHandle,
    panics: PanicWindow,
    quarantined: AtomicBool,
    rate: RateLimit,
    calls: Calls,
}

/// What [`LiveProvider::assemble`] puts together.
pub struct Parts {
    /// The provider's name.
    pub name: Box<str>,
    /// See [`LiveProvider::generation`].
    pub generation: u64,
    /// Of the library.
    pub digest: Digest,
    /// Of the library, in bytes.
    pub size: u64,
    /// What the host needs of its declaration.
    pub facts: Facts,
    /// Bounds on it.
    pub limits: ResolvedLimits,
    /// The created provider.
    pub provider: Provider,
    /// Its calls under way.
    pub scopes: Arc<Scopes>,
    /// A subscription that nobody has, with a random secret: requests to unknown endpoints are
    /// read with it, so that they take as long as those with a bad signature.
    pub decoy: SubscriptionHandle,
}

impl LiveProvider {
    /// Starts counting for a provider that was just created.
    pub fn assemble(parts: Parts) -> LiveProvider {
        LiveProvider {
            rate: RateLimit::per_second(parts.limits.rate),
            name: parts.name,
            generation: parts.generation,
            digest: parts.digest,
            size: parts.size,
            facts: parts.facts,
            limits: parts.limits,
            provider: parts.provider,
            scopes: parts.scopes,
            decoy: parts.decoy,
            panics: PanicWindow::default(),
            quarantined: AtomicBool::new(false),
            calls: Calls::since(Instant::now()),
        }
    }

    /// Whether it panicked so often that it is left alone until it is replaced or enabled again.
    pub fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// How long a call lasts that is over its budget and was not told yet.
    pub(super) fn overdue(&self, now: Instant) -> Option<Duration> {
        self.calls.overdue(now, self.limits.dispatch_budget)
    }

    /// Takes one request of this second's share; `Err` says after how long to come again.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        self.rate.take(now)
    }

    /// Prepares a subscription for [`LiveProvider::dispatch`]; `spec` as JSON.
    pub fn open_subscription(&self, spec: &str) -> Result<SubscriptionHandle, CallError> {
        self.guarded(|| self.provider.open_subscription(spec))
    }

    /// Prepares a trigger for [`LiveProvider::on_event`]; wrong parameters are `INVALID_INPUT`.
    pub fn open_trigger(&self, event: &str, parameters: &str) -> Result<TriggerHandle, CallError> {
        self.guarded(|| self.provider.open_trigger(event, parameters))
    }

    /// Reads one request of a subscription.
    pub fn dispatch(
        &self,
        subscription: &SubscriptionHandle,
        request: &Request<'_>,
    ) -> Result<Dispatched, CallError> {
        self.guarded(|| subscription.dispatch(request).and_then(sound::checked))
    }

    /// Reads one request that is for nobody here, for the time it takes.
    pub fn dispatch_decoy(&self, request: &Request<'_>) {
        let _ = self.guarded(|| self.decoy.dispatch(request));
    }

    /// Asks one trigger of one event.
    pub fn on_event(
        &self,
        trigger: &TriggerHandle,
        event: &EventCall<'_>,
    ) -> Result<Outcome, CallError> {
        self.guarded(|| trigger.on_event(event))
    }

    /// A cold operation; arguments and answer are JSON.
    pub async fn call(&self, operation: &str, arguments: String) -> Result<Vec<u8>, CallError> {
        self.check_quarantine()?;
        let answer = self.provider.call(operation, arguments).await;
        self.note(answer.as_ref().err());
        answer
    }

    /// A cold operation that may use what the scope says. `arguments` is a JSON object.
    pub async fn call_in(
        &self,
        scope: Arc<CallScope>,
        operation: &str,
        mut arguments: serde_json::Value,
    ) -> Result<Vec<u8>, CallError> {
        let entered = self.scopes.enter(scope);
        arguments["context"] = entered.name().into();
        self.call(operation, arguments.to_string()).await
    }

    fn guarded<T>(&self, call: impl FnOnce() -> Result<T, CallError>) -> Result<T, CallError> {
        self.check_quarantine()?;
        let started = Instant::now();
        let under_way = self.calls.enter(started);
        let answer = call();
        drop(under_way);
        let took = started.elapsed();
        if took > self.limits.dispatch_budget {
            tracing::warn!(
                provider = &*self.name,
                took_ms = took.as_millis(),
                budget_ms = self.limits.dispatch_budget.as_millis(),
                "a call into the provider overran its budget",
            );
        }
        self.note(answer.as_ref().err());
        answer
    }

    fn check_quarantine(&self) -> Result<(), CallError> {
        if !self.is_quarantined() {
            return Ok(());
        }
        Err(CallError {
            code: codes::HOST,
            message: format!(
                "the provider `{}` panicked too often and is quarantined: replace its library or \
                 enable it again",
                self.name
            ),
            detail: None,
            retry_after_ms: None,
        })
    }

    fn note(&self, error: Option<&CallError>) {
        let Some(error) = error.filter(|error| error.code == codes::PANIC) else {
            return;
        };
        tracing::error!(
            provider = &*self.name,
            place = error.detail.as_deref().unwrap_or_default(),
            "the provider panicked: {}",
            error.message,
        );
        if self.panics.add(Instant::now()) && !self.quarantined.swap(true, Ordering::Relaxed) {
            tracing::error!(
                provider = &*self.name,
                "the provider is quarantined after {} panics within a minute",
                PanicWindow::MAX,
            );
        }
    }
}
