//! Telling of changes in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::background::{Background, Next};
use crate::notices::Notices;

/// How often it is looked for changes that nobody woke us for, and for those that are tried again.
const EVERY: Duration = Duration::from_secs(2);

/// Starts it; returns what wakes it.
pub(super) fn start(notices: Notices, background: &Background) -> Arc<Notify> {
    let wake = Arc::new(Notify::new());
    background.run(Arc::clone(&wake), move || {
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
    wake
}
