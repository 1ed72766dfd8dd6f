//! The end of attempts: each is written once, and moves its job on only while its fence holds.

use std::collections::HashSet;

use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement, Text};
use super::writer::{Write, Written};
use super::{Store, StoreError};
use super::{failures, flows};
use crate::clock::Millis;
use crate::id::{AttemptId, JobId};
use crate::model::{Attempt, AttemptOutcome, Finished, Job, JobCause, JobState, Next};

impl Store {
    /// Records attempts and moves their jobs on, in one commit with all others that wait. Tells for
    /// each whether its fence still held; if not, nothing of it was kept. Repeating it is harmless.
    pub async fn finish_attempts(&self, finished: Vec<Finished>) -> Result<Vec<bool>, StoreError> {
        match self
            .writer
            .write("record attempts", Write::Finish(finished))
            .await?
        {
            Written::Finish(held) => Ok(held),
            _ => unreachable!("invariant: a finish is answered with what held"),
        }
    }

    /// All attempts of a job, in their order.
    pub async fn list_attempts(&self, job: &JobId) -> Result<Vec<Attempt>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "list attempts",
            "select a.id, a.job_id, a.number, a.fence, a.host_id, a.started_at, a.finished_at, \
             a.outcome, a.exit_code, a.signal, a.http_status, a.stdout, a.stderr, \
             case when a.outcome = 'ok' then coalesce(a.result, j.result) else a.result end as result, \
             a.error from attempts a left join jobs j on j.id = a.job_id \
             where a.job_id = $1 order by a.fence",
        )
        .bind(job)
        .all(&mut connection)
        .await
    }
}

/// How many bytes it holds.
pub(super) fn size(finished: &Finished) -> usize {
    let attempt = &finished.attempt;
    let parts = [&attempt.stdout, &attempt.stderr, &attempt.result];
    parts
        .iter()
        .filter_map(|part| part.as_ref())
        .map(bytes::Bytes::len)
        .sum::<usize>()
        + 512
}

static MOVE_JOBS: ManyRows = ManyRows::new(
    "with ended (id, fence, state, due_at, granted, result, error, finished_at) as (values ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    ") update jobs set state = ended.state, due_at = coalesce(ended.due_at, jobs.due_at), \
     attempts_max = jobs.attempts_max + ended.granted, \
     lease_owner = null, lease_expires_at = null, result = ended.result, error = ended.error, \
     finished_at = ended.finished_at \
     from ended where jobs.id = ended.id and jobs.fence = ended.fence and jobs.state = 'running' \
     returning jobs.id, jobs.fence, jobs.flow_id, jobs.cause",
);

static INSERT_ATTEMPTS: ManyRows = ManyRows::new(
    "insert into attempts (id, job_id, number, fence, host_id, started_at, finished_at, outcome, \
     exit_code, signal, http_status, stdout, stderr, result, error) values ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " on conflict do nothing",
);

static FIND_ATTEMPTS: ManyRows = ManyRows::new(
    "with wanted (job_id, fence, id) as (values ",
    "(?, cast(? as bigint), ?)",
    ") select a.id as text from wanted w cross join attempts a \
     where a.job_id = w.job_id and a.fence = w.fence and a.id = w.id",
);

/// Moves the jobs whose fence holds and inserts their attempts. One answer for each, in their order.
pub(super) async fn finish(
    connection: &mut impl Connection,
    backend: Backend,
    finished: &[&Finished],
) -> Result<Vec<bool>, StoreError> {
    let mut moved = HashSet::with_capacity(finished.len());
    let (mut of_flows, mut given_up) = (Vec::new(), Vec::new());
    for chunk in chunks(finished) {
        let mut update = Statement::composed("move jobs on", MOVE_JOBS.text(backend, chunk.len()));
        for end in chunk {
            push_move(&mut update, end);
        }
        let rows: Vec<MovedRow> = update.all(connection).await?;
        for row in rows {
            let end = chunk
                .iter()
                .find(|end| end.job_id == row.id && end.fence == row.fence);
            let (is_done, is_dead) = end.map_or((false, false), |end| {
                (end.next == Next::Done, end.next == Next::Dead)
            });
            match row.flow_id {
                Some(flow) if is_done || is_dead => of_flows.push(flow),
                // A failing error handler does not call itself.
                None if is_dead && row.cause != JobCause::Error => given_up.push(row.id.clone()),
                _ => {}
            }
            moved.insert((row.id, row.fence));
        }
    }
    let has_moved = |end: &Finished| moved.contains(&(end.job_id.clone(), end.fence));
    let (held, late): (Vec<&Finished>, Vec<&Finished>) =
        finished.iter().partition(|end| has_moved(end));
    insert_attempts(connection, backend, &held).await?;
    if let Some(end) = held.first() {
        let at = end.attempt.finished_at;
        flows::poke(connection, backend, of_flows, at).await?;
        failures::note(connection, backend, &given_up, at).await?;
    }
    // Late, or the repetition of what was committed already?
    let recorded = find_attempts(connection, backend, &late).await?;
    Ok(finished
        .iter()
        .map(|end| has_moved(end) || recorded.contains(end.attempt.id.as_str()))
        .collect())
}

