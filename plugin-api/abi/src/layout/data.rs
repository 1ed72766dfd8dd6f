//! The structs that cross by value or by reference. Frozen for the major version.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};

use crate::{CallError, Dispatched, DispatchedEvent, EventCall, Outcome, Reply};

/// Every call that can fail.
pub type WireResult<T> = RResult<T, WireError>;

/// Room for what a later minor version may have to say: zero until then.
#[repr(transparent)]
#[derive(Clone, Copy, Default, StableAbi)]
pub struct Growth(usize);

/// A header of a request, borrowed.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct WireHeader<'a> {
    name: RStr<'a>,
    value: RSlice<'a, u8>,
}

impl<'a> WireHeader<'a> {
    /// A header over borrowed text and bytes.
    #[must_use]
    pub const fn new(name: &'a str, value: &'a [u8]) -> Self {
        Self {
            name: RStr::from_str(name),
            value: RSlice::from_slice(value),
        }
    }

    /// As it came.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name.as_str()
    }

    /// As it came.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.value.as_slice()
    }
}

/// A request, borrowed.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct WireRequest<'a> {
    pub method: RStr<'a>,
    pub path: RStr<'a>,
    pub query: RStr<'a>,
    pub headers: RSlice<'a, WireHeader<'a>>,
    pub body: RSlice<'a, u8>,
    pub received_at_ms: i64,
    pub growth: Growth,
}

/// An event, borrowed.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct WireEventCall<'a> {
    event: RStr<'a>,
    payload: RSlice<'a, u8>,
    occurred_at_ms: ROption<i64>,
    growth: Growth,
}

impl<'a> From<&EventCall<'a>> for WireEventCall<'a> {
    fn from(call: &EventCall<'a>) -> Self {
        Self {
            event: RStr::from_str(call.event),
            payload: RSlice::from_slice(call.payload),
            occurred_at_ms: call.occurred_at_ms.into(),
            growth: Growth::default(),
        }
    }
}

impl<'a> From<&WireEventCall<'a>> for EventCall<'a> {
    fn from(call: &WireEventCall<'a>) -> Self {
        Self {
            event: call.event.as_str(),
            payload: call.payload.as_slice(),
            occurred_at_ms: call.occurred_at_ms.into_option(),
        }
    }
}

/// An error, owned.
#[repr(C)]
#[derive(Clone, StableAbi)]
pub struct WireError {
    code: u32,
    message: RString,
    detail: ROption<RString>,
    retry_after_ms: ROption<u64>,
    growth: Growth,
}

impl From<CallError> for WireError {
    fn from(error: CallError) -> Self {
        Self {
            code: error.code,
            message: error.message.into(),
            detail: error.detail.map(RString::from).into(),
            retry_after_ms: error.retry_after_ms.into(),
            growth: Growth::default(),
        }
    }
}

impl From<WireError> for CallError {
    fn from(error: WireError) -> Self {
        Self {
            code: error.code,
            message: error.message.into(),
            detail: error.detail.into_option().map(String::from),
            retry_after_ms: error.retry_after_ms.into_option(),
        }
    }
}

/// The reading of a request, owned.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireDispatch {
    events: RVec<WireEvent>,
    reply: ROption<WireReply>,
    delivery_id: ROption<RString>,
    delivery_window_ms: ROption<u64>,
    flags: u32,
    growth: Growth,
}

/// A flag of [`WireDispatch`]: pull now.
const DISPATCH_WAKE: u32 = 1;

#[repr(C)]
#[derive(StableAbi)]
struct WireEvent {
    name: RString,
    payload: ROption<RVec<u8>>,
    occurred_at_ms: ROption<i64>,
    growth: Growth,
}

#[repr(C)]
#[derive(StableAbi)]
struct WireReply {
    status: u16,
    headers: RVec<WireReplyHeader>,
    body: RVec<u8>,
    growth: Growth,
}

#[repr(C)]
#[derive(StableAbi)]
struct WireReplyHeader {
    name: RString,
    value: RString,
}

impl From<Dispatched> for WireDispatch {
    fn from(dispatched: Dispatched) -> Self {
        Self {
            events: dispatched.events.into_iter().map(WireEvent::from).collect(),
            reply: dispatched.reply.map(WireReply::from).into(),
            delivery_id: dispatched.delivery_id.map(RString::from).into(),
            delivery_window_ms: dispatched.delivery_window_ms.into(),
            flags: if dispatched.wake { DISPATCH_WAKE } else { 0 },
            growth: Growth::default(),
        }
    }
}

impl From<WireDispatch> for Dispatched {
    fn from(wire: WireDispatch) -> Self {
        Self {
            events: wire.events.into_iter().map(DispatchedEvent::from).collect(),
            reply: wire.reply.into_option().map(Reply::from),
            delivery_id: wire.delivery_id.into_option().map(String::from),
            delivery_window_ms: wire.delivery_window_ms.into_option(),
            wake: wire.flags & DISPATCH_WAKE != 0,
        }
    }
}

impl From<DispatchedEvent> for WireEvent {
    fn from(event: DispatchedEvent) -> Self {
        Self {
            name: event.name.into(),
            payload: event.payload.map(RVec::from).into(),
            occurred_at_ms: event.occurred_at_ms.into(),
            growth: Growth::default(),
        }
    }
}

impl From<WireEvent> for DispatchedEvent {
    fn from(wire: WireEvent) -> Self {
        Self {
            name: wire.name.into(),
            payload: wire.payload.into_option().map(Vec::from),
            occurred_at_ms: wire.occurred_at_ms.into_option(),
        }
    }
}

impl From<Reply> for WireReply {
    fn from(reply: Reply) -> Self {
        let headers = reply.headers.into_iter();
        Self {
            status: reply.status,
            headers: headers
                .map(|(name, value)| WireReplyHeader {
                    name: name.into(),
                    value: value.into(),
                })
                .collect(),
            body: reply.body.into(),
            growth: Growth::default(),
        }
    }
}

impl From<WireReply> for Reply {
    fn from(wire: WireReply) -> Self {
        let headers = wire.headers.into_iter();
        Self {
            status: wire.status,
            headers: headers
                .map(|each| (each.name.into(), each.value.into()))
                .collect(),
            body: wire.body.into(),
        }
    }
}

/// Whether a trigger fires, owned.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireOutcome {
    kind: u32,
    variables: RVec<u8>,
    growth: Growth,
}

/// The event is not for this trigger; so is every kind that is not known.
const OUTCOME_NOT: u32 = 0;
/// It fires with the payload as it is.
const OUTCOME_PAYLOAD: u32 = 1;
/// It fires with the variables given.
const OUTCOME_VARIABLES: u32 = 2;

impl From<Outcome> for WireOutcome {
    fn from(outcome: Outcome) -> Self {
        let (kind, variables) = match outcome {
            Outcome::NotForThisTrigger => (OUTCOME_NOT, RVec::new()),
            Outcome::Fires(None) => (OUTCOME_PAYLOAD, RVec::new()),
            Outcome::Fires(Some(variables)) => (OUTCOME_VARIABLES, variables.into()),
        };
        Self {
            kind,
            variables,
            growth: Growth::default(),
        }
    }
}

impl From<WireOutcome> for Outcome {
    fn from(wire: WireOutcome) -> Self {
        match wire.kind {
            OUTCOME_PAYLOAD => Self::Fires(None),
            OUTCOME_VARIABLES => Self::Fires(Some(wire.variables.into())),
            _ => Self::NotForThisTrigger,
        }
    }
}
