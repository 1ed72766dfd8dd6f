//! Which hosts work on this database.

use super::sql::{FromRow, Row, Statement, Time};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::HostId;
use crate::model::Host;

impl Store {
    /// Notes that this host is alive; the first time also when it started. Since it is called again
    /// and again, it also shows whether anything can be written when nothing else is.
    pub async fn note_host(&self, id: &HostId, now: Millis) -> Result<(), StoreError> {
        /// A row of this table.
        const BYTES: u64 = 64;
        let noted = self.write_host(id, now).await;
        match &noted {
            Ok(()) => self.database.health.wrote(BYTES, self.clock.now()),
            Err(error) if error.is_unavailable() => {
                self.database.health.failed(BYTES, self.clock.now());
            }
            Err(_) => {}
        }
        noted
    }

    async fn write_host(&self, id: &HostId, now: Millis) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "note a host",
            "insert into hosts (id, started_at, seen_at) values ($1, $2, $3) \
             on conflict (id) do update set seen_at = excluded.seen_at",
        )
        .bind(id)
        .bind(now)
        .bind(now)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// When this host was alive last, as far as it is known.
    pub async fn host_seen_at(&self, id: &HostId) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let seen: Option<Time> = Statement::new(
            "read when a host was seen",
            "select seen_at as at from hosts where id = $1",
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        Ok(seen.and_then(|seen| seen.0))
    }

    /// Those that were seen since, the latest first.
    pub async fn list_hosts(&self, since: Millis) -> Result<Vec<Host>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "list hosts",
            "select id, started_at, seen_at from hosts where seen_at >= $1 \
             order by seen_at desc, id limit 1000",
        )
        .bind(since)
        .all(&mut connection)
        .await
    }
}

impl FromRow for Host {
    fn from_row(row: &Row<'_>) -> Result<Host, StoreError> {
        Ok(Host {
            id: row.parsed("id")?,
            started_at: row.millis("started_at")?,
            seen_at: row.millis("seen_at")?,
        })
    }
}
