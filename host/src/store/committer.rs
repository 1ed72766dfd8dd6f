//! Group commit: every write that waits goes into one transaction, and all of them are answered after
//! its sync.
//!
//! A transaction costs one sync of the disk however much is in it, so the busier the host, the
//! cheaper each write; what comes while a group is written, and on SQLite while the group before is
//! synced ([`super::log_sync`]), joins it; on PostgreSQL not any more once the group holds jobs
//! ([`super::job_locks`]). While the database is away everything that waits is
//! refused as unavailable. If the database refuses a transaction for what is in it, each write is
//! tried alone, so that one bad row harms nobody else. After a lost connection nobody knows whether
//! the commit happened; every write here may be repeated, so it is, once.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::connection::Connection;
use super::database::SharedDatabase;
use super::log_sync::{LogSync, Turn};
use super::open::Backend;
use super::sqlite::{LogGrowth, run_checkpoints};
use super::told_by::ToldBy;
use super::writer::{Waiting, Write, Written};
use super::{StoreError, appends, attempts, calls, flows, handling, job_locks, leases, progress};
use crate::clock::Clock;
use crate::kill_points::{Step, reached};
use crate::panics;

/// The most writes in one transaction.
const BATCH_MAX: usize = 1024;

/// One answer for each write of a group; on SQLite the turn to sync them.
type Committed = (Vec<Written>, Option<Turn>);

pub(super) struct Committer {
    database: SharedDatabase,
    clock: Clock,
    growth: Arc<LogGrowth>,
    checkpoints: Option<JoinHandle<()>>,
    /// Of SQLite.
    log: Option<LogSync>,
    /// So many writes wait that they are worth a few statements.
    enough: Arc<Notify>,
    told_by: ToldBy,
}

impl Drop for Committer {
    fn drop(&mut self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.abort();
        }
    }
}

impl Committer {
    /// Starts what runs beside it. `enough` tells that more writes wait than should.
    pub(super) fn new(
        database: SharedDatabase,
        clock: Clock,
        enough: Arc<Notify>,
    ) -> Result<Committer, StoreError> {
        let growth = Arc::new(LogGrowth::default());
        let log = database.path.as_deref().map(LogSync::start).transpose()?;
        let checkpoints = (database.backend == Backend::Sqlite)
            .then(|| tokio::spawn(keep_checkpoints(database.clone(), growth.clone())));
        Ok(Committer {
            database,
            clock,
            growth,
            checkpoints,
            told_by: ToldBy::new(log.is_some()),
            log,
            enough,
        })
    }

