//! The sync of SQLite's log, in a thread of its own beside the writer's.
//!
//! The writer's connection commits without a sync (`synchronous = normal`), which leaves the log
//! whole but not lasting; who waits is answered after a sync that began when the commit had ended.
//! While one commit is synced, the statements of the next one run, and if many wait for it that commit is
//! made, too. A write that is alone in its commit is synced by the writer itself, since handing it over
//! would take longer than it gains.
//!
//! Nobody is answered before the end of what only began with a commit, and that end has a commit of
//! its own: such a one is synced with the next ([`LogSync::sync_later`]), at the latest after
//! [`LATER`].

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StoreError;
use super::log_file::LogFile;

/// How long a commit may wait for a sync that it shares with a later one.
const LATER: Duration = Duration::from_millis(5);

/// One commit is synced and one waits for that.
const AT_ONCE: u32 = 2;
/// So many writes need not wait for more to join them.
const EARLY_MIN: usize = 16;

/// Held from before a commit until it is synced.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// Told what became of the sync.
type Then = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What the syncing thread is told.
enum Told {
    Sync(Turn, Then),
    /// Something may wait for [`LATER`].
    Watch,
}

pub(super) struct LogSync {
    turns: Arc<Semaphore>,
    syncing: Arc<Syncing>,
    thread_waits: Option<mpsc::Sender<Told>>,
    thread: Option<JoinHandle<()>>,
}

/// What the writer and the syncing thread share.
struct Syncing {
    log: Mutex<LogFile>,
    later: Mutex<Later>,
}

/// Commits that wait for the next sync.
#[derive(Default)]
struct Later {
    thens: Vec<Then>,
    /// When the first of them was committed.
    since: Option<Instant>,
    /// The syncing thread looks after them.
    is_watched: bool,
}

impl LogSync {
    /// Of this database.
    pub(super) fn start(database: &Path) -> Result<LogSync, StoreError> {
        let syncing = Arc::new(Syncing {
            log: Mutex::new(LogFile::of(database)),
            later: Mutex::default(),
        });
        let of_thread = Arc::clone(&syncing);
        let (thread_waits, told) = mpsc::channel::<Told>();
        let thread = std::thread::Builder::new().name("store-sync".to_owned());
        let thread = thread
            .spawn(move || of_thread.run(&told))
            .map_err(|error| {
                StoreError::Refused(format!("the syncing thread cannot be started: {error}"))
            })?;
        Ok(LogSync {
            turns: Arc::new(Semaphore::new(AT_ONCE as usize)),
            syncing,
            thread_waits: Some(thread_waits),
            thread: Some(thread),
        })
    }

    /// For a commit of so many writes. Waits until nothing is synced, since a commit that ended earlier
    /// could not be synced earlier, and whoever comes meanwhile joins it; one with many in it, or with
    /// what only begins with it, waits only until it would be the next to be synced.
    pub(super) async fn turn(&self, writes: usize, begins: bool) -> Turn {
        let free = match begins || writes >= EARLY_MIN {
            true => 1,
            false => AT_ONCE,
        };
        let free = Arc::clone(&self.turns).acquire_many_owned(free).await;
        let mut free = free.expect("invariant: the semaphore is never closed");
        let turn = free.split(1);
        Turn {
            _permit: turn.expect("invariant: one at least was waited for"),
        }
    }

    /// Syncs what was committed under this turn, then calls `then` in the syncing thread.
    pub(super) fn sync(&self, turn: Turn, then: impl FnOnce(io::Result<()>) + Send + 'static) {
        if let Err(mpsc::SendError(Told::Sync(_, then))) =
            self.thread_waits().send(Told::Sync(turn, Box::new(then)))
        {
            then(Err(io::Error::other("the syncing thread is gone")));
        }
    }

    /// The same here and now.
    pub(super) fn sync_here(&self, turn: Turn, then: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.syncing.sync(vec![(turn, Box::new(then))]);
    }

    /// The same with the next sync, or after [`LATER`].
    pub(super) fn sync_later(
        &self,
        turn: Turn,
        then: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        drop(turn);
        let was_watched = {
            let mut later = self.syncing.later();
            later.thens.push(Box::new(then));
            later.since.get_or_insert_with(Instant::now);
            std::mem::replace(&mut later.is_watched, true)
        };
        if !was_watched && self.thread_waits().send(Told::Watch).is_err() {
            self.syncing.sync(Vec::new());
        }
    }

    fn thread_waits(&self) -> &mpsc::Sender<Told> {
        let thread_waits = self.thread_waits.as_ref();
        thread_waits.expect("invariant: taken when this is dropped, not before")
    }
}

