//! Changes to what an operator makes: all of a list or none, each with its audit entry.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::AnyConnection;

use super::connection::Connection;
use super::open::Backend;
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError, notices};
use crate::clock::Millis;
use crate::id::{AuditId, RouteId, RunnableId, WorkspaceId};
use crate::model::{Actor, AuditEntry, Change, Changed, ChangedKind, Page, PageQuery};
use crate::seal::KeyRing;
use crate::secret::Secret;

impl Store {
    /// Makes the changes in their order, in one commit. The first that cannot be made undoes all.
    pub async fn apply(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
    ) -> Result<Vec<Changed>, StoreError> {
        let mut transaction = self.database.write().await?;
        let mut edit = Edit {
            connection: &mut transaction,
            backend: self.database.backend,
            for_update: self.database.for_update(),
            keys: &self.keys,
            actor,
            now: self.clock.now(),
            routes: Vec::new(),
            deleted_runnables: Vec::new(),
            named_runnables: BTreeSet::new(),
        };
        let mut changed = Vec::with_capacity(changes.len());
        for change in &changes {
            changed.push(edit.make(change).await?);
        }
        edit.check_routes().await?;
        edit.check_deleted_runnables().await?;
        edit.check_named_runnables().await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Notes something that is not a change of an object (a key rotation, a provider enabled).
    pub async fn insert_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        insert_entry(&mut connection, &entry).await
    }

    /// Newest first; no workspace: entries of the whole instance.
    pub async fn list_audit(
        &self,
        workspace: Option<&WorkspaceId>,
        page: &PageQuery,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let mut connection = self.database.read().await?;
        let select = Select::new(
            "list the audit log",
            "select id, workspace_id, token_id, action, object, detail, at from audit_log",
        );
        match workspace {
            Some(workspace) => select.and_value("workspace_id =", workspace.clone()),
            None => select.and("workspace_id is null"),
        }
        .page(&mut connection, page, |entry: &AuditEntry| {
            entry.id.as_str()
        })
        .await
    }
}

/// A transaction of changes.
pub(super) struct Edit<'a> {
    pub(super) connection: &'a mut AnyConnection,
    pub(super) backend: Backend,
    pub(super) for_update: &'static str,
    pub(super) keys: &'a KeyRing,
    pub(super) actor: &'a Actor,
    pub(super) now: Millis,
    /// Those that were made or changed: what they answer is compared when all changes are made.
    pub(super) routes: Vec<RouteId>,
    /// With their paths: who still names one is looked for when all changes are made.
    pub(super) deleted_runnables: Vec<(RunnableId, String)>,
    /// The paths that what was made or changed names: whether they are there is looked at then, too.
    pub(super) named_runnables: BTreeSet<String>,
}

