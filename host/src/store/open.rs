//! Opening and closing the store.

use super::StoreError;
use crate::clock::Clock;
use crate::seal::KeyRing;
use crate::secret::Secret;

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Where the database is and how much of it is used.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `postgres://…` (which may hold a password).
    pub url: Secret<String>,
    /// Connections besides the writing one.
    pub connections_max: u32,
    /// How many writes may wait for the next commit; more are refused as unavailable.
    pub queue_max: usize,
}

impl DatabaseConfig {
    /// The defaults with this URL.
    pub fn new(url: impl Into<String>) -> DatabaseConfig {
        DatabaseConfig {
            url: Secret::new(url.into()),
            connections_max: 8,
            queue_max: 4096,
        }
    }
}

/// The store. Clones share one set of connections and one writer.
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Opens the database, makes or migrates its tables, and checks the keys against it.
    pub async fn open(
        _config: DatabaseConfig,
        _keys: KeyRing,
        _clock: Clock,
    ) -> Result<Store, StoreError> {
        todo!()
    }

    /// Whether the database answers, for `/readyz`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        todo!()
    }

    /// Commits what waits and closes all connections; later calls are refused as unavailable.
    pub async fn close(&self) {
        todo!()
    }
}
