//! Running jobs: claims with lease and fence.
//!
//! A claim gives a job to one host until the lease ends, and raises its fence. Whoever comes home
//! with an older fence is told so and changes nothing.

use std::collections::HashMap;

use super::connection::Connection;
use super::events;
use super::jobs::job_columns;
use super::requests::Packed;
use super::sql::{FromRow, Row, Statement, Time};
use super::writer::{Write, Written};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{AttemptId, EventId, HostId, JobId, RunnableId, WorkspaceId};
use crate::model::{AttemptOutcome, ClaimedJob, Finished, Job, NewAttempt, Next, ReadyRunnable};
use bytes::Bytes;

/// Runnables that have ready jobs, found by stepping through the index from one to the next, so that
/// a million waiting jobs of one runnable cost as much as one.
macro_rules! waiting_runnables {
    () => {
        "with recursive waiting (runnable_id) as (\
         select (select j.runnable_id from jobs j where j.state = 'ready' \
         order by j.runnable_id limit 1) \
         union all \
         select (select j.runnable_id from jobs j where j.state = 'ready' \
         and j.runnable_id > w.runnable_id order by j.runnable_id limit 1) \
         from waiting w where w.runnable_id is not null)"
    };
}
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
    /// Enabled runnables that have a job which is due; also deleted ones, which nobody can enable: what
    /// flows pinned is worked on.
    pub async fn runnables_with_ready_jobs(
        &self,
        now: Millis,
    ) -> Result<Vec<ReadyRunnable>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "find runnables with ready jobs",
            concat!(
                waiting_runnables!(),
                " select r.id, r.workspace_id, r.version_id \
                 from waiting w join runnables r on r.id = w.runnable_id \
                 where (r.state = 'enabled' or r.deleted_at is not null) \
                 and exists (select 1 from jobs j where j.runnable_id = r.id \
                 and j.state = 'ready' and j.due_at <= $1)"
            ),
        )
        .bind(now)
        .all(&mut connection)
        .await
    }

    /// When the next ready job of such a runnable is due that is not due yet.
    pub async fn next_job_due(&self, now: Millis) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let next: Option<Time> = Statement::new(
            "find the next job",
            concat!(
                waiting_runnables!(),
                " select min((select min(j.due_at) from jobs j \
                 where j.runnable_id = r.id and j.state = 'ready' and j.due_at > $1)) as at \
                 from waiting w join runnables r on r.id = w.runnable_id \
                 where r.state = 'enabled' or r.deleted_at is not null"
            ),
        )
        .bind(now)
        .one(&mut connection)
        .await?;
        Ok(next.and_then(|next| next.0))
    }

    /// Claims up to `limit` due jobs of one runnable, oldest first. Each claim raises the fence and
    /// counts as an attempt.
    pub async fn claim_jobs(&self, claim: Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        let now = claim.now;
        let held = match self.writer.write("claim jobs", Write::Claim(claim)).await? {
            Written::Claim(held) => held,
            _ => unreachable!("invariant: a claim is answered with jobs"),
        };
        let fences: Vec<(JobId, i64)> = held
            .iter()
            .map(|held| (held.job.id.clone(), held.job.fence))
            .collect();
        match self.with_arguments(held, now).await {
            Ok(claimed) => Ok(claimed),
            Err(error) => {
                // Not run, so not an attempt. If that fails too, the leases end by themselves.
                let _ = self.release_jobs(fences, now).await;
                Err(error)
            }
        }
    }

    /// Those without arguments of their own get the payload of their event. A job whose arguments do
    /// not read is dead at once, in plain sight, and stops no other.
    async fn with_arguments(
        &self,
        held: Vec<HeldJob>,
        now: Millis,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let mut events: Vec<(&WorkspaceId, &EventId)> = held
            .iter()
            .filter(|held| held.arguments.is_absent())
            .filter_map(|held| Some((&held.job.workspace_id, held.job.event_id.as_ref()?)))
            .collect();
        events.sort_unstable();
        events.dedup();
        let mut payloads = HashMap::new();
        if !events.is_empty() {
            let mut connection = self.database.read().await?;
            let backend = self.database.backend;
            payloads.extend(events::payloads(&mut connection, backend, &events).await?);
        }
        let (mut claimed, mut unreadable) = (Vec::with_capacity(held.len()), Vec::new());
        for HeldJob { job, arguments } in held {
            let found = match (&job.event_id, arguments.is_absent()) {
                (_, false) => arguments.unpacked().map(Option::unwrap_or_default).ok(),
                // An event that is no longer kept is no empty payload.
                (Some(event), true) => payloads.get(event).and_then(|found| found.clone().ok()),
                (None, true) => Some(Bytes::new()),
            };
            match found {
                Some(arguments) => claimed.push(ClaimedJob { job, arguments }),
                None => unreadable.push(refused_attempt(&job, now)),
            }
        }
        if !unreadable.is_empty() {
            tracing::warn!(
                jobs = unreadable.len(),
                "jobs are dead because their arguments do not read"
            );
            self.finish_attempts(unreadable).await?;
        }
        Ok(claimed)
    }

    /// Moves the leases of these claims, job and fence; returns the jobs that this host no longer
    /// holds. Claims that it does not name run out: nobody knows of them any more.
    pub async fn extend_leases(
        &self,
        mut held: Vec<(JobId, i64)>,
        until: Millis,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut gone = Vec::new();
        if held.is_empty() {
            return Ok(gone);
        }
        // In the order of `job_locks`.
        held.sort_unstable();
        let mut transaction = self.database.write().await?;
        for (job, fence) in held {
            let moved = Statement::new(
                "extend a lease",
                "update jobs set lease_expires_at = $1 \
                 where id = $2 and fence = $3 and state = 'running'",
            )
            .bind(until)
            .bind(&job)
            .bind(fence)
            .run(&mut transaction)
            .await?;
            if moved == 0 {
                gone.push(job);
            }
        }
        transaction.commit().await?;
        Ok(gone)
    }

    /// Gives claimed jobs back unrun: ready at `due_at`, the attempt not counted.
    /// What this host no longer holds is left alone.
    pub async fn release_jobs(
        &self,
        mut jobs: Vec<(JobId, i64)>,
        due_at: Millis,
    ) -> Result<(), StoreError> {
        // In the order of `job_locks`.
        jobs.sort_unstable();
        let mut transaction = self.database.write().await?;
        for (job, fence) in &jobs {
            Statement::new(
                "release a job",
                "update jobs set state = 'ready', due_at = $1, attempts_made = attempts_made - 1, \
                 lease_owner = null, lease_expires_at = null \
                 where id = $2 and fence = $3 and state = 'running'",
            )
            .bind(due_at)
            .bind(job)
            .bind(*fence)
            .run(&mut transaction)
            .await?;
        }
        transaction.commit().await
    }
}