impl Edit<'_> {
    async fn make(&mut self, change: &Change) -> Result<Changed, StoreError> {
        let described = Described::of(change, &self.actor.workspace_id);
        // Afterwards it may be gone.
        let name = notices::name_of(self.connection, &described.object).await?;
        let kind = match change {
            Change::CreateIntegration(new) => self.create_integration(new).await,
            Change::UpdateIntegration(update) => self.update_integration(update).await,
            Change::DeleteIntegration(id) => self.delete_integration(id).await,
            Change::CreateCredential(new) => self.create_credential(new).await,
            Change::UpdateCredential(update) => self.update_credential(update).await,
            Change::DetachCredential(id) => self.detach_credential(id).await,
            Change::DeleteCredential(id) => self.delete_credential(id).await,
            Change::CreateSubscription(new) => self.create_subscription(new).await,
            Change::UpdateSubscription(update) => self.update_subscription(update).await,
            Change::SetSubscriptionState { id, state, reason } => {
                self.set_subscription_state(id, *state, reason.as_deref())
                    .await
            }
            Change::DeleteSubscription(id) => self.delete_subscription(id).await,
            Change::ForceDeleteSubscription(id) => self.force_delete_subscription(id).await,
            Change::CreateRunnable(new) => self.create_runnable(new).await,
            Change::UpdateRunnable(update) => self.update_runnable(update).await,
            Change::SetRunnableState { id, state, reason } => {
                self.change_runnable_state(id, *state, reason.as_deref())
                    .await
            }
            Change::DeleteRunnable(id) => self.delete_runnable(id).await,
            Change::CreateTrigger(new) => self.create_trigger(new).await,
            Change::UpdateTrigger(update) => self.update_trigger(update).await,
            Change::DeleteTrigger(id) => self.delete_trigger(id).await,
            Change::SetErrorHandler(change) => self.set_error_handler(change).await,
            Change::SetWorkspaceHook(order) => self.set_workspace_hook(order).await,
            Change::RemoveWorkspaceHook => self.remove_workspace_hook().await,
            Change::CreateSchedule(new) => self.create_schedule(new).await,
            Change::UpdateSchedule(update) => self.update_schedule(update).await,
            Change::SwitchSchedule { id, paused, next } => {
                self.switch_schedule(id, *paused, *next).await
            }
            Change::DeleteSchedule(id) => self.delete_schedule(id).await,
            Change::CreateRoute(new) => self.create_route(new).await,
            Change::UpdateRoute(update) => self.update_route(update).await,
            Change::DeleteRoute(id) => self.delete_route(id).await,
        }?;
        if kind != ChangedKind::Unchanged {
            let entry = AuditEntry {
                id: AuditId::generate(self.now),
                workspace_id: Some(self.actor.workspace_id.clone()),
                token_id: self.actor.token_id.clone(),
                action: described.action.to_owned(),
                object: described.object.clone(),
                detail: described.detail,
                at: self.now,
            };
            insert_entry(self.connection, &entry).await?;
            notices::note(self.connection, &entry, name).await?;
        }
        Ok(Changed {
            id: described.object,
            kind,
        })
    }

    /// The name of an object of the actor's workspace; its row is held until the commit.
    pub(super) async fn find_name(
        &mut self,
        select: &'static str,
        id: &str,
    ) -> Result<String, StoreError> {
        let name: Option<Text> =
            Statement::composed("find an object", format!("{select}{}", self.for_update))
                .bind(id)
                .bind(&self.actor.workspace_id)
                .one(self.connection)
                .await?;
        name.map(|name| name.0)
            .ok_or_else(|| StoreError::NotFound(format!("there is no {id} in this workspace")))
    }

    pub(super) fn check_workspace(&self, workspace: &WorkspaceId) -> Result<(), StoreError> {
        if *workspace == self.actor.workspace_id {
            return Ok(());
        }
        Err(StoreError::NotFound(format!(
            "{workspace} is not the workspace of this change"
        )))
    }

    pub(super) fn check_unused(
        &self,
        kind: &str,
        name: &str,
        users: &[Text],
    ) -> Result<(), StoreError> {
        self.check_unused_by(kind, name, "triggers", users)
    }

    pub(super) fn check_unused_by(
        &self,
        kind: &str,
        name: &str,
        users_kind: &str,
        users: &[Text],
    ) -> Result<(), StoreError> {
        if users.is_empty() {
            return Ok(());
        }
        let users: Vec<&str> = users.iter().map(|user| user.0.as_str()).collect();
        Err(StoreError::Conflict(format!(
            "the {kind} `{name}` is used by {users_kind} ({}): change or delete those first",
            users.join(", ")
        )))
    }

    pub(super) fn seal(&self, place: &str, secret: Option<&Secret<String>>) -> Option<Vec<u8>> {
        secret.map(|secret| self.keys.seal(place, secret.expose().as_bytes()))
    }
}

/// A change in the words of the audit log.
struct Described {
    action: &'static str,
    object: String,
    detail: serde_json::Value,
}

