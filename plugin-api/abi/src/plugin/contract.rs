//! What a library implements: the functions of the boundary without its layouts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Services;
use crate::layout::{WireHeader, WireRequest};
use crate::{CallError, Dispatched, EventCall, Outcome};

/// An operation under way.
pub type BoxedCall = Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send>>;

/// A provider as the boundary sees it. Any of these may panic: the host gets an error instead.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// A subscription, prepared.
    type Subscription: Send + Sync + 'static;
    /// A trigger, compiled.
    type Trigger: Send + Sync + 'static;

    /// Opens the provider with what the host says of it, as JSON.
    ///
    /// # Errors
    /// The host goes on without it.
    fn create(services: Services, setup: &str) -> Result<Self, CallError>;

    /// Prepares a subscription, given as JSON.
    ///
    /// # Errors
    /// The subscription's requests are answered with this one until it changes.
    fn open_subscription(&self, json: &str) -> Result<Self::Subscription, CallError>;

    /// Compiles a trigger, its parameters given as JSON.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a mistake in the parameters.
    fn open_trigger(&self, event: &str, parameters: &str) -> Result<Self::Trigger, CallError>;

    /// Reads a request.
    ///
    /// # Errors
    /// What the sender is answered with.
    fn dispatch(
        &self,
        subscription: &Self::Subscription,
        request: &Request<'_>,
    ) -> Result<Dispatched, CallError>;

    /// Which subscription a request of the provider's one address belongs to.
    ///
    /// # Errors
    /// As of `dispatch`.
    fn route(&self, request: &Request<'_>) -> Result<Option<String>, CallError>;

    /// Matches an event with a trigger.
    ///
    /// # Errors
    /// Kept with the event; the trigger does not fire.
    fn on_event(
        &self,
        trigger: &Self::Trigger,
        event: &EventCall<'_>,
    ) -> Result<Outcome, CallError>;

    /// Everything else: an operation by name, JSON in and out. An operation that is not known
    /// ends with `UNSUPPORTED`.
    fn call(self: Arc<Self>, op: String, json: Vec<u8>) -> BoxedCall;
}

/// A request, borrowed from the host.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// From the first slash.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    /// In order.
    pub headers: &'a [WireHeader<'a>],
    /// The bytes as they came.
    pub body: &'a [u8],
    /// Milliseconds since 1970.
    pub received_at_ms: i64,
}

impl<'a> From<&WireRequest<'a>> for Request<'a> {
    fn from(wire: &WireRequest<'a>) -> Self {
        Self {
            method: wire.method.as_str(),
            path: wire.path.as_str(),
            query: wire.query.as_str(),
            headers: wire.headers.as_slice(),
            body: wire.body.as_slice(),
            received_at_ms: wire.received_at_ms,
        }
    }
}
