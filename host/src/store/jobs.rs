//! Jobs: making, replaying, cancelling and reading them.

use bytes::Bytes;
use sqlx::AnyConnection;

use super::attempts::{CutOff, insert_cut_off};
use super::body::Stored;
use super::connection::Connection;
use super::flows;
use super::job_locks;
use super::open::Backend;
use super::requests::{Packed, dictionary_columns, dictionary_join};
use super::rows::{ManyRows, chunks};
use super::select::Select;
use super::sql::{FromRow, Row, Statement};
use super::transaction::Transaction;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{JobId, WorkspaceId};
use crate::model::{AttemptOutcome, Job, JobFilter, JobState, NewJob, Page, PageQuery, Replay};

/// The columns of a [`Job`].
macro_rules! job_columns {
    () => {
        "id, workspace_id, cause, event_id, trigger_id, runnable_id, version_id, state, \
         attempts_made, attempts_max, due_at, lease_owner, lease_expires_at, fence, result, error, \
         origin_job_id, flow_id, step, retry, created_at, started_at, finished_at"
    };
}
pub(super) use job_columns;

/// The error of an attempt whose job was cancelled.
const CANCELLED: &str = "its job was cancelled while it ran";

const SELECT: &str = concat!("select ", job_columns!(), " from jobs");

impl Store {
    /// Makes a job that no event caused.
    pub async fn insert_job(&self, mut job: NewJob) -> Result<(), StoreError> {
        let arguments = Stored::pack(job.arguments.take()).await;
        let packed = PackedJob { job, arguments };
        let mut transaction = self.database.write().await?;
        insert_jobs(&mut transaction, self.database.backend, &[&packed]).await?;
        transaction.commit().await
    }

    /// Makes a new job with the arguments of an earlier one, which it names as its origin.
    pub async fn replay_job(
        &self,
        workspace: &WorkspaceId,
        origin: &JobId,
        replay: Replay,
    ) -> Result<Job, StoreError> {
        let mut transaction = self.database.write().await?;
        let now = self.clock.now();
        let job = self::replay(&mut transaction, (workspace, origin), &replay, now).await?;
        transaction.commit().await?;
        Ok(job)
    }

    /// Cancels a job that has not ended, with the steps of a flow. The attempt of a running one is
    /// written here and now, so that it stands in the history whatever becomes of its host; its end
    /// comes home too late. A conflict if it already ended.
    pub async fn cancel_job(&self, workspace: &WorkspaceId, id: &JobId) -> Result<Job, StoreError> {
        let (transaction, job) = self.begin_cancel(workspace, id).await?;
        transaction.commit().await?;
        Ok(job)
    }

    /// The same up to the commit. Tried again if the database cut it off, as the group commit is:
    /// steps that are made at this moment are not held in the order of all others.
    pub(super) async fn begin_cancel(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
    ) -> Result<(Transaction, Job), StoreError> {
        match self.begin_cancel_once(workspace, id).await {
            Err(error) if error.is_unavailable() => self.begin_cancel_once(workspace, id).await,
            begun => begun,
        }
    }

    async fn begin_cancel_once(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
    ) -> Result<(Transaction, Job), StoreError> {
        let mut transaction = self.database.write().await?;
        let job = self.cancel_in(&mut transaction, workspace, id).await?;
        Ok((transaction, job))
    }

    async fn cancel_in(
        &self,
        connection: &mut AnyConnection,
        workspace: &WorkspaceId,
        id: &JobId,
    ) -> Result<Job, StoreError> {
        let now = self.clock.now();
        let backend = self.database.backend;
        find(connection, workspace, id).await?;
        job_locks::hold_with_steps(connection, backend, id).await?;
        let job = select(connection, workspace, id, self.database.for_update()).await?;
        let job = job.ok_or_else(|| missing(id))?;
        if job.state.is_final() {
            return Err(StoreError::Conflict(format!(
                "{id} is already {}",
                job.state
            )));
        }
        cancel(connection, &job, now).await?;
        flows::cancel_steps(connection, self.database.for_update(), id, now).await?;
        if let Some(step) = &job.step {
            flows::poke(connection, backend, [step.flow_id.clone()], now).await?;
        }
        find(connection, workspace, id).await
    }

