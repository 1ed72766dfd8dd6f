//! Events that did not come as a request: what a pull brought, and timers that fired. They take the
//! same way as those of requests.

use std::collections::HashSet;

use super::StoreError;
use super::body::Stored;
use super::connection::Connection;
use super::open::Backend;
use super::sql::{Statement, Text};
use super::waiting::{Kind, waited_for};
use crate::clock::Millis;
use crate::id::{EventId, RequestId, SubscriptionId, WorkspaceId};
use crate::model::EventState;

/// What an event is told that is done when it is kept.
const UNMATCHED: &str = "no trigger waits for this event";
/// For so long a delivery id of a pulled event is remembered: longer than a cursor that was lost
/// can look back.
const REMEMBERED_MS: i64 = 14 * 24 * 3_600_000;

/// Whose events.
pub(super) struct Source<'a> {
    pub(super) workspace_id: &'a WorkspaceId,
    pub(super) subscription_id: &'a SubscriptionId,
    pub(super) provider: &'a str,
    /// Owns the delivery ids.
    pub(super) batch: &'a RequestId,
}

/// An event with its payload as it is stored.
pub(super) struct PackedEvent {
    pub(super) id: EventId,
    pub(super) name: String,
    pub(super) payload: Stored,
    pub(super) occurred_at: Option<Millis>,
    pub(super) delivery_id: Option<String>,
}

/// Inserts those whose delivery id was not seen before; returns how many they are, and how many of
/// them a trigger waits for. Repeating it is harmless.
pub(super) async fn insert_events(
    connection: &mut impl Connection,
    backend: Backend,
    source: &Source<'_>,
    events: &[PackedEvent],
    now: Millis,
) -> Result<(usize, usize), StoreError> {
    let id = source.subscription_id.as_str();
    let kinds: HashSet<Kind<'_>> = events.iter().map(|event| (id, &*event.name)).collect();
    let waited_for = waited_for(connection, backend, kinds).await?;
    let (mut kept, mut waiting) = (0, 0);
    for (ordinal, event) in (0u32..).zip(events) {
        if !is_new(connection, source, event, now).await? {
            continue;
        }
        let waits = waited_for.contains(&(id, &*event.name));
        kept += 1;
        waiting += usize::from(waits);
        Statement::new(
            "insert a pulled event",
            "insert into events (id, workspace_id, subscription_id, request_id, ordinal, \
             provider, name, payload, encoding, occurred_at, received_at, state, reason, matched, \
             tries, due_at, handled_at) values ($1, $2, $3, null, $4, $5, $6, $7, $8, $9, $10, \
             $11, $12, 0, 0, $13, $14) on conflict (workspace_id, id) do nothing",
        )
        .bind(&event.id)
        .bind(source.workspace_id)
        .bind(source.subscription_id)
        .bind(ordinal)
        .bind(source.provider)
        .bind(&event.name)
        .bind(event.payload.bytes.clone())
        .bind(event.payload.encoding)
        .bind(event.occurred_at)
        .bind(now)
        .bind(match waits {
            true => EventState::Pending,
            false => EventState::Handled,
        })
        .bind((!waits).then_some(UNMATCHED))
        .bind(now)
        .bind((!waits).then_some(now))
        .run(connection)
        .await?;
    }
    Ok((kept, waiting))
}

async fn is_new(
    connection: &mut impl Connection,
    source: &Source<'_>,
    event: &PackedEvent,
    now: Millis,
) -> Result<bool, StoreError> {
    let Some(delivery_id) = &event.delivery_id else {
        return Ok(true);
    };
    let claimed = Statement::new(
        "claim a delivery id",
        "insert into deliveries (subscription_id, delivery_id, request_id, expires_at) \
         values ($1, $2, $3, $4) on conflict (subscription_id, delivery_id) do update \
         set request_id = excluded.request_id, expires_at = excluded.expires_at \
         where deliveries.expires_at <= $5",
    )
    .bind(source.subscription_id)
    .bind(delivery_id)
    .bind(source.batch)
    .bind(Millis(now.0.saturating_add(REMEMBERED_MS)))
    .bind(now)
    .run(connection)
    .await?;
    if claimed > 0 {
        return Ok(true);
    }
    let owner: Option<Text> = Statement::new(
        "find the owner of a delivery id",
        "select request_id as text from deliveries where subscription_id = $1 and delivery_id = $2",
    )
    .bind(source.subscription_id)
    .bind(delivery_id)
    .one(connection)
    .await?;
    // The same batch again, after a commit of which nobody knew whether it happened.
    Ok(owner.is_some_and(|owner| owner.0 == source.batch.as_str()))
}
