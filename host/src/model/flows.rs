//! Flows: the jobs of their steps, and how they are handed to the store; who is told of errors.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::words::{HandlerScope, JobState};
use crate::backoff::RetryPolicy;
use crate::clock::Millis;
use crate::id::{JobId, RunnableId, VersionId, WorkspaceId};

/// The flow that a job is a step of.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOf {
    /// The flow's job.
    pub flow_id: JobId,
    /// Which step: `fetch`, `each[3].ship`, `fetch!error`.
    pub step: String,
    /// When it is tried again, if not as its runnable says.
    pub retry: Option<RetryPolicy>,
}

impl Eq for StepOf {}

/// The version that a step runs, whatever its runnable becomes meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    pub runnable_id: RunnableId,
    pub version_id: VersionId,
}

/// By the runnable's path.
pub type Pins = BTreeMap<String, Pin>;

/// How far a flow's job is.
#[derive(Clone, Debug)]
pub struct FlowState {
    /// Rises with each step that ended. Read before the steps were.
    pub pokes: i64,
    /// None: it has not begun.
    pub pins: Option<Pins>,
    /// JSON that answered who waits for it.
    pub answer: Option<Bytes>,
    /// How many flows it is in.
    pub depth: u32,
    /// The bytes of all results of its steps.
    pub results_size: u64,
    /// Without results if those are too large together.
    pub steps: Vec<StepState>,
}

/// How far the job of a step is.
#[derive(Clone, Debug)]
pub struct StepState {
    pub job_id: JobId,
    pub step: String,
    pub state: JobState,
    pub result: Option<Bytes>,
    pub error: Option<String>,
}

/// A step's job to be made; it begins `ready`.
#[derive(Clone, Debug)]
pub struct NewStep {
    pub id: JobId,
    pub step: String,
    pub pin: Pin,
    pub arguments: Bytes,
    pub attempts_max: u32,
    pub retry: Option<RetryPolicy>,
}

/// A flow goes on: it waits for its steps, those that begin now among them.
#[derive(Clone, Debug)]
pub struct Advance {
    pub job_id: JobId,
    pub workspace_id: WorkspaceId,
    /// The fence that the claim returned.
    pub fence: i64,
    /// As they were when its steps were read: more by now, and it is ready at once.
    pub pokes: i64,
    pub pins: Pins,
    /// A result that answers who waits for it.
    pub answer: Option<Bytes>,
    pub steps: Vec<NewStep>,
    pub at: Millis,
}

/// Who is told when a job is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorHandler {
    pub scope: HandlerScope,
    /// The id of the trigger, the runnable or the workspace.
    pub object_id: String,
    /// Who is told.
    pub runnable_id: RunnableId,
}

/// Who is to be told from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerChange {
    pub scope: HandlerScope,
    pub object_id: String,
    /// None: nobody.
    pub runnable_id: Option<RunnableId>,
}
