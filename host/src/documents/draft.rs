//! A plan that is being made: what is stored, what was found so far, and the order of the changes.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::difference::Difference;
use super::document::{Document, TriggerEntry};
use super::mistake::Mistake;
use super::plan::{Action, LaterDeletion, ObjectKind, Plan, PlannedObject};
use crate::id::{CredentialId, IntegrationId, RunnableId, SubscriptionId};
use crate::model::{
    Change, Credential, CredentialKind, Integration, Route, Runnable, Schedule, Subscription,
    Trigger,
};

/// Everything of the workspace, by name.
#[derive(Default)]
pub(super) struct Stored {
    pub integrations: HashMap<String, Integration>,
    pub credentials: HashMap<String, Credential>,
    pub runnables: HashMap<String, Runnable>,
    pub subscriptions: HashMap<String, Subscription>,
    pub triggers: HashMap<String, Trigger>,
    pub schedules: HashMap<String, Schedule>,
    pub routes: HashMap<String, Route>,
}

/// A plan that is being made.
pub(super) struct Draft<'a> {
    pub document: &'a Document,
    pub prune: bool,
    pub stored: Stored,
    pub integration_ids: HashMap<String, IntegrationId>,
    /// With the provider.
    pub credential_ids: HashMap<String, (CredentialId, String)>,
    pub runnable_ids: HashMap<String, RunnableId>,
    /// With the provider.
    pub subscription_ids: HashMap<String, (SubscriptionId, String)>,
    pub mistakes: Vec<Mistake>,
    pub plan: Plan,
}

