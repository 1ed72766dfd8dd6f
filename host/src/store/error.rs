//! What can go wrong in the store, told apart by what a caller does about it.

/// An error of the store. No message holds a stored value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, or more waits than may wait. Nothing is wrong with
    /// what was asked: the same call may be repeated later.
    #[error("{operation}: the database is unavailable")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
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
    #[error("{table}.{column} holds something unexpected")]
    Corrupt {
        table: &'static str,
        column: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A secret cannot be sealed or opened.
    #[error("{operation}")]
    Seal {
        operation: &'static str,
        #[source]
        source: crate::seal::SealError,
    },
    /// Anything else the database said; a mistake of ours.
    #[error("{operation}")]
    Database {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
}
