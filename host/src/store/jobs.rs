//! Jobs: making, replaying, cancelling and reading them.

use bytes::Bytes;

use super::{Store, StoreError};
use crate::id::{JobId, WorkspaceId};
use crate::model::{Attempt, Job, JobFilter, NewJob, Page, PageQuery, Replay};

impl Store {
    /// Makes a job that no event caused.
    pub async fn insert_job(&self, job: NewJob) -> Result<(), StoreError> {
        todo!()
    }

    /// Makes a new job with the arguments of an earlier one, which it names as its origin.
    pub async fn replay_job(
        &self,
        workspace: &WorkspaceId,
        origin: &JobId,
        replay: Replay,
    ) -> Result<Job, StoreError> {
        todo!()
    }

    /// Cancels a job that is ready or running; the attempt of a running one comes home too late.
    /// A conflict if it already ended.
    pub async fn cancel_job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Job, StoreError> {
        todo!()
    }

    /// A job of this workspace.
    pub async fn job(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
    ) -> Result<Option<Job>, StoreError> {
        todo!()
    }

    /// Its arguments: its own or the payload of its event.
    pub async fn job_arguments(&self, id: &JobId) -> Result<Option<Bytes>, StoreError> {
        todo!()
    }

    /// Newest first.
    pub async fn list_jobs(
        &self,
        workspace: &WorkspaceId,
        filter: &JobFilter,
        page: &PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        todo!()
    }

    /// All attempts of a job, in their order.
    pub async fn list_attempts(&self, job: &JobId) -> Result<Vec<Attempt>, StoreError> {
        todo!()
    }
}