/// Claims due jobs of one runnable.
pub(super) async fn claim(
    connection: &mut impl Connection,
    skip_locked: &'static str,
    claim: &Claim,
) -> Result<Vec<HeldJob>, StoreError> {
    let mut held: Vec<HeldJob> = Statement::composed(
        "claim jobs",
        format!(
            "update jobs set state = 'running', lease_owner = $1, lease_expires_at = $2, \
             fence = fence + 1, attempts_made = attempts_made + 1, \
             started_at = case when pins is null then $3 else started_at end \
             where id in (select id from jobs where runnable_id = $4 and state = 'ready' \
             and due_at <= $5 order by due_at, id limit $6{skip_locked}) \
             returning {}, arguments as bytes, encoding",
            job_columns!()
        ),
    )
    .bind(&claim.owner)
    .bind(claim.lease_until)
    .bind(claim.now)
    .bind(&claim.runnable_id)
    .bind(claim.now)
    .bind(claim.limit)
    .all(connection)
    .await?;
    held.sort_by(|a, b| (a.job.due_at, &a.job.id).cmp(&(b.job.due_at, &b.job.id)));
    Ok(held)
}

/// A claimed job with the arguments of its own row.
pub(super) struct HeldJob {
    job: Job,
    arguments: Packed,
}

impl FromRow for HeldJob {
    fn from_row(row: &Row<'_>) -> Result<HeldJob, StoreError> {
        Ok(HeldJob {
            job: Job::from_row(row)?,
            arguments: Packed::alone(row)?,
        })
    }
}

fn refused_attempt(job: &Job, now: Millis) -> Finished {
    Finished {
        job_id: job.id.clone(),
        fence: job.fence,
        attempt: NewAttempt {
            id: AttemptId::generate(now),
            number: job.attempts_made,
            host_id: job
                .lease_owner
                .clone()
                .expect("invariant: a claimed job has an owner"),
            started_at: now,
            finished_at: now,
            outcome: AttemptOutcome::Refused,
            exit_code: None,
            signal: None,
            http_status: None,
            stdout: None,
            stderr: None,
            result: None,
            error: Some("its arguments are not in the store, or do not read".to_owned()),
        },
        next: Next::Dead,
    }
}

impl FromRow for ReadyRunnable {
    fn from_row(row: &Row<'_>) -> Result<ReadyRunnable, StoreError> {
        Ok(ReadyRunnable {
            runnable_id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            version_id: row.parsed("version_id")?,
        })
    }
}
