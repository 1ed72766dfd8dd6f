//! Group commit: one task takes every write that waits into one transaction and answers all of them
//! after its sync.
//!
//! A transaction costs one sync of the disk however much is in it, so the busier the host, the
//! cheaper each write. The queue is bounded in number and bytes: what does not fit is refused at once
//! as unavailable, and so is everything that waits while the database is. If the database refuses a
//! transaction for what is in it, each write is tried alone, so that one bad row harms nobody else.
//! After a lost connection nobody knows whether the commit happened; every write here may be
//! repeated, so it is, once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::StoreError;
use super::appends::{self, PackedAppend};
use super::attempts;
use super::calls::{self, PackedCall};
use super::database::SharedDatabase;
use super::handling::{self, PackedHandled};
use super::leases::{self, Claim, HeldJob};
use super::open::{Backend, DatabaseConfig};
use super::progress::{self, PackedProgress};
use super::sqlite::{LogGrowth, run_checkpoints};
use super::transaction::Transaction;
use crate::clock::Clock;
use crate::model::{Appended, Called, Finished, Progressed};

/// The most writes in one transaction.
const BATCH_MAX: usize = 1024;

/// What can be committed together with others.
pub(super) enum Write {
    Append(Box<PackedAppend>),
    Call(Box<PackedCall>),
    Handle(Vec<PackedHandled>),
    Finish(Vec<Finished>),
    Claim(Claim),
    Sync(Box<PackedProgress>),
}

/// What became of a [`Write`], in the same order of kinds.
pub(super) enum Written {
    Append(Appended),
    Call(Called),
    Handle,
    Finish(Vec<bool>),
    Claim(Vec<HeldJob>),
    Sync(Progressed),
}

impl Write {
    /// About how many bytes it adds to the database.
    fn size(&self) -> usize {
        const ROW: usize = 512;
        match self {
            Write::Append(append) => append.size() + ROW,
            Write::Call(call) => call.size() + ROW,
            Write::Handle(events) => events.iter().map(PackedHandled::size).sum::<usize>() + ROW,
            Write::Finish(finished) => finished.iter().map(attempts::size).sum::<usize>() + ROW,
            Write::Claim(claim) => claim.limit as usize * ROW,
            Write::Sync(progress) => progress.size(),
        }
    }
}

struct Waiting {
    write: Write,
    reply: oneshot::Sender<Result<Written, StoreError>>,
    /// Its share of the bytes that may wait.
    _share: OwnedSemaphorePermit,
}

/// The way to the writing task.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Waiting>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
    closing: Arc<tokio::sync::Notify>,
}

impl Writer {
    pub(super) fn start(database: SharedDatabase, config: &DatabaseConfig, clock: Clock) -> Writer {
        let (queue, waiting) = mpsc::channel(config.queue_max.max(1));
        let closing = Arc::new(tokio::sync::Notify::new());
        let growth = Arc::new(LogGrowth::default());
        let checkpoints = (database.backend == Backend::Sqlite)
            .then(|| tokio::spawn(run_checkpoints(database.clone(), growth.clone())));
        let committer = Committer {
            database,
            clock,
            growth,
            checkpoints,
        };
        let task = tokio::spawn(committer.run(waiting, closing.clone()));
        let bytes_max = config.queue_bytes_max.min(Semaphore::MAX_PERMITS);
        Writer {
            queue,
            bytes: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
            task: Arc::new(tokio::sync::Mutex::new(Some(task))),
            closing,
        }
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
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable(operation, "the store is closed")))
    }

    /// Commits what waits and takes nothing more.
    pub(super) async fn finish(&self) {
        self.closing.notify_one();
        if let Some(task) = self.task.lock().await.take() {
            // It ends by itself; that it panicked was reported by the runtime.
            let _ = task.await;
        }
    }
}

struct Committer {
    database: SharedDatabase,
    clock: Clock,
    growth: Arc<LogGrowth>,
    checkpoints: Option<JoinHandle<()>>,
}

impl Drop for Committer {
    fn drop(&mut self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.abort();
        }
    }
}

