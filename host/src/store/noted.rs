//! What somebody asked for that is no change of a document's object: each in one commit with the audit
//! entry that says who did. What cannot be noted is not done.

use super::body::Stored;
use super::changes::insert_entry;
use super::jobs::{PackedJob, insert_jobs, replay};
use super::{Store, StoreError};
use crate::id::{JobId, TokenId, WorkspaceId};
use crate::model::{AuditEntry, Job, NewJob, NewToken, Replay, Token, Workspace};

/// The store, for one thing that is noted.
pub struct Noted<'a> {
    store: &'a Store,
    entry: AuditEntry,
}

impl Store {
    /// Does what is asked of it with this entry. Of what is made then, it gets the id.
    pub fn noted(&self, entry: AuditEntry) -> Noted<'_> {
        Noted { store: self, entry }
    }
}

impl Noted<'_> {
    /// [`Store::insert_job`].
    pub async fn insert_job(mut self, mut job: NewJob) -> Result<(), StoreError> {
        self.entry.object = job.id.to_string();
        let arguments = Stored::pack(job.arguments.take()).await;
        let packed = PackedJob { job, arguments };
        let database = &self.store.database;
        let mut transaction = database.write().await?;
        insert_jobs(&mut transaction, database.backend, &[&packed]).await?;
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await
    }

    /// [`Store::replay_job`].
    pub async fn replay_job(
        mut self,
        workspace: &WorkspaceId,
        origin: &JobId,
        order: Replay,
    ) -> Result<Job, StoreError> {
        self.entry.object = order.id.to_string();
        let mut transaction = self.store.database.write().await?;
        let now = self.store.clock.now();
        let job = replay(&mut transaction, (workspace, origin), &order, now).await?;
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await?;
        Ok(job)
    }

    /// [`Store::cancel_job`].
    pub async fn cancel_job(self, workspace: &WorkspaceId, id: &JobId) -> Result<Job, StoreError> {
        let (mut transaction, job) = self.store.begin_cancel(workspace, id).await?;
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await?;
        Ok(job)
    }

    /// [`Store::insert_workspace`].
    pub async fn insert_workspace(mut self, name: &str) -> Result<Workspace, StoreError> {
        let mut transaction = self.store.database.write().await?;
        let made = self.store.insert_workspace_in(&mut transaction, name);
        let workspace = made.await?;
        self.entry.object = workspace.id.to_string();
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await?;
        Ok(workspace)
    }

    /// [`Store::delete_workspace`].
    pub async fn delete_workspace(self, workspace: &Workspace) -> Result<(), StoreError> {
        let mut transaction = self.store.database.write().await?;
        let deleted = self.store.delete_workspace_in(&mut transaction, workspace);
        deleted.await?;
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await
    }

    /// [`Store::insert_token`].
    pub async fn insert_token(mut self, token: NewToken) -> Result<Token, StoreError> {
        self.entry.object = token.id.to_string();
        let mut transaction = self.store.database.write().await?;
        let made = self.store.insert_token_in(&mut transaction, token).await?;
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// [`Store::revoke_token`].
    pub async fn revoke_token(self, id: &TokenId) -> Result<(), StoreError> {
        let mut transaction = self.store.database.write().await?;
        self.store.revoke_token_in(&mut transaction, id).await?;
        insert_entry(&mut transaction, &self.entry).await?;
        transaction.commit().await
    }
}
