//! What is old is removed, in small steps.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Millis};
use crate::config::Retention;
use crate::store::{Store, StoreError};

/// Accounts that were to be connected are kept so long after their time was over.
const CONNECTS_KEPT: Duration = Duration::from_hours(1);

/// Delivery ids are looked at this often, all of them: few of them end in between.
const DELIVERIES_EVERY: Duration = Duration::from_hours(6);

/// What is removed, in the order in which one thing stops needing the next.
#[derive(Clone, Copy)]
enum Kind {
    Jobs,
    Attempts,
    Runnables,
    Events,
    Requests,
    Dictionaries,
    Audit,
    CallKeys,
    Connects,
}

/// One pass: each kind until nothing old is left, a step at a time, so that nothing waits long
/// behind a step. Returns how many rows were removed.
pub async fn trim(store: &Store, retention: &Retention, clock: &Clock) -> Result<u64, StoreError> {
    let now = clock.now();
    let kinds = [
        (Kind::Jobs, before(now, retention.jobs)),
        (Kind::Attempts, before(now, retention.jobs)),
        (Kind::Runnables, before(now, retention.jobs)),
        (Kind::Events, before(now, retention.events)),
        (Kind::Requests, before(now, retention.requests)),
        (Kind::Dictionaries, before(now, retention.requests)),
        (Kind::Audit, before(now, retention.audit)),
        // A key knows its own end.
        (Kind::CallKeys, Some(now)),
        // Who waits for one hears that its time is over.
        (Kind::Connects, before(now, CONNECTS_KEPT)),
    ];
    let mut removed = 0;
    for (kind, before) in kinds {
        let Some(before) = before else { continue };
        loop {
            let count = remove(store, kind, before, retention.step).await?;
            removed += count;
            if count < u64::from(retention.step) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(removed)
}

/// When delivery ids are looked at again.
#[derive(Default)]
pub struct DeliveriesDue(Mutex<Millis>);

/// Removes delivery ids whose window is over, if it is time to look at them.
pub async fn trim_deliveries(
    store: &Store,
    retention: &Retention,
    clock: &Clock,
    due: &DeliveriesDue,
) -> Result<u64, StoreError> {
    let now = clock.now();
    let due_at = || due.0.lock().unwrap_or_else(PoisonError::into_inner);
    let wait = due_at().since(now);
    // A longer one was reckoned by a clock that was set back since.
    if !wait.is_zero() && wait <= DELIVERIES_EVERY {
        return Ok(0);
    }
    let (mut removed, mut place) = (0, None);
    loop {
        let (count, next) = store.trim_deliveries(now, place, retention.step).await?;
        removed += count;
        place = next;
        if place.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    *due_at() = now.plus(DELIVERIES_EVERY);
    Ok(removed)
}

/// None: it is kept for ever.
fn before(now: Millis, kept: Duration) -> Option<Millis> {
    let ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    (ms > 0).then(|| Millis(now.0.saturating_sub(ms)))
}

async fn remove(store: &Store, kind: Kind, before: Millis, step: u32) -> Result<u64, StoreError> {
    match kind {
        Kind::Jobs => store.trim_jobs(before, step).await,
        Kind::Attempts => store.trim_attempts(before, step).await,
        Kind::Runnables => store.trim_runnables(before, step).await,
        Kind::Events => store.trim_events(before, step).await,
        Kind::Requests => store.trim_requests(before, step).await,
        Kind::Dictionaries => store.trim_dictionaries(before, step).await,
        Kind::Audit => store.trim_audit(before, step).await,
        Kind::CallKeys => store.trim_call_keys(before, step).await,
        Kind::Connects => store.trim_connects(before, step).await,
    }
}
