//! The ends of jobs that somebody waits for, and the wiping of those that are to leave no trace.

use bytes::Bytes;

use super::flows::with_steps;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::JobId;
use crate::model::JobState;

/// A job that ended.
#[derive(Clone, Debug)]
pub struct EndedJob {
    pub id: JobId,
    pub state: JobState,
    pub result: Option<Bytes>,
    pub error: Option<String>,
}

static SELECT_ENDED: ManyRows = ManyRows::new(
    "select id, case when answer is null then state else 'done' end as state, \
     coalesce(answer, result) as result, case when answer is null then error end as error \
     from jobs where id in (",
    "?",
    ") and (state in ('done', 'dead', 'cancelled') or answer is not null)",
);

static SELECT_UNFINISHED: ManyRows = ManyRows::new(
    "select id as text from jobs where id in (",
    "?",
    ") and state in ('ready', 'running', 'waiting')",
);

impl Store {
    /// Those of these jobs that ended, and flows that answer before their end: with that answer, also
    /// when they ended meanwhile.
    pub async fn ended_jobs(&self, jobs: &[JobId]) -> Result<Vec<EndedJob>, StoreError> {
        let mut connection = self.database.read().await?;
        let mut ended = Vec::new();
        for chunk in chunks(jobs) {
            let text = SELECT_ENDED.text(self.database.backend, chunk.len());
            let mut select = Statement::composed("find ended jobs", text);
            for job in chunk {
                select.push(job);
            }
            ended.extend(select.all::<EndedJob>(&mut connection).await?);
        }
        Ok(ended)
    }

    /// Those of these jobs that are there and have not ended.
    pub async fn unfinished_jobs(&self, jobs: &[JobId]) -> Result<Vec<String>, StoreError> {
        let mut connection = self.database.read().await?;
        let mut unfinished = Vec::new();
        for chunk in chunks(jobs) {
            let text = SELECT_UNFINISHED.text(self.database.backend, chunk.len());
            let mut select = Statement::composed("find unfinished jobs", text);
            for job in chunk {
                select.push(job);
            }
            let found: Vec<Text> = select.all(&mut connection).await?;
            unfinished.extend(found.into_iter().map(|id| id.0));
        }
        Ok(unfinished)
    }

    /// Jobs that are to be wiped and ended before, or are not there any more.
    pub async fn wipes_due(&self, before: Millis, limit: u32) -> Result<Vec<JobId>, StoreError> {
        let mut connection = self.database.read().await?;
        let due: Vec<Text> = Statement::new(
            "find jobs to be wiped",
            "select w.job_id as text from job_wipes w left join jobs j on j.id = w.job_id \
             where j.id is null or (j.state in ('done', 'dead', 'cancelled') \
             and j.finished_at <= $1) order by w.job_id limit $2",
        )
        .bind(before)
        .bind(limit)
        .all(&mut connection)
        .await?;
        due.into_iter()
            .map(|id| {
                id.0.parse()
                    .map_err(|error| StoreError::corrupt("job_id", error))
            })
            .collect()
    }

    /// Whether a job, or the flow that it is a step of, is to be wiped and was not yet.
    pub async fn is_to_be_wiped(&self, job: &JobId) -> Result<bool, StoreError> {
        let mut connection = self.database.read().await?;
        let found: Option<Text> = Statement::new(
            "find whether a job is to be wiped",
            "with recursive above (id, flow_id) as (select id, flow_id from jobs where id = $1 \
             union all select j.id, j.flow_id from jobs j join above a on j.id = a.flow_id) \
             select w.job_id as text from job_wipes w join above a on w.job_id = a.id limit 1",
        )
        .bind(job)
        .one(&mut connection)
        .await?;
        Ok(found.is_some())
    }

    /// Wipes arguments, logs, result and error of a job that ended and was to be wiped: ids, times
    /// and states stay. Tells whether it did; repeating it is harmless.
    pub async fn wipe_job(&self, job: &JobId) -> Result<bool, StoreError> {
        let mut transaction = self.database.write().await?;
        let is_wanted = Statement::new(
            "take a job to be wiped",
            "delete from job_wipes where job_id = $1 and not exists (select 1 from jobs \
             where id = $2 and state in ('ready', 'running', 'waiting'))",
        )
        .bind(job)
        .bind(job)
        .run(&mut transaction)
        .await?;
        if is_wanted == 0 {
            return Ok(false);
        }
        for text in [
            concat!(
                "update jobs set arguments = null, encoding = 'plain', result = null, answer = null, \
                 error = null where id in (",
                with_steps!(),
                ")"
            ),
            concat!(
                "update attempts set stdout = null, stderr = null, result = null, error = null \
                 where job_id in (",
                with_steps!(),
                ")"
            ),
        ] {
            Statement::new("wipe a job", text)
                .bind(job)
                .run(&mut transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

impl FromRow for EndedJob {
    fn from_row(row: &Row<'_>) -> Result<EndedJob, StoreError> {
        Ok(EndedJob {
            id: row.parsed("id")?,
            state: row.parsed("state")?,
            result: row.bytes_opt("result")?.map(Bytes::from),
            error: row.text_opt("error")?,
        })
    }
}