impl Described {
    fn of(change: &Change, workspace: &WorkspaceId) -> Described {
        let (action, object, detail) = match change {
            Change::CreateIntegration(new) => (
                "integration.create",
                new.id.as_str(),
                json!({"name": new.name, "provider": new.provider, "base_url": new.base_url}),
            ),
            Change::UpdateIntegration(update) => (
                "integration.update",
                update.id.as_str(),
                json!({"base_url": update.base_url}),
            ),
            Change::DeleteIntegration(id) => ("integration.delete", id.as_str(), json!({})),
            Change::CreateCredential(new) => (
                "credential.create",
                new.id.as_str(),
                json!({"name": new.name, "provider": new.provider, "kind": new.kind,
                    "account": new.account_name}),
            ),
            Change::UpdateCredential(update) => (
                "credential.update",
                update.id.as_str(),
                json!({"account": update.account_name}),
            ),
            Change::DetachCredential(id) => ("credential.detach", id.as_str(), json!({})),
            Change::DeleteCredential(id) => ("credential.delete", id.as_str(), json!({})),
            Change::CreateSubscription(new) => (
                "subscription.create",
                new.id.as_str(),
                json!({"name": new.name, "provider": new.provider}),
            ),
            Change::UpdateSubscription(update) => {
                ("subscription.update", update.id.as_str(), json!({}))
            }
            Change::SetSubscriptionState { id, state, reason } => (
                "subscription.state",
                id.as_str(),
                json!({"state": state, "reason": reason}),
            ),
            Change::DeleteSubscription(id) => ("subscription.delete", id.as_str(), json!({})),
            Change::ForceDeleteSubscription(id) => {
                ("subscription.delete", id.as_str(), json!({"force": true}))
            }
            Change::CreateRunnable(new) => (
                "runnable.create",
                new.id.as_str(),
                json!({"path": new.path}),
            ),
            Change::UpdateRunnable(update) => ("runnable.update", update.id.as_str(), json!({})),
            Change::SetRunnableState { id, state, reason } => (
                "runnable.state",
                id.as_str(),
                json!({"state": state, "reason": reason}),
            ),
            Change::DeleteRunnable(id) => ("runnable.delete", id.as_str(), json!({})),
            Change::CreateTrigger(new) => (
                "trigger.create",
                new.id.as_str(),
                json!({"name": new.name, "event": new.event}),
            ),
            Change::UpdateTrigger(update) => (
                "trigger.update",
                update.id.as_str(),
                json!({"event": update.event}),
            ),
            Change::DeleteTrigger(id) => ("trigger.delete", id.as_str(), json!({})),
            Change::SetErrorHandler(change) => (
                "error_handler.set",
                change.object_id.as_str(),
                json!({"scope": change.scope, "runnable": change.runnable_id}),
            ),
            Change::SetWorkspaceHook(_) => ("webhook.set", workspace.as_str(), json!({})),
            Change::RemoveWorkspaceHook => ("webhook.remove", workspace.as_str(), json!({})),
            Change::CreateSchedule(new) => (
                "schedule.create",
                new.id.as_str(),
                json!({"name": new.name, "cron": new.cron, "timezone": new.timezone}),
            ),
            Change::UpdateSchedule(update) => (
                "schedule.update",
                update.id.as_str(),
                json!({"cron": update.cron, "timezone": update.timezone}),
            ),
            Change::SwitchSchedule { id, paused, .. } => {
                ("schedule.switch", id.as_str(), json!({"paused": paused}))
            }
            Change::DeleteSchedule(id) => ("schedule.delete", id.as_str(), json!({})),
            Change::CreateRoute(new) => (
                "route.create",
                new.id.as_str(),
                json!({"name": new.name, "path": new.content.path.as_str()}),
            ),
            Change::UpdateRoute(update) => (
                "route.update",
                update.id.as_str(),
                json!({"path": update.content.path.as_str()}),
            ),
            Change::DeleteRoute(id) => ("route.delete", id.as_str(), json!({})),
        };
        Described {
            action,
            object: object.to_owned(),
            detail,
        }
    }
}

pub(super) async fn insert_entry(
    connection: &mut impl Connection,
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    Statement::new(
        "insert an audit entry",
        "insert into audit_log (id, workspace_id, token_id, action, object, detail, at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&entry.id)
    .bind(&entry.workspace_id)
    .bind(&entry.token_id)
    .bind(&entry.action)
    .bind(&entry.object)
    .bind(entry.detail.to_string())
    .bind(entry.at)
    .run(connection)
    .await
    .map(|_| ())
}

impl FromRow for AuditEntry {
    fn from_row(row: &Row<'_>) -> Result<AuditEntry, StoreError> {
        Ok(AuditEntry {
            id: row.parsed("id")?,
            workspace_id: row.parsed_opt("workspace_id")?,
            token_id: row.parsed_opt("token_id")?,
            action: row.text("action")?,
            object: row.text("object")?,
            detail: row.json("detail")?,
            at: row.millis("at")?,
        })
    }
}
