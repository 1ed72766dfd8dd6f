//! Jobs whose host went away: their attempts are written as lost, and they are ready again or dead.

use sqlx::AnyConnection;

use super::attempts::{CutOff, insert_cut_off};
use super::failures;
use super::flows;
use super::job_locks;
use super::jobs::job_columns;
use super::open::Backend;
use super::sql::Statement;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{HostId, JobId};
use crate::model::{AttemptOutcome, Job, JobCause, JobState, Recovered};

/// The error of an attempt whose host went away.
const LOST: &str = "the host that ran it went away";

impl Store {
    /// Jobs whose lease ran out: a `lost` attempt, and ready again or dead. At most 500 in one go.
    pub async fn recover_jobs(&self, now: Millis) -> Result<Vec<Recovered>, StoreError> {
        let select = Statement::composed(
            "find lost jobs",
            format!(
                "select {} from jobs where state = 'running' and lease_expires_at <= $1 \
                 order by lease_expires_at limit 500{}",
                job_columns!(),
                self.database.skip_locked()
            ),
        );
        self.recover(select.bind(now), now).await
    }

    /// The same at start for what an earlier run of this host held, without waiting for the leases.
    /// On SQLite that is every running job, since only one host opens the file.
    pub async fn recover_own_jobs(
        &self,
        owner: &HostId,
        now: Millis,
    ) -> Result<Vec<Recovered>, StoreError> {
        let mut recovered = Vec::new();
        loop {
            let select = match self.database.backend {
                Backend::Sqlite => Statement::new(
                    "find lost jobs",
                    concat!(
                        "select ",
                        job_columns!(),
                        " from jobs where state = 'running' limit 500"
                    ),
                ),
                Backend::Postgres => Statement::new(
                    "find lost jobs",
                    concat!(
                        "select ",
                        job_columns!(),
                        " from jobs where state = 'running' and lease_owner = $1 \
                         limit 500 for update skip locked"
                    ),
                )
                .bind(owner),
            };
            let step = self.recover(select, now).await?;
            if step.is_empty() {
                return Ok(recovered);
            }
            recovered.extend(step);
        }
    }

    async fn recover(
        &self,
        select: Statement<'_>,
        now: Millis,
    ) -> Result<Vec<Recovered>, StoreError> {
        let mut transaction = self.database.write().await?;
        let backend = self.database.backend;
        let lost: Vec<Job> = select.all(&mut transaction).await?;
        // Whoever holds the flow of one may wait for the step that is held here.
        let flows = lost
            .iter()
            .filter_map(|job| Some(&job.step.as_ref()?.flow_id));
        let flows: Vec<&JobId> = flows.collect();
        let busy = job_locks::held_elsewhere(&mut transaction, backend, &flows).await?;
        let is_free = |job: &Job| match &job.step {
            Some(step) => !busy.contains(step.flow_id.as_str()),
            None => true,
        };
        let mut recovered = Vec::with_capacity(lost.len());
        for job in lost.into_iter().filter(is_free) {
            let end = CutOff {
                outcome: AttemptOutcome::Lost,
                error: LOST,
                at: now,
            };
            insert_cut_off(&mut transaction, &job, end).await?;
            recovered.push(give_back_lost(&mut transaction, backend, job, now).await?);
        }
        transaction.commit().await?;
        Ok(recovered)
    }
}

async fn give_back_lost(
    connection: &mut AnyConnection,
    backend: Backend,
    job: Job,
    now: Millis,
) -> Result<Recovered, StoreError> {
    let state = if job.attempts_made >= job.attempts_max {
        JobState::Dead
    } else {
        JobState::Ready
    };
    Statement::new(
        "give back a lost job",
        "update jobs set state = $1, due_at = $2, lease_owner = null, lease_expires_at = null, \
         error = $3, finished_at = $4 where id = $5 and fence = $6 and state = 'running'",
    )
    .bind(state)
    .bind(now)
    .bind(LOST)
    .bind(state.is_final().then_some(now))
    .bind(&job.id)
    .bind(job.fence)
    .run(connection)
    .await?;
    match &job.step {
        _ if state == JobState::Ready => {}
        Some(step) => flows::poke(connection, backend, [step.flow_id.clone()], now).await?,
        None if job.cause == JobCause::Error => {}
        None => failures::note(connection, backend, std::slice::from_ref(&job.id), now).await?,
    }
    Ok(Recovered {
        job_id: job.id,
        runnable_id: job.runnable_id,
        state,
    })
}
