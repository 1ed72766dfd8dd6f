//! What the handlers work with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::providers::Providers;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::id::{EndpointId, JobId, WorkspaceId};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::subscriptions::Subscriptions;
use crate::tokens::Tokens;

/// What changed, so that others need not wait for their timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A job may be ready.
    Jobs,
    /// A job was cancelled: what runs of it is to be stopped.
    Cancelled(JobId),
    /// Subscriptions, runnables or triggers of this workspace.
    Objects(WorkspaceId),
}

/// What an [`ApiState`] is made of.
pub struct ApiStateParts {
    pub store: Store,
    pub tokens: Arc<Tokens>,
    pub providers: Arc<dyn Providers>,
    pub credentials: Credentials,
    pub subscriptions: Subscriptions,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// What endpoint addresses start with, without a slash at the end.
    pub public_base: String,
    /// The largest body, in bytes.
    pub body_max: usize,
    /// How long a body may take to arrive.
    pub read_timeout: Duration,
    /// How many calls may be in work at once.
    pub in_flight_max: usize,
    /// Told of changes; must not block.
    pub on_change: Arc<dyn Fn(Changed) + Send + Sync>,
}

/// Shared by all handlers.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    parts: ApiStateParts,
    free: Semaphore,
    free_pages: Semaphore,
}

/// How many pages may be in work at once, for browsers that show no token.
const PAGES_MAX: usize = 32;

impl ApiState {
    pub fn new(parts: ApiStateParts) -> ApiState {
        let free = Semaphore::new(parts.in_flight_max);
        let free_pages = Semaphore::new(PAGES_MAX);
        ApiState(Arc::new(Inner {
            parts,
            free,
            free_pages,
        }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.0.parts.tokens
    }

    pub(super) fn providers(&self) -> &dyn Providers {
        self.0.parts.providers.as_ref()
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.parts.credentials
    }

    pub(super) fn subscriptions(&self) -> &Subscriptions {
        &self.0.parts.subscriptions
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    pub(super) fn body_max(&self) -> usize {
        self.0.parts.body_max
    }

    pub(super) fn read_timeout(&self) -> Duration {
        self.0.parts.read_timeout
    }

    /// Places for calls in work.
    pub(super) fn free(&self) -> &Semaphore {
        &self.0.free
    }

    /// Places for pages in work.
    pub(super) fn free_pages(&self) -> &Semaphore {
        &self.0.free_pages
    }

    /// Where the service of a subscription sends, if it sends anything there.
    pub(super) fn shown_endpoint(&self, provider: &str, endpoint: &EndpointId) -> Option<String> {
        let takes_webhooks = self.providers().takes_webhooks(provider);
        takes_webhooks.then(|| self.endpoint_url(provider, endpoint))
    }

    /// The address of an endpoint.
    pub(super) fn endpoint_url(&self, provider: &str, endpoint: &EndpointId) -> String {
        format!(
            "{}/webhooks/{provider}/{endpoint}",
            self.0.parts.public_base
        )
    }

    /// The address of a route.
    pub(super) fn route_url(&self, path: &crate::model::RoutePattern) -> String {
        format!("{}{path}", self.0.parts.public_base)
    }

    /// What addresses of this host start with, without a slash at the end.
    pub(super) fn public_base(&self) -> &str {
        &self.0.parts.public_base
    }

    pub(super) fn announce(&self, changed: Changed) {
        (self.0.parts.on_change)(changed);
    }
}
