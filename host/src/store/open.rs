//! Opening and closing the store.

use std::sync::Arc;

use super::called::Asked;
use super::database::{Database, SharedDatabase};
use super::dictionaries::Dictionaries;
use super::remembered::Remembered;
use super::sql::{Number, Statement};
use super::writer::Writer;
use super::{StoreError, keys, migrations};
use crate::clock::Clock;
use crate::model::Addressed;
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
    /// Connections of the pool; on SQLite those that read.
    pub connections_max: u32,
    /// How many writes may wait for the next commit; more are refused as unavailable.
    pub queue_max: usize,
    /// How many bytes of bodies and payloads they may hold together.
    pub queue_bytes_max: usize,
}

impl DatabaseConfig {
    /// The defaults with this URL.
    pub fn new(url: impl Into<String>) -> DatabaseConfig {
        DatabaseConfig {
            url: Secret::new(url.into()),
            connections_max: 8,
            queue_max: 4096,
            queue_bytes_max: 256 << 20,
        }
    }
}

/// The store. Clones share one set of connections and one writer.
#[derive(Clone)]
pub struct Store {
    pub(super) database: SharedDatabase,
    pub(super) writer: Writer,
    pub(super) keys: KeyRing,
    pub(super) clock: Clock,
    /// What calls named.
    pub(super) called: Arc<Remembered<Asked, Addressed>>,
    /// What new bodies are compressed against.
    pub(super) dictionaries: Arc<Dictionaries>,
}

impl Store {
    /// Opens the database, makes or migrates its tables, and checks the keys against it.
    pub async fn open(
        config: DatabaseConfig,
        keys: KeyRing,
        clock: Clock,
    ) -> Result<Store, StoreError> {
        let database = Arc::new(Database::connect(&config).await?);
        migrations::run(&database).await?;
        keys::check(&database, &keys, clock.now()).await?;
        let writer = Writer::start(database.clone(), &config, clock.clone())?;
        Ok(Store {
            database,
            writer,
            keys,
            clock,
            called: Arc::default(),
            dictionaries: Arc::default(),
        })
    }

    /// Whether the database answers, and took what was last written, for `/readyz`.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        if !self.writer.is_running() {
            return Err(StoreError::unavailable(
                "write to the database",
                "nobody commits",
            ));
        }
        if !self.database.health.is_well() {
            return Err(StoreError::unavailable(
                "write to the database",
                "the last write failed",
            ));
        }
        self.ping().await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "ask the database for a sign",
            "select count(*) as n from workspaces",
        )
        .one::<Number>(&mut connection)
        .await
        .map(|_| ())
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        self.database.backend
    }

    /// Commits what waits and closes all connections; later calls are refused as unavailable.
    pub async fn close(&self) {
        self.writer.finish().await;
        self.database.close().await;
    }
}
