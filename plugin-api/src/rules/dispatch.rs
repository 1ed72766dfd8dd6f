//! From a request to events: challenge, verification, names, delivery id.

use std::borrow::Cow;

use crate::declaration::{Declaration, EventDeclaration};
use crate::messages::{DispatchedEvent, EventDispatch, Payload, Request, Subscription};
use crate::rules::declared::Declared;
use crate::rules::fields::Fields;
use crate::rules::form;
use crate::rules::source::{Reading, Source};
use crate::rules::verify::Evidence;
use crate::rules::vocabulary::{
    ChallengeProof, EventName, FormRule, IgnoreRule, ProviderRules, UnknownEvents,
};
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
                self.check_headers()?;
                return challenge.answer(self.subscription, self.subscription.rules(), &as_it_came);
            }
        }
        self.verify()?;
        self.check_headers()?;
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
        let delivery = self.delivery(&reading)?;
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
        // The host made the connection that it came over, so that it knows who sent it.
        let transport = self.declared.declaration().native.get("transport");
        if transport.is_some() && self.request.is_socket_message() {
            return Ok(());
        }
        let evidence = Evidence {
            rule: self.rules().verify.as_ref(),
            proof: &self.subscription.rules().proof,
            endpoint_url: &self.subscription.endpoint_url,
            request: self.request,
        };
        evidence.verify()
    }

    /// Which of two headers counts is not ours to guess: a proxy and a provider may guess otherwise.
    fn check_headers(&self) -> Result<()> {
        let mut names = self.declared.headers.iter();
        names.try_for_each(|name| self.request.headers.single(name).map(drop))
    }

    /// What a repetition is recognised by, and for how long.
    fn delivery(&self, reading: &Reading<'_>) -> Result<Option<(String, u64)>> {
        let Some(rule) = &self.rules().delivery_id else {
            return Ok(None);
        };
        let sent = rule
            .source
            .header()
            .and_then(|name| self.request.headers.get(name));
        let is_text = sent.is_none_or(|bytes| std::str::from_utf8(bytes).is_ok());
        let id = reading
            .text(&rule.source)
            .filter(|id| !id.trim().is_empty());
        if !is_text || id.as_ref().is_some_and(|id| id.contains(char::is_control)) {
            return Err(Error::invalid_input(format!(
                "{}, which marks the delivery, is not printable text",
                rule.source
            )));
        }
        Ok(id.map(|id| (id, rule.window_ms)))
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

/// Everything that reading a request may look at, beside its proof.
pub(crate) fn request_sources(declaration: &Declaration) -> Vec<&Source> {
    let rules = &declaration.rules;
    let mut sources = Vec::new();
    if let Some(EventName::At(source)) = &rules.event {
        sources.push(source);
    }
    sources.extend(rules.delivery_id.iter().map(|rule| &rule.source));
    sources.extend(rules.occurred_at.iter().map(|(source, _)| source));
    sources.extend(&rules.route);
    for challenge in &rules.challenges {
        challenge.when.sources(&mut sources);
        sources.push(&challenge.answer);
        if let ChallengeProof::Token { source, .. } = &challenge.proof {
            sources.push(source);
        }
    }
    for event in &declaration.events {
        let ignore = match &event.rules.ignore {
            IgnoreRule::When(condition) => Some(condition),
            IgnoreRule::Never | IgnoreRule::Always => None,
        };
        for condition in event.rules.when.condition.iter().chain(ignore) {
            condition.sources(&mut sources);
        }
    }
    sources
}

/// The headers among them, each once, and the one that tells a form from JSON where that matters.
pub(crate) fn request_headers(declaration: &Declaration) -> Vec<String> {
    let mut names: Vec<String> = request_sources(declaration)
        .into_iter()
        .filter_map(Source::header)
        .map(str::to_ascii_lowercase)
        .collect();
    if declaration.rules.body.form != FormRule::AsItIs {
        names.push("content-type".to_owned());
    }
    names.sort_unstable();
    names.dedup();
    names
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
