//! Runnables and their versions.

use super::{Store, StoreError};
use crate::id::{RunnableId, VersionId, WorkspaceId};
use crate::model::{Page, PageQuery, Runnable, RunnableState, RunnableVersion};

impl Store {
    /// A runnable of this workspace, also a deleted one.
    pub async fn runnable(
        &self,
        workspace: &WorkspaceId,
        id: &RunnableId,
    ) -> Result<Option<Runnable>, StoreError> {
        todo!()
    }

    /// The runnable at a path; deleted ones have none.
    pub async fn runnable_by_path(
        &self,
        workspace: &WorkspaceId,
        path: &str,
    ) -> Result<Option<Runnable>, StoreError> {
        todo!()
    }

    /// A version with its secrets opened.
    pub async fn runnable_version(
        &self,
        id: &VersionId,
    ) -> Result<Option<RunnableVersion>, StoreError> {
        todo!()
    }

    /// All versions of a runnable, newest first.
    pub async fn list_runnable_versions(
        &self,
        id: &RunnableId,
    ) -> Result<Vec<RunnableVersion>, StoreError> {
        todo!()
    }

    /// Newest first, without deleted ones.
    pub async fn list_runnables(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Runnable>, StoreError> {
        todo!()
    }

    /// Switches a runnable on or off for a reason the host found (the target said it is gone).
    pub async fn set_runnable_state(
        &self,
        id: &RunnableId,
        state: RunnableState,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        todo!()
    }
}
