//! Work that was put off by a clock which ran ahead and was set back since.
//!
//! What is made now is due now, so one event or job that was made in the future would wait until that
//! future comes: an hour, or a year. Ids begin with the time of their making, so among what is due later
//! such rows are told by them from what was put off on purpose.

use std::time::Duration;

use super::retention::floor;
use super::sql::Statement;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{AttemptId, EventId, JobId};

/// The clocks of several hosts may differ by this.
const SKEW: Duration = Duration::from_secs(60);
/// No lease of a job is taken for longer.
const LEASE_MAX: Duration = Duration::from_mins(10);

impl Store {
    /// Makes due now what a wrong clock put off; tells how much that was.
    pub async fn catch_up_with_clock(&self, now: Millis) -> Result<u64, StoreError> {
        let ahead = now.plus(SKEW);
        let mut transaction = self.database.write().await?;
        let mut moved = 0;
        let by_id = [
            (
                "catch up with events",
                "update events set due_at = $1 where id > $2 and state = 'pending' and due_at > $1",
                floor(EventId::PREFIX, ahead),
            ),
            (
                "catch up with jobs",
                "update jobs set due_at = $1 where id > $2 and state = 'ready' and due_at > $1",
                floor(JobId::PREFIX, ahead),
            ),
            (
                "catch up with jobs that are tried again",
                "update jobs set due_at = $1 where state = 'ready' and due_at > $1 \
                 and exists (select 1 from attempts a where a.job_id = jobs.id and a.id > $2)",
                floor(AttemptId::PREFIX, ahead),
            ),
        ];
        for (operation, text, ahead) in by_id {
            let update = Statement::new(operation, text).bind(now).bind(ahead);
            moved += update.run(&mut transaction).await?;
        }
        // A flow never waits for a time: a step that ended while the clock was ahead made it ready then.
        moved += Statement::new(
            "catch up with flows",
            "update jobs set due_at = $1 where state = 'ready' and due_at > $2 and pins is not null",
        )
        .bind(now)
        .bind(ahead)
        .run(&mut transaction)
        .await?;
        // Who holds one and lives extends it; of who went away nobody shall wait a year for.
        moved += Statement::new(
            "catch up with leases",
            "update jobs set lease_expires_at = $1 where state = 'running' and lease_expires_at > $2",
        )
        .bind(ahead)
        .bind(now.plus(LEASE_MAX))
        .run(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(moved)
    }
}
