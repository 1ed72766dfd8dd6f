//! Jobs that were given up are told of: each to the most specific error handler that there is, as a job
//! of its own. A handler that fails is told to nobody.

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::id::JobId;
use crate::jobs::executor::{Executor, Inner};
use crate::model::{Job, JobCause, NewJob, Pin};
use crate::store::StoreError;

/// So many are looked at in one go.
const BATCH: u32 = 100;
/// Larger arguments are not handed on, in bytes.
const ARGUMENTS_MAX: usize = 1 << 20;
/// What is told in the place of an error that is to leave no trace.
const DELETED: &str = "deleted after use";

impl Executor {
    /// Makes the jobs that tell of jobs which were given up. Tells whether there may be more.
    pub async fn tell_failures(&self) -> Result<bool, StoreError> {
        let host = &self.0;
        let untold = host.store.untold_failures(BATCH).await?;
        let is_full = untold.len() == BATCH as usize;
        for failed in untold {
            tell(host, &failed).await?;
        }
        Ok(is_full)
    }

    /// Told when a job was given up here.
    pub fn failures_wake(&self) -> std::sync::Arc<Notify> {
        std::sync::Arc::clone(&self.0.failures_wake)
    }
}

async fn tell(host: &Inner, failed: &JobId) -> Result<(), StoreError> {
    // Asked before anything is read: what is wiped meanwhile is then read as it is after it.
    let is_wiped = host.store.is_to_be_wiped(failed).await?;
    let Some(mut job) = host.store.failed_job(failed).await? else {
        return host.store.tell_failure(failed, None).await.map(|_| ());
    };
    if is_wiped {
        job.error = None;
    }
    let told = match host.store.error_handler_of(&job).await? {
        Some(handler) => Some(job_of(host, &job, is_wiped, handler).await?),
        None => None,
    };
    let is_told = told.is_some();
    if host.store.tell_failure(failed, told).await? && is_told {
        host.metrics.jobs.increment(JobCause::Error.as_str());
        host.wake.notify_one();
    }
    Ok(())
}

async fn job_of(
    host: &Inner,
    failed: &Job,
    is_wiped: bool,
    handler: Pin,
) -> Result<NewJob, StoreError> {
    let now = host.clock.now();
    let names = host.names.of_job(failed).await?;
    // The job that tells is kept longer than one that is deleted after use.
    let arguments = match is_wiped {
        true => None,
        false => host.store.job_arguments(&failed.id).await?,
    };
    let arguments = arguments.filter(|bytes| bytes.len() <= ARGUMENTS_MAX);
    let arguments = arguments.map(|bytes| {
        serde_json::from_slice::<Value>(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
    });
    let told = json!({
        "error": failed.error.as_deref().unwrap_or(DELETED),
        "job_id": failed.id,
        "path": names.runnable,
        "trigger": names.trigger,
        "workspace": names.workspace,
        "arguments": arguments,
        "attempts": failed.attempts_made,
        "created_at": failed.created_at.to_string(),
    });
    Ok(NewJob {
        id: JobId::generate(now),
        workspace_id: failed.workspace_id.clone(),
        cause: JobCause::Error,
        event_id: None,
        trigger_id: None,
        attempts_max: host.versions.attempts_max(&handler.version_id).await?,
        runnable_id: handler.runnable_id,
        version_id: handler.version_id,
        arguments: Some(told.to_string().into()),
        due_at: now,
        created_at: now,
    })
}
