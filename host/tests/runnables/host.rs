//! A host without edges: a store, an executor, and a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;
use triggerd::clock::{Clock, Millis};
use triggerd::id::{HostId, JobId, RunnableId, VersionId, WorkspaceId};
use triggerd::jobs::{Executor, ExecutorConfig, ExecutorParts};
use triggerd::metrics::Metrics;
use triggerd::model::{
    Actor, Attempt, Change, Job, JobCause, JobState, NewJob, NewRunnable, NewVersion, Runnable,
    RunnableKind, RunnableState,
};
use triggerd::runnables::{CommandDirs, Runner};
use triggerd::seal::KeyRing;
use triggerd::store::{DatabaseConfig, Store};

use crate::outbound_client;

/// The time at which every test begins.
const START: Millis = Millis(1_700_000_000_000);
/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a claim holds, by the test's clock.
pub const LEASE: Duration = Duration::from_secs(60);

pub struct Host {
    pub store: Store,
    pub clock: Clock,
    pub workspace: WorkspaceId,
    folder: tempfile::TempDir,
}

impl Host {
    pub async fn start() -> Host {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/triggerd.db", folder.path().display());
        Host::start_on(url, folder).await
    }

    /// On this PostgreSQL.
    pub async fn on_postgres(url: String) -> Host {
        Host::start_on(url, tempfile::tempdir().expect("a folder")).await
    }

    async fn start_on(url: String, folder: tempfile::TempDir) -> Host {
        let clock = Clock::fixed(START);
        let store = Store::open(
            DatabaseConfig::new(url),
            KeyRing::ephemeral(),
            clock.clone(),
        );
        let store = store.await.expect("a store");
        let workspace = store
            .ensure_workspace("default")
            .await
            .expect("a workspace");
        Host {
            store,
            clock,
            workspace: workspace.id,
            folder,
        }
    }

    /// An executor of its own identity; two of them are two hosts on one store.
    pub fn executor(&self) -> Executor {
        self.executor_with(ExecutorConfig::default())
    }

    pub fn executor_with(&self, config: ExecutorConfig) -> Executor {
        self.executor_woken_by(Arc::new(Notify::new()), config)
    }

    /// One that says by `wake` when a tick is worth it.
    pub fn executor_woken_by(&self, wake: Arc<Notify>, config: ExecutorConfig) -> Executor {
        let dirs = CommandDirs::new([self.folder.path().to_owned()]);
        Executor::new(ExecutorParts {
            store: self.store.clone(),
            runner: Runner::new(dirs, outbound_client(), self.clock.clone()),
            clock: self.clock.clone(),
            owner: HostId::generate(self.clock.now()),
            metrics: Arc::new(Metrics::default()),
            wake,
            config,
        })
    }

    /// A shell script among the programs that may be run.
    pub fn script(&self, name: &str, lines: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    pub async fn runnable(&self, path: &str, kind: RunnableKind, spec: Value) -> Runnable {
        let id = RunnableId::generate(self.clock.now());
        let runnable = NewRunnable {
            id: id.clone(),
            workspace_id: self.workspace.clone(),
            path: path.to_owned(),
            version: NewVersion {
                kind,
                spec,
                secrets: None,
            },
        };
        self.apply(Change::CreateRunnable(runnable)).await;
        self.find(&id).await
    }

    pub async fn find(&self, id: &RunnableId) -> Runnable {
        let found = self.store.runnable(&self.workspace, id).await;
        found.expect("the store answers").expect("a runnable")
    }

    pub async fn enable(&self, id: &RunnableId) {
        let state = RunnableState::Enabled;
        self.store
            .set_runnable_state(id, state, None)
            .await
            .expect("enabled");
    }

    pub async fn add_job(&self, runnable: &Runnable, attempts_max: u32) -> JobId {
        let version = runnable.version_id.clone();
        self.add_job_of(runnable, version, attempts_max).await
    }

    pub async fn add_job_of(
        &self,
        runnable: &Runnable,
        version: VersionId,
        attempts_max: u32,
    ) -> JobId {
        let now = self.clock.now();
        let id = JobId::generate(now);
        let job = NewJob {
            id: id.clone(),
            workspace_id: self.workspace.clone(),
            cause: JobCause::Test,
            event_id: None,
            trigger_id: None,
            runnable_id: runnable.id.clone(),
            version_id: version,
            arguments: Some(Bytes::from_static(b"{\"a\":1}")),
            attempts_max,
            due_at: now,
            created_at: now,
        };
        self.store.insert_job(job).await.expect("a job");
        id
    }

    pub async fn job(&self, id: &JobId) -> Job {
        let found = self.store.job(&self.workspace, id).await;
        found.expect("the store answers").expect("a job")
    }

    pub async fn attempts(&self, id: &JobId) -> Vec<Attempt> {
        self.store.list_attempts(id).await.expect("attempts")
    }

    /// Waits until the job is as wanted. Its place may still be taken.
    pub async fn until(&self, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        let looking = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(2));
            loop {
                let job = self.job(id).await;
                if wanted(&job) {
                    return job;
                }
                ticks.tick().await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(job) => job,
            Err(_) => panic!("not in time: {:?}", self.job(id).await),
        }
    }

    pub async fn until_state(&self, id: &JobId, state: JobState) -> Job {
        self.until(id, |job| job.state == state).await
    }

    pub async fn apply(&self, change: Change) {
        let actor = Actor {
            workspace_id: self.workspace.clone(),
            token_id: None,
        };
        self.store
            .apply(&actor, vec![change])
            .await
            .expect("applied");
    }
}

/// Waits until nothing runs.
pub async fn until_idle(executor: &Executor) {
    let looking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while executor.running() > 0 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .expect("idle in time");
}
