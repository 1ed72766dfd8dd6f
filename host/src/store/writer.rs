//! Group commit: one writer takes every write that waits into one transaction and answers all of them
//! after its sync.
//!
//! A transaction costs one sync of the disk however much is in it, so the busier the host, the
//! cheaper each write; what comes while a group is written joins it. SQLite's writer is a thread of
//! its own, whose statements run where they are called ([`super::direct`]). The queue is bounded in
//! number and bytes: what does not fit is refused at once as unavailable, and so is everything that
//! waits while the database is. If the database refuses a
//! transaction for what is in it, each write is tried alone, so that one bad row harms nobody else.
//! After a lost connection nobody knows whether the commit happened; every write here may be
//! repeated, so it is, once.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::StoreError;
use super::appends::{self, PackedAppend};
use super::attempts;
use super::calls::{self, PackedCall};
use super::connection::Connection;
use super::database::SharedDatabase;
use super::flows::{self, PackedAdvance};
use super::handling::{self, PackedHandled};
use super::leases::{self, Claim, HeldJob};
use super::open::{Backend, DatabaseConfig};
use super::progress::{self, PackedProgress};
use super::sqlite::{LogGrowth, run_checkpoints};
use crate::clock::Clock;
use crate::model::{Appended, Called, Finished, Progressed};
use crate::panics;

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
    fn size(&self) -> usize {
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
}

struct Waiting {
    write: Write,
    reply: oneshot::Sender<Result<Written, StoreError>>,
    /// Its share of the bytes that may wait.
    _share: OwnedSemaphorePermit,
}

