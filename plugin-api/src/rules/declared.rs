//! A declaration with its rules compiled: what a provider's default methods call.

use std::collections::HashMap;

use serde_json::Value;
use trigger_plugin_abi::bundle::Bundle;

use crate::declaration::{Declaration, Finding, Loaded};
use crate::messages::{
    EventCall, EventDispatch, FieldError, Map, Outcome, OwnedRequest, Request, Subscription,
    SubscriptionSpec, Trigger,
};
use crate::rules::dispatch::{Dispatcher, request_headers, request_sources};
use crate::rules::fields::Fields;
use crate::rules::parameters::check_parameters;
use crate::rules::source::Source;
use crate::rules::trigger::PreparedTrigger;
use crate::rules::{keys, sign, subscription};
use crate::samples::{Sample, SampleOptions, prepare_sample};
use crate::{Error, Result};

/// A declaration, compiled once when the provider is loaded. All methods are pure.
#[derive(Debug)]
pub struct Declared {
    declaration: Declaration,
    warnings: Vec<Finding>,
    pub(super) fields: Fields,
    /// The headers that the rules read, which may be there once.
    pub(super) headers: Vec<String>,
    /// The events that `event` can name, by that name.
    pub(super) by_name: HashMap<String, Vec<usize>>,
    /// The events that their condition alone tells.
    pub(super) by_condition: Vec<usize>,
}

