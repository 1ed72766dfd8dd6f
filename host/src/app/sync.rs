//! The engine in the composition: woken, timed, told of credentials.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::background::{Background, Next};
use super::ticks::Parts;
use crate::credentials::Credentials;
use crate::id::{CredentialId, HostId};
use crate::panics;
use crate::store::StoreError;
use crate::subscriptions::{Subscriptions, SubscriptionsParts};
use crate::sync::{Engine, EngineConfig, EngineParts, Tick};

/// Makes the engine.
pub(super) fn open(
    parts: &Parts,
    credentials: &Credentials,
    owner: HostId,
    public_url: &str,
) -> (Engine, Arc<Notify>) {
    let timers_wake = Arc::new(Notify::new());
    let engine = Engine::new(EngineParts {
        store: parts.store.clone(),
        services: Arc::new(parts.registry.clone()),
        accounts: Arc::new(credentials.clone()),
        clock: parts.clock.clone(),
        owner,
        public_url: public_url.to_owned(),
        metrics: Arc::clone(&parts.metrics),
        wake: Arc::clone(&parts.sync_wake),
        timers_wake: Arc::clone(&timers_wake),
        events_wake: Arc::clone(&parts.events_wake),
        config: EngineConfig::default(),
    });
    (engine, timers_wake)
}

/// What operators ask, answered with the engine.
pub(super) fn subscriptions(
    parts: &Parts,
    engine: &Engine,
    credentials: &Credentials,
    public_url: &str,
) -> Subscriptions {
    Subscriptions::new(SubscriptionsParts {
        store: parts.store.clone(),
        engine: engine.clone(),
        services: Arc::new(parts.registry.clone()),
        accounts: Arc::new(credentials.clone()),
        clock: parts.clock.clone(),
        public_url: public_url.to_owned(),
    })
}

/// Takes back what an earlier run held, and starts the ticks.
pub(super) async fn start(
    engine: &Engine,
    timers_wake: Arc<Notify>,
    credentials: &Credentials,
    parts: &Parts,
    background: &Background,
) -> Result<(), StoreError> {
    let recovered = engine.recover().await?;
    if recovered > 0 {
        tracing::info!(
            recovered,
            "subscriptions that an earlier run worked on are taken up again"
        );
    }
    let ticking = engine.clone();
    background.run(Arc::clone(&parts.sync_wake), move || {
        let engine = ticking.clone();
        async move {
            next(
                engine.tick().await,
                "subscriptions that are due were not found",
            )
        }
    });
    let firing = engine.clone();
    background.run(timers_wake, move || {
        let engine = firing.clone();
        async move { next(engine.fire_timers().await, "timers were not fired") }
    });
    listen(credentials, parts);
    Ok(())
}

fn next(tick: Result<Tick, StoreError>, failure: &str) -> Next {
    match tick {
        Ok(Tick::AtOnce) => Next::AtOnce,
        Ok(Tick::After(pause)) => Next::After(pause),
        Err(error) => {
            tracing::warn!(%error, "{failure}");
            Next::After(super::STORE_PAUSE)
        }
    }
}

/// What hangs on a credential was made due in the commit in which that became good, or no good; here
/// it is looked at sooner. Ends with the credentials.
fn listen(credentials: &Credentials, parts: &Parts) {
    let changes = credentials.changes();
    let wake = Arc::clone(&parts.sync_wake);
    tokio::spawn(panics::go_on("the ear for credentials", move || {
        pass_on(changes.resubscribe(), Arc::clone(&wake))
    }));
}

async fn pass_on(mut changes: Receiver<CredentialId>, wake: Arc<Notify>) {
    while !matches!(changes.recv().await, Err(RecvError::Closed)) {
        wake.notify_one();
    }
}
