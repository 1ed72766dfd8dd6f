//! What a provider says of itself, read and compiled.

use serde_json::Value;
use trigger_plugin_abi::bundle::Bundle;

use crate::messages::{
    EventCall, EventDispatch, FieldError, Map, Outcome, OwnedRequest, Request, Subscription,
    SubscriptionSpec, Trigger,
};
use crate::rules::{PreparedSubscription, PreparedTrigger};
use crate::{Error, Result};

/// A declaration with its rules compiled.
pub struct Declared;

impl Declared {
    /// Reads and compiles the files that a library embeds.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self> {
        let _ = bundle;
        Ok(Self)
    }

    /// Prepares a subscription: `open_subscription` of the boundary.
    pub fn open_subscription(&self, spec: SubscriptionSpec) -> Result<Subscription> {
        Ok(Subscription::prepared(spec, PreparedSubscription))
    }

    /// Checks a trigger's parameters and compiles its filters.
    pub fn open_trigger(&self, event: &str, parameters: Map) -> Result<Trigger> {
        Ok(Trigger::prepared(
            event.to_owned(),
            parameters,
            PreparedTrigger,
        ))
    }

    /// Reads a request by the declared rules.
    pub fn dispatch(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> Result<EventDispatch> {
        let _ = (subscription.rules(), request);
        Err(Error::unsupported(
            "this declaration has no rules for requests",
        ))
    }

    /// Matches an event by the declared rules.
    pub fn on_event(&self, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
        let _ = (trigger.rules(), event);
        Err(Error::unsupported(
            "this declaration has no rules for events",
        ))
    }

    /// The cold op `describe`: the declaration as JSON, with the names of its samples.
    pub fn describe(&self) -> Value {
        Value::Null
    }

    /// The cold op `sample`: a genuine request of this event, unsigned.
    pub fn sample(&self, event: &str) -> Result<OwnedRequest> {
        Err(Error::not_found(format!("there is no sample of `{event}`")))
    }

    /// The cold op `sign`: the headers that make a request genuine to this subscription.
    pub fn sign(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> Result<Vec<(String, String)>> {
        let _ = (subscription, request);
        Err(Error::unsupported(
            "this declaration has no rule to sign by",
        ))
    }

    /// The cold op `validate_subscription`: mistakes by field; none means that it can be opened.
    pub fn validate_subscription(&self, spec: &SubscriptionSpec) -> Vec<FieldError> {
        let _ = spec;
        Vec::new()
    }
}
