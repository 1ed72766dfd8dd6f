//! The document's subscriptions as types, and reading them from JSON.

use serde_json::{Map, Value};

use super::document::note;
use super::fields::{Fields, found};
use super::mistake::Mistake;
use super::poll;
use super::socket::{self, SocketEntry};
use super::words;
use crate::model::{OnDrift, OnMissing, Policy, Poll};
use crate::yaml::pointer_join;

/// A subscription as it is wanted.
#[derive(Clone, PartialEq)]
pub struct SubscriptionEntry {
    /// Where the entry stands, for mistakes found later.
    pub pointer: String,
    pub name: String,
    pub provider: String,
    /// Somebody registered the address by hand: the fields of the provider's subscription schema,
    /// some of them secret.
    pub manual: Option<Map<String, Value>>,
    /// Where its connection leads, if its provider leaves that to the operator.
    pub socket: Option<SocketEntry>,
    /// This host makes it at the service, and keeps it.
    pub managed: ManagedFields,
    /// None: as it is.
    pub paused: Option<bool>,
}

/// What a subscription says that this host makes by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ManagedFields {
    /// The name of the credential that acts for us.
    pub credential: Option<String>,
    /// By the provider's declaration.
    pub parameters: Option<Map<String, Value>>,
    /// None: what enabled triggers wait for.
    pub events: Option<Vec<String>>,
    pub policy: Option<Policy>,
    /// None: pulled as its provider says.
    pub poll: Option<Poll>,
}

impl ManagedFields {
    /// The first field that stands there.
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("credential", self.credential.is_some()),
            ("parameters", self.parameters.is_some()),
            ("events", self.events.is_some()),
            ("policy", self.policy.is_some()),
            ("poll", self.poll.is_some()),
        ];
        let first = given.into_iter().find(|(_, is_given)| *is_given);
        first.map(|(name, _)| name)
    }
}

impl std::fmt::Debug for SubscriptionEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SubscriptionEntry");
        shown
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("managed", &self.managed);
        shown.finish_non_exhaustive()
    }
}

pub(super) fn read(
    value: &Value,
    pointer: String,
    mistakes: &mut Vec<Mistake>,
) -> Option<SubscriptionEntry> {
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let name = fields.text("name", mistakes);
    if let Some(name) = name {
        note(words::name(name), &fields, "name", mistakes);
    }
    let provider = fields.text("provider", mistakes);
    let manual = fields.map("manual", mistakes).cloned();
    let managed = ManagedFields {
        credential: fields
            .text_if_any("credential", mistakes)
            .map(str::to_owned),
        parameters: fields.map("parameters", mistakes).cloned(),
        events: read_events(&mut fields, mistakes),
        policy: read_policy(&mut fields, mistakes),
        poll: poll::read(&mut fields, mistakes),
    };
    let socket = socket::read(&mut fields, mistakes);
    let paused = fields.flag("paused", mistakes);
    if let (Some(_), Some(given)) = (&manual, managed.first_given()) {
        let message = format!(
            "`{given}` stands beside `manual`: a subscription is registered by hand (`manual`) or \
             made by this host (`credential` and `parameters`), not both"
        );
        mistakes.push(Mistake::value(fields.pointer_of(given), message));
    }
    fields.finish(mistakes);
    Some(SubscriptionEntry {
        pointer,
        name: name?.to_owned(),
        provider: provider?.to_owned(),
        manual,
        socket,
        managed,
        paused,
    })
}

/// Sorted, so that another order is no change.
fn read_events(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Option<Vec<String>> {
    let given = fields.texts("events", mistakes)?;
    let pointer = fields.pointer_of("events");
    for (index, event) in given.iter().enumerate() {
        if event.is_empty() || event.len() > words::EVENT_LEN_MAX {
            let message = format!(
                "expected an event's name, at most {} bytes",
                words::EVENT_LEN_MAX
            );
            mistakes.push(Mistake::value(format!("{pointer}/{index}"), message));
        }
    }
    if given.is_empty() {
        let message =
            "`events` is empty: leave it out for the events that triggers wait for".to_owned();
        mistakes.push(Mistake::value(pointer, message));
    }
    let mut events: Vec<String> = given.into_iter().map(str::to_owned).collect();
    events.sort();
    events.dedup();
    Some(events)
}

fn read_policy(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Option<Policy> {
    let value = fields.value("policy")?;
    let mut section = Fields::open(value, fields.pointer_of("policy"), mistakes)?;
    let standard = Policy::default();
    let missing = section.word("missing", &["recreate", "report"], mistakes);
    let drift = section.word("drift", &["repair", "adopt", "report"], mistakes);
    section.finish(mistakes);
    Some(Policy {
        missing: match missing {
            Some("report") => OnMissing::Report,
            Some(_) => OnMissing::Recreate,
            None => standard.missing,
        },
        drift: match drift {
            Some("report") => OnDrift::Report,
            Some("adopt") => OnDrift::Adopt,
            Some(_) => OnDrift::Repair,
            None => standard.drift,
        },
    })
}

/// Fields of a schema hold texts and switches only.
pub(super) fn expect_text(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) {
    if !value.is_string() && !value.is_boolean() && !value.is_null() {
        let message = format!("found {}, expected a text; put it in quotes", found(value));
        mistakes.push(Mistake::value(pointer, message));
    }
}

/// Where a field of the entry stands.
pub(super) fn pointer_of(entry: &SubscriptionEntry, key: &str) -> String {
    pointer_join(&entry.pointer, key)
}
