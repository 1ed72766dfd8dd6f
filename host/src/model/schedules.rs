//! Schedules, and what firing one leaves behind.

use serde_json::{Map, Value};

use super::jobs::NewJob;
use super::words::Missed;
use crate::clock::Millis;
use crate::id::{JobId, RunnableId, ScheduleId, VersionId, WorkspaceId};

/// A runnable that is run at known times.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub id: ScheduleId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub cron: String,
    /// A name of the IANA's time zones.
    pub timezone: String,
    pub runnable_id: RunnableId,
    pub arguments: Map<String, Value>,
    /// Whether a run may begin while the one before has not ended.
    pub overlap: bool,
    pub missed: Missed,
    pub paused: bool,
    /// The next time that it is for; none: it is paused, or there is none.
    pub due_at: Option<Millis>,
    /// When it is looked at: then, or soon, while the run before has not ended.
    pub look_at: Option<Millis>,
    /// The last time that it was run for.
    pub fired_for: Option<Millis>,
    pub fired_at: Option<Millis>,
    pub last_job_id: Option<JobId>,
    /// How many times it was not run for.
    pub skipped: u64,
    pub skipped_at: Option<Millis>,
    /// Why it was not run the last time it was not.
    pub skip_reason: Option<String>,
    /// Rises with every change of what is wanted.
    pub revision: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// A schedule to be made.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    pub id: ScheduleId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub cron: String,
    pub timezone: String,
    pub runnable_id: RunnableId,
    pub arguments: Map<String, Value>,
    pub overlap: bool,
    pub missed: Missed,
    pub paused: bool,
    /// None, if it is paused.
    pub due_at: Option<Millis>,
}

/// A schedule's new content; its name stays.
#[derive(Clone, Debug)]
pub struct ScheduleUpdate {
    pub id: ScheduleId,
    /// The revision that was read; another one by now is a conflict.
    pub revision: i64,
    pub cron: String,
    pub timezone: String,
    pub runnable_id: RunnableId,
    pub arguments: Map<String, Value>,
    pub overlap: bool,
    pub missed: Missed,
    pub paused: bool,
    pub next: NextTime,
}

/// What becomes of a schedule's next time when it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTime {
    Keep,
    /// None: there is none.
    Set(Option<Millis>),
}

/// A schedule that is to be looked at.
#[derive(Clone, Debug)]
pub struct DueSchedule {
    pub schedule: Schedule,
    pub due_at: Millis,
    /// The version that its runnable has now.
    pub version_id: VersionId,
    /// Whether a job of it has not ended.
    pub is_running: bool,
}

/// What is made of a schedule that was due.
#[derive(Clone, Debug)]
pub struct Firing {
    pub schedule_id: ScheduleId,
    /// As they were when it was looked at; otherwise now, another host did it.
    pub revision: i64,
    pub due_at: Millis,
    pub look_at: Millis,
    /// In the order of their times.
    pub runs: Vec<Run>,
    pub skipped: Option<Skipped>,
    pub next_due_at: Option<Millis>,
    pub next_look_at: Option<Millis>,
}

/// One run for one time.
#[derive(Clone, Debug)]
pub struct Run {
    pub scheduled_for: Millis,
    pub job: NewJob,
}

/// Times that a schedule is not run for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub count: u64,
    pub reason: &'static str,
}