impl Waiting {
    fn answer(self, written: Result<Written, StoreError>) {
        // Who was answered finds room again. Who does not wait any more does not want to know.
        drop(self._share);
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
    closing: Arc<tokio::sync::Notify>,
}

impl Writer {
    pub(super) fn start(
        database: SharedDatabase,
        config: &DatabaseConfig,
        clock: Clock,
    ) -> Result<Writer, StoreError> {
        let (queue, waiting) = mpsc::channel(config.queue_max.max(1));
        let closing = Arc::new(tokio::sync::Notify::new());
        let growth = Arc::new(LogGrowth::default());
        let backend = database.backend;
        let checkpoints = (backend == Backend::Sqlite)
            .then(|| tokio::spawn(keep_checkpoints(database.clone(), growth.clone())));
        let committer = Committer {
            database,
            clock,
            growth,
            checkpoints,
        };
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
        let mut group = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                taken = waiting.recv_many(&mut group, BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    let committed = self.commit_and_reply(&mut group, &mut waiting);
                    if panics::survive(committed).await.is_none() {
                        self.recover(&mut group);
                    }
                }
                () = closing.notified() => waiting.close(),
            }
        }
    }

    /// After a panic: who waited hears it, and the store is not well until a commit works.
    fn recover(&self, group: &mut Vec<Waiting>) {
        tracing::error!(
            writes = group.len(),
            "a commit panicked; what was in it was not kept"
        );
        let bytes = group.iter().map(|each| each.write.size()).sum::<usize>() as u64;
        self.database.health.failed(bytes, self.clock.now());
        group.clear();
    }

    /// Commits the group and whoever joins it.
    async fn commit_and_reply(
        &self,
        group: &mut Vec<Waiting>,
        waiting: &mut mpsc::Receiver<Waiting>,
    ) {
        let committed = self.commit(group, Some(waiting)).await;
        let bytes = group.iter().map(|each| each.write.size()).sum::<usize>() as u64;
        match committed {
            Ok(written) => {
                self.growth.grew(bytes);
                self.database.health.wrote(bytes, self.clock.now());
                for (each, written) in group.drain(..).zip(written) {
                    each.answer(Ok(written));
                }
            }
            Err(error) if error.is_unavailable() || group.len() == 1 => {
                if error.is_unavailable() {
                    self.database.health.failed(bytes, self.clock.now());
                }
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, writes = group.len(), "writes were not committed");
                for each in group.drain(..) {
                    each.answer(Err(error.clone()));
                }
            }
            Err(_) => {
                for each in group.drain(..) {
                    let mut alone = vec![each];
                    let written = self.commit(&mut alone, None).await.map(|mut written| {
                        written.pop().expect("invariant: one write, one answer")
                    });
                    if let Some(each) = alone.pop() {
                        each.answer(written);
                    }
                }
            }
        }
    }

    /// One transaction with the whole group, and with those who come while it is written: they cost
    /// no sync of their own. One answer for each.
    async fn commit(
        &self,
        group: &mut Vec<Waiting>,
        joining: Option<&mut mpsc::Receiver<Waiting>>,
    ) -> Result<Vec<Written>, StoreError> {
        if let Some(mut direct) = self.database.direct().await {
            direct.begin()?;
            let written = self.write_all(&mut *direct, group, joining).await;
            return direct.end(written);
        }
        match self.commit_once(group, joining).await {
            Err(error) if error.is_unavailable() => self.commit_once(group, None).await,
            written => written,
        }
    }

    async fn commit_once(
        &self,
        group: &mut Vec<Waiting>,
        joining: Option<&mut mpsc::Receiver<Waiting>>,
    ) -> Result<Vec<Written>, StoreError> {
        let mut transaction = self.database.write().await?;
        let written = self.write_all(&mut transaction, group, joining).await?;
        transaction.commit().await?;
        Ok(written)
    }

    async fn write_all(
        &self,
        connection: &mut impl Connection,
        group: &mut Vec<Waiting>,
        mut joining: Option<&mut mpsc::Receiver<Waiting>>,
    ) -> Result<Vec<Written>, StoreError> {
        let mut written = Vec::with_capacity(group.len());
        loop {
            let writes: Vec<&Write> = group[written.len()..]
                .iter()
                .map(|each| &each.write)
                .collect();
            written.extend(self.write_some(connection, &writes).await?);
            if let Some(joining) = &mut joining {
                join(group, joining);
            }
            if written.len() == group.len() {
                return Ok(written);
            }
        }
    }

    async fn write_some(
        &self,
        connection: &mut impl Connection,
        writes: &[&Write],
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
                Write::Claim(_) | Write::Advance(_) => {}
                #[cfg(test)]
                Write::Panic => {}
            }
        }
        let appended = appends::insert(connection, backend, &appends, now).await?;
        let called = calls::insert(connection, backend, &calls, now).await?;
        let mut called = called.into_iter();
        let held = attempts::finish(connection, backend, &finished).await?;
        handling::handle(connection, backend, &handled, now).await?;
        let wakes = appends
            .iter()
            .zip(&appended)
            .filter_map(|(append, appended)| append.wakes(appended))
            .collect();
        let progressed =
            progress::write_all(connection, backend, (wakes, &progresses), now).await?;
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
                    leases::claim(connection, self.database.skip_locked(), claim).await?,
                ),
                Write::Advance(advance) => {
                    Written::Advance(flows::advance(connection, backend, advance).await?)
                }
                Write::Sync(_) => Written::Sync(
                    progressed
                        .next()
                        .expect("invariant: each step has its answer"),
                ),
                #[cfg(test)]
                Write::Panic => panic!("a commit is told to panic in its middle"),
            });
        }
        Ok(written)
    }
}

async fn keep_checkpoints(database: SharedDatabase, growth: Arc<LogGrowth>) {
    panics::go_on("the carrying over of the log", || {
        run_checkpoints(database.clone(), growth.clone())
    })
    .await;
}

/// Takes those who wait into a group that has room.
fn join(group: &mut Vec<Waiting>, joining: &mut mpsc::Receiver<Waiting>) {
    while group.len() < BATCH_MAX
        && let Ok(each) = joining.try_recv()
    {
        group.push(each);
    }
}