    /// A job of this workspace.
    pub async fn job(
        &self,
        workspace: &WorkspaceId,
        id: &JobId,
    ) -> Result<Option<Job>, StoreError> {
        let mut connection = self.database.read().await?;
        select(&mut connection, workspace, id, "").await
    }

    /// Its arguments: its own or the payload of its event.
    pub async fn job_arguments(&self, id: &JobId) -> Result<Option<Bytes>, StoreError> {
        let mut connection = self.database.read().await?;
        let arguments: Option<Packed> = Statement::new(
            "read a job's arguments",
            concat!(
                "select coalesce(j.arguments, e.payload, r.body) as bytes, \
                 case when j.arguments is not null then j.encoding \
                 when e.payload is not null then e.encoding else r.encoding end as encoding, ",
                dictionary_columns!(),
                " from jobs j \
                 left join events e on e.workspace_id = j.workspace_id and e.id = j.event_id \
                 and j.arguments is null \
                 left join requests r on r.workspace_id = e.workspace_id and r.id = e.request_id \
                 and e.payload is null ",
                dictionary_join!(),
                " where j.id = $1"
            ),
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        arguments.map_or(Ok(None), Packed::unpacked)
    }

    /// Newest first.
    pub async fn list_jobs(
        &self,
        workspace: &WorkspaceId,
        filter: &JobFilter,
        page: &PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list jobs", SELECT)
            .and_value("workspace_id =", workspace.clone())
            .and_some("state =", filter.state)
            .and_some("cause =", filter.cause)
            .and_some("runnable_id =", filter.runnable_id.clone())
            .and_some("trigger_id =", filter.trigger_id.clone())
            .and_some("event_id =", filter.event_id.clone())
            .and_some("flow_id =", filter.flow_id.clone())
            .page(&mut connection, page, |job: &Job| job.id.as_str())
            .await
    }

    /// How many jobs of the instance are in a state, for the metrics; finished ones are not counted.
    pub async fn count_jobs(&self, state: JobState) -> Result<u64, StoreError> {
        let text = match state {
            JobState::Ready => "select count(*) as n from jobs where state = 'ready'",
            JobState::Running => "select count(*) as n from jobs where state = 'running'",
            _ => return Ok(0),
        };
        let mut connection = self.database.read().await?;
        let count: Option<super::sql::Number> = Statement::new("count jobs", text)
            .one(&mut connection)
            .await?;
        Ok(count.map_or(0, |count| count.0.unsigned_abs()))
    }
}

/// Makes a new job with the arguments of an earlier one.
pub(super) async fn replay(
    connection: &mut AnyConnection,
    (workspace, origin): (&WorkspaceId, &JobId),
    replay: &Replay,
    now: Millis,
) -> Result<Job, StoreError> {
    find(connection, workspace, origin).await?;
    let made = Statement::new(
        "replay a job",
        "insert into jobs (id, workspace_id, cause, event_id, trigger_id, runnable_id, \
         version_id, arguments, encoding, state, attempts_made, attempts_max, due_at, fence, \
         origin_job_id, created_at) \
         select $1, j.workspace_id, 'replay', j.event_id, j.trigger_id, v.runnable_id, v.id, \
         j.arguments, j.encoding, 'ready', 0, $2, $3, 0, j.id, $4 \
         from jobs j cross join runnable_versions v \
         where j.id = $5 and v.id = $6 and v.runnable_id = j.runnable_id \
         and (j.arguments is not null or exists \
         (select 1 from events e where e.workspace_id = j.workspace_id and e.id = j.event_id))",
    )
    .bind(&replay.id)
    .bind(replay.attempts_max)
    .bind(now)
    .bind(now)
    .bind(origin)
    .bind(&replay.version_id)
    .run(connection)
    .await?;
    if made == 0 {
        return Err(StoreError::Conflict(format!(
            "{origin} cannot be replayed: its event is no longer kept, or {} is not a version of its runnable",
            replay.version_id
        )));
    }
    find(connection, workspace, &replay.id).await
}

/// Cancels a job that has not ended; its row is held.
pub(super) async fn cancel(
    connection: &mut AnyConnection,
    job: &Job,
    now: Millis,
) -> Result<(), StoreError> {
    if job.state == JobState::Running {
        let end = CutOff {
            outcome: AttemptOutcome::Cancelled,
            error: CANCELLED,
            at: now,
        };
        insert_cut_off(connection, job, end).await?;
    }
    Statement::new(
        "cancel a job",
        "update jobs set state = 'cancelled', lease_owner = null, lease_expires_at = null, \
         finished_at = $1 where id = $2 and state in ('ready', 'running', 'waiting')",
    )
    .bind(now)
    .bind(&job.id)
    .run(connection)
    .await
    .map(|_| ())
}

async fn select(
    connection: &mut AnyConnection,
    workspace: &WorkspaceId,
    id: &JobId,
    lock: &'static str,
) -> Result<Option<Job>, StoreError> {
    Statement::composed(
        "read a job",
        format!("{SELECT} where workspace_id = $1 and id = $2{lock}"),
    )
    .bind(workspace)
    .bind(id)
    .one(connection)
    .await
}

async fn find(
    connection: &mut AnyConnection,
    workspace: &WorkspaceId,
    id: &JobId,
) -> Result<Job, StoreError> {
    select(connection, workspace, id, "")
        .await?
        .ok_or_else(|| missing(id))
}

fn missing(id: &JobId) -> StoreError {
    StoreError::NotFound(format!("there is no {id} in this workspace"))
}

/// A job to be made with its bytes as they are stored.
pub(super) struct PackedJob {
    pub(super) job: NewJob,
    pub(super) arguments: Stored,
}

static INSERT_JOBS: ManyRows = ManyRows::new(
    "insert into jobs (id, workspace_id, cause, event_id, trigger_id, runnable_id, version_id, \
     arguments, encoding, state, attempts_made, attempts_max, due_at, fence, created_at) values ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, 'ready', 0, ?, ?, 0, ?)",
    " on conflict do nothing",
);

/// Inserts those that are not there yet.
pub(super) async fn insert_jobs(
    connection: &mut impl Connection,
    backend: Backend,
    jobs: &[&PackedJob],
) -> Result<(), StoreError> {
    for chunk in chunks(jobs) {
        let mut insert = Statement::composed("insert jobs", INSERT_JOBS.text(backend, chunk.len()));
        for PackedJob { job, arguments } in chunk {
            insert.push(&job.id);
            insert.push(&job.workspace_id);
            insert.push(job.cause);
            insert.push(&job.event_id);
            insert.push(&job.trigger_id);
            insert.push(&job.runnable_id);
            insert.push(&job.version_id);
            insert.push(arguments.bytes.clone());
            insert.push(arguments.encoding);
            insert.push(job.attempts_max);
            insert.push(job.due_at);
            insert.push(job.created_at);
        }
        insert.run(connection).await?;
    }
    Ok(())
}

impl FromRow for Job {
    fn from_row(row: &Row<'_>) -> Result<Job, StoreError> {
        Ok(Job {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            cause: row.parsed("cause")?,
            event_id: row.parsed_opt("event_id")?,
            trigger_id: row.parsed_opt("trigger_id")?,
            runnable_id: row.parsed("runnable_id")?,
            version_id: row.parsed("version_id")?,
            state: row.parsed("state")?,
            attempts_made: row.number("attempts_made")?,
            attempts_max: row.number("attempts_max")?,
            due_at: row.millis("due_at")?,
            lease_owner: row.parsed_opt("lease_owner")?,
            lease_expires_at: row.millis_opt("lease_expires_at")?,
            fence: row.int("fence")?,
            result: row.bytes_opt("result")?.map(Bytes::from),
            error: row.text_opt("error")?,
            origin_job_id: row.parsed_opt("origin_job_id")?,
            step: flows::step_of(row)?,
            created_at: row.millis("created_at")?,
            started_at: row.millis_opt("started_at")?,
            finished_at: row.millis_opt("finished_at")?,
        })
    }
}
