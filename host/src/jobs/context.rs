//! What a job's attempt is told: names instead of ids. Names belong to their ids for good, so they
//! are read once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::id::{RunnableId, SubscriptionId, TriggerId, WorkspaceId};
use crate::model::{ClaimedJob, Job};
use crate::runnables::{EventContext, JobContext};
use crate::store::{Store, StoreError};

/// As many names of each kind are kept; then all are read anew.
const KEPT_MAX: usize = 4096;

/// Names by id.
pub(super) struct Names {
    store: Store,
    workspaces: Kept<WorkspaceId>,
    runnables: Kept<RunnableId>,
    triggers: Kept<TriggerId>,
    subscriptions: Kept<SubscriptionId>,
}

impl Names {
    pub(super) fn new(store: Store) -> Names {
        Names {
            store,
            workspaces: Kept::new(),
            runnables: Kept::new(),
            triggers: Kept::new(),
            subscriptions: Kept::new(),
        }
    }

    /// All that the attempt is told. What was deleted meanwhile is told by its id.
    pub(super) async fn context(&self, claimed: &ClaimedJob) -> Result<JobContext, StoreError> {
        let job = &claimed.job;
        Ok(JobContext {
            job_id: job.id.clone(),
            attempt: job.attempts_made,
            workspace: self.workspace(&job.workspace_id).await?,
            runnable: self.runnable(job).await?,
            trigger: self.trigger(job).await?,
            event: self.event(job).await?,
            arguments: claimed.arguments.clone(),
        })
    }

    /// What a job is told by, without its event.
    pub(super) async fn of_job(&self, job: &Job) -> Result<JobNames, StoreError> {
        Ok(JobNames {
            workspace: self.workspace(&job.workspace_id).await?,
            runnable: self.runnable(job).await?,
            trigger: self.trigger(job).await?,
        })
    }

    async fn workspace(&self, id: &WorkspaceId) -> Result<String, StoreError> {
        if let Some(name) = self.workspaces.find(id) {
            return Ok(name);
        }
        let all = self.store.list_workspaces().await?;
        let name = all.into_iter().find(|workspace| workspace.id == *id);
        Ok(self
            .workspaces
            .keep(id, name.map(|workspace| workspace.name), id.as_str()))
    }

    async fn runnable(&self, job: &Job) -> Result<String, StoreError> {
        let id = &job.runnable_id;
        if let Some(path) = self.runnables.find(id) {
            return Ok(path);
        }
        let found = self.store.runnable(&job.workspace_id, id).await?;
        Ok(self
            .runnables
            .keep(id, found.map(|runnable| runnable.path), id.as_str()))
    }

    async fn trigger(&self, job: &Job) -> Result<Option<String>, StoreError> {
        let Some(id) = &job.trigger_id else {
            return Ok(None);
        };
        if let Some(name) = self.triggers.find(id) {
            return Ok(Some(name));
        }
        let found = self.store.trigger(&job.workspace_id, id).await?;
        Ok(Some(self.triggers.keep(
            id,
            found.map(|trigger| trigger.name),
            id.as_str(),
        )))
    }

    async fn event(&self, job: &Job) -> Result<Option<EventContext>, StoreError> {
        let Some(id) = &job.event_id else {
            return Ok(None);
        };
        let Some(event) = self.store.event(&job.workspace_id, id).await? else {
            return Ok(None);
        };
        let subscription = &event.subscription_id;
        let name = match self.subscriptions.find(subscription) {
            Some(name) => name,
            None => {
                let found = self
                    .store
                    .subscription(&job.workspace_id, subscription)
                    .await?;
                let name = found.map(|subscription| subscription.name);
                self.subscriptions
                    .keep(subscription, name, subscription.as_str())
            }
        };
        Ok(Some(EventContext {
            id: event.id,
            name: event.name,
            provider: event.provider,
            subscription: name,
            at: event.occurred_at.unwrap_or(event.received_at),
        }))
    }
}

/// Names instead of ids.
pub(super) struct JobNames {
    pub(super) workspace: String,
    pub(super) runnable: String,
    pub(super) trigger: Option<String>,
}

struct Kept<Id>(Mutex<HashMap<Id, String>>);

impl<Id: Clone + Eq + std::hash::Hash> Kept<Id> {
    fn new() -> Kept<Id> {
        Kept(Mutex::new(HashMap::new()))
    }

    fn find(&self, id: &Id) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// Keeps a name that was found; answers with it, or with the id where there is none.
    fn keep(&self, id: &Id, name: Option<String>, otherwise: &str) -> String {
        let Some(name) = name else {
            return otherwise.to_owned();
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(id.clone(), name.clone());
        name
    }
}
