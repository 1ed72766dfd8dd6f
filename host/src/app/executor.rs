//! The executor's ticks: taking back what an earlier run held, claiming, keeping leases.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::background::{Background, Next};
use crate::jobs::{Executor, Tick};
use crate::store::StoreError;

/// Jobs that were given up are looked for this often: another host may have given them up and died.
const FAILURES_EVERY: Duration = Duration::from_secs(5);

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
