//! Timers: events that happen at a known time, fired to the second.

use std::time::Duration;

use super::engine::{Engine, Tick};
use crate::store::StoreError;

/// As many in one commit.
const BATCH: u32 = 200;
/// The store is looked at this often, whether or not somebody said that there is a timer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// Fires what is due. Idempotent: a timer goes in the commit that makes its event.
    pub async fn fire_timers(&self) -> Result<Tick, StoreError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let fired = inner.store.fire_timers(now, BATCH).await?;
        inner.metrics.timers_fired.add(fired.timers as u64);
        inner.metrics.events.add(fired.events as u64);
        let unmatched = fired.events.saturating_sub(fired.waiting) as u64;
        inner.metrics.events_handled.add("unmatched", unmatched);
        if fired.waiting > 0 {
            inner.events_wake.notify_one();
        }
        if fired.timers == BATCH as usize {
            return Ok(Tick::AtOnce);
        }
        let next = inner.store.next_timer_due().await?;
        let wait = next.map_or(LOOK_EVERY, |next| next.since(now));
        Ok(Tick::After(wait.min(LOOK_EVERY)))
    }
}
