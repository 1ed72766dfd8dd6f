//! Looks at the schedules that are due and has them run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::decide::{Due, recall};
use crate::clock::{Clock, Millis};
use crate::id::JobId;
use crate::metrics::Metrics;
use crate::model::{DueSchedule, Firing, JobCause, NewJob, Run, Schedule, Skipped};
use crate::runnables::RunnableSpec;
use crate::store::{Store, StoreError};
use crate::timetable::Timetable;

/// As many schedules in one commit.
const BATCH: u32 = 100;
/// The store is looked at this often, whether or not somebody said that there is a schedule.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A clock that goes back further was put back.
const CLOCK_SLACK: Duration = Duration::from_secs(5 * 60);

/// What a [`Clockwork`] is made of.
pub struct ClockworkParts {
    pub store: Store,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// Told when there are jobs.
    pub jobs_wake: Arc<Notify>,
}

/// Fires schedules.
pub struct Clockwork {
    parts: ClockworkParts,
    last_look: AtomicI64,
}

/// What a tick wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There is more to do now.
    AtOnce,
    /// Nothing to do before this, unless a wake comes.
    After(Duration),
}

impl Clockwork {
    pub fn new(parts: ClockworkParts) -> Clockwork {
        Clockwork {
            parts,
            // The first look is one after a clock that may have been put back meanwhile.
            last_look: AtomicI64::new(i64::MAX),
        }
    }

    /// Fires what is due. Idempotent, and harmless on several hosts at once.
    pub async fn tick(&self) -> Result<Tick, StoreError> {
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        let now = clock.now();
        self.mind_the_clock(now).await?;
        let due = store.due_schedules(now, BATCH).await?;
        let is_full = due.len() == BATCH as usize;
        if !due.is_empty() {
            let mut firings = Vec::with_capacity(due.len());
            for one in due {
                firings.push(self.firing(one, now).await?);
            }
            let jobs = store.fire_schedules(firings, now).await?;
            if jobs > 0 {
                let cause = JobCause::Schedule.as_str();
                self.parts.metrics.jobs.add(cause, jobs as u64);
                self.parts.jobs_wake.notify_one();
            }
        }
        if is_full {
            return Ok(Tick::AtOnce);
        }
        let next = store.next_schedule_look().await?;
        let wait = next.map_or(LOOK_EVERY, |next| next.since(clock.now()));
        Ok(Tick::After(wait.min(LOOK_EVERY)))
    }

    /// What was looked at while the clock was ahead waits for a time that lies far off now. A clock
    /// that ran ahead for a moment would else stop schedules until it comes there again.
    async fn mind_the_clock(&self, now: Millis) -> Result<(), StoreError> {
        let last = Millis(self.last_look.load(Ordering::Acquire));
        if last.since(now) > CLOCK_SLACK {
            let recalled = self.recall(now).await?;
            if recalled > 0 {
                tracing::warn!(
                    recalled,
                    "the clock was put back: schedules are looked at anew"
                );
            }
        }
        // Only now: a store that is away is asked again.
        self.last_look.store(now.0, Ordering::Release);
        Ok(())
    }

    async fn recall(&self, now: Millis) -> Result<usize, StoreError> {
        let store = &self.parts.store;
        let ahead = now.plus(CLOCK_SLACK);
        store.forget_runs_ahead(ahead).await?;
        let mut recalled = 0;
        let mut after = None;
        loop {
            let page = store.schedules_ahead(ahead, after.as_ref(), BATCH).await?;
            let firings: Vec<Firing> = page
                .iter()
                .filter_map(|one| recalled_to(one, now))
                .collect();
            recalled += firings.len();
            store.fire_schedules(firings, now).await?;
            match page.last() {
                Some(last) if page.len() == BATCH as usize => after = Some(last.id.clone()),
                _ => return Ok(recalled),
            }
        }
    }

    async fn firing(&self, one: DueSchedule, now: Millis) -> Result<Firing, StoreError> {
        let schedule = &one.schedule;
        let firing = Firing {
            schedule_id: schedule.id.clone(),
            revision: schedule.revision,
            due_at: one.due_at,
            look_at: schedule.look_at.unwrap_or(one.due_at),
            runs: Vec::new(),
            skipped: None,
            next_due_at: None,
            next_look_at: None,
        };
        let Ok(timetable) = Timetable::parse(&schedule.cron, &schedule.timezone) else {
            // It was good when it was saved: this machine knows other time zones.
            tracing::error!(schedule = %schedule.id, "its time zone is not known on this machine");
            let skipped = Skipped {
                count: 1,
                reason: "its time zone is not known on the host that looked at it",
            };
            return Ok(Firing {
                skipped: Some(skipped),
                ..firing
            });
        };
        let verdict = Due {
            timetable: &timetable,
            due_at: one.due_at,
            overlap: schedule.overlap,
            missed: schedule.missed,
            is_running: one.is_running,
        }
        .decide(now);
        let attempts_max = match verdict.run_for.is_empty() {
            true => 1,
            false => self.attempts_max(&one).await?,
        };
        let runs = verdict.run_for.into_iter().map(|at| Run {
            scheduled_for: at,
            job: NewJob {
                id: JobId::generate(now),
                workspace_id: schedule.workspace_id.clone(),
                cause: JobCause::Schedule,
                event_id: None,
                trigger_id: None,
                runnable_id: schedule.runnable_id.clone(),
                version_id: one.version_id.clone(),
                arguments: Some(arguments(schedule, &timetable, at)),
                attempts_max,
                due_at: now,
                created_at: now,
            },
        });
        Ok(Firing {
            runs: runs.collect(),
            skipped: verdict.skipped,
            next_due_at: verdict.next_due_at,
            next_look_at: verdict.next_look_at,
            ..firing
        })
    }

    async fn attempts_max(&self, one: &DueSchedule) -> Result<u32, StoreError> {
        let row = self.parts.store.runnable_version(&one.version_id).await?;
        let spec = row.and_then(|row| RunnableSpec::parse(row.kind, &row.spec).ok());
        // A version that does not read fails at its attempt, where that is said.
        Ok(spec.map_or(1, |spec| spec.policy().retry.attempts_max))
    }
}

/// Where it goes on by the clock of now; none: there is nothing wrong with where it stands.
fn recalled_to(schedule: &Schedule, now: Millis) -> Option<Firing> {
    let (due_at, look_at) = (schedule.due_at?, schedule.look_at?);
    let timetable = Timetable::parse(&schedule.cron, &schedule.timezone).ok()?;
    let (due, look) = recall(&timetable, (due_at, look_at), now, CLOCK_SLACK)?;
    Some(Firing {
        schedule_id: schedule.id.clone(),
        revision: schedule.revision,
        due_at,
        look_at,
        runs: Vec::new(),
        skipped: None,
        next_due_at: Some(due),
        next_look_at: Some(look),
    })
}

/// The schedule's own, and what it was that fired, unless they have that name already.
fn arguments(schedule: &Schedule, timetable: &Timetable, at: Millis) -> Bytes {
    let mut arguments = schedule.arguments.clone();
    arguments.entry("trigger").or_insert_with(|| {
        json!({
            "kind": "schedule",
            "schedule": {"name": schedule.name, "scheduled_for": timetable.shown(at)},
        })
    });
    Bytes::from(Value::Object(arguments).to_string())
}
