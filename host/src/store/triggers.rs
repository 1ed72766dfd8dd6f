//! Triggers.

use super::changes::Edit;
use super::runnables::RUNNABLE_PATH;
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Text};
use super::subscriptions::{SUBSCRIPTION_NAME, json};
use super::{Store, StoreError};
use crate::id::{RunnableId, SubscriptionId, TriggerId, WorkspaceId};
use crate::model::{
    ChangedKind, NewTrigger, Page, PageQuery, Runnable, Trigger, TriggerFilter, TriggerUpdate,
};

const SELECT: &str = "select id, workspace_id, name, subscription_id, event, parameters, \
    runnable_id, enabled, revision, created_at, updated_at from triggers";

impl Store {
    /// A trigger of this workspace.
    pub async fn trigger(
        &self,
        workspace: &WorkspaceId,
        id: &TriggerId,
    ) -> Result<Option<Trigger>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a trigger",
            format!("{SELECT} where workspace_id = $1 and id = $2"),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn trigger_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Trigger>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a trigger",
            format!("{SELECT} where workspace_id = $1 and name = $2"),
        )
        .bind(workspace)
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// Those of one subscription that are enabled and wait for this event, with the runnable as it
    /// is now.
    pub async fn triggers_for_event(
        &self,
        subscription: &SubscriptionId,
        event: &str,
    ) -> Result<Vec<(Trigger, Runnable)>, StoreError> {
        let mut connection = self.database.read().await?;
        let rows: Vec<TriggerWithRunnable> = Statement::new(
            "find the triggers of an event",
            "select t.id, t.workspace_id, t.name, t.subscription_id, t.event, t.parameters, \
             t.runnable_id, t.enabled, t.revision, t.created_at, t.updated_at, \
             r.path, r.version_id, r.state, r.state_reason, r.created_at as runnable_created_at, \
             r.updated_at as runnable_updated_at \
             from triggers t join runnables r on r.id = t.runnable_id \
             where t.subscription_id = $1 and t.event = $2 and t.enabled = 1 \
             and r.deleted_at is null order by t.id",
        )
        .bind(subscription)
        .bind(event)
        .all(&mut connection)
        .await?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// The events that enabled triggers of a subscription wait for, sorted.
    pub async fn events_waited_for(
        &self,
        subscription: &SubscriptionId,
    ) -> Result<Vec<String>, StoreError> {
        let mut connection = self.database.read().await?;
        let names: Vec<Text> = Statement::new(
            "find the events that triggers wait for",
            "select distinct t.event as text from triggers t \
             join runnables r on r.id = t.runnable_id \
             where t.subscription_id = $1 and t.enabled = 1 and r.deleted_at is null order by 1",
        )
        .bind(subscription)
        .all(&mut connection)
        .await?;
        Ok(names.into_iter().map(|name| name.0).collect())
    }

    /// Newest first.
    pub async fn list_triggers(
        &self,
        workspace: &WorkspaceId,
        filter: &TriggerFilter,
        page: &PageQuery,
    ) -> Result<Page<Trigger>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list triggers", SELECT)
            .and_value("workspace_id =", workspace.clone())
            .and_some("name =", filter.name.clone())
            .and_some("subscription_id =", filter.subscription_id.clone())
            .and_some("runnable_id =", filter.runnable_id.clone())
            .and_some("event =", filter.event.clone())
            .page(&mut connection, page, |row: &Trigger| row.id.as_str())
            .await
    }
}

impl FromRow for Trigger {
    fn from_row(row: &Row<'_>) -> Result<Trigger, StoreError> {
        Ok(Trigger {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            name: row.text("name")?,
            subscription_id: row.parsed("subscription_id")?,
            event: row.text("event")?,
            parameters: row.json("parameters")?,
            runnable_id: row.parsed("runnable_id")?,
            enabled: row.flag("enabled")?,
            revision: row.int("revision")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
        })
    }
}

struct TriggerWithRunnable((Trigger, Runnable));