    /// Commits until the queue is closed and empty, and everybody is answered.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>, closing: Arc<Notify>) {
        let mut group = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                taken = waiting.recv_many(&mut group, BATCH_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    let committed = self.commit_and_reply(&mut group, &mut waiting);
                    if panics::survive(committed).await.is_none() {
                        self.recover(&mut group);
                    }
                }
                () = closing.notified() => waiting.close(),
            }
        }
        self.log = None;
        self.told_by.finish().await;
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
            Ok(committed) => self.answer(group, committed),
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
                    match self.commit(&mut alone, None).await {
                        Ok(committed) => self.answer(&mut alone, committed),
                        Err(error) => {
                            for each in alone {
                                each.answer(Err(error.clone()));
                            }
                        }
                    }
                }
            }
        }
    }

    /// Tells everybody of a group what became of their writes, as soon as those are synced.
    fn answer(&self, group: &mut Vec<Waiting>, (written, turn): Committed) {
        let bytes = group.iter().map(|each| each.write.size()).sum::<usize>() as u64;
        let mut answers: Vec<(Waiting, Written)> = group.drain(..).zip(written).collect();
        let mut is_begun = true;
        for (each, written) in &mut answers {
            is_begun &= match (&mut each.write, written) {
                (Write::Call(call), Written::Call(called)) => call.tell_begun(called),
                _ => false,
            };
        }
        let (database, clock) = (self.database.clone(), self.clock.clone());
        let (is_alone, told_by) = (answers.len() == 1, self.told_by.clone());
        let then = move |synced: std::io::Result<()>| match synced {
            Ok(()) => {
                database.health.wrote(bytes, clock.now());
                told_by.tell(answers.len(), move || {
                    for (each, written) in answers {
                        each.answer(Ok(written));
                    }
                });
            }
            Err(error) => {
                database.lose_log();
                database.health.failed(bytes, clock.now());
                tracing::error!(%error, "the log could not be synced: nothing is taken until the host is started again");
                for (each, _) in answers {
                    let lost = "the disk could not sync the log";
                    each.answer(Err(StoreError::unavailable("commit", lost)));
                }
            }
        };
        match (&self.log, turn) {
            // Whoever waits for it waits for its end, too.
            (Some(log), Some(turn)) if is_begun => log.sync_later(turn, then),
            (Some(log), Some(turn)) if is_alone => log.sync_here(turn, then),
            (Some(log), Some(turn)) => log.sync(turn, then),
            _ => then(Ok(())),
        }
    }

    /// One transaction with the whole group, and with those who come while it is written: they cost
    /// no sync of their own. One answer for each.
    async fn commit(
        &self,
        group: &mut Vec<Waiting>,
        joining: Option<&mut mpsc::Receiver<Waiting>>,
    ) -> Result<Committed, StoreError> {
        if let Some(mut direct) = self.database.direct().await {
            self.database.check_log()?;
            direct.begin()?;
            let written = self.write_all(&mut *direct, group, joining).await;
            let committed = direct.end(written)?;
            reached_by(group, Step::Committed);
            match direct.log_pages() {
                Ok(pages) => self.growth.is_at(pages),
                Err(error) => tracing::warn!(%error, "the log may grow until the next commit"),
            }
            return Ok(committed);
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
    ) -> Result<Committed, StoreError> {
        let mut transaction = self.database.write().await?;
        let written = self.write_all(&mut transaction, group, joining).await?;
        transaction.commit().await?;
        reached_by(group, Step::Committed);
        Ok(written)
    }

    async fn write_all(
        &self,
        connection: &mut impl Connection,
        group: &mut Vec<Waiting>,
        mut joining: Option<&mut mpsc::Receiver<Waiting>>,
    ) -> Result<Committed, StoreError> {
        let mut written = Vec::with_capacity(group.len());
        let mut turn = None;
        loop {
            let writes: Vec<&Write> = group[written.len()..]
                .iter()
                .map(|each| &each.write)
                .collect();
            written.extend(self.write_some(connection, &writes).await?);
            // Who comes now may ask for jobs that another host holds while it waits for ours.
            if self.database.backend == Backend::Postgres
                && group.iter().any(|each| each.write.holds_jobs())
            {
                joining = None;
            }
            if let Some(joining) = &mut joining {
                join(group, joining);
            }
            if written.len() < group.len() {
                continue;
            }
            match (&self.log, &mut joining) {
                (Some(log), Some(joining)) if turn.is_none() => {
                    // The commit before is synced meanwhile: there is time for who comes.
                    tokio::select! {
                        biased;
                        free = log.turn(group.len(), begin(group)) => turn = Some(free),
                        () = self.enough.notified(), if group.len() < BATCH_MAX => {}
                    }
                    join(group, joining);
                }
                (Some(log), None) if turn.is_none() => {
                    turn = Some(log.turn(group.len(), begin(group)).await);
                }
                _ => {
                    reached_by(group, Step::BeforeCommit);
                    return Ok((written, turn));
                }
            }
        }
    }

    async fn write_some(
        &self,
        connection: &mut impl Connection,
        writes: &[&Write],
    ) -> Result<Vec<Written>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let backend = self.database.backend;
        let moved = writes.iter().flat_map(|write| write.jobs());
        job_locks::hold_jobs(connection, backend, moved).await?;
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
        if !appends.is_empty() {
            reached(Step::Inserted);
        }
        let called = calls::insert(connection, backend, &calls, now).await?;
        let mut called = called.into_iter();
        let held = attempts::finish(connection, backend, &finished).await?;
        if !finished.is_empty() {
            reached(Step::Marked);
        }
        handling::handle(connection, backend, &handled, now).await?;
        if !handled.is_empty() {
            reached(Step::Matched);
        }
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

/// Whether nobody of them waits for the sync of this commit.
fn begin(group: &[Waiting]) -> bool {
    let begins = |each: &Waiting| matches!(&each.write, Write::Call(call) if call.begins());
    group.iter().all(begins)
}

/// Groups without a request are not what tests ask for.
fn reached_by(group: &[Waiting], step: Step) {
    let is_append = |each: &Waiting| matches!(each.write, Write::Append(_));
    if cfg!(debug_assertions) && group.iter().any(is_append) {
        reached(step);
    }
}
