//! From what is stored to what a document wants: the changes, and what to tell about them.

use serde_json::Value;

use super::catalog::Catalog;
use super::difference::{Difference, compare, compare_maps, compare_secrets};
use super::document::{Document, RunnableEntry, TriggerEntry};
use super::draft::{Draft, Stored};
use super::mistake::Mistake;
use super::{runnable, wanted};
use crate::clock::Clock;
use crate::id::{RunnableId, TriggerId, WorkspaceId};
use crate::model::{
    Change, NewRunnable, NewTrigger, NewVersion, PageQuery, RunnableUpdate, TriggerFilter,
    TriggerUpdate,
};
use crate::secret::Secret;
use crate::store::{Store, StoreError};

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Integration,
    Credential,
    Runnable,
    Subscription,
    Trigger,
    Schedule,
    Route,
    /// Of the workspace itself: `webhook`, `on_error`.
    Setting,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Created,
    Updated,
    Unchanged,
    Deleted,
}

/// One object of a plan.
#[derive(Debug, Clone)]
pub struct PlannedObject {
    pub kind: ObjectKind,
    pub name: String,
    pub id: String,
    pub action: Action,
    pub differences: Vec<Difference>,
    /// Why it could not be deleted.
    pub kept_because: Option<String>,
}

/// The changes in the order in which they can be made, and the objects in that of the document.
#[derive(Debug, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// What can be deleted when the subscriptions that use it have ended at their services.
    pub later: Vec<LaterDeletion>,
    pub objects: Vec<PlannedObject>,
    /// Made for the workspace's webhook: to be shown once.
    pub signing_secret: Option<Secret<String>>,
}

/// An account that goes when its last subscription is gone.
#[derive(Debug)]
pub struct LaterDeletion {
    /// Of the object.
    pub id: String,
    pub change: Change,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the document has mistakes")]
    Mistakes(Vec<Mistake>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a plan is made with.
pub struct Planner<'a> {
    pub store: &'a Store,
    pub catalog: &'a dyn Catalog,
    pub clock: &'a Clock,
    pub workspace_id: &'a WorkspaceId,
}

impl Planner<'_> {
    /// Plans a document. With `prune`, what it does not name is deleted.
    pub async fn plan(&self, document: &Document, prune: bool) -> Result<Plan, PlanError> {
        let stored = self.load().await?;
        let mut draft = Draft {
            document,
            prune,
            stored,
            ..Draft::new(document)
        };
        self.plan_webhook(&mut draft).await?;
        for entry in &document.integrations {
            self.plan_integration(entry, &mut draft).await?;
        }
        for entry in &document.credentials {
            self.plan_credential(entry, &mut draft).await?;
        }
        for entry in &document.runnables {
            self.plan_runnable(entry, &mut draft).await?;
        }
        for entry in &document.subscriptions {
            self.plan_subscription(entry, &mut draft).await?;
        }
        for entry in &document.triggers {
            self.plan_trigger(entry, &mut draft).await;
        }
        self.plan_routes(&mut draft).await?;
        for entry in &document.schedules {
            self.plan_schedule(entry, &mut draft);
        }
        draft.check_named();
        self.plan_handlers(&mut draft).await?;
        if !draft.mistakes.is_empty() {
            return Err(PlanError::Mistakes(draft.mistakes));
        }
        Ok(if prune { draft.pruned() } else { draft.plan })
    }

