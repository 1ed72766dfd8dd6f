//! Connections in the composition: taken, renewed and given back.

use std::sync::Arc;

use tokio::sync::Notify;

use super::background::{Background, Next};
use super::ticks::Parts;
use crate::id::HostId;
use crate::jobs::Executor;
use crate::outbound::Outbound;
use crate::sockets::{Holder, HolderParts, Runs, Tick};
use crate::store::StoreError;

/// Makes the holder, takes back what an earlier run held, and starts its tick.
pub(super) async fn start(
    parts: &Parts,
    executor: &Executor,
    outbound: &Outbound,
    owner: &HostId,
    background: &Background,
) -> Result<Holder, StoreError> {
    let holder = Holder::new(HolderParts {
        store: parts.store.clone(),
        registry: parts.registry.clone(),
        outbound: outbound.clone(),
        runs: Runs {
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            ends: executor.ends().clone(),
            jobs_wake: Arc::clone(&parts.jobs_wake),
        },
        clock: parts.clock.clone(),
        owner: owner.clone(),
        metrics: Arc::clone(&parts.metrics),
        events_wake: Arc::clone(&parts.events_wake),
    });
    holder.recover().await?;
    let ticking = holder.clone();
    background.run(Arc::new(Notify::new()), move || {
        let holder = ticking.clone();
        async move {
            match holder.tick().await {
                Ok(Tick::AtOnce) => Next::AtOnce,
                Ok(Tick::After(pause)) => Next::After(pause),
                Err(error) => {
                    tracing::warn!(%error, "connections could not be kept");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
    Ok(holder)
}
