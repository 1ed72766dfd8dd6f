//! What one step of a run leaves behind, committed together and only under its fence.

use std::collections::{BTreeMap, BTreeSet};

use super::body::Stored;
use super::changes::insert_entry;
use super::connection::Connection;
use super::open::Backend;
use super::pulled::{PackedEvent, Source, insert_events};
use super::registrations::{SealedChange, change};
use super::sql::{FromRow, Row, Statement};
use super::subscriptions::{json, remove_subscription};
use super::timers::PackedTimer;
use super::upkeep::wake;
use super::writer::{Write, Written};
use super::{Store, StoreError, notices, subscription_state, timers};
use crate::clock::Millis;
use crate::id::{AuditId, RequestId, SubscriptionId, WorkspaceId};
use crate::model::{AuditEntry, End, NewTimer, Progress, Progressed, PulledBatch, SyncAction};
use crate::seal::KeyRing;
use serde_json::Value;

impl Store {
    /// Commits one step of a run, together with other writes that wait.
    pub async fn progress_subscription(
        &self,
        progress: Progress,
    ) -> Result<Progressed, StoreError> {
        let packed = PackedProgress::pack(&self.keys, progress).await;
        match self
            .writer
            .write(
                "keep a step of a subscription",
                Write::Sync(Box::new(packed)),
            )
            .await?
        {
            Written::Sync(progressed) => Ok(progressed),
            _ => unreachable!("invariant: a step is answered with `Progressed`"),
        }
    }
}

/// A step with its bytes as they are stored.
pub(super) struct PackedProgress {
    progress: Progress,
    registrations: Vec<SealedChange>,
    pulled: Option<PackedBatch>,
}

struct PackedBatch {
    id: RequestId,
    events: Vec<PackedEvent>,
    state: BTreeMap<String, Option<Value>>,
    timers: BTreeMap<String, Option<PackedTimer>>,
}

impl PackedProgress {
    async fn pack(keys: &KeyRing, mut progress: Progress) -> PackedProgress {
        let registrations = std::mem::take(&mut progress.registrations)
            .into_iter()
            .map(|change| SealedChange::seal(keys, change))
            .collect();
        let pulled = match progress.pulled.take() {
            Some(batch) => Some(PackedBatch::pack(batch).await),
            None => None,
        };
        PackedProgress {
            progress,
            registrations,
            pulled,
        }
    }

    /// About how many bytes it adds to the database.
    pub(super) fn size(&self) -> usize {
        let pulled = self.pulled.as_ref().map_or(0, |batch| {
            let events = batch.events.iter().map(|event| event.payload.len() + 512);
            let timers = batch.timers.values().flatten();
            events.sum::<usize>() + timers.map(|timer| timer.payload.len() + 256).sum::<usize>()
        });
        pulled + 2048
    }
}

impl PackedBatch {
    async fn pack(batch: PulledBatch) -> PackedBatch {
        let mut events = Vec::with_capacity(batch.events.len());
        for event in batch.events {
            events.push(PackedEvent {
                id: event.id,
                name: event.name,
                payload: Stored::pack(Some(event.payload)).await,
                occurred_at: event.occurred_at,
                delivery_id: event.delivery_id,
            });
        }
        let mut timers = BTreeMap::new();
        for (key, timer) in batch.timers {
            let timer = match timer {
                Some(timer) => Some(pack_timer(timer).await),
                None => None,
            };
            timers.insert(key, timer);
        }
        PackedBatch {
            id: batch.id,
            events,
            state: batch.state,
            timers,
        }
    }
}

async fn pack_timer(timer: NewTimer) -> PackedTimer {
    PackedTimer {
        due_at: timer.due_at,
        name: timer.name,
        payload: Stored::pack(Some(timer.payload)).await,
        occurred_at: timer.occurred_at,
        delivery_id: timer.delivery_id,
    }
}

/// Pulls what was woken and writes steps; one answer for each, in their order. The rows are taken in
/// one order everywhere, so that two hosts do not wait for each other in a circle.
pub(super) async fn write_all(
    connection: &mut impl Connection,
    backend: Backend,
    (wakes, steps): (BTreeSet<&SubscriptionId>, &[&PackedProgress]),
    now: Millis,
) -> Result<Vec<Progressed>, StoreError> {
    let mut rows: Vec<(&SubscriptionId, Option<usize>)> = steps
        .iter()
        .enumerate()
        .map(|(place, step)| (&step.progress.subscription_id, Some(place)))
        .chain(wakes.into_iter().map(|id| (id, None)))
        .collect();
    rows.sort_unstable();
    let mut progressed = vec![Progressed::LeaseLost; steps.len()];
    for (id, place) in rows {
        match place.and_then(|place| Some((place, steps.get(place)?))) {
            Some((place, step)) => {
                progressed[place] = write(connection, backend, step, now).await?
            }
            None => wake(connection, id, now).await?,
        }
    }
    Ok(progressed)
}