struct MovedRow {
    id: JobId,
    fence: i64,
    flow_id: Option<JobId>,
    cause: JobCause,
}

impl FromRow for MovedRow {
    fn from_row(row: &Row<'_>) -> Result<MovedRow, StoreError> {
        Ok(MovedRow {
            id: row.parsed("id")?,
            fence: row.int("fence")?,
            flow_id: row.parsed_opt("flow_id")?,
            cause: row.parsed("cause")?,
        })
    }
}

fn push_move<'q>(update: &mut Statement<'q>, end: &'q Finished) {
    let (state, due_at) = match end.next {
        Next::Done => (JobState::Done, None),
        Next::Retry { due_at } | Next::Again { due_at } => (JobState::Ready, Some(due_at)),
        Next::Dead => (JobState::Dead, None),
    };
    update.push(&end.job_id);
    update.push(end.fence);
    update.push(state);
    update.push(due_at);
    update.push(i64::from(matches!(end.next, Next::Again { .. })));
    match end.next {
        Next::Done => update.push(&end.attempt.result),
        Next::Retry { .. } | Next::Again { .. } | Next::Dead => update.push(None::<Vec<u8>>),
    }
    update.push(&end.attempt.error);
    update.push(state.is_final().then_some(end.attempt.finished_at));
}

async fn insert_attempts(
    connection: &mut impl Connection,
    backend: Backend,
    finished: &[&Finished],
) -> Result<(), StoreError> {
    for chunk in chunks(finished) {
        let mut insert = Statement::composed(
            "insert attempts",
            INSERT_ATTEMPTS.text(backend, chunk.len()),
        );
        for end in chunk {
            let attempt = &end.attempt;
            insert.push(&attempt.id);
            insert.push(&end.job_id);
            insert.push(attempt.number);
            insert.push(end.fence);
            insert.push(&attempt.host_id);
            insert.push(attempt.started_at);
            insert.push(attempt.finished_at);
            insert.push(attempt.outcome);
            insert.push(attempt.exit_code);
            insert.push(attempt.signal);
            insert.push(attempt.http_status.map(i64::from));
            insert.push(&attempt.stdout);
            insert.push(&attempt.stderr);
            // What is the job's result stands there, and is not written twice.
            insert.push(match end.next {
                Next::Done => &None,
                _ => &attempt.result,
            });
            insert.push(&attempt.error);
        }
        insert.run(connection).await?;
    }
    Ok(())
}

async fn find_attempts(
    connection: &mut impl Connection,
    backend: Backend,
    finished: &[&Finished],
) -> Result<HashSet<String>, StoreError> {
    let mut found = HashSet::new();
    for chunk in chunks(finished) {
        let mut select =
            Statement::composed("find attempts", FIND_ATTEMPTS.text(backend, chunk.len()));
        for end in chunk {
            select.push(&end.job_id);
            select.push(end.fence);
            select.push(&end.attempt.id);
        }
        let ids: Vec<Text> = select.all(connection).await?;
        found.extend(ids.into_iter().map(|id| id.0));
    }
    Ok(found)
}

/// Why an attempt ends of which its host cannot tell the end.
#[derive(Clone, Copy)]
pub(super) struct CutOff {
    pub(super) outcome: AttemptOutcome,
    pub(super) error: &'static str,
    pub(super) at: Millis,
}

/// Writes the attempt of a running job that is taken from its host.
pub(super) async fn insert_cut_off(
    connection: &mut impl Connection,
    job: &Job,
    end: CutOff,
) -> Result<(), StoreError> {
    Statement::new(
        "insert an attempt that was cut off",
        "insert into attempts (id, job_id, number, fence, host_id, started_at, finished_at, outcome, \
         error) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
    )
    .bind(AttemptId::generate(end.at))
    .bind(&job.id)
    .bind(job.attempts_made)
    .bind(job.fence)
    .bind(&job.lease_owner)
    .bind(job.started_at.unwrap_or(end.at))
    .bind(end.at)
    .bind(end.outcome)
    .bind(end.error)
    .run(connection)
    .await
    .map(|_| ())
}

impl FromRow for Attempt {
    fn from_row(row: &Row<'_>) -> Result<Attempt, StoreError> {
        Ok(Attempt {
            id: row.parsed("id")?,
            job_id: row.parsed("job_id")?,
            number: row.number("number")?,
            fence: row.int("fence")?,
            host_id: row.parsed("host_id")?,
            started_at: row.millis("started_at")?,
            finished_at: row.millis("finished_at")?,
            outcome: row.parsed("outcome")?,
            exit_code: row.int_opt("exit_code")?,
            signal: row.int_opt("signal")?,
            http_status: row.number_opt("http_status")?,
            stdout: row.bytes_opt("stdout")?.map(Into::into),
            stderr: row.bytes_opt("stderr")?.map(Into::into),
            result: row.bytes_opt("result")?.map(Into::into),
            error: row.text_opt("error")?,
        })
    }
}
