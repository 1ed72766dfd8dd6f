//! Triggers.

use super::{Store, StoreError};
use crate::id::{SubscriptionId, TriggerId, WorkspaceId};
use crate::model::{Page, PageQuery, Runnable, Trigger, TriggerFilter};

impl Store {
    /// A trigger of this workspace.
    pub async fn trigger(
        &self,
        workspace: &WorkspaceId,
        id: &TriggerId,
    ) -> Result<Option<Trigger>, StoreError> {
        todo!()
    }

    /// By its name.
    pub async fn trigger_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Trigger>, StoreError> {
        todo!()
    }

    /// Those of one subscription that are enabled and wait for this event, with the runnable as it is now.
    pub async fn triggers_for_event(
        &self,
        subscription: &SubscriptionId,
        event: &str,
    ) -> Result<Vec<(Trigger, Runnable)>, StoreError> {
        todo!()
    }

    /// Newest first.
    pub async fn list_triggers(
        &self,
        workspace: &WorkspaceId,
        filter: &TriggerFilter,
        page: &PageQuery,
    ) -> Result<Page<Trigger>, StoreError> {
        todo!()
    }
}
