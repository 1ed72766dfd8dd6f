//! What can go wrong in the store, told apart by what a caller does about it.

use std::sync::Arc;

use crate::seal::SealError;

/// An error of the store. No message holds a stored value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, or more waits than may wait. Nothing is wrong with
    /// what was asked: the same call may be repeated later.
    #[error("{operation}: the database is unavailable")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Cause,
    },
    /// It contradicts what is stored: a name that is taken, a revision that is old, an object in use.
    #[error("{0}")]
    Conflict(String),
    /// It names an object that is not there.
    #[error("{0}")]
    NotFound(String),
    /// The store cannot be opened as it is; the sentence says what to do.
    #[error("{0}")]
    Refused(String),
    /// A stored row does not read.
    #[error("the column `{column}` holds something unexpected")]
    Corrupt {
        column: &'static str,
        #[source]
        source: Cause,
    },
    /// A secret cannot be sealed or opened.
    #[error("{operation}")]
    Seal {
        operation: &'static str,
        #[source]
        source: Arc<SealError>,
    },
    /// Anything else the database said; a mistake of ours.
    #[error("{operation}")]
    Database {
        operation: &'static str,
        #[source]
        source: Cause,
    },
}

/// The words of an underlying error without its values: what a database reports beside its message
/// (the failing row, the duplicate key) stays out of our errors and logs.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(Arc<str>);

impl Cause {
    pub(super) fn new(words: impl std::fmt::Display) -> Cause {
        Cause(words.to_string().into())
    }
}

impl StoreError {
    /// The same call may be repeated later; an edge answers 503.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. })
    }

    /// An edge answers 409.
    pub fn is_conflict(&self) -> bool {
        matches!(self, StoreError::Conflict(_))
    }

    /// An edge answers 404.
    pub fn is_not_found(&self) -> bool {
        matches!(self, StoreError::NotFound(_))
    }

    pub(super) fn unavailable(operation: &'static str, words: &'static str) -> StoreError {
        StoreError::Unavailable {
            operation,
            source: Cause::new(words),
        }
    }

    pub(super) fn corrupt(column: &'static str, words: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt {
            column,
            source: Cause::new(words),
        }
    }

    pub(super) fn seal(operation: &'static str, source: SealError) -> StoreError {
        if source.is_passing() {
            let source = std::error::Error::source(&source).map_or_else(
                || Cause::new(&source),
                |cause| Cause::new(format_args!("{source}: {cause}")),
            );
            return StoreError::Unavailable { operation, source };
        }
        if let SealError::NotWritable = source {
            return StoreError::Conflict(source.to_string());
        }
        StoreError::Seal {
            operation,
            source: Arc::new(source),
        }
    }

    /// Sorts an error of the driver by what it means for the caller.
    pub(super) fn of(operation: &'static str, error: sqlx::Error) -> StoreError {
        use sqlx::Error;
        let source = Cause::new(&error);
        match &error {
            Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed => StoreError::Unavailable { operation, source },
            Error::Database(said) if said.is_unique_violation() => {
                StoreError::Conflict(format!("{operation}: it is there already"))
            }
            Error::Database(said) if said.is_foreign_key_violation() => StoreError::Conflict(
                format!("{operation}: it names something that is not there, or something names it"),
            ),
            Error::Database(said) if is_passing(said.code().as_deref()) => {
                StoreError::Unavailable { operation, source }
            }
            _ => StoreError::Database { operation, source },
        }
    }

    /// The same for the direct connection to SQLite.
    pub(super) fn of_direct(operation: &'static str, error: rusqlite::Error) -> StoreError {
        let source = Cause::new(&error);
        let code = match error.sqlite_error() {
            Some(said) => said.extended_code,
            None => return StoreError::Database { operation, source },
        };
        match code {
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
            | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                StoreError::Conflict(format!("{operation}: it is there already"))
            }
            rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::Conflict(format!(
                "{operation}: it names something that is not there, or something names it"
            )),
            code if is_passing(Some(&code.to_string())) => {
                StoreError::Unavailable { operation, source }
            }
            _ => StoreError::Database { operation, source },
        }
    }
}

/// Whether this code names a state of the database that passes: SQLite's primary result codes are
/// numbers (<https://sqlite.org/rescode.html>), PostgreSQL's are five characters
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn is_passing(code: Option<&str>) -> bool {
    let Some(code) = code else { return false };
    if code.len() == 5 {
        let class = &code[..2];
        return matches!(class, "08" | "53" | "57" | "58")
            || matches!(code, "40001" | "40P01" | "55P03" | "25006");
    }
    // Busy, locked, read-only, I/O error, full, cannot open.
    matches!(
        code.parse::<u32>().map(|code| code & 0xff),
        Ok(5 | 6 | 8 | 10 | 13 | 14)
    )
}
