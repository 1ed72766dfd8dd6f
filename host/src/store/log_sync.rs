//! The sync of SQLite's log, in a thread of its own beside the writer's.
//!
//! The writer's connection commits without a sync (`synchronous = normal`), which leaves the log
//! whole but not lasting; who waits is answered after a sync that began when the commit had ended.
//! While one commit is synced, the statements of the next one run. A write that is alone in its commit
//! is synced by the writer itself, since handing it over would take longer than it gains.
//!
//! After a sync that failed nobody knows what of the log is on the disk, and the system may have
//! forgotten what it could not write: a second try that goes well would prove nothing. From then on
//! nothing is taken; the next start reads the log anew, by its checksums.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StoreError;

/// Held from before a commit until it is synced.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

struct Unsynced {
    turn: Turn,
    then: Box<dyn FnOnce(io::Result<()>) + Send>,
}

pub(super) struct LogSync {
    turns: Arc<Semaphore>,
    log: Arc<Mutex<Log>>,
    commits: Option<mpsc::Sender<Unsynced>>,
    thread: Option<JoinHandle<()>>,
}

impl LogSync {
    /// Of this database.
    pub(super) fn start(database: &Path) -> Result<LogSync, StoreError> {
        let log = Arc::new(Mutex::new(Log::of(database)));
        let of_thread = Arc::clone(&log);
        let (commits, waiting) = mpsc::channel::<Unsynced>();
        let run = move || {
            for Unsynced { turn, then } in waiting {
                let synced = sync(&of_thread);
                // The next commit need not wait until everybody is answered.
                drop(turn);
                then(synced);
            }
        };
        let thread = std::thread::Builder::new().name("store-sync".to_owned());
        let thread = thread.spawn(run).map_err(|error| {
            StoreError::Refused(format!("the syncing thread cannot be started: {error}"))
        })?;
        Ok(LogSync {
            turns: Arc::new(Semaphore::new(1)),
            log,
            commits: Some(commits),
            thread: Some(thread),
        })
    }

    /// Waits until nothing is synced: a commit that ended earlier could not be synced earlier.
    pub(super) async fn turn(&self) -> Turn {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        Turn {
            _permit: turn.expect("invariant: the semaphore is never closed"),
        }
    }

    /// Syncs what was committed under this turn, then calls `then` in the syncing thread.
    pub(super) fn sync(&self, turn: Turn, then: impl FnOnce(io::Result<()>) + Send + 'static) {
        let then = Box::new(then);
        let commits = self.commits.as_ref();
        let commits = commits.expect("invariant: taken when this is dropped, not before");
        if let Err(mpsc::SendError(unsynced)) = commits.send(Unsynced { turn, then }) {
            (unsynced.then)(Err(io::Error::other("the syncing thread is gone")));
        }
    }

    /// The same here and now.
    pub(super) fn sync_here(&self, turn: Turn, then: impl FnOnce(io::Result<()>)) {
        let synced = sync(&self.log);
        drop(turn);
        then(synced);
    }
}

/// Nobody else has the log meanwhile: whoever syncs it has the turn.
fn sync(log: &Mutex<Log>) -> io::Result<()> {
    log.lock().unwrap_or_else(PoisonError::into_inner).sync()
}

impl Drop for LogSync {
    /// Everybody is answered before this ends.
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // Whoever waited for a thread that panicked was told so by their dropped answers.
            let _ = thread.join();
        }
    }
}

/// The log's file. Syncing it through a descriptor of our own is the same to the system, and SQLite
/// holds no locks on this file that closing a descriptor would give up.
struct Log {
    path: PathBuf,
    file: Option<File>,
    /// A sync failed.
    is_lost: bool,
}

impl Log {
    fn of(database: &Path) -> Log {
        let mut path = database.to_owned().into_os_string();
        path.push("-wal");
        Log {
            path: path.into(),
            file: None,
            is_lost: false,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_lost {
            return Err(io::Error::other("an earlier sync failed"));
        }
        let synced = self.sync_file();
        self.is_lost = synced.is_err();
        synced
    }

    fn sync_file(&mut self) -> io::Result<()> {
        let place = |file: Metadata| (file.dev(), file.ino());
        let named = place(std::fs::metadata(&self.path)?);
        let file = match self.file.take() {
            Some(file) if place(file.metadata()?) == named => file,
            _ => {
                let file = File::open(&self.path)?;
                // A new file is there after a loss of power only if its name is.
                let folder = self
                    .path
                    .parent()
                    .filter(|path| !path.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
                file
            }
        };
        self.file.insert(file).sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_made_anew_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::of(&folder.path().join("x.db"));
        std::fs::write(&log.path, "one").expect("written");
        log.sync().expect("synced");
        std::fs::write(folder.path().join("y"), "another").expect("written");
        std::fs::rename(folder.path().join("y"), &log.path).expect("renamed");
        log.sync().expect("synced");
        let open = log.file.as_ref().expect("open").metadata().expect("read");
        assert_eq!(open.len(), 7, "it is the new one that is synced");
    }

    #[test]
    fn after_a_failure_no_sync_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::of(&folder.path().join("x.db"));
        log.sync().expect_err("there is none");
        std::fs::write(&log.path, "one").expect("written");
        log.sync().expect_err("nobody knows what is on the disk");
    }

    #[tokio::test]
    async fn a_turn_lasts_until_the_sync_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("x.db-wal"), "one").expect("written");
        let log = LogSync::start(&folder.path().join("x.db")).expect("started");
        let turn = log.turn().await;
        assert_eq!(log.turns.available_permits(), 0);
        let (tell, told) = tokio::sync::oneshot::channel();
        log.sync(turn, |synced| {
            let _ = tell.send(synced);
        });
        drop(log.turn().await);
        told.await.expect("told").expect("synced");
    }
}
