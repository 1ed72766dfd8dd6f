//! The document's words as types, and reading them from JSON.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::accounts::{CredentialEntry, IntegrationEntry, read_credential, read_integration};
use super::fields::Fields;
use super::mistake::Mistake;
use super::route::{self, RouteEntry};
use super::schedules::{self, ScheduleEntry};
use super::subscription::SubscriptionEntry;
use super::workspace::HookEntry;
use super::{runnable, subscription, words, workspace};
use crate::model::RunnableKind;

/// Everything that a document names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// The workspace it is meant for, if it says so.
    pub workspace: Option<String>,
    /// Who is told of the workspace's jobs that are given up, by path; absent: as it was.
    pub on_error: Option<Option<String>>,
    /// Who is told of every change in the workspace; the inner none: nobody.
    pub webhook: Option<Option<HookEntry>>,
    pub integrations: Vec<IntegrationEntry>,
    pub credentials: Vec<CredentialEntry>,
    /// Whether it has these lists: one that does not prunes nothing of their kind.
    pub speaks_of: SpeaksOf,
    pub runnables: Vec<RunnableEntry>,
    pub subscriptions: Vec<SubscriptionEntry>,
    pub triggers: Vec<TriggerEntry>,
    pub schedules: Vec<ScheduleEntry>,
    pub routes: Vec<RouteEntry>,
}

/// Of which accounts a document speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpeaksOf {
    pub integrations: bool,
    pub credentials: bool,
}

/// A runnable as it is wanted.
#[derive(Clone, PartialEq)]
pub struct RunnableEntry {
    /// Where the entry stands, for mistakes found later.
    pub pointer: String,
    pub path: String,
    pub kind: RunnableKind,
    /// How to run it, in the form that is stored.
    pub spec: Map<String, Value>,
    /// By field; empty if there are none.
    pub secrets: Map<String, Value>,
    /// Who is told of its jobs that are given up, by path; absent: as it was.
    pub on_error: Option<Option<String>>,
}

/// A trigger as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerEntry {
    pub pointer: String,
    pub name: String,
    pub subscription: String,
    pub event: String,
    pub parameters: Map<String, Value>,
    pub runnable: String,
    pub enabled: bool,
    /// Who is told of its jobs that are given up, by path; absent: as it was.
    pub on_error: Option<Option<String>>,
}

impl std::fmt::Debug for RunnableEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("RunnableEntry");
        shown.field("path", &self.path).field("kind", &self.kind);
        shown.field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Document {
    /// Reads a document; all mistakes of its shape are found at once.
    pub fn parse(value: &Value) -> Result<Document, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let document = read(value, &mut mistakes);
        match document {
            Some(document) if mistakes.is_empty() => Ok(document),
            _ => Err(mistakes),
        }
    }
}

