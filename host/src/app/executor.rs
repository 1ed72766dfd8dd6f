//! The executor's ticks: taking back what an earlier run held, claiming, keeping leases.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use super::background::{Background, Next};
use crate::clock::Clock;
use crate::id::HostId;
use crate::jobs::{Executor, Tick};
use crate::store::StoreError;

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

/// The id of the host with this data folder: the same after a restart, so that it takes back at
/// once what it held.
pub fn host_id(data: &Path, clock: &Clock) -> std::io::Result<HostId> {
    let file = data.join("host.id");
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|error| {
            std::io::Error::other(format!(
                "{}: {error}: remove the file to get a new one",
                file.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = HostId::generate(clock.now());
            std::fs::write(&file, format!("{id}\n"))?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}
