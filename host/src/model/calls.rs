//! A call of a runnable over HTTP, and how it is handed to the store.

use super::jobs::NewJob;
use super::objects::{Runnable, Token, Workspace};
use super::words::{CallKind, RequestOutcome, RunnableKind};
use crate::clock::Millis;
use crate::id::{HostId, JobId, RequestId, RunnableId, TokenId, VersionId, WorkspaceId};

/// What a token for one runnable runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    pub path: String,
    pub kind: CallKind,
}

/// How a call names what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee<'a> {
    /// The latest version at a path.
    Path(&'a str),
    /// A fixed version, by its hash or its id.
    Version(&'a str),
}

/// What was found of what a call names: everything by one look.
#[derive(Clone, Debug)]
pub struct Addressed {
    /// Also if it is revoked or expired.
    pub token: Token,
    pub workspace: Option<Workspace>,
    /// With the version to be run. Several: the same content stands at several paths.
    pub runnables: Vec<CalledVersion>,
}

/// A version that a call names, with its runnable.
#[derive(Clone, Debug)]
pub struct CalledVersion {
    pub runnable: Runnable,
    pub version_id: VersionId,
    pub kind: RunnableKind,
}

/// A call with everything that is committed with it.
#[derive(Clone, Debug)]
pub struct NewCall {
    pub workspace_id: WorkspaceId,
    /// None: the jobs belong to a request that has its row by another call.
    pub request: Option<CallRequest>,
    pub key: Option<CallKey>,
    /// All or none are made. None at all: the request is refused, and only logged.
    pub jobs: Vec<CallJob>,
    pub token_id: Option<TokenId>,
}

/// A request of the log that called a runnable. Its body is kept as its jobs' arguments only.
#[derive(Clone, Debug)]
pub struct CallRequest {
    /// Made by the caller, so that the same call may be repeated.
    pub id: RequestId,
    pub workspace_id: WorkspaceId,
    pub runnable_id: Option<RunnableId>,
    pub method: String,
    pub path: String,
    /// Without tokens.
    pub query: String,
    /// JSON text, secrets already masked.
    pub headers: String,
    pub body_size: u64,
    pub received_at: Millis,
    pub outcome: RequestOutcome,
    pub status: u16,
    pub reason: Option<String>,
}

/// What a caller marked a call with; the same one gives the same jobs until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallKey {
    pub key: String,
    pub runnable_id: RunnableId,
    /// What it stands for from now on, if it was not seen before; none: it only asks.
    pub jobs: Vec<JobId>,
    pub expires_at: Millis,
}

/// A job that a call makes.
#[derive(Clone, Debug)]
pub struct CallJob {
    pub job: NewJob,
    /// Claimed in the same commit by a host that has a free place for it.
    pub lease: Option<CallLease>,
    /// Its arguments, logs and result go when its caller was answered.
    pub is_wiped: bool,
}

/// A claim that is made with its job.
#[derive(Clone, Debug)]
pub struct CallLease {
    pub owner: HostId,
    pub expires_at: Millis,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// Its jobs are committed and synced.
    Made,
    /// Its key was seen before, and made these jobs.
    Again { jobs: Vec<JobId> },
    /// The same, but not all of them are kept any more.
    Gone { jobs: Vec<JobId> },
    /// Its key was used with another token: nothing was made.
    Taken,
}
