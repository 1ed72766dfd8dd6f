//! Who has no place for jobs that are due tells the other hosts, which would find them by their timers only.
//!
//! A host that was told and found nothing to take tells nobody at once: two full hosts would keep each other
//! awake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::executor::Executor;
use crate::clock::Millis;
use crate::store::StoreError;

/// Others are told no oftener, and whether they are to be told is looked up no oftener.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Who was told and found nothing waits so long before it tells others.
const TOLD_PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Telling {
    is_told: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Telling {
    /// Whether another host said since the last tick that it has more than it can do.
    pub(super) fn take_told(&self) -> bool {
        self.is_told.swap(false, Ordering::SeqCst)
    }

    /// How long to wait until others may be told again; none: now, by who asks.
    fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.map(|last| now.duration_since(last));
        match since.filter(|since| *since < TELL_EVERY) {
            Some(since) => Some(TELL_EVERY - since),
            None => {
                *last = Some(now);
                None
            }
        }
    }
}

impl Executor {
    /// Another host has no place for jobs that are due: the next tick is now.
    pub fn hear(&self) {
        self.0.metrics.hints_heard.increment();
        self.0.telling.is_told.store(true, Ordering::SeqCst);
        self.0.wake.notify_one();
    }

    /// Tells other hosts of the jobs that a tick found no place for. After how long the next tick has to
    /// see to that, if at all.
    pub(super) async fn tell_of_rest(
        &self,
        was_in_vain: bool,
        now: Millis,
    ) -> Result<Option<Duration>, StoreError> {
        let host = &self.0;
        if !host.store.may_be_shared() {
            return Ok(None);
        }
        if was_in_vain {
            return Ok(Some(TOLD_PAUSE));
        }
        if let Some(wait) = host.telling.wait() {
            return Ok(Some(wait));
        }
        // All places that were granted found a job: there may be no other.
        let ready = host.store.runnables_with_ready_jobs(now).await?;
        let candidates = host.candidates(&ready).await?;
        if host.schedule().lacks_places(&candidates, now) {
            host.tell_others().await;
        }
        Ok(None)
    }
}

impl super::executor::Inner {
    /// There is something for other hosts to do.
    pub(super) async fn tell_others(&self) {
        if let Err(error) = self.store.hint_jobs(&self.owner).await {
            tracing::debug!(%error, "other hosts were not told of jobs and find them later");
        }
    }
}
