//! The connection of SQLite's group commit, called in the writer's own thread.
//!
//! Through the pool every statement of a commit is handed to the driver's thread and its outcome
//! back, which on a busy machine takes longer than the statements do. This connection runs the same
//! texts where it is called: its futures are ready at once, and what they cost is SQLite. [`Looks`] are
//! the same for what every call reads: a row or two that are found by their keys.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, OpenFlags, ToSql};

use super::StoreError;
use super::connection::Connection;
use super::sql::{FromRow, Row, Statement, Value};
use super::sqlite::SETTINGS;

/// So many statements stay prepared. A group takes them in few sizes, see [`super::rows`].
const STATEMENTS_MAX: usize = 128;

/// Of the connection that commits. What it commits is synced by [`super::log_sync`]. Each commit looks
/// through all pages that it holds, and what it writes next is at the end of each tree: with eight
/// times as many it is slower.
const WRITER_SETTINGS: &str = "
    pragma synchronous = normal;
    pragma cache_size = -2048;
";

/// Of a connection that reads single rows.
const READER_SETTINGS: &str = "
    pragma query_only = on;
    pragma busy_timeout = 1000;
    pragma cache_size = -512;
";

pub(super) struct Direct {
    connection: rusqlite::Connection,
}

/// Connections for looks that are taken where they are asked for: as many as looked at once.
pub(super) struct Looks {
    path: PathBuf,
    free: Mutex<Vec<Direct>>,
}

impl Looks {
    pub(super) fn at(path: &Path) -> Looks {
        Looks {
            path: path.to_owned(),
            free: Mutex::default(),
        }
    }

    /// The rows of a statement that reads few of them by their keys.
    pub(super) fn rows<T: FromRow>(&self, statement: Statement<'_>) -> Result<Vec<T>, StoreError> {
        let free = self.free().pop();
        let mut direct = match free {
            Some(direct) => direct,
            None => Direct::open_reader(&self.path)?,
        };
        let rows = direct.rows(statement, usize::MAX)?;
        self.free().push(direct);
        Ok(rows)
    }

    /// Closes those that nobody looks through.
    pub(super) fn close(&self) {
        self.free().clear();
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Direct>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Direct {
    /// Opens the file, which must be there.
    pub(super) fn open(path: &Path) -> Result<Direct, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = rusqlite::Connection::open_with_flags(path, flags)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            connection.execute_batch(SETTINGS)?;
            connection.execute_batch(WRITER_SETTINGS)?;
            Ok(Direct { connection })
        };
        open().map_err(|error: rusqlite::Error| {
            StoreError::Refused(format!(
                "the database {} cannot be opened: {error}",
                path.display()
            ))
        })
    }

    /// Opens the file for reading.
    fn open_reader(path: &Path) -> Result<Direct, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = rusqlite::Connection::open_with_flags(path, flags)?;
            connection.execute_batch(READER_SETTINGS)?;
            Ok(Direct { connection })
        };
        open().map_err(|error| StoreError::of_direct("reach the database", error))
    }

    /// Takes the write lock at once, so that it cannot fail in the middle.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        // Left open by a commit that could not be undone at the time.
        self.abandon()?;
        self.step("begin a transaction", "begin immediate")
    }

    /// Commits, or undoes everything if something failed. The changes are not synced.
    pub(super) fn end<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let ended = outcome.and_then(|value| {
            self.step("commit", "commit")?;
            Ok(value)
        });
        // SQLite ends a transaction by itself when the disk is full.
        if ended.is_err() {
            self.abandon()?;
        }
        ended
    }

    /// How many pages the log has, also those that are carried over.
    pub(super) fn log_pages(&mut self) -> Result<i64, StoreError> {
        let pages = self
            .connection
            .prepare_cached("pragma wal_checkpoint(noop)")
            .and_then(|mut prepared| prepared.query_row([], |row| row.get(1)));
        pages.map_err(|error| StoreError::of_direct("read the length of the log", error))
    }

    /// Undoes what was begun, if anything was.
    pub(super) fn abandon(&mut self) -> Result<(), StoreError> {
        match self.connection.is_autocommit() {
            true => Ok(()),
            false => self.step("roll back", "rollback"),
        }
    }

    /// One statement without values, which stays prepared.
    fn step(&mut self, operation: &'static str, text: &'static str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(text)
            .and_then(|mut prepared| prepared.raw_execute())
            .map(drop)
            .map_err(|error| StoreError::of_direct(operation, error))
    }

    /// Statements without values.
    #[cfg(test)]
    pub(super) fn batch(
        &mut self,
        operation: &'static str,
        text: &'static str,
    ) -> Result<(), StoreError> {
        self.connection
            .execute_batch(text)
            .map_err(|error| StoreError::of_direct(operation, error))
    }

    fn with<T>(
        &mut self,
        statement: Statement<'_>,
        run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let done = self
            .connection
            .prepare_cached(statement.text.as_str())
            .and_then(|mut prepared| {
                bind(&mut prepared, &statement.values)?;
                run(&mut prepared)
            });
        done.map_err(|error| StoreError::of_direct(statement.operation, error))
    }

    fn rows<T: FromRow>(
        &mut self,
        statement: Statement<'_>,
        rows_max: usize,
    ) -> Result<Vec<T>, StoreError> {
        self.with(statement, |prepared| {
            let mut rows = prepared.raw_query();
            let mut read = Vec::new();
            while let Some(row) = rows.next()? {
                if read.len() < rows_max {
                    read.push(T::from_row(&Row::Direct(row)));
                }
            }
            Ok(read)
        })?
        .into_iter()
        .collect()
    }
}

impl Connection for Direct {
    async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        self.with(statement, |prepared| prepared.raw_execute())
            .map(|changed| changed as u64)
    }

    async fn all<T: FromRow>(&mut self, statement: Statement<'_>) -> Result<Vec<T>, StoreError> {
        self.rows(statement, usize::MAX)
    }

    async fn one<T: FromRow>(&mut self, statement: Statement<'_>) -> Result<Option<T>, StoreError> {
        Ok(self.rows(statement, 1)?.pop())
    }
}

/// `$3` is the third value wherever it stands; a plain `?` is the next one.
fn bind(prepared: &mut CachedStatement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for place in 1..=prepared.parameter_count() {
        let numbered = prepared.parameter_name(place);
        let number = numbered.and_then(|name| name.trim_start_matches('$').parse().ok());
        let number: usize = number.unwrap_or(place);
        let value = values.get(number - 1);
        let value = value.expect("invariant: each placeholder has its value");
        prepared.raw_bind_parameter(place, value)?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::Number(Some(number)) => ValueRef::Integer(*number),
            Value::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
            Value::Text(None) | Value::Number(None) | Value::Bytes(None) => ValueRef::Null,
        }))
    }
}