impl<'a> Draft<'a> {
    pub fn new(document: &'a Document) -> Draft<'a> {
        Draft {
            document,
            prune: false,
            stored: Stored::default(),
            integration_ids: HashMap::new(),
            credential_ids: HashMap::new(),
            runnable_ids: HashMap::new(),
            subscription_ids: HashMap::new(),
            mistakes: Vec::new(),
            plan: Plan::default(),
        }
    }

    pub fn create(&mut self, kind: ObjectKind, name: &str, id: String, change: Change) {
        self.plan.changes.push(change);
        self.note(kind, name, id, (Action::Created, Vec::new()));
    }

    pub fn change(
        &mut self,
        kind: ObjectKind,
        name: &str,
        id: String,
        (change, differences): (Change, Vec<Difference>),
    ) {
        self.change_all(kind, name, id, (vec![change], differences));
    }

    /// The same where it takes more than one change.
    pub fn change_all(
        &mut self,
        kind: ObjectKind,
        name: &str,
        id: String,
        (changes, differences): (Vec<Change>, Vec<Difference>),
    ) {
        let action = if differences.is_empty() {
            Action::Unchanged
        } else {
            self.plan.changes.extend(changes);
            Action::Updated
        };
        self.note(kind, name, id, (action, differences));
    }

    /// It is there and stays as it is.
    pub fn leave(&mut self, kind: ObjectKind, name: &str, id: String) {
        self.note(kind, name, id, (Action::Unchanged, Vec::new()));
    }

    fn note(
        &mut self,
        kind: ObjectKind,
        name: &str,
        id: String,
        (action, differences): (Action, Vec<Difference>),
    ) {
        let name = name.to_owned();
        self.plan.objects.push(PlannedObject {
            kind,
            name,
            id,
            action,
            differences,
            kept_because: None,
        });
    }

    /// The name of an integration of the document, or of a stored one.
    pub fn integration_name(&self, id: Option<&IntegrationId>) -> Value {
        let Some(id) = id else { return Value::Null };
        let mut named = self.integration_ids.iter();
        if let Some((name, _)) = named.find(|(_, each)| *each == id) {
            return name.as_str().into();
        }
        let stored = self.stored.integrations.values().find(|one| one.id == *id);
        stored.map_or(Value::Null, |one| one.name.as_str().into())
    }

    /// The name of a credential of the document, or of a stored one.
    pub fn credential_name(&self, id: Option<&CredentialId>) -> Value {
        let Some(id) = id else { return Value::Null };
        let mut named = self.credential_ids.iter();
        if let Some((name, _)) = named.find(|(_, (each, _))| each == id) {
            return name.as_str().into();
        }
        let stored = self.stored.credentials.values().find(|one| one.id == *id);
        stored.map_or(Value::Null, |one| one.name.as_str().into())
    }

    /// The credential of a name, with its provider: of the document, or one that stays stored.
    pub fn find_credential(&self, name: &str) -> Option<(CredentialId, String)> {
        if let Some(found) = self.credential_ids.get(name) {
            return Some(found.clone());
        }
        let stored = self.stored.credentials.get(name)?;
        (!self.prunes(name, stored)).then(|| (stored.id.clone(), stored.provider.clone()))
    }

    /// The names of the credentials of a provider that can be used.
    pub fn credential_names(&self, provider: &str) -> Vec<String> {
        let named = self.credential_ids.keys();
        let known = named.chain(self.stored.credentials.keys());
        let is_usable = |name: &&String| {
            let found = self.find_credential(name);
            found.is_some_and(|(_, of)| of == provider)
        };
        sorted(known.filter(is_usable))
    }

    /// Whether a credential goes because the document does not name it. Connected accounts are no
    /// document's to delete.
    fn prunes(&self, name: &str, credential: &Credential) -> bool {
        self.prune
            && self.document.speaks_of.credentials
            && credential.kind == CredentialKind::ApiKey
            && !self.credential_ids.contains_key(name)
    }

    /// The subscription that a trigger names: of the document, or one that stays stored.
    pub fn find_subscription(&mut self, entry: &TriggerEntry) -> Option<(SubscriptionId, String)> {
        if let Some(found) = self.subscription_ids.get(&entry.subscription) {
            return Some(found.clone());
        }
        let stored = self.stored.subscriptions.get(&entry.subscription);
        if let Some(stored) = stored.filter(|_| !self.prune) {
            return Some((stored.id.clone(), stored.provider.clone()));
        }
        let known = self.stored.subscriptions.keys().filter(|_| !self.prune);
        let named = self.document.subscriptions.iter().map(|one| &one.name);
        let allowed = sorted(known.chain(named));
        let pointer = format!("{}/subscription", entry.pointer);
        self.miss(pointer, "subscription", &entry.subscription, allowed);
        None
    }

    /// The runnable that an entry names: of the document, or one that stays stored.
    pub fn find_runnable(&mut self, pointer: &str, path: &str) -> Option<RunnableId> {
        self.runnable_named(path, format!("{pointer}/runnable"))
    }

    /// The same named at `pointer`.
    pub fn runnable_named(&mut self, path: &str, pointer: String) -> Option<RunnableId> {
        if let Some(found) = self.runnable_ids.get(path) {
            return Some(found.clone());
        }
        let stored = self.stored.runnables.get(path);
        if let Some(stored) = stored.filter(|_| !self.prune) {
            return Some(stored.id.clone());
        }
        let known = self.stored.runnables.keys().filter(|_| !self.prune);
        let named = self.document.runnables.iter().map(|one| &one.path);
        let allowed = sorted(known.chain(named));
        self.miss(pointer, "runnable", path, allowed);
        None
    }

    /// Notes that an object is named which is not there.
    pub fn miss(&mut self, pointer: String, kind: &str, name: &str, allowed: Vec<String>) {
        let place = if self.prune {
            "in the document"
        } else {
            "in the document or stored"
        };
        let message = format!("there is no {kind} `{name}` {place}");
        self.mistakes
            .push(Mistake::value(pointer, message).allowing(allowed));
    }

    /// The names of what a stored trigger connects: subscription and runnable.
    pub fn names_of(&self, trigger: &Trigger) -> (Value, Value) {
        let subscriptions = self.stored.subscriptions.values();
        let subscription = subscriptions
            .filter(|one| one.id == trigger.subscription_id)
            .map(|one| Value::from(one.name.as_str()))
            .next();
        let subscription = subscription.unwrap_or_default();
        (subscription, self.path_of(&trigger.runnable_id))
    }

    /// The path of a stored runnable.
    pub fn path_of(&self, id: &RunnableId) -> Value {
        let mut runnables = self.stored.runnables.values();
        let found = runnables.find(|one| one.id == *id);
        found.map_or(Value::Null, |one| one.path.as_str().into())
    }

    /// Adds the deletions: triggers, schedules and routes before everything, so that what
    /// they use is free; runnables and
    /// subscriptions at the end, when no trigger uses them any more.
    pub fn pruned(mut self) -> Plan {
        let named: HashSet<&String> = self.document.triggers.iter().map(|one| &one.name).collect();
        let mut gone: Vec<&Trigger> = self
            .stored
            .triggers
            .values()
            .filter(|one| !named.contains(&one.name))
            .collect();
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        let mut changes: Vec<Change> = gone
            .iter()
            .map(|one| Change::DeleteTrigger(one.id.clone()))
            .collect();
        let mut objects: Vec<PlannedObject> = gone
            .iter()
            .map(|one| deleted(ObjectKind::Trigger, &one.name, one.id.to_string()))
            .collect();
        self.prune_schedules(&mut changes, &mut objects);
        let named: HashSet<&String> = self.document.routes.iter().map(|one| &one.name).collect();
        for (name, route) in ordered(&self.stored.routes) {
            if !named.contains(name) {
                changes.push(Change::DeleteRoute(route.id.clone()));
                objects.push(deleted(ObjectKind::Route, name, route.id.to_string()));
            }
        }
        changes.append(&mut self.plan.changes);
        for (path, runnable) in ordered(&self.stored.runnables) {
            if !self.runnable_ids.contains_key(path) {
                changes.push(Change::DeleteRunnable(runnable.id.clone()));
                objects.push(deleted(ObjectKind::Runnable, path, runnable.id.to_string()));
            }
        }
        for (name, subscription) in ordered(&self.stored.subscriptions) {
            if !self.subscription_ids.contains_key(name) {
                changes.push(Change::DeleteSubscription(subscription.id.clone()));
                objects.push(deleted(
                    ObjectKind::Subscription,
                    name,
                    subscription.id.to_string(),
                ));
            }
        }
        let later = self.prune_accounts(&mut changes, &mut objects);
        self.plan.objects.append(&mut objects);
        Plan {
            changes,
            later,
            objects: self.plan.objects,
            signing_secret: self.plan.signing_secret,
        }
    }
}

impl Draft<'_> {
    fn prune_schedules(&self, changes: &mut Vec<Change>, objects: &mut Vec<PlannedObject>) {
        for (name, schedule) in ordered(&self.stored.schedules) {
            if !self.document.schedules.iter().any(|one| one.name == *name) {
                let id = schedule.id.clone();
                objects.push(deleted(ObjectKind::Schedule, name, id.to_string()));
                changes.push(Change::DeleteSchedule(id));
            }
        }
    }

