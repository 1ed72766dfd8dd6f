//! From a request to events: challenge, verification, names, delivery id.

use std::borrow::Cow;

use crate::declaration::{Declaration, EventDeclaration};
use crate::messages::{DispatchedEvent, EventDispatch, Payload, Request, Subscription};
use crate::rules::declared::Declared;
use crate::rules::fields::Fields;
use crate::rules::form;
use crate::rules::pointer::Pointer;
use crate::rules::source::{Reading, Source};
use crate::rules::verify::Evidence;
use crate::rules::vocabulary::{EventName, FormRule, IgnoreRule, ProviderRules, UnknownEvents};
use crate::{Error, Result};

/// One request on its way through the rules.
pub(crate) struct Dispatcher<'a> {
    pub declared: &'a Declared,
    pub subscription: &'a Subscription,
    pub request: &'a Request<'a>,
}

impl Dispatcher<'_> {
    pub fn dispatch(&self) -> Result<EventDispatch> {
        let rules = self.rules();
        let as_it_came = Reading::new(self.request, self.request.body, &self.declared.fields);
        let early = rules
            .challenges
            .iter()
            .filter(|challenge| challenge.is_before_verification());
        for challenge in early {
            if challenge.fits(&as_it_came) {
                return challenge.answer(self.subscription, self.subscription.rules(), &as_it_came);
            }
        }
        self.verify()?;
        let payload = self.payload()?;
        let reading = Reading::new(self.request, &payload, &self.declared.fields);
        for challenge in rules
            .challenges
            .iter()
            .filter(|challenge| !challenge.is_before_verification())
        {
            if challenge.fits(&reading) {
                return challenge.answer(self.subscription, self.subscription.rules(), &reading);
            }
        }
        let delivery = rules
            .delivery_id
            .as_ref()
            .and_then(|rule| Some((reading.text(&rule.source)?, rule.window_ms)));
        let delivery = delivery.filter(|(id, _)| !id.is_empty());
        let whole = match &payload {
            Cow::Borrowed(_) => Payload::Body,
            Cow::Owned(bytes) => Payload::Bytes(bytes.clone()),
        };
        Ok(EventDispatch {
            events: self.events(&reading, whole)?,
            reply: rules.reply.as_ref().map(|reply| reply.filled("", "")),
            delivery_window_ms: delivery.as_ref().map(|(_, window_ms)| *window_ms),
            delivery_id: delivery.map(|(id, _)| id),
            wake: rules.wake,
        })
    }

    pub fn verify(&self) -> Result<()> {
        let evidence = Evidence {
            rule: self.rules().verify.as_ref(),
            proof: &self.subscription.rules().proof,
            endpoint_url: &self.subscription.endpoint_url,
            request: self.request,
        };
        evidence.verify()
    }

    fn rules(&self) -> &ProviderRules {
        &self.declared.declaration().rules
    }

    /// The JSON of the request: its body, or what a form carries.
    fn payload(&self) -> Result<Cow<'_, [u8]>> {
        let body = self.request.body;
        match &self.rules().body.form {
            _ if !form::is_form(&self.request.headers) => Ok(Cow::Borrowed(body)),
            FormRule::AsItIs => Ok(Cow::Borrowed(body)),
            FormRule::Object => Ok(Cow::Owned(form::to_object(body))),
            FormRule::Field(field) => match form::value(body, field) {
                Some(value) => Ok(Cow::Owned(value)),
                None => Err(Error::invalid_input(format!(
                    "the form has no field `{field}`"
                ))),
            },
        }
    }

    fn events(&self, reading: &Reading<'_>, whole: Payload) -> Result<Vec<DispatchedEvent>> {
        let Some(each) = &self.rules().body.each else {
            return self.events_of(reading, whole);
        };
        let items = Fields::new([each]);
        let found = items
            .read(reading.payload)
            .map_err(|error| Error::invalid_input(error.to_string()))?;
        let list = found.one(each).unwrap_or("[]");
        let list: Vec<&serde_json::value::RawValue> = serde_json::from_str(list)
            .map_err(|_| Error::invalid_input(format!("{each} should be a list of events")))?;
        let mut events = Vec::new();
        for item in list {
            let item = item.get().as_bytes();
            let reading = Reading::new(self.request, item, &self.declared.fields);
            events.extend(self.events_of(&reading, Payload::Bytes(item.to_vec()))?);
        }
        Ok(events)
    }

    fn events_of(&self, reading: &Reading<'_>, payload: Payload) -> Result<Vec<DispatchedEvent>> {
        let rules = self.rules();
        let name = match &rules.event {
            None => None,
            Some(EventName::Fixed(name)) => Some(name.clone()),
            Some(EventName::At(source)) => Some(event_name(source, reading)?),
        };
        if name
            .as_ref()
            .is_some_and(|name| rules.ignore.contains(name))
        {
            return Ok(Vec::new());
        }
        let occurred_at_ms = rules
            .occurred_at
            .as_ref()
            .and_then(|(source, unit)| unit.read(&reading.text(source)?));
        let happened = |name: &str| DispatchedEvent {
            name: name.to_owned(),
            payload: payload.clone(),
            occurred_at_ms,
        };
        let fitting = self.fitting(name.as_deref(), reading);
        if fitting.is_empty() {
            let passes = rules.unknown == UnknownEvents::Pass;
            return Ok(name
                .iter()
                .filter(|_| passes)
                .map(|name| happened(name))
                .collect());
        }
        let heeded = fitting
            .into_iter()
            .filter(|event| match &event.rules.ignore {
                IgnoreRule::Never => true,
                IgnoreRule::Always => false,
                IgnoreRule::When(condition) => !condition.holds(reading),
            });
        Ok(heeded.map(|event| happened(&event.identity.name)).collect())
    }

    /// The declared events whose `when` holds, in the order of their declaration.
    fn fitting(&self, name: Option<&str>, reading: &Reading<'_>) -> Vec<&EventDeclaration> {
        let named = name
            .and_then(|name| self.declared.by_name.get(name))
            .into_iter()
            .flatten();
        let mut candidates: Vec<usize> =
            named.chain(&self.declared.by_condition).copied().collect();
        candidates.sort_unstable();
        let events = candidates
            .into_iter()
            .filter_map(|index| self.declared.declaration().events.get(index));
        events
            .filter(|event| {
                event
                    .rules
                    .when
                    .condition
                    .as_ref()
                    .is_none_or(|condition| condition.holds(reading))
            })
            .collect()
    }
}

