//! The endpoints: what they are made of, and their one route.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Request as HttpRequest, Response};
use axum::routing::any;
use tokio::sync::{Notify, Semaphore};

use super::body::Budget;
use super::opened::OpenedSubscriptions;
use super::webhook::not_found;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::plugins::Registry;
use crate::store::Store;

/// So many rows for refused requests may wait; a flood of them beyond that is counted only.
const REFUSED_ROWS_MAX: usize = 64;

/// So many requests that name no endpoint are read to their end at once.
const STRANGERS_MAX: usize = 64;
/// The bodies that are held at once have so many bytes together.
const BODIES_MAX: usize = 256 << 20;

/// What an [`Ingress`] is made of.
pub struct Parts {
    /// Which providers serve.
    pub registry: Registry,
    /// Where requests are kept.
    pub store: Store,
    /// When they arrived.
    pub clock: Clock,
    /// How services reach this host, without a slash at its end.
    pub public_url: String,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Told after each commit that holds events which a trigger waits for.
    pub events_wake: Arc<Notify>,
    /// Told after each commit that makes a subscription due.
    pub sync_wake: Arc<Notify>,
    /// More requests at once are answered 503.
    pub in_flight_max: usize,
    /// A sender has this long for a body.
    pub read_timeout: Duration,
}

/// What the endpoints need.
pub struct Ingress {
    pub(super) registry: Registry,
    pub(super) opened: OpenedSubscriptions,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events_wake: Arc<Notify>,
    pub(super) sync_wake: Arc<Notify>,
    pub(super) places: Semaphore,
    pub(super) read_timeout: Duration,
    pub(super) refused_rows: Arc<Semaphore>,
    pub(super) strangers: Semaphore,
    pub(super) budget: Budget,
}

impl Ingress {
    /// Of these parts.
    pub fn new(parts: Parts) -> Ingress {
        Ingress {
            opened: OpenedSubscriptions::new(parts.store.clone(), parts.public_url),
            registry: parts.registry,
            store: parts.store,
            clock: parts.clock,
            metrics: parts.metrics,
            events_wake: parts.events_wake,
            sync_wake: parts.sync_wake,
            places: Semaphore::new(parts.in_flight_max),
            read_timeout: parts.read_timeout,
            refused_rows: Arc::new(Semaphore::new(REFUSED_ROWS_MAX)),
            strangers: Semaphore::new(STRANGERS_MAX),
            budget: Budget::of(BODIES_MAX),
        }
    }

    /// Subscriptions changed: none is used as it was.
    pub fn forget_opened(&self) {
        self.opened.forget();
    }
}

/// The endpoints.
pub fn router(ingress: Arc<Ingress>) -> Router {
    Router::new()
        .route("/webhooks/{provider}/{endpoint}", any(receive))
        .fallback(async || not_found())
        .with_state(ingress)
}

async fn receive(
    State(ingress): State<Arc<Ingress>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: HttpRequest<Body>,
) -> Response<Body> {
    let Ok(Path((provider, endpoint))) = path else {
        return not_found();
    };
    let started = Instant::now();
    let response = ingress.answer(&provider, &endpoint, request).await;
    ingress.metrics.request_latency.observe(started.elapsed());
    let outcome = match response.status().as_u16() {
        404 => Some("unknown"),
        413 => Some("too_large"),
        429 | 503 => Some("unavailable"),
        // What became of the others is counted where it is known.
        _ => None,
    };
    if let Some(outcome) = outcome {
        ingress.metrics.requests.increment(outcome);
    }
    response
}