    /// Keys and integrations that a document which speaks of them does not name. Connected accounts
    /// are no document's to delete, and what they came from stays with them. Returns what has to
    /// wait until subscriptions have ended at their services.
    fn prune_accounts(
        &self,
        changes: &mut Vec<Change>,
        objects: &mut Vec<PlannedObject>,
    ) -> Vec<LaterDeletion> {
        let mut later = Vec::new();
        let mut used: HashSet<&IntegrationId> = HashSet::new();
        let mut used_later: HashSet<&IntegrationId> = HashSet::new();
        let ending = self.stored.subscriptions.values();
        let ending: HashSet<&CredentialId> = ending
            .filter_map(|one| one.terms.credential_id.as_ref())
            .collect();
        for (name, credential) in ordered(&self.stored.credentials) {
            if !self.prunes(name, credential) {
                used.extend(credential.integration_id.as_ref());
                continue;
            }
            let id = credential.id.clone();
            objects.push(deleted(ObjectKind::Credential, name, id.to_string()));
            let is_used = ending.contains(&id);
            if is_used {
                used_later.extend(credential.integration_id.as_ref());
            }
            push(
                Change::DeleteCredential(id.clone()),
                (is_used, id.to_string()),
                changes,
                &mut later,
            );
        }
        if !self.document.speaks_of.integrations {
            return later;
        }
        for (name, integration) in ordered(&self.stored.integrations) {
            let id = &integration.id;
            if self.integration_ids.contains_key(name) || used.contains(id) {
                continue;
            }
            objects.push(deleted(ObjectKind::Integration, name, id.to_string()));
            push(
                Change::DeleteIntegration(id.clone()),
                (used_later.contains(id), id.to_string()),
                changes,
                &mut later,
            );
        }
        later
    }
}

fn push(
    change: Change,
    (is_used, id): (bool, String),
    now: &mut Vec<Change>,
    later: &mut Vec<LaterDeletion>,
) {
    match is_used {
        true => later.push(LaterDeletion { id, change }),
        false => now.push(change),
    }
}

fn deleted(kind: ObjectKind, name: &str, id: String) -> PlannedObject {
    PlannedObject {
        kind,
        name: name.to_owned(),
        id,
        action: Action::Deleted,
        differences: Vec::new(),
        kept_because: None,
    }
}

fn ordered<T>(map: &HashMap<String, T>) -> Vec<(&String, &T)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

fn sorted<'s>(names: impl Iterator<Item = &'s String>) -> Vec<String> {
    let mut names: Vec<String> = names.cloned().collect();
    names.sort();
    names.dedup();
    names
}