impl Committer {
    async fn run(self, mut waiting: mpsc::Receiver<Waiting>, closing: Arc<tokio::sync::Notify>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                taken = waiting.recv_many(&mut batch, BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    self.commit_and_reply(&mut batch).await;
                }
                () = closing.notified() => waiting.close(),
            }
        }
    }

    async fn commit_and_reply(&self, batch: &mut Vec<Waiting>) {
        let (mut writes, mut replies) = (Vec::new(), Vec::new());
        let mut shares = Vec::with_capacity(batch.len());
        for waiting in batch.drain(..) {
            writes.push(waiting.write);
            replies.push(waiting.reply);
            shares.push(waiting._share);
        }
        match self.commit_all(&writes).await {
            Ok(written) => {
                self.growth
                    .grew(writes.iter().map(Write::size).sum::<usize>() as u64);
                for (reply, written) in replies.into_iter().zip(written) {
                    // Who does not wait any more does not want to know.
                    let _ = reply.send(Ok(written));
                }
            }
            Err(error) if error.is_unavailable() || writes.len() == 1 => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, writes = writes.len(), "writes were not committed");
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
            Err(_) => {
                for (write, reply) in writes.iter().zip(replies) {
                    let alone = self.commit_all(std::slice::from_ref(write)).await;
                    let written = alone.map(|mut written| {
                        written.pop().expect("invariant: one write, one answer")
                    });
                    let _ = reply.send(written);
                }
            }
        }
    }

    async fn commit_all(&self, writes: &[Write]) -> Result<Vec<Written>, StoreError> {
        let transaction = self.database.write().await?;
        let written = self.run_all(transaction, writes).await;
        match written {
            Err(error) if error.is_unavailable() && self.database.backend == Backend::Postgres => {
                let transaction = self.database.write().await?;
                self.run_all(transaction, writes).await
            }
            written => written,
        }
    }

    async fn run_all(
        &self,
        mut transaction: Transaction,
        writes: &[Write],
    ) -> Result<Vec<Written>, StoreError> {
        let now = self.clock.now();
        let backend = self.database.backend;
        let (mut appends, mut handled, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        let (mut progresses, mut calls) = (Vec::new(), Vec::new());
        for write in writes {
            match write {
                Write::Append(append) => appends.push(&**append),
                Write::Call(call) => calls.push(&**call),
                Write::Handle(events) => handled.extend(events),
                Write::Finish(attempts) => finished.extend(attempts),
                Write::Sync(progress) => progresses.push(&**progress),
                Write::Claim(_) => {}
            }
        }
        let appended = appends::insert(&mut transaction, backend, &appends, now).await?;
        let called = calls::insert(&mut transaction, backend, &calls, now).await?;
        let mut called = called.into_iter();
        let held = attempts::finish(&mut transaction, backend, &finished).await?;
        handling::handle(&mut transaction, backend, &handled, now).await?;
        let wakes = appends
            .iter()
            .zip(&appended)
            .filter_map(|(append, appended)| append.wakes(appended))
            .collect();
        let progressed =
            progress::write_all(&mut transaction, backend, (wakes, &progresses), now).await?;
        let mut progressed = progressed.into_iter();

        let (mut appended, mut held) = (appended.into_iter(), held.into_iter());
        let mut written = Vec::with_capacity(writes.len());
        for write in writes {
            written.push(match write {
                Write::Append(_) => Written::Append(
                    appended
                        .next()
                        .expect("invariant: each append has its answer"),
                ),
                Write::Call(_) => {
                    Written::Call(called.next().expect("invariant: each call has its answer"))
                }
                Write::Handle(_) => Written::Handle,
                Write::Finish(finished) => {
                    Written::Finish(held.by_ref().take(finished.len()).collect())
                }
                Write::Claim(claim) => Written::Claim(
                    leases::claim(&mut transaction, self.database.skip_locked(), claim).await?,
                ),
                Write::Sync(_) => Written::Sync(
                    progressed
                        .next()
                        .expect("invariant: each step has its answer"),
                ),
            });
        }
        transaction.commit().await?;
        Ok(written)
    }
}
