//! A database of the first version, in the middle of its work, under the host of today.

use bytes::Bytes;
use sqlx::AnyPool;
use sqlx::migrate::Migrator;
use triggerd::clock::{Clock, Millis};
use triggerd::id::{EventId, HostId, JobId, RequestId, RunnableId, VersionId, WorkspaceId};
use triggerd::model::{
    Event, EventFilter, EventState, JobState, PageQuery, Request, RequestOutcome,
};
use triggerd::seal::KeyRing;
use triggerd::store::{Claim, DatabaseConfig, Store};

use crate::fixture::{START, subscription_id};
use crate::postgres_harness::Cluster;

/// Longer than what a log is left with.
fn long_body() -> Vec<u8> {
    vec![b'7'; 1 << 20]
}

/// What the first version left behind when it was stopped.
struct Left {
    workspace: WorkspaceId,
    runnable: RunnableId,
    version: VersionId,
    ready: JobId,
    running: JobId,
    event: EventId,
    request: RequestId,
    /// With a row of each log whose every column holds something.
    other: WorkspaceId,
    whole_event: EventId,
    whole_request: RequestId,
}

/// The first step alone, as it was released.
async fn first_tables(pool: &AnyPool, backend: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let from = format!(
        "{}/../migrations/{backend}/0001_base.sql",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::copy(from, folder.path().join("0001_base.sql")).expect("copied");
    let steps = Migrator::new(folder.path()).await.expect("read");
    steps.run(pool).await.expect("the first tables");
}

impl Left {
    fn new() -> Left {
        Left {
            workspace: WorkspaceId::generate(START),
            runnable: RunnableId::generate(START),
            version: VersionId::generate(START),
            ready: JobId::generate(START),
            running: JobId::generate(START),
            event: EventId::generate(START),
            request: RequestId::generate(START),
            other: WorkspaceId::generate(START),
            whole_event: EventId::generate(START),
            whole_request: RequestId::generate(START),
        }
    }

    /// The rows, by the words of that version.
    fn rows(&self) -> Vec<String> {
        let Left {
            workspace,
            runnable,
            version,
            ready,
            running,
            event,
            request,
            other,
            whole_event,
            whole_request,
        } = self;
        let (at, subscription, host) = (START.0, subscription_id(), HostId::generate(START));
        let job = |id: &JobId, rest: &str| {
            format!(
                "insert into jobs (id, workspace_id, cause, runnable_id, version_id, arguments, encoding, \
                 attempts_max, created_at, due_at, state, attempts_made, fence, lease_owner, lease_expires_at, \
                 started_at) values ('{id}', '{workspace}', 'test', '{runnable}', '{version}', $1, 'plain', \
                 3, {at}, {at}, {rest})"
            )
        };
        vec![
            format!("insert into workspaces values ('{workspace}', 'default', {at})"),
            format!(
                "insert into runnables (id, workspace_id, path, version_id, state, created_at, updated_at) \
                 values ('{runnable}', '{workspace}', 'f/a', '{version}', 'enabled', {at}, {at})"
            ),
            format!(
                "insert into runnable_versions (id, runnable_id, number, hash, kind, spec, created_at) \
                 values ('{version}', '{runnable}', 1, 'h', 'command', '{{\"argv\":[\"x\"]}}', {at})"
            ),
            job(ready, "'ready', 0, 0, null, null, null"),
            job(running, &format!("'running', 1, 1, '{host}', {at}, {at}")),
            format!(
                "insert into requests (id, workspace_id, subscription_id, provider, method, path, query, \
                 headers, body, encoding, body_size, received_at, outcome, status, events) values \
                 ('{request}', '{workspace}', '{subscription}', 'acme', 'POST', '/', '', '[]', $1, 'plain', 7, \
                 {at}, 'accepted', 200, 1)"
            ),
            format!(
                "insert into events (id, workspace_id, subscription_id, request_id, ordinal, provider, name, \
                 encoding, received_at, state, matched, tries, due_at) values ('{event}', '{workspace}', \
                 '{subscription}', '{request}', 0, 'acme', 'push', 'plain', {at}, 'pending', 0, 0, {at})"
            ),
            format!(
                "insert into requests (id, workspace_id, subscription_id, provider, method, path, query, \
                 headers, body, encoding, body_size, received_at, outcome, status, reason, delivery_id, \
                 events) values ('{whole_request}', '{other}', '{subscription}', 'acme', 'PUT', '/p', 'a=1', \
                 '[[\"k\",\"v\"]]', $1, 'plain', 7, {at}, 'answered', 202, 'so it is', 'd-1', 3)"
            ),
            format!(
                "insert into events (id, workspace_id, subscription_id, request_id, ordinal, provider, name, \
                 payload, encoding, occurred_at, received_at, state, reason, matched, tries, due_at, \
                 handled_at) values ('{whole_event}', '{other}', '{subscription}', '{whole_request}', 2, \
                 'acme', 'pull', $1, 'plain', {at} - 5, {at}, 'failed', 'given up', 4, 6, {at} + 7, {at} + 8)"
            ),
        ]
    }
}

impl Left {
    /// What happened before the upgrade reads as it did.
    async fn logs_are_whole(&self, store: &Store) {
        let (workspace, subscription_id) = (&self.other, subscription_id());
        let body = Some(Bytes::from(long_body()));
        let found = store.request(workspace, &self.whole_request).await;
        let request = Request {
            id: self.whole_request.clone(),
            workspace_id: workspace.clone(),
            subscription_id: Some(subscription_id.clone()),
            runnable_id: None,
            job_id: None,
            provider: "acme".to_owned(),
            method: "PUT".to_owned(),
            path: "/p".to_owned(),
            query: "a=1".to_owned(),
            headers: serde_json::json!([["k", "v"]]),
            body_size: 7,
            received_at: START,
            outcome: RequestOutcome::Answered,
            status: 202,
            reason: Some("so it is".to_owned()),
            delivery_id: Some("d-1".to_owned()),
            events: 3,
        };
        assert_eq!(found.expect("read"), Some(request));
        let kept = store.request_body(workspace, &self.whole_request).await;
        assert_eq!(kept.expect("read"), body);
        let filter = EventFilter {
            subscription_id: Some(subscription_id.clone()),
            ..EventFilter::default()
        };
        let page = PageQuery {
            limit: 10,
            cursor: None,
        };
        let found = store.list_events(workspace, &filter, &page).await;
        let event = Event {
            id: self.whole_event.clone(),
            workspace_id: workspace.clone(),
            subscription_id,
            request_id: Some(self.whole_request.clone()),
            ordinal: 2,
            provider: "acme".to_owned(),
            name: "pull".to_owned(),
            occurred_at: Some(Millis(START.0 - 5)),
            received_at: START,
            state: EventState::Failed,
            reason: Some("given up".to_owned()),
            matched: 4,
            tries: 6,
            due_at: Millis(START.0 + 7),
            handled_at: Some(Millis(START.0 + 8)),
        };
        assert_eq!(found.expect("read").items, [event]);
        let kept = store.event_payload(workspace, &self.whole_event).await;
        assert_eq!(kept.expect("read"), body);
    }
}

async fn upgraded(backend: &str, url: &str, options: &str) {
    sqlx::any::install_default_drivers();
    let pool = AnyPool::connect(&format!("{url}{options}"))
        .await
        .expect("connected");
    first_tables(&pool, backend).await;
    let left = Left::new();
    for row in left.rows() {
        let has_bytes = row.contains("$1");
        let is_long = row.contains(left.whole_request.as_str());
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(row));
        if has_bytes {
            insert = insert.bind(if is_long {
                long_body()
            } else {
                b"{\"a\":1}".to_vec()
            });
        }
        insert
            .execute(&pool)
            .await
            .expect("a row of the first version");
    }
    pool.close().await;

    let now = Millis(START.0 + 60_000);
    let config = DatabaseConfig::new(url.to_owned());
    let store = Store::open(config, KeyRing::ephemeral(), Clock::fixed(now));
    let store = store.await.expect("the newest tables");
    if let Some(path) = url.strip_prefix("sqlite:") {
        let log = std::fs::metadata(format!("{path}-wal"))
            .expect("a log")
            .len();
        assert!(log < 1 << 20, "{log} bytes are left of copying the tables");
    }
    let lost = store.job(&left.workspace, &left.running).await;
    assert_eq!(lost.expect("read").expect("kept").state, JobState::Running);
    store.recover_jobs(now).await.expect("recovered");
    let claim = Claim {
        runnable_id: left.runnable.clone(),
        owner: HostId::generate(now),
        now,
        lease_until: Millis(now.0 + 30_000),
        limit: 10,
    };
    let claimed = store.claim_jobs(claim).await.expect("claimed");
    let mut found: Vec<&JobId> = claimed.iter().map(|claimed| &claimed.job.id).collect();
    found.sort();
    let mut wanted = vec![&left.ready, &left.running];
    wanted.sort();
    assert_eq!(found, wanted);
    assert!(
        claimed
            .iter()
            .all(|claimed| claimed.arguments == Bytes::from_static(b"{\"a\":1}"))
    );
    let pending = store.pending_events(now, 10).await.expect("read");
    let [event] = &pending[..] else {
        panic!("{} events", pending.len())
    };
    assert_eq!(event.event.id, left.event);
    assert_eq!(event.payload, Bytes::from_static(b"{\"a\":1}"));
    left.logs_are_whole(&store).await;
    store.close().await;
}

#[tokio::test]
async fn work_of_the_first_version_goes_on_after_an_upgrade_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("triggerd.db").display());
    upgraded("sqlite", &url, "?mode=rwc").await;
}

#[tokio::test]
async fn work_of_the_first_version_goes_on_after_an_upgrade_on_postgres() {
    let url = Cluster::shared().database().await;
    upgraded("postgres", &url, "").await;
}
