//! Schedules in the composition: looked at by a timer, and when one was changed.

use std::sync::Arc;

use super::background::{Background, Next};
use super::ticks::Parts;
use crate::schedules::{Clockwork, ClockworkParts, Tick};

/// Starts the clockwork.
pub(super) fn start(parts: &Parts, background: &Background) {
    let clockwork = Arc::new(Clockwork::new(ClockworkParts {
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        metrics: Arc::clone(&parts.metrics),
        jobs_wake: Arc::clone(&parts.jobs_wake),
    }));
    background.run(Arc::clone(&parts.schedules_wake), move || {
        let clockwork = Arc::clone(&clockwork);
        async move {
            match clockwork.tick().await {
                Ok(Tick::AtOnce) => Next::AtOnce,
                Ok(Tick::After(pause)) => Next::After(pause),
                Err(error) => {
                    tracing::warn!(%error, "schedules that are due were not looked at");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
}
