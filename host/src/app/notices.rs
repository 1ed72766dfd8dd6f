//! Telling of changes in the background.

use std::sync::Arc;
use std::time::Duration;

use super::background::{Background, Next};
use super::ticks::Parts;
use crate::notices::Notices;
use crate::outbound::Outbound;

/// How often it is looked for changes that nobody woke us for, and for those that are tried again.
const EVERY: Duration = Duration::from_secs(2);

/// Starts it.
pub(super) fn start(parts: &Parts, outbound: Outbound, background: &Background) {
    let notices = Notices::new(parts.store.clone(), outbound, parts.clock.clone());
    background.run(Arc::clone(&parts.notices_wake), move || {
        let notices = notices.clone();
        async move {
            match notices.tick().await {
                Ok(0) => Next::After(EVERY),
                Ok(_) => Next::AtOnce,
                Err(error) => {
                    tracing::warn!(%error, "changes could not be told yet");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
}
