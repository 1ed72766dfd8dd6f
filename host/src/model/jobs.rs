//! Jobs and their attempts.

use bytes::Bytes;

use super::flows::StepOf;
use super::words::{AttemptOutcome, JobCause, JobState};
use crate::clock::Millis;
use crate::id::{AttemptId, EventId, HostId, JobId, RunnableId, TriggerId, VersionId, WorkspaceId};

/// The obligation to run one version; its arguments are asked for apart (`Store::job_arguments`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub workspace_id: WorkspaceId,
    pub cause: JobCause,
    pub event_id: Option<EventId>,
    pub trigger_id: Option<TriggerId>,
    pub runnable_id: RunnableId,
    pub version_id: VersionId,
    pub state: JobState,
    /// Attempts begun, the running one included.
    pub attempts_made: u32,
    pub attempts_max: u32,
    pub due_at: Millis,
    pub lease_owner: Option<HostId>,
    pub lease_expires_at: Option<Millis>,
    /// Rises with every claim.
    pub fence: i64,
    pub result: Option<Bytes>,
    /// Of the last attempt that failed.
    pub error: Option<String>,
    pub origin_job_id: Option<JobId>,
    /// The flow that it is a step of.
    pub step: Option<StepOf>,
    pub created_at: Millis,
    pub started_at: Option<Millis>,
    pub finished_at: Option<Millis>,
}

/// A job to be made; it begins `ready`.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub workspace_id: WorkspaceId,
    pub cause: JobCause,
    pub event_id: Option<EventId>,
    pub trigger_id: Option<TriggerId>,
    pub runnable_id: RunnableId,
    pub version_id: VersionId,
    /// None: the payload of the event.
    pub arguments: Option<Bytes>,
    pub attempts_max: u32,
    pub due_at: Millis,
    pub created_at: Millis,
}

/// A job that this host holds, with what it needs to run.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// As it is after the claim: `attempts_made` is the number of this attempt, `fence` its proof.
    pub job: Job,
    pub arguments: Bytes,
}

/// A runnable that has jobs which may be run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyRunnable {
    pub runnable_id: RunnableId,
    pub workspace_id: WorkspaceId,
    /// The runnable's current version, where its limits stand.
    pub version_id: VersionId,
}

/// One execution of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    pub job_id: JobId,
    /// Counts from 1 within its job.
    pub number: u32,
    pub fence: i64,
    pub host_id: HostId,
    pub started_at: Millis,
    pub finished_at: Millis,
    pub outcome: AttemptOutcome,
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    pub http_status: Option<u16>,
    pub stdout: Option<Bytes>,
    pub stderr: Option<Bytes>,
    pub result: Option<Bytes>,
    pub error: Option<String>,
}

/// An attempt to be recorded.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Made by the caller, so that the same record may be repeated.
    pub id: AttemptId,
    pub number: u32,
    pub host_id: HostId,
    pub started_at: Millis,
    pub finished_at: Millis,
    pub outcome: AttemptOutcome,
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    pub http_status: Option<u16>,
    pub stdout: Option<Bytes>,
    pub stderr: Option<Bytes>,
    /// Also becomes the job's result when it is done.
    pub result: Option<Bytes>,
    /// Also becomes the job's error.
    pub error: Option<String>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Finished {
    pub job_id: JobId,
    /// The fence that the claim returned.
    pub fence: i64,
    pub attempt: NewAttempt,
    pub next: Next,
}

/// What becomes of a job after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Done,
    Retry {
        due_at: Millis,
    },
    /// The attempt was not the job's fault: it is granted another one.
    Again {
        due_at: Millis,
    },
    Dead,
}

/// A job whose lease ran out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    pub job_id: JobId,
    pub runnable_id: RunnableId,
    /// `ready` again, or `dead` because its attempts are used up.
    pub state: JobState,
}

/// A new job made from an earlier one.
#[derive(Clone, Debug)]
pub struct Replay {
    pub id: JobId,
    pub version_id: VersionId,
    pub attempts_max: u32,
}

/// Which jobs are wanted; an absent field does not matter.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub cause: Option<JobCause>,
    pub runnable_id: Option<RunnableId>,
    pub trigger_id: Option<TriggerId>,
    pub event_id: Option<EventId>,
    /// The flow whose steps they are.
    pub flow_id: Option<JobId>,
}
