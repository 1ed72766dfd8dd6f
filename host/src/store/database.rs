//! The connections: one text for two databases, so both are reached through `sqlx::Any`.
//!
//! SQLite has one connection that writes, the direct one of the group commit beside it, and a few
//! that read; each is a thread with half a megabyte of caches, so more of them are opened only
//! while those are held for long. PostgreSQL has one pool for both, and only a primary is accepted:
//! what a replica shows may be old.

use std::fs::File;
use std::num::NonZero;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Executor, Row};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};
use tokio::time::timeout;

use super::direct::{Direct, Looks};
use super::health::WriteHealth;
use super::open::{Backend, DatabaseConfig};
use super::remembered::{Changes, Counted};
use super::sql::{FromRow, Statement};
use super::transaction::Transaction;
use super::{StoreError, sqlite};

/// SQLite's readers that stay open, or one for each core.
const READERS_KEPT: u32 = 3;
/// A read that waited so long for one of them gets one of its own.
const HELD_LONG: Duration = Duration::from_millis(20);
/// For so long those stay open.
const MORE_READERS_IDLE: Duration = Duration::from_secs(10);

pub(super) struct Database {
    pub(super) backend: Backend,
    readers: AnyPool,
    /// For when all readers of SQLite are held for long.
    more_readers: Option<AnyPool>,
    writers: AnyPool,
    /// SQLite's connection of the group commit.
    direct: Option<Mutex<Direct>>,
    /// SQLite's connections for what every call reads.
    looks: Option<Looks>,
    /// Whose turn it is to write: SQLite has room for one, and lets others wait asleep.
    turns: Option<Arc<Mutex<()>>>,
    pub(super) health: WriteHealth,
    /// What the writing connections may have changed. The group commit changes no settings.
    pub(super) changes: Changes,
    /// Where PostgreSQL is listened to for hints of other hosts.
    pub(super) hints_at: Option<PgConnectOptions>,
    /// Where SQLite's file lies.
    pub(super) path: Option<PathBuf>,
    /// What SQLite's log holds may not be on the disk.
    log_lost: AtomicBool,
    /// Held for as long as the store is open.
    lock: Option<File>,
    /// SQLite's file, for [`super::write_back`]. It stands last, so that it is closed after the connections:
    /// closing any descriptor of a file gives up all locks that the process holds on it.
    pub(super) file: Option<File>,
}

impl Database {
    pub(super) async fn connect(config: &DatabaseConfig) -> Result<Database, StoreError> {
        sqlx::any::install_default_drivers();
        let url = config.url.expose();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return connect_postgres(config).await;
        }
        match url.strip_prefix("sqlite:") {
            Some(path) => connect_sqlite(path, config).await,
            None => Err(StoreError::Refused(
                "the database's address is not understood: expected `sqlite:PATH` or `postgres://USER@HOST/NAME`"
                    .to_owned(),
            )),
        }
    }

    /// A connection for reading.
    pub(super) async fn read(&self) -> Result<PoolConnection<Any>, StoreError> {
        let mut kept = pin!(self.readers.acquire());
        let reader = match (&self.more_readers, timeout(HELD_LONG, &mut kept).await) {
            (_, Ok(reader)) => reader,
            // Whichever comes first: one that is being opened on a slow disk is not given up.
            (Some(more), Err(_)) => tokio::select! {
                biased;
                reader = kept => reader,
                reader = more.acquire() => reader,
            },
            (None, Err(_)) => kept.await,
        };
        reader.map_err(|error| StoreError::of("reach the database", error))
    }

    /// A row or two, found by their keys.
    pub(super) async fn look<T: FromRow>(
        &self,
        statement: Statement<'_>,
    ) -> Result<Vec<T>, StoreError> {
        match &self.looks {
            Some(looks) if !self.is_closed() => looks.rows(statement),
            _ => statement.all(&mut self.read().await?).await,
        }
    }

    /// A transaction for writing. Dropped without a commit, it never was.
    pub(super) async fn write(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(self.writer().await?, self.backend).await
    }

    /// A sync of the log failed: nothing more is taken.
    pub(super) fn lose_log(&self) {
        self.log_lost.store(true, Ordering::Release);
    }

    /// Refuses what would stand in the log after something that may not be on the disk.
    pub(super) fn check_log(&self) -> Result<(), StoreError> {
        match self.log_lost.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(StoreError::unavailable(
                "write to the database",
                "the disk could not sync the log: start the host again",
            )),
        }
    }

    /// The writing connection without a transaction.
    pub(super) async fn writer(&self) -> Result<WriterConnection, StoreError> {
        let turn = match &self.turns {
            Some(turns) => Some(Arc::clone(turns).lock_owned().await),
            None => None,
        };
        self.check_log()?;
        let connection = self
            .writers
            .acquire()
            .await
            .map_err(|error| StoreError::of("reach the database", error))?;
        Ok(WriterConnection {
            connection,
            _counted: self.changes.counted(),
            _turn: turn,
        })
    }

    /// The connection of the group commit, if there is one, and the turn to write.
    pub(super) async fn direct(&self) -> Option<DirectConnection<'_>> {
        let (direct, turns) = (self.direct.as_ref()?, self.turns.as_ref()?);
        let turn = turns.lock().await;
        Some(DirectConnection {
            direct: direct.lock().await,
            _turn: turn,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.readers.is_closed()
    }

    /// What is locked by another host is passed over; SQLite has no other host.
    pub(super) fn skip_locked(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "",
            Backend::Postgres => " for update skip locked",
        }
    }

    /// What is read is held until the commit; SQLite's one writer holds everything.
    pub(super) fn for_update(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "",
            Backend::Postgres => " for update",
        }
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        if let Some(more) = &self.more_readers {
            more.close().await;
        }
        self.writers.close().await;
        if let Some(looks) = &self.looks {
            looks.close();
        }
        if let Some(lock) = &self.lock {
            // Closing the file, which clones of the store put off, would do the same.
            let _ = lock.unlock();
        }
    }
}