impl Syncing {
    /// The syncing thread, until nobody can tell it anything more.
    fn run(&self, told: &mpsc::Receiver<Told>) {
        let mut look_after = None;
        loop {
            let next = match look_after {
                None => told.recv().map_err(mpsc::RecvTimeoutError::from),
                Some(wait) => told.recv_timeout(wait),
            };
            let is_watching = match next {
                Ok(Told::Sync(turn, then)) => {
                    let mut now = vec![(turn, then)];
                    let mut is_watching = look_after.is_some();
                    // One sync is enough for all that is committed.
                    for more in told.try_iter() {
                        match more {
                            Told::Sync(turn, then) => now.push((turn, then)),
                            Told::Watch => is_watching = true,
                        }
                    }
                    self.sync(now);
                    is_watching
                }
                Ok(Told::Watch) | Err(mpsc::RecvTimeoutError::Timeout) => true,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            look_after = is_watching.then(|| self.watch()).flatten();
        }
        self.sync(Vec::new());
    }

    /// Syncs what has waited for long enough; when to look again, if something may wait.
    fn watch(&self) -> Option<Duration> {
        let since = {
            let mut later = self.later();
            // Who comes after this tells the thread anew.
            later.is_watched = later.since.is_some();
            later.since?
        };
        let wait = LATER.saturating_sub(since.elapsed());
        if !wait.is_zero() {
            return Some(wait);
        }
        self.sync(Vec::new());
        Some(LATER)
    }

    /// Syncs what is committed by now, and tells all who waited for that.
    fn sync(&self, now: Vec<(Turn, Then)>) {
        let later = {
            let mut later = self.later();
            later.since = None;
            std::mem::take(&mut later.thens)
        };
        if now.is_empty() && later.is_empty() {
            return;
        }
        let synced = self.log().sync();
        for then in later {
            then(again(&synced));
        }
        let (turns, thens): (Vec<Turn>, Vec<Then>) = now.into_iter().unzip();
        // The next commit need not wait until everybody is answered.
        drop(turns);
        for then in thens {
            then(again(&synced));
        }
    }

    fn log(&self) -> MutexGuard<'_, LogFile> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn later(&self) -> MutexGuard<'_, Later> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same outcome for somebody else.
fn again(synced: &io::Result<()>) -> io::Result<()> {
    match synced {
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

impl Drop for LogSync {
    /// Everybody is told before this ends.
    fn drop(&mut self) {
        self.thread_waits = None;
        if let Some(thread) = self.thread.take() {
            // Whoever waited for a thread that panicked was told so by their dropped answers.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_turn_lasts_until_the_sync_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("x.db-wal"), "one").expect("written");
        let log = LogSync::start(&folder.path().join("x.db")).expect("started");
        let turn = log.turn(1, false).await;
        assert!(log.turn(1, false).now_or_never().is_none());
        let (tell, told) = tokio::sync::oneshot::channel();
        log.sync(turn, |synced| {
            let _ = tell.send(synced);
        });
        drop(log.turn(1, false).await);
        told.await.expect("told").expect("synced");
    }

    #[tokio::test]
    async fn what_only_begins_with_a_commit_does_not_wait_for_the_sync_of_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, _, _) = begun(folder.path());
        let syncing = log.turn(1, false).await;
        let beginning = log.turn(1, true).now_or_never();
        assert!(beginning.is_some());
        assert!(log.turn(1, true).now_or_never().is_none(), "one at a time");
        drop((syncing, beginning));
    }

    /// A log with something in it, and who tells what became of a sync.
    fn begun(
        folder: &Path,
    ) -> (
        LogSync,
        impl Fn(&'static str) -> Then,
        mpsc::Receiver<String>,
    ) {
        std::fs::write(folder.join("x.db-wal"), "one").expect("written");
        let log = LogSync::start(&folder.join("x.db")).expect("started");
        let (tell, told) = mpsc::channel();
        let then = move |name: &'static str| -> Then {
            let tell = tell.clone();
            Box::new(move |synced| {
                let outcome = synced.map_or("lost", |()| "synced");
                let _ = tell.send(format!("{name} {outcome}"));
            })
        };
        (log, then, told)
    }

    #[tokio::test]
    async fn what_may_wait_is_synced_with_the_next_and_told_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, then, told) = begun(folder.path());
        // As if the syncing thread looked after it, so that it does not by itself.
        log.syncing.later().is_watched = true;
        log.sync_later(log.turn(1, false).await, then("first"));
        assert!(
            log.turn(1, false).now_or_never().is_some(),
            "the next may commit"
        );
        log.sync_later(log.turn(1, false).await, then("second"));
        told.try_recv().expect_err("nothing is synced yet");
        log.sync_here(log.turn(1, false).await, then("third"));
        let all: Vec<String> = told.try_iter().collect();
        assert_eq!(all, ["first synced", "second synced", "third synced"]);
    }

    #[tokio::test]
    async fn one_commit_may_be_made_while_another_is_synced_and_a_third_has_to_wait() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, then, told) = begun(folder.path());
        let (first, second) = (log.turn(1, false).await, log.turn(EARLY_MIN, false).await);
        assert!(log.turn(EARLY_MIN, false).now_or_never().is_none());
        log.sync(first, then("first"));
        log.sync(second, then("second"));
        drop(log.turn(1, false).await);
        let all: Vec<String> = told.iter().take(2).collect();
        assert_eq!(all, ["first synced", "second synced"]);
    }

    #[tokio::test]
    async fn what_may_wait_does_not_wait_for_long() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, then, told) = begun(folder.path());
        for name in ["first", "again"] {
            log.sync_later(log.turn(1, false).await, then(name));
            assert_eq!(told.recv().expect("told"), format!("{name} synced"));
        }
    }

    #[tokio::test]
    async fn what_waits_is_synced_at_the_end_and_hears_of_a_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, then, told) = begun(folder.path());
        log.syncing.later().is_watched = true;
        log.sync_later(log.turn(1, false).await, then("first"));
        drop(log);
        assert_eq!(told.recv().expect("told"), "first synced");

        let (log, then, told) = begun(folder.path());
        log.syncing.later().is_watched = true;
        log.sync_later(log.turn(1, false).await, then("first"));
        std::fs::remove_file(folder.path().join("x.db-wal")).expect("removed");
        log.sync_here(log.turn(1, false).await, then("second"));
        let all: Vec<String> = told.try_iter().collect();
        assert_eq!(all, ["first lost", "second lost"]);
    }
}