impl Declared {
    /// Reads and compiles the files that a library embeds.
    ///
    /// # Errors
    /// `INVALID_INPUT` with every mistake, one a line, each with file and line.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self> {
        match Declaration::load(bundle) {
            Ok(Loaded {
                declaration,
                warnings,
            }) => Ok(Self {
                warnings,
                ..Self::compile(declaration)
            }),
            Err(error) => Err(Error::invalid_input(error.to_string())),
        }
    }

    /// Compiles a declaration. What could be wrong with it was found when it was loaded.
    #[must_use]
    pub fn compile(declaration: Declaration) -> Self {
        let sources = request_sources(&declaration).into_iter();
        let fields = Fields::new(sources.filter_map(Source::pointer));
        let headers = request_headers(&declaration);
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_condition = Vec::new();
        for (index, event) in declaration.events.iter().enumerate() {
            let when = &event.rules.when;
            for name in &when.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
            if when.names.is_empty() && when.condition.is_some() {
                by_condition.push(index);
            }
        }
        Self {
            declaration,
            warnings: Vec::new(),
            fields,
            headers,
            by_name,
            by_condition,
        }
    }

    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// What the loader had to remark.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// Prepares a subscription: `open_subscription` of the boundary.
    ///
    /// # Errors
    /// `INVALID_INPUT` when a secret that the rules need is missing, empty or not of its encoding.
    pub fn open_subscription(&self, spec: SubscriptionSpec) -> Result<Subscription> {
        let prepared = keys::prepare(&self.declaration.rules, &spec)
            .map_err(|problem| Error::invalid_input(problem.message))?;
        Ok(Subscription::prepared(spec, prepared))
    }

    /// Checks a trigger's parameters, fills in defaults and compiles its filters.
    ///
    /// # Errors
    /// `INVALID_INPUT` naming each wrong parameter, what was found and what is allowed.
    pub fn open_trigger(&self, event: &str, parameters: Map) -> Result<Trigger> {
        let Some(declared) = self.declaration.event(event) else {
            return match parameters.keys().next() {
                None => Ok(Trigger::prepared(
                    event.to_owned(),
                    parameters,
                    PreparedTrigger::default(),
                )),
                Some(name) => Err(Error::invalid_input(format!(
                    "parameter `{name}`: the event `{event}` is not declared, so that it takes no parameters"
                ))),
            };
        };
        let parameters =
            check_parameters(&declared.parameters, &parameters).map_err(|mistakes| {
                let sentences = mistakes
                    .iter()
                    .map(|mistake| format!("parameter `{}` {}", mistake.field, mistake.message));
                Error::invalid_input(sentences.collect::<Vec<_>>().join("; "))
            })?;
        let prepared = PreparedTrigger::compile(&declared.rules, &parameters)?;
        Ok(Trigger::prepared(event.to_owned(), parameters, prepared))
    }

    /// Reads a request by the declared rules: verifies it, then names what happened.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when it does not prove who sent it, `INVALID_INPUT` when the name of the
    /// event is missing or cannot be read.
    pub fn dispatch(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> Result<EventDispatch> {
        Dispatcher {
            declared: self,
            subscription,
            request,
        }
        .dispatch()
    }

    /// The verification alone, for a provider that reads the rest in its own code.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, as of [`Declared::dispatch`].
    pub fn verify(&self, subscription: &Subscription, request: &Request<'_>) -> Result<()> {
        Dispatcher {
            declared: self,
            subscription,
            request,
        }
        .verify()
    }

    /// For a service that posts everything to one address: the declared `route`, unverified.
    ///
    /// # Errors
    /// None by rules.
    pub fn route(&self, request: &Request<'_>) -> Result<Option<String>> {
        Ok(super::dispatch::route(self, request))
    }

    /// Matches an event by the declared filters and hands on the declared variables.
    ///
    /// # Errors
    /// `INVALID_INPUT` when the payload is not JSON.
    pub fn on_event(&self, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
        if trigger.event != event.event {
            return Ok(Outcome::NotForThisTrigger);
        }
        trigger.rules().on_event(event)
    }

    /// The cold op `describe`: the declaration as JSON, with its samples' names and the warnings.
    #[must_use]
    pub fn describe(&self) -> Value {
        let mut described = serde_json::to_value(&self.declaration).unwrap_or_default();
        let warnings = self
            .warnings
            .iter()
            .map(|warning| Value::from(warning.to_string()))
            .collect();
        if let Value::Object(object) = &mut described {
            object.insert("warnings".to_owned(), Value::Array(warnings));
        }
        described
    }

    /// The samples of an event, in the order of their files.
    pub fn samples<'s>(&'s self, event: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.declaration
            .samples
            .iter()
            .filter(move |sample| sample.event == event)
    }

    /// The cold op `sample`: a genuine request of this event, unsigned.
    ///
    /// # Errors
    /// `NOT_FOUND`, naming the events that have samples.
    pub fn sample(&self, event: &str) -> Result<OwnedRequest> {
        self.sample_with(event, &SampleOptions::default())
    }

    /// A genuine request of this event as if it were sent at a certain moment under a certain
    /// delivery id, so that it can be sent more than once.
    ///
    /// # Errors
    /// As of [`Declared::sample`].
    pub fn sample_with(&self, event: &str, options: &SampleOptions) -> Result<OwnedRequest> {
        let Some(sample) = self.samples(event).nth(options.index) else {
            let mut events: Vec<&str> = self
                .declaration
                .samples
                .iter()
                .map(|sample| sample.event.as_str())
                .collect();
            events.dedup();
            return Err(Error::not_found(match events.is_empty() {
                true => format!("there is no sample of `{event}`: this provider has none at all"),
                false => format!(
                    "there is no such sample of `{event}`; there are samples of: {}",
                    events.join(", ")
                ),
            }));
        };
        prepare_sample(&self.declaration, sample, options)
    }

    /// The cold op `sign`: the headers that make a request genuine to this subscription.
    /// `request.received_at_ms` is the time of signing.
    ///
    /// # Errors
    /// `UNSUPPORTED` when the declaration does not say how requests are verified.
    pub fn sign(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> Result<Vec<(String, String)>> {
        match &self.declaration.rules.verify {
            Some(rule) => sign::sign(rule, subscription, request),
            None => Err(Error::unsupported(
                "the declaration does not say how requests are signed (`extra.native.verify`)",
            )),
        }
    }

    /// The cold op `validate_subscription`: mistakes by field; none means that it can be opened.
    #[must_use]
    pub fn validate_subscription(&self, spec: &SubscriptionSpec) -> Vec<FieldError> {
        subscription::validate(&self.declaration, spec)
    }
}
