//! Tests that need the store's own connections; all others stand in `host/tests/store/`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use sqlx::{Executor, Row};
use tempfile::TempDir;

use super::sql::{Number, Statement, Text};
use super::writer::Write;
use super::{DatabaseConfig, Store, StoreError};
use crate::clock::{Clock, Millis};
use crate::id::{HostId, RequestId, SubscriptionId, WorkspaceId};
use crate::model::{Append, Appended, NewRequest, Queue, RequestOutcome};
use crate::seal::{KeyRing, SealError};

async fn open() -> (Store, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    let clock = Clock::fixed(Millis(1_700_000_000_000));
    let store = Store::open(DatabaseConfig::new(url), KeyRing::ephemeral(), clock).await;
    (store.expect("opened"), folder)
}

/// A request with a body that does not compress.
fn append(bytes: usize) -> Append {
    let now = Millis(1_700_000_000_000);
    let mut body = vec![0; bytes];
    crate::clock::random(&mut body);
    Append {
        request: NewRequest {
            id: RequestId::generate(now),
            workspace_id: WorkspaceId::generate(now),
            subscription_id: SubscriptionId::generate(now),
            provider: "acme".to_owned(),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: "[]".to_owned(),
            body: Some(Bytes::from(body)),
            body_size: bytes as u64,
            received_at: now,
            outcome: RequestOutcome::Answered,
            status: 200,
            reason: None,
        },
        delivery: None,
        events: Vec::new(),
        queue: Queue::Every,
        wake: false,
    }
}