/// Writes one step, if its run still holds the subscription.
async fn write(
    connection: &mut impl Connection,
    backend: Backend,
    packed: &PackedProgress,
    now: Millis,
) -> Result<Progressed, StoreError> {
    let progress = &packed.progress;
    let id = &progress.subscription_id;
    let Some(held) = update_upkeep(connection, packed, now).await? else {
        return Ok(Progressed::LeaseLost);
    };
    for sealed in &packed.registrations {
        change(connection, id, sealed, now).await?;
    }
    if let Some((state, reason)) = &progress.health {
        Statement::new(
            "set a subscription's health",
            "update subscriptions set state = $1, state_reason = $2, \
             state_since = case when state = $3 then state_since else $4 end, \
             revision = revision + 1 where id = $5 and state <> 'paused' \
             and (state <> $6 or coalesce(state_reason, '') <> coalesce($7, ''))",
        )
        .bind(*state)
        .bind(reason)
        .bind(*state)
        .bind(now)
        .bind(id)
        .bind(*state)
        .bind(reason)
        .run(connection)
        .await?;
    }
    if let Some(parameters) = &progress.adopted {
        Statement::new(
            "adopt a subscription's parameters",
            "update subscriptions set parameters = $1, revision = revision + 1, updated_at = $2 \
             where id = $3",
        )
        .bind(json(parameters))
        .bind(now)
        .bind(id)
        .run(connection)
        .await?;
    }
    let mut kept = (0, 0);
    if let Some(batch) = &packed.pulled {
        let source = Source {
            workspace_id: &held.workspace_id,
            subscription_id: id,
            provider: &held.provider,
            batch: &batch.id,
        };
        kept = insert_events(connection, backend, &source, &batch.events, now).await?;
        for (key, value) in &batch.state {
            subscription_state::put(connection, id, key, value.as_ref()).await?;
        }
        for (key, timer) in &batch.timers {
            timers::set(connection, id, key, timer.as_ref()).await?;
        }
    }
    for noted in &progress.audit {
        let entry = AuditEntry {
            id: AuditId::generate(now),
            workspace_id: Some(held.workspace_id.clone()),
            token_id: None,
            action: noted.action.to_owned(),
            object: id.to_string(),
            detail: noted.detail.clone(),
            at: now,
        };
        insert_entry(connection, &entry).await?;
        let name = notices::name_of(connection, &entry.object).await?;
        notices::note(connection, &entry, name).await?;
    }
    if progress.end == End::Remove {
        remove_subscription(connection, id).await?;
    }
    Ok(Progressed::Kept {
        events: kept.0,
        waiting: kept.1,
    })
}

/// The row's own columns; none: the run does not hold it any more.
async fn update_upkeep(
    connection: &mut impl Connection,
    packed: &PackedProgress,
    now: Millis,
) -> Result<Option<Held>, StoreError> {
    let progress = &packed.progress;
    let upkeep = &progress.upkeep;
    let (owner, due_at) = match &progress.end {
        // Of one that is removed in the same commit it does not matter.
        End::Remove | End::GoOn { .. } => (
            "sync_until = $19, due_at = coalesce($20, $22), next_action = $21",
            match &progress.end {
                End::GoOn { lease_until } => Some(*lease_until),
                _ => None,
            },
        ),
        End::Release { due_at, .. } => (
            "sync_owner = null, sync_until = null, \
             due_at = case when pokes = $19 then $20 else $22 end, next_action = $21",
            *due_at,
        ),
    };
    let text = format!(
        "update subscriptions set cursor = $1, pulled_at = $2, checked_at = $3, renew_at = $4, \
         check_at = case when pokes = $5 then $6 else check_at end, \
         pull_at = case when pokes = $7 then $8 else pull_at end, \
         retry_at = case when pokes = $9 then $10 else retry_at end, tries = $11, drift = $12, \
         notes = $13, last_error = $14, last_error_at = $15, revision = revision + $16, {owner}, \
         retry_action = case when pokes = $23 then $24 else retry_action end where id = $17 and sync_fence = $18 and sync_owner is not null \
         returning workspace_id, provider"
    );
    let changes_registrations = !packed.registrations.is_empty();
    let list = |is_empty: bool, text: String| (!is_empty).then_some(text);
    let next_action = match &progress.end {
        End::Release { next_action, .. } => next_action.map(SyncAction::as_str),
        End::GoOn { .. } | End::Remove => upkeep.next_action.map(SyncAction::as_str),
    };
    let mut statement = Statement::composed("keep a subscription's upkeep", text)
        .bind(&upkeep.cursor)
        .bind(upkeep.pulled_at)
        .bind(upkeep.checked_at)
        .bind(upkeep.renew_at)
        .bind(upkeep.pokes)
        .bind(upkeep.check_at)
        .bind(upkeep.pokes)
        .bind(upkeep.pull_at)
        .bind(upkeep.pokes)
        .bind(upkeep.retry_at)
        .bind(upkeep.tries)
        .bind(list(upkeep.drift.is_empty(), json(&upkeep.drift)))
        .bind(list(upkeep.notes.is_empty(), json(&upkeep.notes)))
        .bind(&upkeep.last_error)
        .bind(upkeep.last_error_at)
        .bind(i64::from(changes_registrations))
        .bind(&progress.subscription_id)
        .bind(progress.fence);
    statement = match &progress.end {
        End::Release { .. } => statement
            .bind(upkeep.pokes)
            .bind(due_at)
            .bind(next_action)
            .bind(now),
        End::GoOn { .. } | End::Remove => statement
            .bind(due_at)
            .bind(due_at)
            .bind(next_action)
            .bind(now),
    };
    statement
        .bind(upkeep.pokes)
        .bind(upkeep.retry_action.map(SyncAction::as_str))
        .one(connection)
        .await
}

struct Held {
    workspace_id: WorkspaceId,
    provider: String,
}

impl FromRow for Held {
    fn from_row(row: &Row<'_>) -> Result<Held, StoreError> {
        Ok(Held {
            workspace_id: row.parsed("workspace_id")?,
            provider: row.text("provider")?,
        })
    }
}
