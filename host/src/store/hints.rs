//! Hints from host to host that jobs wait: by PostgreSQL's `notify`, which costs those nothing that do not
//! listen. SQLite has no other host. A hint carries who gives it and no data, and may be lost.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::open::Backend;
use super::sql::{Number, Statement};
use super::{Store, StoreError};
use crate::id::HostId;

const CHANNEL: &str = "triggerd_jobs";

/// A connection over which hints come.
pub struct Hints {
    listener: PgListener,
}

impl Store {
    /// Whether other hosts may work on this database.
    pub fn may_be_shared(&self) -> bool {
        self.database.backend == Backend::Postgres
    }

    /// Tells the other hosts that there are jobs for which this one has no place.
    pub async fn hint_jobs(&self, from: &HostId) -> Result<(), StoreError> {
        if !self.may_be_shared() {
            return Ok(());
        }
        let mut connection = self.database.writer().await?;
        Statement::new(
            "tell other hosts of jobs",
            "select count(*) as n from pg_notify($1, $2)",
        )
        .bind(CHANNEL)
        .bind(from)
        .one::<Number>(&mut connection)
        .await
        .map(|_| ())
    }

    /// Begins to hear hints. `None`: there is no other host.
    pub async fn hear_hints(&self) -> Result<Option<Hints>, StoreError> {
        match &self.database.hints_at {
            Some(options) => Hints::listen(options.clone()).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Hints {
    async fn listen(options: PgConnectOptions) -> Result<Hints, StoreError> {
        let failed = |error| StoreError::of("listen for hints", error);
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(options)
            .await
            .map_err(failed)?;
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.listen(CHANNEL).await.map_err(failed)?;
        Ok(Hints { listener })
    }

    /// Waits for the next hint of another host; tells which one gave it. `None`: one may have been missed.
    pub async fn next(&mut self, own: &HostId) -> Result<Option<HostId>, StoreError> {
        loop {
            let heard = self.listener.try_recv().await;
            let heard = heard.map_err(|error| StoreError::of("listen for hints", error))?;
            match heard.map(|hint| hint.payload().parse::<HostId>()) {
                None => return Ok(None),
                Some(Ok(from)) if from != *own => return Ok(Some(from)),
                // Our own, or of somebody who is no host.
                Some(_) => {}
            }
        }
    }
}
