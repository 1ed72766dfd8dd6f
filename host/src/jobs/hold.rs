//! A place that is taken before its job is made, so that a job somebody waits for can be committed as
//! claimed and begins without a second commit. Where none is free the job waits its turn like any
//! other.

use std::sync::Arc;

use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::id::{RunnableId, VersionId};
use crate::jobs::attempt;
use crate::jobs::executor::{Executor, Inner};
use crate::jobs::schedule::Candidate;
use crate::model::{CallLease, ClaimedJob};
use crate::runnables::RunPolicy;
use crate::store::StoreError;

/// A place for one job of a runnable; given back when it is dropped unused.
pub struct Hold {
    host: Arc<Inner>,
    runnable: RunnableId,
    is_used: bool,
    /// Whoever drains waits for what becomes of it.
    _under_way: TaskTrackerToken,
}

impl Executor {
    /// How the jobs of a version are run. `None`: it does not read, which its attempts will say.
    pub async fn policy(&self, version: &VersionId) -> Result<Option<RunPolicy>, StoreError> {
        let read = self.0.versions.read(version).await?;
        Ok(read.as_ref().as_ref().ok().map(|read| *read.spec.policy()))
    }

    /// Takes a free place within the runnable's limits.
    pub fn hold(&self, runnable: &RunnableId, policy: &RunPolicy) -> Option<Hold> {
        let host = &self.0;
        if host.is_draining() {
            return None;
        }
        let candidate = Candidate {
            runnable: runnable.clone(),
            concurrency: policy.concurrency,
        };
        let is_taken = host.schedule().take(&candidate, host.clock.now());
        is_taken.then(|| Hold {
            host: Arc::clone(host),
            runnable: runnable.clone(),
            is_used: false,
            _under_way: host.tasks.token(),
        })
    }
}

impl Hold {
    /// The claim that the job is to be committed with.
    pub fn lease(&self) -> CallLease {
        CallLease {
            owner: self.host.owner.clone(),
            expires_at: self.host.clock.now().plus(self.host.config.lease),
        }
    }

    /// Starts the job, which is committed by now with this claim.
    pub fn start(mut self, claimed: ClaimedJob) {
        self.is_used = true;
        attempt::start(&self.host, claimed);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.is_used {
            self.host.schedule().give_back(&self.runnable, 1);
            // Somebody may have looked for a place meanwhile.
            self.host.wake.notify_one();
        }
    }
}
