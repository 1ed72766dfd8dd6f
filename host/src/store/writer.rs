//! The way to the writer, which takes every write that waits into one transaction and answers all of
//! them after its sync ([`super::committer`]).
//!
//! SQLite's writer is a thread of its own, whose statements run where they are called
//! ([`super::direct`]). The queue is bounded in number and bytes: what does not fit is refused at
//! once as unavailable.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::StoreError;
use super::appends::PackedAppend;
use super::attempts;
use super::calls::PackedCall;
use super::committer::Committer;
use super::database::SharedDatabase;
use super::flows::PackedAdvance;
use super::handling::PackedHandled;
use super::leases::{Claim, HeldJob};
use super::open::{Backend, DatabaseConfig};
use super::progress::PackedProgress;
use crate::clock::Clock;
use crate::id::JobId;
use crate::model::{Appended, Called, Finished, Progressed};

/// While the commit before is synced, statements run as soon as so many writes wait: each one alone
/// would cost more than it gains.
const JOIN_MIN: usize = 16;

/// What can be committed together with others.
pub(super) enum Write {
    Append(Box<PackedAppend>),
    Call(Box<PackedCall>),
    Handle(Vec<PackedHandled>),
    Finish(Vec<Finished>),
    Claim(Claim),
    Sync(Box<PackedProgress>),
    /// Panics where it would be written.
    #[cfg(test)]
    Panic,
    Advance(Box<PackedAdvance>),
}

/// What became of a [`Write`], in the same order of kinds.
pub(super) enum Written {
    Append(Appended),
    Call(Called),
    Handle,
    Finish(Vec<bool>),
    Claim(Vec<HeldJob>),
    Sync(Progressed),
    Advance(bool),
}

impl Write {
    /// About how many bytes it adds to the database.
    pub(super) fn size(&self) -> usize {
        const ROW: usize = 512;
        match self {
            Write::Append(append) => append.size() + ROW,
            Write::Call(call) => call.size() + ROW,
            Write::Handle(events) => events.iter().map(PackedHandled::size).sum::<usize>() + ROW,
            Write::Finish(finished) => finished.iter().map(attempts::size).sum::<usize>() + ROW,
            Write::Claim(claim) => claim.limit as usize * ROW,
            Write::Sync(progress) => progress.size(),
            #[cfg(test)]
            Write::Panic => 0,
            Write::Advance(advance) => advance.size() + ROW,
        }
    }

    /// The jobs that it moves; a claim passes over those that others hold.
    pub(super) fn jobs(&self) -> Vec<&JobId> {
        match self {
            Write::Finish(finished) => finished.iter().map(|end| &end.job_id).collect(),
            Write::Advance(advance) => vec![advance.job_id()],
            _ => Vec::new(),
        }
    }

    /// Whether it holds jobs until the commit.
    pub(super) fn holds_jobs(&self) -> bool {
        matches!(self, Write::Finish(_) | Write::Advance(_) | Write::Claim(_))
    }
}

pub(super) struct Waiting {
    pub(super) write: Write,
    reply: oneshot::Sender<Result<Written, StoreError>>,
    /// Its share of the bytes that may wait.
    _share: OwnedSemaphorePermit,
}

impl Waiting {
    pub(super) fn answer(self, written: Result<Written, StoreError>) {
        // Who was answered finds room again. Who does not wait any more does not want to know.
        drop(self._share);
        if let (Write::Append(append), Ok(Written::Append(appended))) = (self.write, &written) {
            append.kept(appended);
        }
        let _ = self.reply.send(written);
    }
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Waiting>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    ended: Arc<tokio::sync::Mutex<Option<oneshot::Receiver<()>>>>,
    closing: Arc<Notify>,
    enough: Arc<Notify>,
}

impl Writer {
    pub(super) fn start(
        database: SharedDatabase,
        config: &DatabaseConfig,
        clock: Clock,
    ) -> Result<Writer, StoreError> {
        let (queue, waiting) = mpsc::channel(config.queue_max.max(1));
        let (closing, enough) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let backend = database.backend;
        let committer = Committer::new(database, clock, enough.clone())?;
        let (ending, ended) = oneshot::channel();
        let (told, runtime) = (closing.clone(), Handle::current());
        let run = async move {
            committer.run(waiting, told).await;
            // Whoever waits for it hears that it ended, also if it panicked.
            drop(ending);
        };
        match backend {
            // Its statements run where they are called: that is a thread of their own.
            Backend::Sqlite => {
                let thread = std::thread::Builder::new().name("store-writer".to_owned());
                let started = thread.spawn(move || runtime.block_on(run));
                started.map_err(|error| {
                    StoreError::Refused(format!("the writing thread cannot be started: {error}"))
                })?;
            }
            Backend::Postgres => drop(tokio::spawn(run)),
        }
        let bytes_max = config.queue_bytes_max.min(Semaphore::MAX_PERMITS);
        Ok(Writer {
            queue,
            bytes: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
            ended: Arc::new(tokio::sync::Mutex::new(Some(ended))),
            closing,
            enough,
        })
    }

    /// Puts a write into the next commit and waits until that is synced.
    pub(super) async fn write(
        &self,
        operation: &'static str,
        write: Write,
    ) -> Result<Written, StoreError> {
        // One write alone always fits.
        let size = write.size().min(self.bytes_max).min(u32::MAX as usize);
        let share = self
            .bytes
            .clone()
            .try_acquire_many_owned(u32::try_from(size).unwrap_or(u32::MAX))
            .map_err(|_| StoreError::unavailable(operation, "too much waits to be written"))?;
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            write,
            reply,
            _share: share,
        };
        self.queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::unavailable(operation, "too much waits to be written")
            }
            mpsc::error::TrySendError::Closed(_) => {
                StoreError::unavailable(operation, "the store is closed")
            }
        })?;
        if self.queue.max_capacity() - self.queue.capacity() >= JOIN_MIN {
            self.enough.notify_one();
        }
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable(operation, "the commit failed")))
    }

    /// Whether there is somebody who commits.
    pub(super) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Commits what waits and takes nothing more.
    pub(super) async fn finish(&self) {
        self.closing.notify_one();
        if let Some(ended) = self.ended.lock().await.take() {
            // The end is that the other side is gone.
            let _ = ended.await;
        }
    }
}
