//! What only SQLite needs: its file, its lock, its settings and its checkpoints.
//!
//! Commits append to the write-ahead log and sync it; carrying the log over into the database file
//! is done by [`run_checkpoints`] beside them. Whoever commits meanwhile makes the log longer, so a
//! busy log never becomes empty by itself: when it is long, the last few pages are carried over
//! between two commits, after which it begins anew.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::AnyConnection;
use sqlx::{Executor, Row};
use tokio::sync::Notify;

use super::StoreError;
use super::database::SharedDatabase;
use super::write_back::WriteBack;

/// Larger pages than the usual 4096 bytes keep most bodies on few pages. With still larger ones a busy
/// log takes less room, but a request that comes alone writes most of twice as much.
pub(super) const SETTINGS: &str = "
    pragma page_size = 8192;
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma foreign_keys = on;
    pragma busy_timeout = 5000;
    pragma wal_autocheckpoint = 0;
    pragma journal_size_limit = 134217728;
    pragma temp_store = memory;
    pragma cache_size = -16384;
";

/// A checkpoint beside the commits begins when the log has so many more pages,
const CHECKPOINT_AFTER: i64 = 1024;
/// and one between two commits when it has so many.
const PAGES_MAX: i64 = 2048;

/// A database file that this process alone has open.
pub(super) struct DatabaseFile {
    pub(super) path: PathBuf,
    pub(super) lock: File,
    /// The file once more, for [`super::write_back`].
    pub(super) file: File,
}

impl DatabaseFile {
    /// Makes the file if it is not there, readable by this user only, and locks it.
    pub(super) fn claim(path: &str) -> Result<DatabaseFile, StoreError> {
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.split('?').next().unwrap_or(path);
        let path = std::path::absolute(path)
            .map_err(|error| StoreError::Refused(format!("the database {path}: {error}")))?;
        let refused = |error: std::io::Error| {
            StoreError::Refused(format!(
                "the database {} cannot be opened: {error}",
                path.display()
            ))
        };
        let file = open_private(&path).map_err(refused)?;
        // SQLite puts the log beside the file itself, not beside a link to it; and whoever comes by another
        // name finds the same lock.
        let path = std::fs::canonicalize(&path).map_err(refused)?;
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock = open_private(Path::new(&lock_path)).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(DatabaseFile { path, lock, file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
                "the database {} is in use by another triggerd: stop that one first, or use PostgreSQL for several hosts on one database",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }

    /// The address for the driver, with what would end a path escaped.
    pub(super) fn url(&self) -> String {
        let path = self.path.to_string_lossy();
        let mut url = String::from("sqlite:");
        for letter in path.chars() {
            match letter {
                '%' => url.push_str("%25"),
                '?' => url.push_str("%3F"),
                '#' => url.push_str("%23"),
                _ => url.push(letter),
            }
        }
        url.push_str("?mode=rwc");
        url
    }
}

fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Settings of a new connection.
pub(super) async fn prepare_connection(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection
        .execute(sqlx::raw_sql(SETTINGS))
        .await
        .map(|_| ())
}

/// Asks for checkpoints as the log grows.
#[derive(Default)]
pub(super) struct LogGrowth {
    /// How many pages the log had when the last one was asked for.
    asked_at: AtomicI64,
    wake: Notify,
}

impl LogGrowth {
    /// The log has so many pages after a commit. A small commit writes many times its own size: a page
    /// of each table and index that it touches.
    pub(super) fn is_at(&self, pages: i64) {
        let asked_at = self.asked_at.load(Ordering::Relaxed);
        if pages < asked_at {
            // It began anew.
            self.asked_at.store(0, Ordering::Relaxed);
        } else if pages - asked_at >= CHECKPOINT_AFTER {
            self.asked_at.store(pages, Ordering::Relaxed);
            self.wake.notify_one();
        }
    }
}

/// Runs checkpoints until the store is closed.
pub(super) async fn run_checkpoints(database: SharedDatabase, growth: std::sync::Arc<LogGrowth>) {
    loop {
        growth.wake.notified().await;
        if let Err(error) = checkpoint(&database, PAGES_MAX).await {
            if database.is_closed() || database.check_log().is_err() {
                return;
            }
            tracing::warn!(%error, "a checkpoint failed; as the log grows there will be another");
        }
    }
}

/// Carries the log over beside the commits. If it has `pages_max` pages or more, the last of them
/// are carried over while nothing is committed, so that the next commit begins it anew: a log that is
/// written over is synced faster than one that grows.
pub(super) async fn checkpoint(
    database: &SharedDatabase,
    pages_max: i64,
) -> Result<(), StoreError> {
    database.check_log()?;
    let _write_back = WriteBack::start(database);
    let pages = {
        let mut reader = database.read().await?;
        let pages = carry_over(&mut reader).await?;
        if pages >= pages_max {
            // What came meanwhile, so that the commits wait for little.
            carry_over(&mut reader).await?;
        }
        pages
    };
    if pages >= pages_max {
        let mut writer = database.writer().await?;
        carry_over(&mut writer).await?;
    }
    Ok(())
}

/// Carries all of the log over and shortens it: an upgrade that copies tables leaves it as long as them.
pub(super) async fn empty_log(connection: &mut AnyConnection) -> Result<(), StoreError> {
    connection
        .fetch_one("pragma wal_checkpoint(truncate)")
        .await
        .map(|_| ())
        .map_err(|error| StoreError::of("shorten the log", error))
}

/// A passive checkpoint, which waits for nobody; how many pages the log has.
async fn carry_over(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let carried = connection.fetch_one("pragma wal_checkpoint(passive)").await;
    carried
        .and_then(|row| row.try_get(1))
        .map_err(|error| StoreError::of("carry the log over", error))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_link_to_the_database_is_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::os::unix::fs::symlink("real.db", path("link.db")).expect("linked");
        let claimed = DatabaseFile::claim(&path("link.db")).expect("claimed");
        let real = std::fs::canonicalize(path("real.db")).expect("it was made");
        assert_eq!(claimed.path, real);
        assert!(
            DatabaseFile::claim(&path("real.db")).is_err(),
            "it is taken"
        );
    }

    #[test]
    fn checkpoints_are_asked_for_by_the_pages_of_the_log() {
        let growth = LogGrowth::default();
        let is_asked = |pages| {
            growth.is_at(pages);
            growth.wake.notified().now_or_never().is_some()
        };
        assert!(!is_asked(CHECKPOINT_AFTER - 1));
        assert!(is_asked(CHECKPOINT_AFTER));
        assert!(!is_asked(CHECKPOINT_AFTER + 1));
        assert!(is_asked(2 * CHECKPOINT_AFTER));
        // It began anew.
        assert!(!is_asked(10));
        assert!(!is_asked(CHECKPOINT_AFTER - 1));
        assert!(is_asked(CHECKPOINT_AFTER));
    }
}
