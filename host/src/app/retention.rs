//! What is old is removed, in small steps.

use std::time::Duration;

use crate::clock::{Clock, Millis};
use crate::config::Retention;
use crate::store::{Store, StoreError};

/// One pass: each kind until nothing old is left, a step at a time, so that nothing waits long
/// behind a step.
pub async fn trim(store: &Store, retention: &Retention, clock: &Clock) -> Result<u64, StoreError> {
    let now = clock.now();
    let step = retention.step;
    let mut removed = 0;
    if let Some(before) = before(now, retention.jobs) {
        removed += steps(step, async || store.trim_jobs(before, step).await).await?;
        removed += steps(step, async || store.trim_attempts(before, step).await).await?;
        removed += steps(step, async || store.trim_runnables(before, step).await).await?;
    }
    if let Some(before) = before(now, retention.events) {
        removed += steps(step, async || store.trim_events(before, step).await).await?;
    }
    if let Some(before) = before(now, retention.requests) {
        removed += steps(step, async || store.trim_requests(before, step).await).await?;
    }
    if let Some(before) = before(now, retention.audit) {
        removed += steps(step, async || store.trim_audit(before, step).await).await?;
    }
    removed += steps(step, async || store.trim_deliveries(now, step).await).await?;
    Ok(removed)
}

/// None: it is kept for ever.
fn before(now: Millis, kept: Duration) -> Option<Millis> {
    let ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    (ms > 0).then(|| Millis(now.0.saturating_sub(ms)))
}

async fn steps(step: u32, mut remove: impl AsyncFnMut() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let count = remove().await?;
        removed += count;
        if count < u64::from(step) {
            return Ok(removed);
        }
        tokio::task::yield_now().await;
    }
}
