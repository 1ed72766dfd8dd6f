//! The executor's ticks: taking back what an earlier run held, claiming, keeping leases, hearing other hosts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::background::{Background, Next};
use crate::id::HostId;
use crate::jobs::{Executor, Tick};
use crate::store::{Store, StoreError};

/// Jobs that were given up are looked for this often: another host may have given them up and died.
const FAILURES_EVERY: Duration = Duration::from_secs(5);
/// A connection over which no hint came for so long may be a dead one.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Starts the ticks over an executor.
pub async fn start(
    executor: &Executor,
    wake: &Arc<Notify>,
    background: &Background,
) -> Result<(), StoreError> {
    let recovered = executor.recover().await?;
    if recovered > 0 {
        tracing::info!(recovered, "jobs that an earlier run held are ready again");
    }
    let claiming = executor.clone();
    background.run(Arc::clone(wake), move || {
        let executor = claiming.clone();
        async move {
            match executor.tick().await {
                Ok(Tick::AtOnce) => Next::AtOnce,
                Ok(Tick::After(pause)) => Next::After(pause),
                Err(error) => {
                    tracing::warn!(%error, "jobs could not be claimed");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
    let telling = executor.clone();
    background.run(executor.failures_wake(), move || {
        let executor = telling.clone();
        async move {
            match executor.tell_failures().await {
                Ok(true) => Next::AtOnce,
                Ok(false) => Next::After(FAILURES_EVERY),
                Err(error) => {
                    tracing::warn!(%error, "error handlers could not be told");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
    let keeping = executor.clone();
    background.run_to_the_end(Arc::new(Notify::new()), move || {
        let executor = keeping.clone();
        async move {
            if let Err(error) = executor.keep().await {
                tracing::warn!(%error, "the leases of running jobs could not be kept");
            }
            Next::After(executor.keep_interval())
        }
    });
    Ok(())
}

/// Hears what other hosts have no place for. While nothing can be heard, timers find it.
pub fn hear_others(
    executor: &Executor,
    wake: &Arc<Notify>,
    (store, owner): (&Store, &HostId),
    background: &Background,
) {
    if !store.may_be_shared() {
        return;
    }
    let (executor, wake) = (executor.clone(), Arc::clone(wake));
    let (store, owner) = (store.clone(), owner.clone());
    background.run_until_stop(async move {
        loop {
            if let Err(error) = hear(&executor, &wake, &store, &owner).await {
                tracing::debug!(%error, "other hosts cannot be heard");
                tokio::time::sleep(super::STORE_PAUSE).await;
            }
        }
    });
}

async fn hear(
    executor: &Executor,
    wake: &Notify,
    store: &Store,
    owner: &HostId,
) -> Result<(), StoreError> {
    let Some(mut hints) = store.hear_hints().await? else {
        return Ok(());
    };
    // One may have been given before anybody listened.
    wake.notify_one();
    while let Ok(heard) = tokio::time::timeout(SILENCE_MAX, hints.next(owner)).await {
        heard?;
        executor.hear();
    }
    Ok(())
}
