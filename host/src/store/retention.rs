//! Trimming what is old, in steps, so that no step holds the database for long. Each returns how many rows it deleted; fewer than `limit` means that nothing more is to be done now.

use super::{Store, StoreError};
use crate::clock::Millis;

impl Store {
    /// Requests received before, unless an event still has its payload there.
    pub async fn trim_requests(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Events received before that are not pending, unless an unfinished job needs their payload.
    pub async fn trim_events(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Jobs finished before, with their attempts.
    pub async fn trim_jobs(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Attempts finished before whose job is finished too.
    pub async fn trim_attempts(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Delivery ids whose window is over.
    pub async fn trim_deliveries(&self, now: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Audit entries before.
    pub async fn trim_audit(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Runnables deleted before that no job names any more, with their versions.
    pub async fn trim_runnables(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }
}