/// The writing connection, for as long as nobody else may write.
pub(super) struct WriterConnection {
    connection: PoolConnection<Any>,
    _counted: Counted,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl WriterConnection {
    /// Gives it up without a word of goodbye, which nobody may be there to hear.
    pub(super) fn cut_off(self) {
        drop(self.connection.detach());
    }
}

impl Deref for WriterConnection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for WriterConnection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

/// The direct connection, for as long as nobody else may write.
pub(super) struct DirectConnection<'d> {
    direct: MutexGuard<'d, Direct>,
    _turn: MutexGuard<'d, ()>,
}

impl Drop for DirectConnection<'_> {
    /// A commit that panicked is undone before anybody else may write.
    fn drop(&mut self) {
        if let Err(error) = self.direct.abandon() {
            tracing::warn!(%error, "a commit that was cut off is undone with the next one");
        }
    }
}

impl Deref for DirectConnection<'_> {
    type Target = Direct;

    fn deref(&self) -> &Direct {
        &self.direct
    }
}

impl DerefMut for DirectConnection<'_> {
    fn deref_mut(&mut self) -> &mut Direct {
        &mut self.direct
    }
}

async fn connect_sqlite(path: &str, config: &DatabaseConfig) -> Result<Database, StoreError> {
    let file = sqlite::DatabaseFile::claim(path)?;
    let options: AnyConnectOptions = parse(&file.url())?;
    let pool = || {
        AnyPoolOptions::new()
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| Box::pin(sqlite::prepare_connection(connection)))
    };
    // The writer first: it makes the file, whose page size and journal the others then find.
    let writers = pool()
        .min_connections(1)
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(|error| {
            refused(
                &format!("the database {} cannot be opened", file.path.display()),
                &error,
            )
        })?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let kept = READERS_KEPT.max(u32::try_from(cores).unwrap_or(u32::MAX));
    let kept = kept.min(config.connections_max).max(1);
    let readers = pool()
        .max_connections(kept)
        .connect_lazy_with(options.clone());
    let more = config.connections_max.saturating_sub(kept);
    let more_readers = (more > 0).then(|| {
        pool()
            .max_connections(more)
            .idle_timeout(MORE_READERS_IDLE)
            .max_lifetime(MORE_READERS_IDLE * 6)
            .connect_lazy_with(options)
    });
    let direct = Direct::open(&file.path)?;
    Ok(Database {
        backend: Backend::Sqlite,
        readers,
        more_readers,
        writers,
        direct: Some(Mutex::new(direct)),
        looks: Some(Looks::at(&file.path)),
        turns: Some(Arc::default()),
        health: WriteHealth::default(),
        changes: Changes::default(),
        hints_at: None,
        path: Some(file.path),
        log_lost: AtomicBool::new(false),
        lock: Some(file.lock),
        file: Some(file.file),
    })
}

async fn connect_postgres(config: &DatabaseConfig) -> Result<Database, StoreError> {
    let options: AnyConnectOptions = parse(config.url.expose())?;
    let pool = AnyPoolOptions::new()
        .max_connections(config.connections_max.max(2))
        .acquire_timeout(Duration::from_secs(2))
        .after_connect(|connection, _| Box::pin(prepare_session(connection)))
        .connect_with(options)
        .await
        .map_err(|error| refused("the PostgreSQL database cannot be reached", &error))?;
    Ok(Database {
        backend: Backend::Postgres,
        readers: pool.clone(),
        more_readers: None,
        writers: pool,
        direct: None,
        looks: None,
        turns: None,
        health: WriteHealth::default(),
        changes: Changes::default(),
        hints_at: Some(parse(config.url.expose())?),
        path: None,
        log_lost: AtomicBool::new(false),
        lock: None,
        file: None,
    })
}

/// Whoever set this server or this user up may have chosen what does not do for us: to answer commits
/// before they are synced, to cut off statements, which have a limit of ours, or to read texts in
/// another way. That it takes no writes for now is left as it is.
const SESSION: &str = "select set_config(ours.name, ours.value, false) from (values \
    ('synchronous_commit', 'on'), ('default_transaction_isolation', 'read committed'), \
    ('statement_timeout', '0'), ('transaction_timeout', '0'), ('lock_timeout', '0'), \
    ('standard_conforming_strings', 'on'), ('session_replication_role', 'origin')) \
    as ours (name, value) join pg_settings as theirs on theirs.name = ours.name \
    where theirs.setting <> ours.value \
    and (ours.name <> 'synchronous_commit' or theirs.setting = 'off')";

async fn prepare_session(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(SESSION)).await?;
    accept_primary(connection).await
}

async fn accept_primary(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let row = connection
        .fetch_one("select case when pg_is_in_recovery() then 1 else 0 end")
        .await?;
    match row.try_get::<i32, _>(0)? {
        0 => Ok(()),
        _ => Err(sqlx::Error::Protocol(
            "this server is a replica, a primary is needed".to_owned(),
        )),
    }
}

/// The address may hold a password, so what is wrong with it is not repeated.
fn parse<O: ConnectOptions>(url: &str) -> Result<O, StoreError> {
    url.parse::<O>()
        .map(ConnectOptions::disable_statement_logging)
        .map_err(|_| StoreError::Refused("the database's address is not a URL".to_owned()))
}

fn refused(what: &str, error: &sqlx::Error) -> StoreError {
    StoreError::Refused(format!("{what}: {error}"))
}

/// Shared by the store and its background tasks.
pub(super) type SharedDatabase = Arc<Database>;
