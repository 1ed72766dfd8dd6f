//! A transaction for writing. Dropped without a commit, it never was.
//!
//! The driver's own transactions believe that a failed `rollback` leaves the transaction open. SQLite
//! ends a transaction by itself when the disk is full, after which `rollback` says that there is
//! none; the connection must be as good as new then, or the host would not heal.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::{AnyConnection, Executor};

use super::StoreError;
use super::database::WriterConnection;
use super::open::Backend;
use super::sql::within_time;

/// How long a rollback may take.
const ROLLBACK_MAX: Duration = Duration::from_secs(5);

pub(super) struct Transaction {
    /// Absent after the commit.
    connection: Option<WriterConnection>,
}

impl Transaction {
    pub(super) async fn begin(
        mut connection: WriterConnection,
        backend: Backend,
    ) -> Result<Transaction, StoreError> {
        let begin = match backend {
            // Takes the write lock at once, so that it cannot fail in the middle.
            Backend::Sqlite => "begin immediate",
            // Whatever the server's default is: each statement sees what was committed before it.
            Backend::Postgres => "begin isolation level read committed",
        };
        let begun = connection.execute(sqlx::raw_sql(begin));
        match within_time("begin a transaction", begun).await {
            Ok(_) => Ok(Transaction {
                connection: Some(connection),
            }),
            Err(error) => {
                connection.cut_off();
                Err(error)
            }
        }
    }

    /// Makes its changes lasting: synced when this returns `Ok`.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        within_time("commit", self.execute(sqlx::raw_sql("commit"))).await?;
        self.connection = None;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.connection
            .as_ref()
            .expect("invariant: only a commit takes the connection, and the transaction with it")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection
            .as_mut()
            .expect("invariant: only a commit takes the connection, and the transaction with it")
    }
}

impl Drop for Transaction {
    /// The connection comes back to its pool when it is rolled back.
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(roll_back(connection))),
            Err(_) => connection.cut_off(),
        }
    }
}

async fn roll_back(mut connection: WriterConnection) {
    let rolled_back = connection.execute(sqlx::raw_sql("rollback"));
    let good = match tokio::time::timeout(ROLLBACK_MAX, rolled_back).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.to_string().contains("no transaction is active"),
        Err(_) => false,
    };
    if !good {
        connection.cut_off();
    }
}
