//! A fresh store on either database, and rows to put into it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, json};
use triggerd::clock::{Clock, Millis};
use triggerd::id::*;
use triggerd::model::*;
use triggerd::seal::KeyRing;
use triggerd::secret::Secret;
use triggerd::store::{Claim, DatabaseConfig, Store};

use crate::postgres_harness::Cluster;

/// When the clock of every fixture starts.
pub const START: Millis = Millis(1_700_000_000_000);

/// Makes two tests of each named function: `sqlite::NAME` and `postgres::NAME`.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::fixture::Fixture::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::fixture::Fixture::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// A store with one workspace.
pub struct Fixture {
    pub store: Store,
    pub clock: Clock,
    pub keys: KeyRing,
    pub config: DatabaseConfig,
    pub workspace: WorkspaceId,
    /// Holds the keys, and the database if it is SQLite.
    pub folder: tempfile::TempDir,
}

impl Fixture {
    pub async fn sqlite() -> Fixture {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("triggerd.db").display());
        Fixture::open(folder, DatabaseConfig::new(url)).await
    }

    pub async fn postgres() -> Fixture {
        let url = Cluster::shared().database().await;
        Fixture::open(
            tempfile::tempdir().expect("a folder"),
            DatabaseConfig::new(url),
        )
        .await
    }

    pub async fn open(folder: tempfile::TempDir, mut config: DatabaseConfig) -> Fixture {
        config.connections_max = 4;
        let clock = Clock::fixed(START);
        let keys = KeyRing::load(folder.path(), None).expect("keys");
        let store = Store::open(config.clone(), keys.clone(), clock.clone())
            .await
            .expect("the store opens");
        let workspace = store
            .ensure_workspace("default")
            .await
            .expect("a workspace")
            .id;
        Fixture {
            store,
            clock,
            keys,
            config,
            workspace,
            folder,
        }
    }

    /// Closes the store and opens the same database again.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(self.config.clone(), self.keys.clone(), self.clock.clone())
            .await
            .expect("the store opens again");
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    pub fn advance(&self, seconds: u64) -> Millis {
        self.clock.advance(Duration::from_secs(seconds));
        self.clock.now()
    }

    pub fn later(&self, seconds: u64) -> Millis {
        self.now().plus(Duration::from_secs(seconds))
    }

    pub fn actor(&self) -> Actor {
        Actor {
            workspace_id: self.workspace.clone(),
            token_id: None,
        }
    }

    pub async fn apply(&self, changes: Vec<Change>) -> Vec<ChangedKind> {
        let changed = self
            .store
            .apply(&self.actor(), changes)
            .await
            .expect("applied");
        changed.into_iter().map(|changed| changed.kind).collect()
    }

    pub fn new_subscription(&self, name: &str) -> NewSubscription {
        NewSubscription {
            id: SubscriptionId::generate(self.now()),
            workspace_id: self.workspace.clone(),
            name: name.to_owned(),
            provider: "acme".to_owned(),
            endpoint: EndpointId::generate(self.now()),
            mode: SubscriptionMode::Manual,
            parameters: Map::new(),
            properties: Map::new(),
            secrets: Some(Secret::new(
                r#"{"webhook_secret":"tiger-lily-42"}"#.to_owned(),
            )),
            state: SubscriptionState::Active,
            state_reason: None,
            terms: Terms::default(),
        }
    }

    pub fn new_integration(&self, name: &str) -> NewIntegration {
        NewIntegration {
            id: IntegrationId::generate(self.now()),
            workspace_id: self.workspace.clone(),
            name: name.to_owned(),
            provider: "acme".to_owned(),
            base_url: Some("https://acme.example".to_owned()),
            client_id: Some("client-1".to_owned()),
            client_secret: Some(Secret::new("tiger-lily-42".to_owned())),
        }
    }

    /// An OAuth credential that is to be renewed in a minute.
    pub fn new_credential(&self, name: &str) -> NewCredential {
        NewCredential {
            id: CredentialId::generate(self.now()),
            workspace_id: self.workspace.clone(),
            name: name.to_owned(),
            provider: "acme".to_owned(),
            integration_id: None,
            kind: CredentialKind::Oauth,
            fields: Map::new(),
            secrets: Secret::new(r#"{"access_token":"tiger-lily-42"}"#.to_owned()),
            account_id: Some("7".to_owned()),
            account_name: Some("ada".to_owned()),
            scopes: vec!["repo".to_owned()],
            expires_at: Some(self.later(120)),
            refresh_due_at: Some(self.later(60)),
        }
    }

    pub fn new_version(&self, argv: &str) -> NewVersion {
        NewVersion {
            kind: RunnableKind::Command,
            spec: json!({"argv": [argv], "timeout_ms": 30_000}),
            secrets: None,
        }
    }

    pub fn new_runnable(&self, path: &str) -> NewRunnable {
        NewRunnable {
            id: RunnableId::generate(self.now()),
            workspace_id: self.workspace.clone(),
            path: path.to_owned(),
            version: self.new_version("./run.sh"),
        }
    }

    pub fn new_trigger(
        &self,
        name: &str,
        subscription: &SubscriptionId,
        runnable: &RunnableId,
    ) -> NewTrigger {
        NewTrigger {
            id: TriggerId::generate(self.now()),
            workspace_id: self.workspace.clone(),
            name: name.to_owned(),
            subscription_id: subscription.clone(),
            event: "push".to_owned(),
            parameters: Map::new(),
            runnable_id: runnable.clone(),
            enabled: true,
        }
    }

    /// A runnable that is there.
    pub async fn runnable(&self, path: &str) -> Runnable {
        let new = self.new_runnable(path);
        self.apply(vec![Change::CreateRunnable(new)]).await;
        let found = self.store.runnable_by_path(&self.workspace, path).await;
        found.expect("read").expect("it is there")
    }

    /// An append with one event whose payload is the body.
    pub fn append(&self, body: &[u8], delivery: Option<&str>) -> Append {
        let now = self.now();
        Append {
            request: NewRequest {
                id: RequestId::generate(now),
                workspace_id: self.workspace.clone(),
                subscription_id: subscription_id(),
                provider: "acme".to_owned(),
                method: "POST".to_owned(),
                path: "/webhooks/acme/x".to_owned(),
                query: String::new(),
                headers: r#"[["content-type","application/json"]]"#.to_owned(),
                body: Some(Bytes::copy_from_slice(body)),
                body_size: body.len() as u64,
                received_at: now,
                outcome: RequestOutcome::Accepted,
                status: 200,
                reason: None,
            },
            delivery: delivery.map(|id| Delivery {
                id: id.to_owned(),
                expires_at: self.later(3600),
            }),
            events: vec![NewEvent {
                id: EventId::generate(now),
                name: "push".to_owned(),
                payload: None,
                occurred_at: None,
            }],
            queue: Queue::Every,
            wake: false,
        }
    }

    /// An event that is in the log and pending.
    pub async fn event(&self, body: &[u8]) -> EventId {
        let append = self.append(body, None);
        let id = append.events[0].id.clone();
        self.store.append(append).await.expect("appended");
        id
    }

    pub fn new_job(&self, runnable: &Runnable, arguments: &[u8]) -> NewJob {
        NewJob {
            id: JobId::generate(self.now()),
            workspace_id: self.workspace.clone(),
            cause: JobCause::Test,
            event_id: None,
            trigger_id: None,
            runnable_id: runnable.id.clone(),
            version_id: runnable.version_id.clone(),
            arguments: Some(Bytes::copy_from_slice(arguments)),
            attempts_max: 3,
            due_at: self.now(),
            created_at: self.now(),
        }
    }

    /// A job that is there and ready.
    pub async fn job(&self, runnable: &Runnable) -> JobId {
        let job = self.new_job(runnable, b"{}");
        let id = job.id.clone();
        self.store.insert_job(job).await.expect("inserted");
        id
    }

    pub async fn read_job(&self, id: &JobId) -> Job {
        let job = self.store.job(&self.workspace, id).await;
        job.expect("read").expect("it is there")
    }

    pub async fn claim(&self, runnable: &Runnable, owner: &HostId, limit: u32) -> Vec<ClaimedJob> {
        let claim = Claim {
            runnable_id: runnable.id.clone(),
            owner: owner.clone(),
            now: self.now(),
            lease_until: self.later(30),
            limit,
        };
        self.store.claim_jobs(claim).await.expect("claimed")
    }

    pub fn finished(&self, job: &Job, next: Next) -> Finished {
        let ok = next == Next::Done;
        Finished {
            job_id: job.id.clone(),
            fence: job.fence,
            attempt: NewAttempt {
                id: AttemptId::generate(self.now()),
                number: job.attempts_made,
                host_id: job.lease_owner.clone().expect("it runs"),
                started_at: self.now(),
                finished_at: self.now(),
                outcome: if ok {
                    AttemptOutcome::Ok
                } else {
                    AttemptOutcome::Failed
                },
                exit_code: Some(i64::from(!ok)),
                signal: None,
                http_status: None,
                stdout: Some(Bytes::from_static(b"out")),
                stderr: None,
                result: ok.then(|| Bytes::from_static(b"\"fine\"")),
                error: (!ok).then(|| "exit code 1".to_owned()),
            },
            next,
        }
    }
}

/// Connections of the test's own to the fixture's database.
pub async fn pool(fixture: &Fixture) -> sqlx::AnyPool {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(fixture.config.url.expose()).await;
    pool.expect("a connection of our own")
}

pub fn host() -> HostId {
    HostId::generate(START)
}

/// The subscription that [`Fixture::append`] appends to; history names it without needing its row.
pub fn subscription_id() -> SubscriptionId {
    "sub_00000000000000000000000000".parse().expect("an id")
}

/// A body like those of the services: JSON of this many bytes or a few more.
pub fn body(bytes: usize) -> Vec<u8> {
    let mut text = String::from(r#"{"commits":["#);
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        text.push_str(&format!(
            r#"{{"id":"{number:040x}","message":"change {number}"}},"#
        ));
    }
    text.push_str("null]}");
    text.into_bytes()
}