impl FromRow for TriggerWithRunnable {
    fn from_row(row: &Row<'_>) -> Result<TriggerWithRunnable, StoreError> {
        let trigger = Trigger::from_row(row)?;
        let runnable = Runnable {
            id: trigger.runnable_id.clone(),
            workspace_id: trigger.workspace_id.clone(),
            path: row.text("path")?,
            version_id: row.parsed("version_id")?,
            state: row.parsed("state")?,
            state_reason: row.text_opt("state_reason")?,
            created_at: row.millis("runnable_created_at")?,
            updated_at: row.millis("runnable_updated_at")?,
            deleted_at: None,
        };
        Ok(TriggerWithRunnable((trigger, runnable)))
    }
}

impl Edit<'_> {
    pub(super) async fn create_trigger(
        &mut self,
        new: &NewTrigger,
    ) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        self.hold_targets(&new.subscription_id, &new.runnable_id)
            .await?;
        let made = Statement::new(
            "create a trigger",
            "insert into triggers (id, workspace_id, name, subscription_id, event, parameters, \
             runnable_id, enabled, revision, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10) \
             on conflict (workspace_id, name) do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.name)
        .bind(&new.subscription_id)
        .bind(&new.event)
        .bind(json(&new.parameters))
        .bind(&new.runnable_id)
        .bind(new.enabled)
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a trigger `{}` already",
                new.name
            ))),
            _ => {
                self.poke_subscription(&new.subscription_id).await?;
                Ok(ChangedKind::Created)
            }
        }
    }

    pub(super) async fn update_trigger(
        &mut self,
        update: &TriggerUpdate,
    ) -> Result<ChangedKind, StoreError> {
        self.hold_targets(&update.subscription_id, &update.runnable_id)
            .await?;
        // The one it leaves, if it leaves one, and the one it comes to.
        self.poke_of_trigger(&update.id).await?;
        self.poke_subscription(&update.subscription_id).await?;
        let updated = Statement::new(
            "update a trigger",
            "update triggers set subscription_id = $1, event = $2, parameters = $3, \
             runnable_id = $4, enabled = $5, revision = revision + 1, updated_at = $6 \
             where id = $7 and workspace_id = $8 and revision = $9",
        )
        .bind(&update.subscription_id)
        .bind(&update.event)
        .bind(json(&update.parameters))
        .bind(&update.runnable_id)
        .bind(update.enabled)
        .bind(self.now)
        .bind(&update.id)
        .bind(&self.actor.workspace_id)
        .bind(update.revision)
        .run(self.connection)
        .await?;
        if updated == 0 {
            self.find_name(TRIGGER_NAME, update.id.as_str()).await?;
            return Err(StoreError::Conflict(format!(
                "{} was changed meanwhile: read it again",
                update.id
            )));
        }
        Ok(ChangedKind::Updated)
    }

    pub(super) async fn delete_trigger(
        &mut self,
        id: &TriggerId,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(TRIGGER_NAME, id.as_str()).await?;
        self.poke_of_trigger(id).await?;
        self.forget_error_handlers(id.as_str()).await?;
        Statement::new("delete a trigger", "delete from triggers where id = $1")
            .bind(id)
            .run(self.connection)
            .await?;
        Ok(ChangedKind::Deleted)
    }

    /// Which events a subscription needs may be changed by a change of its trigger.
    async fn poke_of_trigger(&mut self, id: &TriggerId) -> Result<(), StoreError> {
        let subscription: Option<Text> = Statement::new(
            "read a trigger's subscription",
            "select subscription_id as text from triggers where id = $1",
        )
        .bind(id)
        .one(self.connection)
        .await?;
        match subscription.and_then(|id| id.0.parse().ok()) {
            Some(subscription) => self.poke_subscription(&subscription).await,
            None => Ok(()),
        }
    }

    /// What a trigger names must be there, in its workspace, and stay there until the commit.
    async fn hold_targets(
        &mut self,
        subscription: &SubscriptionId,
        runnable: &RunnableId,
    ) -> Result<(), StoreError> {
        self.find_name(SUBSCRIPTION_NAME, subscription.as_str())
            .await?;
        self.find_name(RUNNABLE_PATH, runnable.as_str()).await?;
        Ok(())
    }
}

const TRIGGER_NAME: &str = "select name as text from triggers where id = $1 and workspace_id = $2";
