//! Events that happen at a known time: kept by key until they fire or are withdrawn.

use super::body::{Stored, unpack};
use super::connection::Connection;
use super::pulled::{PackedEvent, Source, insert_events};
use super::sql::{FromRow, Row, Statement, Time};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{EventId, RequestId, SubscriptionId, WorkspaceId};
use bytes::Bytes;

/// What fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// How many timers were due.
    pub timers: usize,
    /// How many events they made; those of paused subscriptions make none.
    pub events: usize,
    /// How many of them a trigger waits for.
    pub waiting: usize,
}

impl Store {
    /// Fires up to `limit` timers that are due, each in one commit with its event.
    pub async fn fire_timers(&self, now: Millis, limit: u32) -> Result<Fired, StoreError> {
        let mut transaction = self.database.write().await?;
        let lock = match self.database.skip_locked() {
            "" => "",
            _ => " for update of t skip locked",
        };
        let due: Vec<DueTimer> = Statement::composed(
            "find timers that are due",
            format!(
                "select t.subscription_id, t.key, t.due_at, t.name, t.payload, t.encoding, \
                 t.occurred_at, t.delivery_id, s.workspace_id, s.provider, \
                 case when s.state = 'paused' or s.is_deleting = 1 then 1 else 0 end as is_silent \
                 from timers t join subscriptions s on s.id = t.subscription_id \
                 where t.due_at <= $1 order by t.due_at limit {limit}{lock}"
            ),
        )
        .bind(now)
        .all(&mut transaction)
        .await?;
        let mut fired = Fired {
            timers: due.len(),
            ..Fired::default()
        };
        for timer in due {
            withdraw(&mut transaction, &timer.subscription_id, &timer.key).await?;
            if timer.is_silent {
                continue;
            }
            let batch = RequestId::generate(now);
            let source = Source {
                workspace_id: &timer.workspace_id,
                subscription_id: &timer.subscription_id,
                provider: &timer.provider,
                batch: &batch,
            };
            let event = PackedEvent {
                id: EventId::generate(now),
                name: timer.name,
                payload: Stored::pack(Some(timer.payload)).await,
                occurred_at: timer.occurred_at.or(Some(timer.due_at)),
                delivery_id: timer.delivery_id,
            };
            let backend = self.database.backend;
            let (events, waiting) =
                insert_events(&mut transaction, backend, &source, &[event], now).await?;
            fired.events += events;
            fired.waiting += waiting;
        }
        transaction.commit().await?;
        Ok(fired)
    }

    /// When the next timer is due.
    pub async fn next_timer_due(&self) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let next: Option<Time> = Statement::new(
            "find the next timer",
            "select due_at as at from timers order by due_at limit 1",
        )
        .one(&mut connection)
        .await?;
        Ok(next.and_then(|next| next.0))
    }
}

/// A timer with its payload as it is stored.
pub(super) struct PackedTimer {
    pub(super) due_at: Millis,
    pub(super) name: String,
    pub(super) payload: Stored,
    pub(super) occurred_at: Option<Millis>,
    pub(super) delivery_id: Option<String>,
}

/// Sets a timer, or withdraws it.
pub(super) async fn set(
    connection: &mut impl Connection,
    subscription: &SubscriptionId,
    key: &str,
    timer: Option<&PackedTimer>,
) -> Result<(), StoreError> {
    let Some(timer) = timer else {
        return withdraw(connection, subscription, key).await;
    };
    Statement::new(
        "set a timer",
        "insert into timers (subscription_id, key, due_at, name, payload, encoding, occurred_at, \
         delivery_id) values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict (subscription_id, key) do update set due_at = excluded.due_at, \
         name = excluded.name, payload = excluded.payload, encoding = excluded.encoding, \
         occurred_at = excluded.occurred_at, delivery_id = excluded.delivery_id",
    )
    .bind(subscription)
    .bind(key)
    .bind(timer.due_at)
    .bind(&timer.name)
    .bind(timer.payload.bytes.clone().unwrap_or_default())
    .bind(timer.payload.encoding)
    .bind(timer.occurred_at)
    .bind(&timer.delivery_id)
    .run(connection)
    .await
    .map(|_| ())
}

async fn withdraw(
    connection: &mut impl Connection,
    subscription: &SubscriptionId,
    key: &str,
) -> Result<(), StoreError> {
    Statement::new(
        "withdraw a timer",
        "delete from timers where subscription_id = $1 and key = $2",
    )
    .bind(subscription)
    .bind(key)
    .run(connection)
    .await
    .map(|_| ())
}

struct DueTimer {
    subscription_id: SubscriptionId,
    key: String,
    due_at: Millis,
    name: String,
    payload: Bytes,
    occurred_at: Option<Millis>,
    delivery_id: Option<String>,
    workspace_id: WorkspaceId,
    provider: String,
    is_silent: bool,
}

impl FromRow for DueTimer {
    fn from_row(row: &Row<'_>) -> Result<DueTimer, StoreError> {
        let encoding = row.text("encoding")?;
        let payload = row.bytes_opt("payload")?.unwrap_or_default();
        Ok(DueTimer {
            subscription_id: row.parsed("subscription_id")?,
            key: row.text("key")?,
            due_at: row.millis("due_at")?,
            name: row.text("name")?,
            payload: unpack(payload, &encoding)?,
            occurred_at: row.millis_opt("occurred_at")?,
            delivery_id: row.text_opt("delivery_id")?,
            workspace_id: row.parsed("workspace_id")?,
            provider: row.text("provider")?,
            is_silent: row.flag("is_silent")?,
        })
    }
}