/// The declared `route`, read from a request that nobody has verified.
pub(crate) fn route(declared: &Declared, request: &Request<'_>) -> Option<String> {
    let source = declared.declaration().rules.route.as_ref()?;
    let reading = Reading::new(request, request.body, &declared.fields);
    reading.text(source).filter(|key| !key.is_empty())
}

/// Every pointer that reading a request may need.
pub(crate) fn request_pointers(declaration: &Declaration) -> Vec<&Pointer> {
    let rules = &declaration.rules;
    let mut pointers = Vec::new();
    if let Some(EventName::At(source)) = &rules.event {
        pointers.extend(source.pointer());
    }
    pointers.extend(
        rules
            .delivery_id
            .iter()
            .filter_map(|rule| rule.source.pointer()),
    );
    pointers.extend(
        rules
            .occurred_at
            .iter()
            .filter_map(|(source, _)| source.pointer()),
    );
    pointers.extend(rules.route.iter().filter_map(Source::pointer));
    for challenge in &rules.challenges {
        challenge.when.pointers(&mut pointers);
        pointers.extend(challenge.answer.pointer());
        if let crate::rules::vocabulary::ChallengeProof::Token { source, .. } = &challenge.proof {
            pointers.extend(source.pointer());
        }
    }
    for event in &declaration.events {
        let ignore = match &event.rules.ignore {
            IgnoreRule::When(condition) => Some(condition),
            IgnoreRule::Never | IgnoreRule::Always => None,
        };
        for condition in event.rules.when.condition.iter().chain(ignore) {
            condition.pointers(&mut pointers);
        }
    }
    pointers
}

fn event_name(source: &Source, reading: &Reading<'_>) -> Result<String> {
    match reading.text(source).filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => Err(Error::invalid_input(match reading.unreadable() {
            Some(error) => error.to_string(),
            None => format!("{source}, which names the event, is missing"),
        })),
    }
}
