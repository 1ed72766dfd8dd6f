//! Runs a runnable for a connection and waits for what it returns: a job like any other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use super::spec::Asked;
use crate::clock::Clock;
use crate::id::{JobId, WorkspaceId};
use crate::jobs::Ends;
use crate::model::{JobCause, JobState, NewJob};
use crate::runnables::RunnableSpec;
use crate::store::{Store, StoreError};

/// A connection waits no longer for what a runnable returns.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Runs runnables.
#[derive(Clone)]
pub struct Runs {
    pub store: Store,
    pub clock: Clock,
    pub ends: Ends,
    /// Told when there is a job.
    pub jobs_wake: Arc<Notify>,
}

impl Runs {
    /// What the runnable returned, or why it did not.
    pub(super) async fn ask(
        &self,
        workspace: &WorkspaceId,
        asked: &Asked,
    ) -> Result<Value, String> {
        let path = &asked.runnable;
        let job = self
            .job(workspace, asked)
            .await
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("there is no runnable `{path}`"))?;
        let mut waiter = self.ends.wait_for(&job.id);
        let id = job.id.clone();
        let made = self.store.insert_job(job).await;
        made.map_err(|error| error.to_string())?;
        self.jobs_wake.notify_one();
        let ended = tokio::time::timeout(WAIT_MAX, waiter.ended())
            .await
            .map_err(|_| format!("`{path}` did not answer within a minute ({id})"))?;
        match ended.state {
            JobState::Done => {
                let result = ended.result.unwrap_or_default();
                Ok(serde_json::from_slice(&result).unwrap_or(Value::Null))
            }
            _ => Err(format!(
                "`{path}` failed ({id}): {}",
                ended.error.unwrap_or_default()
            )),
        }
    }

    async fn job(
        &self,
        workspace: &WorkspaceId,
        asked: &Asked,
    ) -> Result<Option<NewJob>, StoreError> {
        let found = self
            .store
            .runnable_by_path(workspace, &asked.runnable)
            .await?;
        let Some(runnable) = found.filter(|found| found.deleted_at.is_none()) else {
            return Ok(None);
        };
        let row = self.store.runnable_version(&runnable.version_id).await?;
        let spec = row.and_then(|row| RunnableSpec::parse(row.kind, &row.spec).ok());
        let now = self.clock.now();
        Ok(Some(NewJob {
            id: JobId::generate(now),
            workspace_id: workspace.clone(),
            cause: JobCause::Webhook,
            event_id: None,
            trigger_id: None,
            runnable_id: runnable.id,
            version_id: runnable.version_id,
            arguments: Some(Value::Object(asked.arguments.clone()).to_string().into()),
            attempts_max: spec.map_or(1, |spec| spec.policy().retry.attempts_max),
            due_at: now,
            created_at: now,
        }))
    }
}
