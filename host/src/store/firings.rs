//! Schedules that are due: finding them, and making their jobs, each time once whoever sees it.

use super::body::Stored;
use super::connection::Connection;
use super::schedules::select_schedules;
use super::sql::{FromRow, Row, Statement, Time};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::ScheduleId;
use crate::model::{DueSchedule, Firing, JobCause, Run, Schedule};

impl Store {
    /// Up to `limit` schedules that are to be looked at, the longest due first. Those of deleted
    /// runnables are not there: a runnable is not deleted while a schedule names it.
    pub async fn due_schedules(
        &self,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<DueSchedule>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "find the schedules that are due",
            format!(
                "{} from schedules s join runnables r on r.id = s.runnable_id \
                 where s.look_at <= $1 order by s.look_at, s.id limit {limit}",
                select_schedules!(
                    ", r.version_id, case when exists (select 1 from jobs j \
                     where j.schedule_id = s.id and j.state in ('ready', 'running', 'waiting')) \
                     then 1 else 0 end as is_running"
                )
            ),
        )
        .bind(now)
        .all(&mut connection)
        .await
    }

    /// When the next schedule is to be looked at.
    pub async fn next_schedule_look(&self) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let next: Option<Time> = Statement::new(
            "find the next schedule",
            "select look_at as at from schedules where look_at is not null \
             order by look_at limit 1",
        )
        .one(&mut connection)
        .await?;
        Ok(next.and_then(|next| next.0))
    }

    /// Makes the jobs of schedules that were due and sets their next times, in one commit. What
    /// another host did first, or an operator changed since, is left alone. How many jobs it made.
    pub async fn fire_schedules(
        &self,
        mut firings: Vec<Firing>,
        now: Millis,
    ) -> Result<usize, StoreError> {
        // In one order everywhere, so that two hosts do not wait for each other in a circle.
        firings.sort_by(|a, b| a.schedule_id.cmp(&b.schedule_id));
        let mut transaction = self.database.write().await?;
        let mut made = 0;
        for firing in firings {
            if !move_on(&mut transaction, &firing, now).await? {
                continue;
            }
            for run in firing.runs {
                made += insert_run(&mut transaction, &firing.schedule_id, run).await?;
            }
        }
        transaction.commit().await?;
        Ok(made)
    }

    /// Schedules whose next time or next look lies after an instant, up to `limit` of those whose ids
    /// come after one: what a clock that ran ahead moved is among them.
    pub async fn schedules_ahead(
        &self,
        ahead: Millis,
        after: Option<&ScheduleId>,
        limit: u32,
    ) -> Result<Vec<Schedule>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "find the schedules that lie ahead",
            format!(
                "{} from schedules s where (s.due_at > $1 or s.look_at > $2) and s.id > $3 \
                 order by s.id limit {limit}",
                select_schedules!("")
            ),
        )
        .bind(ahead)
        .bind(ahead)
        .bind(after.map_or("", ScheduleId::as_str))
        .all(&mut connection)
        .await
    }

    /// Forgets that schedules were run for times after this: nobody has come to those yet.
    pub async fn forget_runs_ahead(&self, ahead: Millis) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "forget the runs for times that lie ahead",
            "update schedules set fired_for = null where fired_for > $1",
        )
        .bind(ahead)
        .run(&mut connection)
        .await
    }
}

/// Whether the schedule was as it was seen, and has its next time now.
async fn move_on(
    connection: &mut impl Connection,
    firing: &Firing,
    now: Millis,
) -> Result<bool, StoreError> {
    let last = firing.runs.last();
    let skipped = firing.skipped.as_ref();
    let moved = Statement::new(
        "set a schedule's next time",
        "update schedules set due_at = $1, look_at = $2, fired_for = coalesce($3, fired_for), \
         fired_at = coalesce($4, fired_at), last_job_id = coalesce($5, last_job_id), \
         skipped = skipped + $6, skipped_at = coalesce($7, skipped_at), \
         skip_reason = coalesce($8, skip_reason) \
         where id = $9 and revision = $10 and due_at = $11 and look_at = $12",
    )
    .bind(firing.next_due_at)
    .bind(firing.next_look_at)
    .bind(last.map(|run| run.scheduled_for))
    .bind(last.map(|_| now))
    .bind(last.map(|run| &run.job.id))
    .bind(skipped.map_or(0, |skipped| {
        i64::try_from(skipped.count).unwrap_or(i64::MAX)
    }))
    .bind(skipped.map(|_| now))
    .bind(skipped.map(|skipped| skipped.reason))
    .bind(&firing.schedule_id)
    .bind(firing.revision)
    .bind(firing.due_at)
    .bind(firing.look_at)
    .run(connection)
    .await?;
    Ok(moved == 1)
}

/// One row, or none if there is a job for this time already.
async fn insert_run(
    connection: &mut impl Connection,
    schedule: &ScheduleId,
    run: Run,
) -> Result<usize, StoreError> {
    let Run { scheduled_for, job } = run;
    let arguments = Stored::pack(job.arguments).await;
    let made = Statement::new(
        "insert the job of a schedule",
        "insert into jobs (id, workspace_id, cause, runnable_id, version_id, arguments, encoding, \
         state, attempts_made, attempts_max, due_at, fence, created_at, schedule_id, \
         scheduled_for) values ($1, $2, $3, $4, $5, $6, $7, 'ready', 0, $8, $9, 0, $10, $11, $12) \
         on conflict do nothing",
    )
    .bind(&job.id)
    .bind(&job.workspace_id)
    .bind(JobCause::Schedule)
    .bind(&job.runnable_id)
    .bind(&job.version_id)
    .bind(arguments.bytes)
    .bind(arguments.encoding)
    .bind(job.attempts_max)
    .bind(job.due_at)
    .bind(job.created_at)
    .bind(schedule)
    .bind(scheduled_for)
    .run(connection)
    .await?;
    Ok(usize::try_from(made).unwrap_or(0))
}

impl FromRow for DueSchedule {
    fn from_row(row: &Row<'_>) -> Result<DueSchedule, StoreError> {
        let schedule = Schedule::from_row(row)?;
        Ok(DueSchedule {
            due_at: row.millis("due_at")?,
            version_id: row.parsed("version_id")?,
            is_running: row.flag("is_running")?,
            schedule,
        })
    }
}
