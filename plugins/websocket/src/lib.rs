//! Any WebSocket server: the host holds the connection, this says what its messages are.
//!
//! | | |
//! |---|---|
//! | [`message`] | from a message to its event |
//! | [`filter`] | which messages a trigger wants |

mod filter;
mod message;

use std::sync::Arc;

use trigger_plugin_api::export_provider;
use trigger_plugin_api::prelude::*;

use crate::filter::Filter;

/// The provider, as the host opens it.
pub struct WebSocket {
    declared: Arc<Declared>,
}

impl Provider for WebSocket {
    fn open(setup: Setup) -> Result<Self> {
        Ok(Self {
            declared: setup.declared,
        })
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

impl Dispatch for WebSocket {
    fn dispatch(&self, _: &Subscription, request: &Request<'_>) -> Result<EventDispatch> {
        message::read(request)
    }
}

impl Event for WebSocket {
    fn check_trigger(&self, trigger: &Trigger) -> Result<()> {
        Filter::of(trigger).map(drop)
    }

    fn on_event(&self, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
        if trigger.event != event.event {
            return Ok(Outcome::NotForThisTrigger);
        }
        let fires = match Filter::of(trigger)? {
            Some(filter) => {
                let message = message::content(event.payload)?;
                message.is_some_and(|message| filter.matches(&message))
            }
            None => true,
        };
        Ok(match fires {
            true => Outcome::Fires(Variables::Payload),
            false => Outcome::NotForThisTrigger,
        })
    }
}

impl SubscriptionConstructor for WebSocket {}

export_provider!(WebSocket);
