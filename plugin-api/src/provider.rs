//! The traits of a provider. What a declaration's rules can say, the defaults do.

use std::future::{Future, ready};
use std::sync::Arc;

use crate::declaration::Declared;
use crate::host::Host;
use crate::messages::{
    Account, CheckReport, CreatedSubscription, Credentials, EventCall, EventDispatch,
    ExistingSubscription, HeldSubscription, ListRequest, NewSubscription, OptionsPage,
    OptionsQuery, Outcome, PullRequest, Pulled, Request, Subscription, SubscriptionChange, Trigger,
};
use crate::{Error, Result};

/// What a provider is opened with.
#[derive(Clone)]
pub struct Setup {
    /// `config` of the operator's manifest; `null` when it has none.
    pub config: serde_json::Value,
    /// The declaration beside the provider's code, compiled.
    pub declared: Arc<Declared>,
}

/// A provider, opened. Its methods are called from many threads at once.
pub trait Provider: Send + Sync + Sized + 'static {
    /// Opens the provider: once when the library is loaded and once for each change of its
    /// manifest, on any thread, within a second. The one before serves on until this succeeds.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a configuration that cannot be right; any error keeps the provider
    /// from being enabled and is shown to the operator.
    fn open(setup: Setup) -> Result<Self>;

    /// The compiled declaration that came with [`Setup`].
    fn declared(&self) -> &Declared;
}

/// Reads requests. Pure: no clock, no network, the same answer for the same request.
pub trait Dispatch: Provider {
    /// Is the request genuine, and what happened? Called for each request at a subscription's
    /// endpoint, on the thread that serves it, within the manifest's `dispatch_timeout`; may be
    /// repeated with the same request.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` is answered with 401, `INVALID_INPUT` with 400, anything else with 503,
    /// after which the service sends again.
    fn dispatch(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> Result<EventDispatch> {
        self.declared().dispatch(subscription, request)
    }

    /// For a service that posts everything to one address: the key that finds the subscription, as
    /// the declaration's `route` says.
    /// Called before `dispatch`, on a request that nobody has verified yet.
    ///
    /// # Errors
    /// As of [`Dispatch::dispatch`].
    fn route(&self, request: &Request<'_>) -> Result<Option<String>> {
        self.declared().route(request)
    }
}

/// Matches events with triggers. Pure, as [`Dispatch`] is.
pub trait Event: Provider {
    /// Is there something wrong with a trigger's parameters that the declaration cannot say? Called
    /// when a trigger is saved and opened, after they were checked against the declaration.
    ///
    /// # Errors
    /// `INVALID_INPUT` naming the parameter, what was found and what is allowed.
    fn check_trigger(&self, trigger: &Trigger) -> Result<()> {
        let _ = trigger;
        Ok(())
    }

    /// Does the event fire the trigger, and with which variables? Called for each pair of them,
    /// on a thread of the host's, within the manifest's `dispatch_timeout`; may be repeated.
    ///
    /// # Errors
    /// Any error is kept with the event and shown; the trigger does not fire.
    fn on_event(&self, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
        self.declared().on_event(trigger, event)
    }
}

/// Makes and keeps subscriptions at the service.
///
/// Called from the host's own tasks, never while a request waits; each call may be given up at
/// any await and repeated after a crash, so that `create` after an unseen `create` must find the
/// first one or make a second that `list` shows. `CREDENTIALS` asks the operator to renew the
/// credential, `RATE_LIMITED` and `UPSTREAM` are tried again later, all else is shown.
pub trait SubscriptionConstructor: Provider {
    /// Whom do these credentials belong to, and do they suffice?
    fn validate_credentials(
        &self,
        host: &Host,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<Account>> + Send {
        let _ = (host, credentials);
        unsupported("validate credentials")
    }

    /// Makes the subscription at the service.
    fn create(
        &self,
        host: &Host,
        new: &NewSubscription,
    ) -> impl Future<Output = Result<CreatedSubscription>> + Send {
        let _ = (host, new);
        unsupported("create subscriptions")
    }

    /// Changes a subscription in place.
    fn update(
        &self,
        host: &Host,
        change: &SubscriptionChange,
    ) -> impl Future<Output = Result<CreatedSubscription>> + Send {
        let _ = (host, change);
        unsupported("update subscriptions")
    }

    /// Ends it at the service. One that is gone already is a success. An empty `external_id` says
    /// that its `create` was cut short and nobody knows what became of it: find it, or nothing.
    fn delete(
        &self,
        host: &Host,
        subscription: &ExistingSubscription,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (host, subscription);
        unsupported("delete subscriptions")
    }

    /// Renews a lease, as the declaration's `lease` says.
    fn refresh(
        &self,
        host: &Host,
        subscription: &ExistingSubscription,
    ) -> impl Future<Output = Result<CreatedSubscription>> + Send {
        let _ = (host, subscription);
        unsupported("refresh subscriptions")
    }

    /// Does the service still hold what we hold?
    fn check(
        &self,
        host: &Host,
        subscription: &ExistingSubscription,
    ) -> impl Future<Output = Result<CheckReport>> + Send {
        let _ = (host, subscription);
        unsupported("check subscriptions")
    }

    /// Asks the service to send something harmless now, so that the way back is tried.
    fn test(
        &self,
        host: &Host,
        subscription: &ExistingSubscription,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (host, subscription);
        unsupported("send a test")
    }

    /// All that the service holds, so that orphans are found.
    fn list(
        &self,
        host: &Host,
        request: &ListRequest,
    ) -> impl Future<Output = Result<Vec<HeldSubscription>>> + Send {
        let _ = (host, request);
        unsupported("list subscriptions")
    }

    /// The values that a `dynamic-select` parameter may have.
    fn parameter_options(
        &self,
        host: &Host,
        query: &OptionsQuery,
    ) -> impl Future<Output = Result<OptionsPage>> + Send {
        let _ = (host, query);
        unsupported("offer options for parameters")
    }
}

/// Reads changes from a cursor: for pushes that only hint, for services without push, and for
/// catching up.
pub trait Pull: Provider {
    /// What happened since the cursor? Called from the host's own tasks; repeated with the same
    /// cursor when the answer was not committed.
    ///
    /// # Errors
    /// As of [`SubscriptionConstructor`]; `NOT_FOUND` says that the cursor is too old.
    fn pull(
        &self,
        host: &Host,
        request: &PullRequest,
    ) -> impl Future<Output = Result<Pulled>> + Send;
}

fn unsupported<T: Send>(what: &str) -> impl Future<Output = Result<T>> + Send + use<T> {
    ready(Err(Error::unsupported(format!(
        "this provider does not {what}"
    ))))
}

/// A provider that is a declaration and nothing else.
pub struct DeclaredProvider {
    declared: Arc<Declared>,
}

impl Provider for DeclaredProvider {
    fn open(setup: Setup) -> Result<Self> {
        Ok(Self {
            declared: setup.declared,
        })
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

impl Dispatch for DeclaredProvider {}
impl Event for DeclaredProvider {}
impl SubscriptionConstructor for DeclaredProvider {}