async fn set(store: &Store, pragma: &'static str) {
    let mut direct = store.database.direct().await.expect("SQLite");
    direct.batch("set", pragma).expect("set");
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_heals_by_itself() {
    let (store, _folder) = open().await;
    store.append(append(100)).await.expect("appended");
    // SQLite keeps the limit no lower than what is used already.
    set(&store, "pragma max_page_count = 1").await;
    let mut refused = Vec::new();
    for _ in 0..3 {
        let append = append(500_000);
        let error = store.append(append.clone()).await.expect_err("no room");
        assert!(error.is_unavailable(), "{error:?}");
        refused.push(append);
    }
    set(&store, "pragma max_page_count = 1000000").await;
    for append in refused {
        let (workspace, id) = (
            append.request.workspace_id.clone(),
            append.request.id.clone(),
        );
        assert_eq!(
            store.append(append).await.expect("appended"),
            Appended::Stored { waiting: 0 }
        );
        let body = store.request_body(&workspace, &id).await.expect("read");
        assert!(body.is_some());
    }
    let mut reader = store.database.read().await.expect("a reader");
    let checked: Option<Text> = Statement::new(
        "check",
        "select integrity_check as text from pragma_integrity_check",
    )
    .one(&mut reader)
    .await
    .expect("checked");
    assert_eq!(checked.expect("a row").0, "ok");
}

#[tokio::test]
async fn reads_go_on_while_others_hold_their_readers_for_long() {
    let (store, _folder) = open().await;
    let mut held = Vec::new();
    for _ in 0..DatabaseConfig::new("").connections_max {
        held.push(store.database.read().await.expect("a reader"));
        // Its own, for it can be asked something.
        let reader = held.last_mut().expect("just pushed");
        let one: Option<Number> = Statement::new("count", "select 1 as n")
            .one(reader)
            .await
            .expect("read");
        assert_eq!(one.expect("a row").0, 1);
    }
    let none = tokio::time::timeout(Duration::from_millis(100), store.database.read()).await;
    none.expect_err("all there are are held");
    drop(held.pop());
    store.database.read().await.expect("one that came back");
}

/// With nobody writing for a probe: the last writes tell.
#[tokio::test]
async fn a_store_that_takes_nothing_more_is_not_ready() {
    let (store, _folder) = open().await;
    let host = HostId::generate(Millis(1));
    let beat = async || store.note_host(&host, store.clock.now()).await;
    beat().await.expect("noted");
    store.check_ready().await.expect("ready");
    set(&store, "pragma max_page_count = 1").await;
    store.append(append(500_000)).await.expect_err("no room");
    beat().await.expect("what is small finds room");
    let error = store.check_ready().await.expect_err("not ready");
    assert!(error.is_unavailable());
    set(&store, "pragma max_page_count = 1000000").await;
    store.clock.advance(Duration::from_secs(30));
    store
        .check_ready()
        .await
        .expect_err("nothing was written since");
    beat().await.expect("noted");
    store.check_ready().await.expect("ready again");
    store.close().await;
    beat().await.expect_err("closed");
    store.check_ready().await.expect_err("closed");
}

/// What is in one commit with a panic is kept whole or not at all, and nothing stays locked.
#[tokio::test]
async fn a_commit_that_panics_ends_alone() {
    let (store, _folder) = open().await;
    let beside = append(100);
    let (panicked, kept) = tokio::join!(
        store.writer.write("panic", Write::Panic),
        store.append(beside.clone())
    );
    let error = panicked.err().expect("it panicked");
    assert!(error.is_unavailable(), "{error:?}");
    let NewRequest {
        workspace_id, id, ..
    } = &beside.request;
    let body = store.request_body(workspace_id, id).await.expect("read");
    assert_eq!(kept.is_ok(), body.is_some());

    store.writer.write("panic", Write::Panic).await.err();
    let error = store
        .check_ready()
        .await
        .expect_err("the last write failed");
    assert!(error.is_unavailable(), "{error:?}");
    // By another connection than the one that panicked.
    let changed = store.database.write().await.expect("nobody holds the lock");
    changed.commit().await.expect("committed");
    store.append(append(100)).await.expect("appended");
    store.check_ready().await.expect("ready again");
}

#[tokio::test]
async fn a_store_in_which_nobody_commits_is_not_ready() {
    let (store, _folder) = open().await;
    store.check_ready().await.expect("ready");
    store.writer.finish().await;
    let error = store.check_ready().await.expect_err("nobody commits");
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn whoever_waits_when_the_store_is_closed_is_answered_before_it_is() {
    let (store, _folder) = open().await;
    let writes = (0..50).map(|_| Box::pin(store.append(append(100))));
    let mut waiting: Vec<_> = writes.collect();
    assert!(waiting.iter_mut().all(|each| each.now_or_never().is_none()));
    store.close().await;
    let is_stored = |each| matches!(each, Some(Ok(Appended::Stored { .. })));
    assert!(
        waiting
            .into_iter()
            .all(|each| is_stored(each.now_or_never()))
    );
}

#[tokio::test]
async fn a_rotation_that_finds_no_room_may_be_repeated() {
    let (store, _folder) = open().await;
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let path = "keys".into();
    let error = StoreError::seal("add a key", SealError::KeyFile { path, source: full });
    assert!(error.is_unavailable(), "{error:?}");
    let error = store
        .rotate_keys()
        .await
        .expect_err("its keys are in no file");
    assert!(error.is_conflict(), "{error:?}");
}

#[tokio::test]
async fn commits_are_synced_and_checkpoints_left_to_their_task() {
    let (store, _folder) = open().await;
    let mut writer = store.database.writer().await.expect("the writer");
    for (pragma, expected) in [
        ("pragma synchronous", 2),
        ("pragma foreign_keys", 1),
        ("pragma wal_autocheckpoint", 0),
        ("pragma page_size", 8192),
    ] {
        let row = writer.fetch_one(pragma).await.expect("read");
        assert_eq!(row.get::<i64, _>(0), expected, "{pragma}");
    }
}

#[tokio::test]
async fn a_checkpoint_lets_the_log_begin_anew() {
    let (store, folder) = open().await;
    let log_size = || {
        let log = std::fs::metadata(folder.path().join("x.db-wal"));
        log.expect("the log").len()
    };
    for _ in 0..5 {
        store.append(append(500_000)).await.expect("appended");
    }
    let before = log_size();
    super::sqlite::checkpoint(&store.database, 1)
        .await
        .expect("carried over");
    for _ in 0..4 {
        store.append(append(500_000)).await.expect("appended");
    }
    assert_eq!(log_size(), before);
}

#[tokio::test]
async fn each_commit_tells_how_long_the_log_is() {
    let (store, folder) = open().await;
    store.append(append(10)).await.expect("appended");
    let database = &store.database;
    let mut direct = database.direct().await.expect("SQLite has one");
    let pages = direct.log_pages().expect("read");
    let log = std::fs::metadata(folder.path().join("x.db-wal"));
    assert_eq!(
        log.expect("the log").len(),
        32 + pages.unsigned_abs() * (24 + 8192)
    );
}

#[tokio::test]
async fn a_log_that_could_not_be_synced_takes_nothing_until_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (keys, clock) = (KeyRing::ephemeral(), Clock::fixed(Millis(1)));
    let open = async || {
        let url = format!("sqlite:{}", folder.path().join("x.db").display());
        let store = Store::open(DatabaseConfig::new(url), keys.clone(), clock.clone());
        store.await.expect("opened")
    };
    let store = open().await;
    store.append(append(100)).await.expect("appended");
    let (log, away) = (folder.path().join("x.db-wal"), folder.path().join("away"));
    std::fs::rename(&log, &away).expect("moved");
    let error = store.append(append(100)).await.expect_err("not synced");
    assert!(error.is_unavailable(), "{error:?}");
    std::fs::rename(&away, &log).expect("moved back");
    let error = store.append(append(100)).await.expect_err("not believed");
    assert!(error.is_unavailable(), "{error:?}");
    let host = HostId::generate(Millis(1));
    let noted = store.note_host(&host, Millis(1)).await;
    noted.expect_err("refused as well");
    store.check_ready().await.expect_err("not ready");
    store.close().await;
    open().await.append(append(100)).await.expect("appended");
}
