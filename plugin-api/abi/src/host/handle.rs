//! What a provider has prepared: subscriptions that dispatch, triggers that match.

use abi_stable::std_types::{RSlice, RStr};

use super::Provider;
use crate::layout::{Context, Growth, WireEventCall, WireHeader, WireRequest};
use crate::{CallError, Dispatched, EventCall, Outcome};

/// A request as it arrived, borrowed.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// From the first slash, percent-encoded as it came.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    /// In order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The bytes as they came.
    pub body: &'a [u8],
    /// Milliseconds since 1970.
    pub received_at_ms: i64,
}

/// A subscription that the provider has prepared. Keeps the provider; freed when dropped.
pub struct SubscriptionHandle {
    provider: Provider,
    context: Context,
}

impl SubscriptionHandle {
    pub(super) fn new(provider: Provider, context: Context) -> Self {
        Self { provider, context }
    }

    /// Is the request genuine, and what happened?
    ///
    /// # Errors
    /// What the sender is answered with.
    pub fn dispatch(&self, request: &Request<'_>) -> Result<Dispatched, CallError> {
        let headers = HeaderBuffer::of(request);
        let wire = &self.provider.0.wire;
        let dispatch = wire.vtable.dispatch();
        match dispatch(wire.context, self.context, &headers.request(request)).into_result() {
            Ok(dispatched) => Ok(dispatched.into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for SubscriptionHandle {
    fn drop(&mut self) {
        let wire = &self.provider.0.wire;
        wire.vtable.close_subscription()(wire.context, self.context);
    }
}

/// A trigger that the provider has compiled. Keeps the provider; freed when dropped.
pub struct TriggerHandle {
    provider: Provider,
    context: Context,
}

impl TriggerHandle {
    pub(super) fn new(provider: Provider, context: Context) -> Self {
        Self { provider, context }
    }

    /// Does the event fire the trigger, and with which variables?
    ///
    /// # Errors
    /// Kept with the event; the trigger does not fire.
    pub fn on_event(&self, event: &EventCall<'_>) -> Result<Outcome, CallError> {
        let wire = &self.provider.0.wire;
        let on_event = wire.vtable.on_event();
        match on_event(wire.context, self.context, &WireEventCall::from(event)).into_result() {
            Ok(outcome) => Ok(outcome.into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for TriggerHandle {
    fn drop(&mut self) {
        let wire = &self.provider.0.wire;
        wire.vtable.close_trigger()(wire.context, self.context);
    }
}

/// The headers of a request in the layout that crosses; their text stays where it is. Requests
/// of common size need no allocation.
pub(super) struct HeaderBuffer<'a> {
    inline: [WireHeader<'a>; INLINE_HEADERS],
    spilled: Vec<WireHeader<'a>>,
    len: usize,
}

const INLINE_HEADERS: usize = 32;

impl<'a> HeaderBuffer<'a> {
    pub(super) fn of(request: &Request<'a>) -> Self {
        let wire = |(name, value): &(&'a str, &'a [u8])| WireHeader::new(name, value);
        let len = request.headers.len();
        let mut inline = [WireHeader::new("", &[]); INLINE_HEADERS];
        let mut spilled = Vec::new();
        match inline.get_mut(..len) {
            Some(places) => {
                for (place, header) in places.iter_mut().zip(request.headers) {
                    *place = wire(header);
                }
            }
            None => spilled = request.headers.iter().map(wire).collect(),
        }
        Self {
            inline,
            spilled,
            len,
        }
    }

    pub(super) fn request(&'a self, request: &Request<'a>) -> WireRequest<'a> {
        let headers = self.inline.get(..self.len).unwrap_or(&self.spilled);
        WireRequest {
            method: RStr::from_str(request.method),
            path: RStr::from_str(request.path),
            query: RStr::from_str(request.query),
            headers: RSlice::from_slice(headers),
            body: RSlice::from_slice(request.body),
            received_at_ms: request.received_at_ms,
            growth: Growth::default(),
        }
    }
}
