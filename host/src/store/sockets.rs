//! Connections: which host holds which, fenced.

use bytes::Bytes;

use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{EventId, HostId, SubscriptionId, WorkspaceId};
use crate::model::{EventEnd, EventEnds, HeldSocket, SubscriptionState};

impl Store {
    /// The host lives until then at least: what it holds stays with it.
    pub async fn keep_sockets(&self, host: &HostId, until: Millis) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "keep the connections of a host",
            "insert into socket_hosts (host_id, until) values ($1, $2) \
             on conflict (host_id) do update set until = excluded.until",
        )
        .bind(host)
        .bind(until)
        .run(&mut connection)
        .await
        .map(|_| ())
    }

    /// Gives back all that a host holds, or held in an earlier run.
    pub async fn release_sockets(&self, host: &HostId) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "give connections back",
            "update sockets set owner = null where owner = $1",
        )
        .bind(host)
        .run(&mut connection)
        .await
    }

    /// Makes rows for the subscriptions of a provider that have none yet.
    pub async fn enroll_sockets(&self, provider: &str, now: Millis) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "enroll connections",
            "insert into sockets (subscription_id, owner, fence, updated_at) \
             select s.id, null, 0, $1 from subscriptions s where s.provider = $2 \
             and s.is_deleting = 0 \
             and not exists (select 1 from sockets k where k.subscription_id = s.id) \
             on conflict (subscription_id) do nothing",
        )
        .bind(now)
        .bind(provider)
        .run(&mut connection)
        .await
    }

    /// Whether there is a connection that no living host holds.
    pub async fn are_sockets_free(&self, now: Millis) -> Result<bool, StoreError> {
        let mut connection = self.database.read().await?;
        let free: Option<Text> = Statement::new(
            "look for free connections",
            "select k.subscription_id as text from sockets k \
             join subscriptions s on s.id = k.subscription_id \
             where s.state <> 'paused' and s.is_deleting = 0 and (k.owner is null \
             or not exists (select 1 from socket_hosts h \
             where h.host_id = k.owner and h.until > $1)) limit 1",
        )
        .bind(now)
        .one(&mut connection)
        .await?;
        Ok(free.is_some())
    }

    /// Takes up to `limit` connections that no living host holds. How many it took.
    pub async fn claim_sockets(
        &self,
        host: &HostId,
        now: Millis,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut connection = self.database.writer().await?;
        let lock = match self.database.skip_locked() {
            "" => "",
            _ => " for update of k skip locked",
        };
        Statement::composed(
            "claim connections",
            format!(
                "update sockets set owner = $1, fence = fence + 1, \
                 updated_at = $2 where subscription_id in ( \
                 select k.subscription_id from sockets k \
                 join subscriptions s on s.id = k.subscription_id \
                 where s.state <> 'paused' and s.is_deleting = 0 and (k.owner is null \
                 or not exists (select 1 from socket_hosts h \
                 where h.host_id = k.owner and h.until > $3)) \
                 order by k.subscription_id limit {limit}{lock})"
            ),
        )
        .bind(host)
        .bind(now)
        .bind(now)
        .run(&mut connection)
        .await
    }

    /// All that a host holds and may have open.
    pub async fn held_sockets(&self, host: &HostId) -> Result<Vec<HeldSocket>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read the connections of a host",
            "select k.subscription_id, k.fence, s.workspace_id, s.provider, s.revision \
             from sockets k join subscriptions s on s.id = k.subscription_id \
             where k.owner = $1 and s.state <> 'paused' and s.is_deleting = 0",
        )
        .bind(host)
        .all(&mut connection)
        .await
    }

    /// How a connection is, as the state of its subscription. Only who holds it may say; a paused
    /// subscription stays paused.
    pub async fn note_socket(
        &self,
        held: &HeldSocket,
        state: SubscriptionState,
        reason: Option<&str>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database.write().await?;
        let is_ours = Statement::new(
            "note a connection",
            "update sockets set updated_at = $1 where subscription_id = $2 and fence = $3",
        )
        .bind(now)
        .bind(&held.subscription_id)
        .bind(held.fence)
        .run(&mut transaction)
        .await?;
        if is_ours == 1 {
            Statement::new(
                "note the health of a subscription",
                "update subscriptions set state = $1, state_reason = $2, \
                 state_since = case when state = $3 then state_since else $4 end \
                 where id = $5 and state <> 'paused'",
            )
            .bind(state)
            .bind(reason)
            .bind(state)
            .bind(now)
            .bind(&held.subscription_id)
            .run(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(is_ours == 1)
    }
}

impl Store {
    /// How far the jobs of these events are; an event that is no longer kept is whole.
    pub async fn ends_of_events(
        &self,
        workspace: &WorkspaceId,
        events: &[EventId],
    ) -> Result<Vec<EventEnds>, StoreError> {
        let mut connection = self.database.read().await?;
        let mut ends: Vec<EventEnds> = Vec::with_capacity(events.len());
        for chunk in chunks(events) {
            let text = ENDS_OF_EVENTS.text(self.database.backend, chunk.len());
            let mut select = Statement::composed("read the jobs of events", text);
            for event in chunk {
                select.push(workspace);
                select.push(event);
            }
            let rows: Vec<EndRow> = select.all(&mut connection).await?;
            ends.extend(chunk.iter().map(|event| {
                let of_event = || rows.iter().filter(|row| row.event_id == *event);
                EventEnds {
                    event_id: event.clone(),
                    is_matched: of_event().all(|row| row.is_matched),
                    jobs: of_event().filter_map(|row| row.job.clone()).collect(),
                }
            }));
        }
        Ok(ends)
    }
}

static ENDS_OF_EVENTS: ManyRows = ManyRows::new(
    "with wanted (workspace_id, id) as (values ",
    "(?, ?)",
    ") select e.id as event_id, case when e.state = 'pending' then 0 else 1 end as is_matched, \
     j.state as job_state, j.result, j.error from wanted w cross join events e \
     left join jobs j on j.event_id = e.id and j.cause = 'event' \
     where e.workspace_id = w.workspace_id and e.id = w.id",
);

static STILL_HELD: ManyRows = ManyRows::new(
    "with wanted (subscription_id, fence) as (values ",
    "(?, cast(? as bigint))",
    ") select k.subscription_id, k.fence from wanted w \
     join sockets k on k.subscription_id = w.subscription_id and k.fence = w.fence",
);

/// Which of these are still held as they were; nobody takes them over until the commit.
pub(super) async fn still_held(
    connection: &mut impl Connection,
    backend: Backend,
    mut wanted: Vec<(&SubscriptionId, i64)>,
) -> Result<Vec<(String, i64)>, StoreError> {
    wanted.sort_unstable();
    wanted.dedup();
    let mut held = Vec::new();
    for chunk in chunks(&wanted) {
        let text = STILL_HELD.text(backend, chunk.len());
        let text = match backend {
            Backend::Sqlite => text.to_string(),
            Backend::Postgres => format!("{text} for share of k"),
        };
        let mut select = Statement::composed("see who holds connections", text);
        for (subscription, fence) in chunk {
            select.push(*subscription);
            select.push(*fence);
        }
        let rows: Vec<FenceRow> = select.all(connection).await?;
        held.extend(rows.into_iter().map(|row| row.0));
    }
    Ok(held)
}

impl FromRow for HeldSocket {
    fn from_row(row: &Row<'_>) -> Result<HeldSocket, StoreError> {
        Ok(HeldSocket {
            subscription_id: row.parsed("subscription_id")?,
            workspace_id: row.parsed("workspace_id")?,
            provider: row.text("provider")?,
            revision: row.int("revision")?,
            fence: row.int("fence")?,
        })
    }
}

/// A connection with its fence.
struct FenceRow((String, i64));

impl FromRow for FenceRow {
    fn from_row(row: &Row<'_>) -> Result<FenceRow, StoreError> {
        Ok(FenceRow((row.text("subscription_id")?, row.int("fence")?)))
    }
}

/// One row of [`Store::ends_of_events`].
struct EndRow {
    event_id: EventId,
    is_matched: bool,
    job: Option<EventEnd>,
}

impl FromRow for EndRow {
    fn from_row(row: &Row<'_>) -> Result<EndRow, StoreError> {
        let job = match row.parsed_opt("job_state")? {
            Some(state) => Some(EventEnd {
                state,
                result: row.bytes_opt("result")?.map(Bytes::from),
                error: row.text_opt("error")?,
            }),
            None => None,
        };
        Ok(EndRow {
            event_id: row.parsed("event_id")?,
            is_matched: row.flag("is_matched")?,
            job,
        })
    }
}
