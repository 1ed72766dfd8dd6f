//! What goes on in the background: folders, matching, trimming, counting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::background::{Background, Next};
use super::retention::{self, DeliveriesDue};
use super::schedules;
use crate::clock::{Clock, Millis};
use crate::config::Config;
use crate::events::Matching;
use crate::metrics::Metrics;
use crate::model::JobState;
use crate::plugins::Registry;
use crate::store::Store;
use crate::tokens::Tokens;

/// Folders are looked at this often.
const FOLDERS_EVERY: Duration = Duration::from_secs(1);
/// Events are looked for at least this often, whether or not somebody said that there are any.
const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// Waiting jobs are counted this often, for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// What a clock put off that was set back is looked for this often.
const CLOCK_EVERY: Duration = Duration::from_secs(30);
/// When tokens were last used is noted this often.
const TOKENS_EVERY: Duration = Duration::from_secs(30);

/// What the background works with.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) events_wake: Arc<Notify>,
    pub(super) sync_wake: Arc<Notify>,
    pub(super) jobs_wake: Arc<Notify>,
    pub(super) schedules_wake: Arc<Notify>,
    pub(super) notices_wake: Arc<Notify>,
}

/// Starts all of it but the running of jobs.
pub(super) fn start(parts: &Parts, background: &Background, config: &Config) {
    let (registry, stop) = (parts.registry.clone(), background.stopping());
    background.run(Arc::new(Notify::new()), move || {
        let (registry, stop) = (registry.clone(), stop.clone());
        async move {
            tokio::select! {
                () = registry.woken() => {}
                () = tokio::time::sleep(FOLDERS_EVERY) => {}
            }
            // Nobody needs what is loaded while the host stops, and a probe may take its time.
            stop.run_until_cancelled(registry.tick()).await;
            Next::AtOnce
        }
    });
    start_matching(parts, background);
    schedules::start(parts, background);
    let (store, clock, settings) = (
        parts.store.clone(),
        parts.clock.clone(),
        config.retention.clone(),
    );
    let due = Arc::new(DeliveriesDue::default());
    background.run(Arc::new(Notify::new()), move || {
        let (store, clock, settings) = (store.clone(), clock.clone(), settings.clone());
        let due = Arc::clone(&due);
        async move {
            let rows = retention::trim(&store, &settings, &clock).await;
            let deliveries = retention::trim_deliveries(&store, &settings, &clock, &due).await;
            for removed in [rows, deliveries] {
                match removed {
                    Ok(removed) if removed > 0 => tracing::info!(removed, "old rows were removed"),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "old rows could not be removed"),
                }
            }
            Next::After(settings.every)
        }
    });
    let (store, metrics) = (parts.store.clone(), Arc::clone(&parts.metrics));
    let clock = parts.clock.clone();
    background.run(Arc::new(Notify::new()), move || {
        let (store, metrics, clock) = (store.clone(), Arc::clone(&metrics), clock.clone());
        async move {
            if let Ok(waiting) = store.count_jobs(JobState::Ready).await {
                metrics
                    .jobs_ready
                    .set(i64::try_from(waiting).unwrap_or(i64::MAX));
            }
            if let Ok(due) = store.count_due_subscriptions(clock.now()).await {
                let due = i64::try_from(due).unwrap_or(i64::MAX);
                metrics.sync_due.set(due);
            }
            Next::After(COUNT_EVERY)
        }
    });
    start_catching_up(parts, background);
    let tokens = Arc::clone(&parts.tokens);
    background.run(Arc::new(Notify::new()), move || {
        let tokens = Arc::clone(&tokens);
        async move {
            if let Err(error) = tokens.note_uses().await {
                tracing::debug!(%error, "the uses of tokens could not be noted");
            }
            Next::After(TOKENS_EVERY)
        }
    });
}

fn start_catching_up(parts: &Parts, background: &Background) {
    let (store, clock) = (parts.store.clone(), parts.clock.clone());
    let wakes = [Arc::clone(&parts.events_wake), Arc::clone(&parts.jobs_wake)];
    background.run(Arc::new(Notify::new()), move || {
        let (store, clock, wakes) = (store.clone(), clock.clone(), wakes.clone());
        async move {
            match store.catch_up_with_clock(clock.now()).await {
                Ok(moved) if moved > 0 => {
                    tracing::warn!(
                        moved,
                        "the clock was set back: what it had put off is due now"
                    );
                    wakes.iter().for_each(|wake| wake.notify_one());
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "what the clock put off cannot be looked for"),
            }
            Next::After(CLOCK_EVERY)
        }
    });
}

fn start_matching(parts: &Parts, background: &Background) {
    let matching = Arc::new(Matching::new(
        parts.store.clone(),
        parts.registry.clone(),
        parts.clock.clone(),
    ));
    let (clock, metrics, jobs_wake) = (
        parts.clock.clone(),
        Arc::clone(&parts.metrics),
        Arc::clone(&parts.jobs_wake),
    );
    background.run(Arc::clone(&parts.events_wake), move || {
        let (matching, clock) = (Arc::clone(&matching), clock.clone());
        let (metrics, jobs_wake) = (Arc::clone(&metrics), Arc::clone(&jobs_wake));
        async move {
            match matching.tick().await {
                Ok(matched) => {
                    metrics.events_handled.add("matched", matched.fired as u64);
                    metrics
                        .events_handled
                        .add("unmatched", matched.unmatched as u64);
                    metrics.events_handled.add("failed", matched.failed as u64);
                    metrics.jobs.add("event", matched.jobs as u64);
                    if matched.jobs > 0 {
                        jobs_wake.notify_one();
                    }
                    match matched.more {
                        true => Next::AtOnce,
                        false => {
                            Next::After(until(matching.next_due().await.ok().flatten(), &clock))
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "events could not be matched");
                    Next::After(super::STORE_PAUSE)
                }
            }
        }
    });
}

fn until(due: Option<Millis>, clock: &Clock) -> Duration {
    due.map_or(EVENTS_EVERY, |due| due.since(clock.now()).min(EVENTS_EVERY))
}