fn read(value: &Value, mistakes: &mut Vec<Mistake>) -> Option<Document> {
    let mut fields = Fields::open(value, "", mistakes)?;
    let named = fields.text_if_any("workspace", mistakes);
    if let Some(text) = named {
        note(words::name(text), &fields, "workspace", mistakes);
    }
    let on_error = runnable::read_handler(&mut fields, mistakes);
    let webhook = workspace::read(&mut fields, mistakes);
    let mut document = Document {
        workspace: named.map(str::to_owned),
        on_error,
        webhook,
        ..Document::default()
    };
    document.speaks_of = SpeaksOf {
        integrations: fields.value("integrations").is_some(),
        credentials: fields.value("credentials").is_some(),
    };
    for (value, pointer) in items(&mut fields, "integrations", mistakes) {
        document
            .integrations
            .extend(read_integration(value, pointer, mistakes));
    }
    for (value, pointer) in items(&mut fields, "credentials", mistakes) {
        document
            .credentials
            .extend(read_credential(value, pointer, mistakes));
    }
    for (value, pointer) in items(&mut fields, "runnables", mistakes) {
        document
            .runnables
            .extend(runnable::read(value, &pointer, mistakes));
    }
    for (value, pointer) in items(&mut fields, "subscriptions", mistakes) {
        document
            .subscriptions
            .extend(subscription::read(value, pointer, mistakes));
    }
    for (value, pointer) in items(&mut fields, "triggers", mistakes) {
        document
            .triggers
            .extend(read_trigger(value, pointer, mistakes));
    }
    for (value, pointer) in items(&mut fields, "schedules", mistakes) {
        document
            .schedules
            .extend(schedules::read(value, pointer, mistakes));
    }
    for (value, pointer) in items(&mut fields, "routes", mistakes) {
        document
            .routes
            .extend(route::read(value, pointer, mistakes));
    }
    fields.finish(mistakes);
    let integrations = document
        .integrations
        .iter()
        .map(|entry| (&entry.name, &entry.pointer));
    refuse_doubles("name", integrations, mistakes);
    let credentials = document
        .credentials
        .iter()
        .map(|entry| (&entry.name, &entry.pointer));
    refuse_doubles("name", credentials, mistakes);
    let runnables = document
        .runnables
        .iter()
        .map(|entry| (&entry.path, &entry.pointer));
    refuse_doubles("path", runnables, mistakes);
    let subscriptions = document
        .subscriptions
        .iter()
        .map(|entry| (&entry.name, &entry.pointer));
    refuse_doubles("name", subscriptions, mistakes);
    let triggers = document
        .triggers
        .iter()
        .map(|entry| (&entry.name, &entry.pointer));
    refuse_doubles("name", triggers, mistakes);
    let schedules = document
        .schedules
        .iter()
        .map(|entry| (&entry.name, &entry.pointer));
    refuse_doubles("name", schedules, mistakes);
    let routes = document
        .routes
        .iter()
        .map(|entry| (&entry.name, &entry.pointer));
    refuse_doubles("name", routes, mistakes);
    Some(document)
}

fn items<'a>(
    fields: &mut Fields<'a>,
    key: &'static str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(&'a Value, String)> {
    let list = fields.list(key, mistakes).map_or(&[][..], Vec::as_slice);
    let pointers = (0..list.len()).map(|index| format!("/{key}/{index}"));
    list.iter().zip(pointers).collect()
}

/// Notes a mistake in the form of a field.
pub(super) fn note(
    checked: Result<(), String>,
    fields: &Fields<'_>,
    key: &str,
    mistakes: &mut Vec<Mistake>,
) {
    if let Err(expected) = checked {
        let message = format!("`{key}`: expected {expected}");
        mistakes.push(Mistake::value(fields.pointer_of(key), message));
    }
}

fn refuse_doubles<'a>(
    key: &str,
    entries: impl Iterator<Item = (&'a String, &'a String)>,
    mistakes: &mut Vec<Mistake>,
) {
    let mut seen = HashMap::new();
    for (name, pointer) in entries {
        if seen.insert(name, pointer).is_some() {
            let message = format!("`{name}` stands twice in the document");
            mistakes.push(Mistake::value(format!("{pointer}/{key}"), message));
        }
    }
}

fn read_trigger(
    value: &Value,
    pointer: String,
    mistakes: &mut Vec<Mistake>,
) -> Option<TriggerEntry> {
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let name = fields.text("name", mistakes);
    if let Some(name) = name {
        note(words::name(name), &fields, "name", mistakes);
    }
    let subscription = fields.text("subscription", mistakes);
    let event = fields.text("event", mistakes);
    if event.is_some_and(|event| event.is_empty() || event.len() > words::EVENT_LEN_MAX) {
        let expected = Err(format!(
            "an event's name, at most {} bytes",
            words::EVENT_LEN_MAX
        ));
        note(expected, &fields, "event", mistakes);
    }
    let parameters = fields.map("parameters", mistakes);
    let runnable_path = fields.text("runnable", mistakes);
    let enabled = fields.flag("enabled", mistakes);
    let on_error = runnable::read_handler(&mut fields, mistakes);
    fields.finish(mistakes);
    Some(TriggerEntry {
        pointer,
        name: name?.to_owned(),
        subscription: subscription?.to_owned(),
        event: event?.to_owned(),
        parameters: parameters.cloned().unwrap_or_default(),
        runnable: runnable_path?.to_owned(),
        enabled: enabled.unwrap_or(true),
        on_error,
    })
}
