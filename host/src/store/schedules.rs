//! Schedules, as operators make and read them.

use super::changes::Edit;
use super::runnables::RUNNABLE_PATH;
use super::select::Select;
use super::sql::{FromRow, Row, Statement};
use super::subscriptions::json;
use super::{Store, StoreError};
use crate::id::{ScheduleId, WorkspaceId};
use crate::model::{ChangedKind, NewSchedule, NextTime, Page, PageQuery, Schedule, ScheduleUpdate};

macro_rules! select_schedules {
    ($more:literal) => {
        concat!(
            "select s.id, s.workspace_id, s.name, s.cron, s.timezone, s.runnable_id, s.arguments, \
             s.overlap, s.missed, s.paused, s.due_at, s.look_at, s.fired_for, s.fired_at, \
             s.last_job_id, s.skipped, s.skipped_at, s.skip_reason, s.revision, s.created_at, \
             s.updated_at",
            $more
        )
    };
}
pub(super) use select_schedules;

impl Store {
    /// A schedule of this workspace.
    pub async fn schedule(
        &self,
        workspace: &WorkspaceId,
        id: &ScheduleId,
    ) -> Result<Option<Schedule>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a schedule",
            select_schedules!(" from schedules s where s.workspace_id = $1 and s.id = $2"),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn schedule_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Schedule>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a schedule",
            select_schedules!(" from schedules s where s.workspace_id = $1 and s.name = $2"),
        )
        .bind(workspace)
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// Newest first.
    pub async fn list_schedules(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Schedule>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list schedules", select_schedules!(" from schedules s"))
            .and_value("workspace_id =", workspace.clone())
            .page(&mut connection, page, |row: &Schedule| row.id.as_str())
            .await
    }
}

impl FromRow for Schedule {
    fn from_row(row: &Row<'_>) -> Result<Schedule, StoreError> {
        Ok(Schedule {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            name: row.text("name")?,
            cron: row.text("cron")?,
            timezone: row.text("timezone")?,
            runnable_id: row.parsed("runnable_id")?,
            arguments: row.json("arguments")?,
            overlap: row.flag("overlap")?,
            missed: row.parsed("missed")?,
            paused: row.flag("paused")?,
            due_at: row.millis_opt("due_at")?,
            look_at: row.millis_opt("look_at")?,
            fired_for: row.millis_opt("fired_for")?,
            fired_at: row.millis_opt("fired_at")?,
            last_job_id: row.parsed_opt("last_job_id")?,
            skipped: row.number("skipped")?,
            skipped_at: row.millis_opt("skipped_at")?,
            skip_reason: row.text_opt("skip_reason")?,
            revision: row.int("revision")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
        })
    }
}

impl Edit<'_> {
    pub(super) async fn create_schedule(
        &mut self,
        new: &NewSchedule,
    ) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        self.find_name(RUNNABLE_PATH, new.runnable_id.as_str())
            .await?;
        let made = Statement::new(
            "create a schedule",
            "insert into schedules (id, workspace_id, name, cron, timezone, runnable_id, \
             arguments, overlap, missed, paused, due_at, look_at, skipped, revision, created_at, \
             updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 1, $13, $14) \
             on conflict (workspace_id, name) do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.name)
        .bind(&new.cron)
        .bind(&new.timezone)
        .bind(&new.runnable_id)
        .bind(json(&new.arguments))
        .bind(new.overlap)
        .bind(new.missed)
        .bind(new.paused)
        .bind(new.due_at)
        .bind(new.due_at)
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a schedule `{}` already",
                new.name
            ))),
            _ => Ok(ChangedKind::Created),
        }
    }

    pub(super) async fn update_schedule(
        &mut self,
        update: &ScheduleUpdate,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(RUNNABLE_PATH, update.runnable_id.as_str())
            .await?;
        let updated = Statement::new(
            "update a schedule",
            "update schedules set cron = $1, timezone = $2, runnable_id = $3, arguments = $4, \
             overlap = $5, missed = $6, paused = $7, revision = revision + 1, updated_at = $8 \
             where id = $9 and workspace_id = $10 and revision = $11",
        )
        .bind(&update.cron)
        .bind(&update.timezone)
        .bind(&update.runnable_id)
        .bind(json(&update.arguments))
        .bind(update.overlap)
        .bind(update.missed)
        // With its next time, below: a paused one has none.
        .bind(update.paused && update.next == NextTime::Keep)
        .bind(self.now)
        .bind(&update.id)
        .bind(&self.actor.workspace_id)
        .bind(update.revision)
        .run(self.connection)
        .await?;
        if updated == 0 {
            self.find_name(SCHEDULE_NAME, update.id.as_str()).await?;
            return Err(StoreError::Conflict(format!(
                "{} was changed meanwhile: read it again",
                update.id
            )));
        }
        if let NextTime::Set(at) = update.next {
            self.set_next_time(&update.id, update.paused, at).await?;
        }
        Ok(ChangedKind::Updated)
    }

    pub(super) async fn switch_schedule(
        &mut self,
        id: &ScheduleId,
        paused: bool,
        next: NextTime,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(SCHEDULE_NAME, id.as_str()).await?;
        let at = match next {
            NextTime::Set(at) if !paused => at,
            _ => None,
        };
        let changed = self.set_next_time(id, paused, at).await?;
        Ok(match changed {
            0 => ChangedKind::Unchanged,
            _ => ChangedKind::Updated,
        })
    }

    pub(super) async fn delete_schedule(
        &mut self,
        id: &ScheduleId,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(SCHEDULE_NAME, id.as_str()).await?;
        Statement::new("delete a schedule", "delete from schedules where id = $1")
            .bind(id)
            .run(self.connection)
            .await?;
        Ok(ChangedKind::Deleted)
    }

    async fn set_next_time(
        &mut self,
        id: &ScheduleId,
        paused: bool,
        at: Option<crate::clock::Millis>,
    ) -> Result<u64, StoreError> {
        let at = at.filter(|_| !paused);
        Statement::new(
            "set a schedule's next time",
            "update schedules set paused = $1, due_at = $2, look_at = $3, updated_at = $4 \
             where id = $5",
        )
        .bind(paused)
        .bind(at)
        .bind(at)
        .bind(self.now)
        .bind(id)
        .run(self.connection)
        .await
    }
}

const SCHEDULE_NAME: &str =
    "select name as text from schedules where id = $1 and workspace_id = $2";
