//! What calls need in the background: a look at jobs that are waited for, the wiping of those that
//! leave no trace, the removal of files that no job needs any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::background::{Background, Next};
use super::ticks::Parts;
use crate::clock::Millis;
use crate::ingress::calls::Uploads;
use crate::jobs::{Executor, LOOK_EVERY};
use crate::store::{Store, StoreError};

/// How often jobs to be wiped are looked for that nobody wiped: their host went away.
const WIPES_EVERY: Duration = Duration::from_secs(10);
/// Who answers a caller wipes by itself, soon after the job's end.
const WIPES_AFTER: Duration = Duration::from_secs(10);
const WIPES_STEP: u32 = 100;
/// How often files are looked for whose jobs ended.
const FILES_EVERY: Duration = Duration::from_secs(30);

/// Starts it all.
pub(super) fn start(parts: &Parts, executor: &Executor, uploads: Uploads, background: &Background) {
    let (ends, store) = (executor.ends().clone(), parts.store.clone());
    background.run_to_the_end(Arc::new(Notify::new()), move || {
        let (ends, store) = (ends.clone(), store.clone());
        async move {
            if let Err(error) = ends.look(&store).await {
                tracing::warn!(%error, "jobs that are waited for could not be looked at");
            }
            Next::After(LOOK_EVERY)
        }
    });
    let (store, clock) = (parts.store.clone(), parts.clock.clone());
    background.run(Arc::new(Notify::new()), move || {
        let (store, before) = (
            store.clone(),
            clock.now().0 - WIPES_AFTER.as_millis() as i64,
        );
        async move {
            match wipe(&store, Millis(before)).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "jobs could not be wiped yet"),
            }
            Next::After(WIPES_EVERY)
        }
    });
    let (store, clock) = (parts.store.clone(), parts.clock.clone());
    background.run(Arc::new(Notify::new()), move || {
        let (store, clock, uploads) = (store.clone(), clock.clone(), uploads.clone());
        async move {
            if let Err(error) = uploads.tidy(&store, &clock).await {
                tracing::warn!(%error, "files of ended jobs could not be removed yet");
            }
            Next::After(FILES_EVERY)
        }
    });
}

async fn wipe(store: &Store, before: Millis) -> Result<(), StoreError> {
    for job in store.wipes_due(before, WIPES_STEP).await? {
        store.wipe_job(&job).await?;
    }
    Ok(())
}