    async fn load(&self) -> Result<Stored, StoreError> {
        let mut stored = Stored::default();
        self.load_accounts(&mut stored).await?;
        self.load_schedules(&mut stored).await?;
        let workspace = self.workspace_id;
        let mut page = PageQuery::first(PageQuery::LIMIT_MAX);
        loop {
            let found = self.store.list_runnables(workspace, &page).await?;
            stored
                .runnables
                .extend(found.items.into_iter().map(|one| (one.path.clone(), one)));
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        page.cursor = None;
        loop {
            let found = self.store.list_subscriptions(workspace, &page).await?;
            stored
                .subscriptions
                .extend(found.items.into_iter().map(|one| (one.name.clone(), one)));
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        page.cursor = None;
        loop {
            let filter = TriggerFilter::default();
            let found = self.store.list_triggers(workspace, &filter, &page).await?;
            stored
                .triggers
                .extend(found.items.into_iter().map(|one| (one.name.clone(), one)));
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        page.cursor = None;
        loop {
            let found = self.store.list_routes(workspace, &page).await?;
            stored
                .routes
                .extend(found.items.into_iter().map(|one| (one.name.clone(), one)));
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        Ok(stored)
    }

    async fn plan_runnable(
        &self,
        entry: &RunnableEntry,
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        let mut differences = Vec::new();
        let spec = Value::Object(entry.spec.clone());
        if let Err(found) = self.catalog.check_runnable(entry.kind, &spec) {
            let pointer = runnable::pointer_of(entry, found.field.as_deref());
            let mistake = Mistake::value(pointer, found.message);
            draft.mistakes.push(mistake.allowing(found.allowed));
            return Ok(());
        }
        let version = NewVersion {
            kind: entry.kind,
            spec: Value::Object(entry.spec.clone()),
            secrets: sealed(&entry.secrets),
        };
        let Some(stored) = draft.stored.runnables.get(&entry.path) else {
            let id = RunnableId::generate(self.clock.now());
            draft.runnable_ids.insert(entry.path.clone(), id.clone());
            let change = Change::CreateRunnable(NewRunnable {
                id: id.clone(),
                workspace_id: self.workspace_id.clone(),
                path: entry.path.clone(),
                version,
            });
            draft.create(ObjectKind::Runnable, &entry.path, id.to_string(), change);
            return Ok(());
        };
        let id = stored.id.clone();
        draft.runnable_ids.insert(entry.path.clone(), id.clone());
        if let Some(held) = self.store.runnable_version(&stored.version_id).await? {
            let (from, to) = (held.kind.to_string(), entry.kind.to_string());
            compare("kind", &from.into(), &to.into(), &mut differences);
            compare("spec", &held.spec, &version.spec, &mut differences);
            compare_secrets(held.secrets.as_ref(), &entry.secrets, &mut differences);
        }
        let change = Change::UpdateRunnable(RunnableUpdate {
            id: id.clone(),
            version,
        });
        draft.change(
            ObjectKind::Runnable,
            &entry.path,
            id.to_string(),
            (change, differences),
        );
        Ok(())
    }

    async fn plan_trigger(&self, entry: &TriggerEntry, draft: &mut Draft<'_>) {
        let subscription = draft.find_subscription(entry);
        let runnable = draft.find_runnable(&entry.pointer, &entry.runnable);
        if let Some((_, provider)) = &subscription {
            let checked = self
                .catalog
                .validate_trigger(provider, &entry.event, &entry.parameters);
            match checked.await {
                Ok(found) => {
                    wanted::note_of_trigger(found, entry, &mut draft.mistakes);
                }
                Err(error)
                    if draft
                        .document
                        .subscriptions
                        .iter()
                        .any(|one| one.name == entry.subscription) =>
                {
                    // Already told of at the subscription itself.
                    tracing::debug!(%provider, %error, "a trigger cannot be checked");
                }
                Err(error) => {
                    let message = format!("`{provider}`: {error}");
                    let pointer = format!("{}/subscription", entry.pointer);
                    draft.mistakes.push(Mistake::value(pointer, message));
                }
            }
        }
        let (Some((subscription_id, _)), Some(runnable_id)) = (subscription, runnable) else {
            return;
        };
        let Some(stored) = draft.stored.triggers.get(&entry.name) else {
            let id = TriggerId::generate(self.clock.now());
            let change = Change::CreateTrigger(NewTrigger {
                id: id.clone(),
                workspace_id: self.workspace_id.clone(),
                name: entry.name.clone(),
                subscription_id,
                event: entry.event.clone(),
                parameters: entry.parameters.clone(),
                runnable_id,
                enabled: entry.enabled,
            });
            draft.create(ObjectKind::Trigger, &entry.name, id.to_string(), change);
            return;
        };
        let mut differences = Vec::new();
        let names = draft.names_of(stored);
        compare(
            "subscription",
            &names.0,
            &entry.subscription.as_str().into(),
            &mut differences,
        );
        compare(
            "event",
            &stored.event.as_str().into(),
            &entry.event.as_str().into(),
            &mut differences,
        );
        let field = Some("parameters");
        compare_maps(
            field,
            &stored.parameters,
            &entry.parameters,
            &mut differences,
        );
        compare(
            "runnable",
            &names.1,
            &entry.runnable.as_str().into(),
            &mut differences,
        );
        compare(
            "enabled",
            &stored.enabled.into(),
            &entry.enabled.into(),
            &mut differences,
        );
        let id = stored.id.clone();
        let change = Change::UpdateTrigger(TriggerUpdate {
            id: id.clone(),
            revision: stored.revision,
            subscription_id,
            event: entry.event.clone(),
            parameters: entry.parameters.clone(),
            runnable_id,
            enabled: entry.enabled,
        });
        draft.change(
            ObjectKind::Trigger,
            &entry.name,
            id.to_string(),
            (change, differences),
        );
    }
}

pub(super) fn sealed(secrets: &serde_json::Map<String, Value>) -> Option<Secret<String>> {
    (!secrets.is_empty()).then(|| Secret::new(Value::Object(secrets.clone()).to_string()))
}
