//! Changes to what an operator makes: all of a list or none, each with its audit entry.

use super::{Store, StoreError};
use crate::id::WorkspaceId;
use crate::model::{Actor, AuditEntry, Change, Changed, Page, PageQuery};

impl Store {
    /// Makes the changes in their order, in one commit. The first that cannot be made undoes all.
    pub async fn apply(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
    ) -> Result<Vec<Changed>, StoreError> {
        todo!()
    }

    /// Notes something that is not a change of an object (a key rotation, a provider enabled).
    pub async fn insert_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        todo!()
    }

    /// Newest first; no workspace: entries of the whole instance.
    pub async fn list_audit(
        &self,
        workspace: Option<&WorkspaceId>,
        page: &PageQuery,
    ) -> Result<Page<AuditEntry>, StoreError> {
        todo!()
    }
}
