//! The author's types into those of the boundary.

use trigger_plugin_abi::{CallError, Dispatched, Outcome as WireOutcome};

use crate::messages::{DispatchedEvent, EventDispatch, Outcome, Payload, Reply, Variables};
use crate::{Error, ErrorCode};

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        let Error {
            code,
            message,
            detail,
            retry_after_ms,
        } = error;
        Self {
            code: code.as_u32(),
            message,
            detail,
            retry_after_ms,
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let CallError {
            code,
            message,
            detail,
            retry_after_ms,
        } = error;
        Self {
            code: ErrorCode::from_u32(code),
            message,
            detail,
            retry_after_ms,
        }
    }
}

impl From<EventDispatch> for Dispatched {
    fn from(dispatch: EventDispatch) -> Self {
        Self {
            events: dispatch.events.into_iter().map(wire_event).collect(),
            reply: dispatch.reply.map(wire_reply),
            delivery_id: dispatch.delivery_id,
            delivery_window_ms: dispatch.delivery_window_ms,
            wake: dispatch.wake,
        }
    }
}

fn wire_event(event: DispatchedEvent) -> trigger_plugin_abi::DispatchedEvent {
    trigger_plugin_abi::DispatchedEvent {
        name: event.name,
        payload: match event.payload {
            Payload::Body => None,
            Payload::Bytes(bytes) => Some(bytes),
        },
        occurred_at_ms: event.occurred_at_ms,
    }
}

fn wire_reply(reply: Reply) -> trigger_plugin_abi::Reply {
    let Reply {
        status,
        headers,
        body,
    } = reply;
    trigger_plugin_abi::Reply {
        status,
        headers,
        body,
    }
}

impl From<Outcome> for WireOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fires(Variables::Payload) => Self::Fires(None),
            Outcome::Fires(Variables::Json(json)) => Self::Fires(Some(json)),
            Outcome::NotForThisTrigger => Self::NotForThisTrigger,
        }
    }
}
