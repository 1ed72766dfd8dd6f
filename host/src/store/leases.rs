//! Running jobs: claims with lease and fence, their end, and what becomes of those whose host went away.

use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{HostId, JobId, RunnableId};
use crate::model::{ClaimedJob, Finished, ReadyRunnable, Recovered};

/// What is to be claimed, by whom and until when.
#[derive(Clone, Debug)]
pub struct Claim {
    pub runnable_id: RunnableId,
    pub owner: HostId,
    pub now: Millis,
    pub lease_until: Millis,
    pub limit: u32,
}

impl Store {
    /// Enabled runnables that have a job which is due.
    pub async fn runnables_with_ready_jobs(
        &self,
        now: Millis,
    ) -> Result<Vec<ReadyRunnable>, StoreError> {
        todo!()
    }

    /// When the next ready job of an enabled runnable is due that is not due yet.
    pub async fn next_job_due(&self, now: Millis) -> Result<Option<Millis>, StoreError> {
        todo!()
    }

    /// Claims up to `limit` due jobs of one runnable, oldest first. Each claim raises the fence and
    /// counts as an attempt.
    pub async fn claim_jobs(&self, claim: Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        todo!()
    }

    /// Moves all leases of this host; returns how many it still holds.
    pub async fn extend_leases(&self, owner: &HostId, until: Millis) -> Result<u64, StoreError> {
        todo!()
    }

    /// Gives claimed jobs back unrun: ready at `due_at`, the attempt not counted.
    /// What this host no longer holds is left alone.
    pub async fn release_jobs(
        &self,
        jobs: Vec<(JobId, i64)>,
        due_at: Millis,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Records attempts and moves their jobs on, in one commit with all others that wait. Tells for
    /// each whether its fence still held; if not, nothing of it was kept. Repeating it is harmless.
    pub async fn finish_attempts(&self, finished: Vec<Finished>) -> Result<Vec<bool>, StoreError> {
        todo!()
    }

    /// Jobs whose lease ran out: a `lost` attempt, and ready again or dead. At most 500 in one go.
    pub async fn recover_jobs(&self, now: Millis) -> Result<Vec<Recovered>, StoreError> {
        todo!()
    }

    /// The same at start for what an earlier run of this host held, without waiting for the leases.
    /// On SQLite that is every running job, since only one host opens the file.
    pub async fn recover_own_jobs(
        &self,
        owner: &HostId,
        now: Millis,
    ) -> Result<Vec<Recovered>, StoreError> {
        todo!()
    }
}
