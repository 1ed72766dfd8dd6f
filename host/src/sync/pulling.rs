//! Reading changes from a cursor; events, cursor, state and timers are committed together.

use std::time::Duration;

use bytes::Bytes;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::{PullRequest, Pulled, PulledEvent, TimedEvent};

use super::calls::said;
use super::run::{Run, StepError};
use super::{kept_state, times};
use crate::clock::{Millis, random_fraction};
use crate::id::{EventId, RequestId};
use crate::model::{NewTimer, Poll, PulledBatch, SyncAction, SyncPulledEvent};
use crate::timetable::Timetable;

/// More pages are read when the others had their turn.
const PAGES_MAX: u32 = 20;
/// In bytes.
const CURSOR_MAX: usize = 64 << 10;
/// A plugin that wants to pull again sooner waits so long.
const PAUSE_MIN: Duration = Duration::from_secs(1);

impl Run<'_> {
    pub(super) async fn pull(&mut self) -> Result<(), StepError> {
        for _ in 0..PAGES_MAX {
            let Some(live) = self.view().live().cloned() else {
                self.upkeep.pull_at = None;
                return Ok(());
            };
            let since = self
                .upkeep
                .pulled_at
                .filter(|_| self.upkeep.cursor.is_none());
            let request = PullRequest {
                subscription: self.existing(&live),
                cursor: self.upkeep.cursor.clone(),
                since_ms: since.map(|at| at.0),
            };
            let pulled: Pulled = match self.calls().ask("pull", &request).await {
                Ok(pulled) => pulled,
                Err(error) if error.code == codes::NOT_FOUND && self.lost_cursor(&error) => {
                    self.flush().await?;
                    continue;
                }
                Err(error) if error.code == codes::UNSUPPORTED => {
                    self.upkeep.pull_at = None;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let next_in = pulled.next_in_ms;
            // More of nothing, from where it was: it would be asked for ever.
            let stands_still =
                pulled.events.is_empty() && request.cursor.as_ref() == Some(&pulled.cursor);
            let more = pulled.more && !stands_still;
            self.keep_pulled(pulled)?;
            if !more {
                self.schedule_pull(next_in.map(Duration::from_millis));
                return Ok(());
            }
            self.upkeep.pull_at = Some(self.now());
            self.flush().await?;
        }
        Ok(())
    }

    /// The service does not know the cursor. Reported, and read anew: first since the last pull, and
    /// if that is not known either, from now on.
    fn lost_cursor(&mut self, error: &CallError) -> bool {
        let told = said(error);
        let text = match (&self.upkeep.cursor, self.upkeep.pulled_at) {
            (Some(_), Some(at)) => {
                format!("the cursor was lost ({told}): changes since {at} are read anew")
            }
            (Some(_), None) => format!("the cursor was lost ({told}): reading begins anew"),
            (None, Some(at)) => {
                self.upkeep.pulled_at = None;
                format!("the service does not tell what changed since {at} ({told}): that is lost")
            }
            (None, None) => return false,
        };
        tracing::warn!(subscription = %self.subscription.id, "{text}");
        self.note(text);
        self.upkeep.cursor = None;
        true
    }

    fn keep_pulled(&mut self, pulled: Pulled) -> Result<(), CallError> {
        if pulled.cursor.len() > CURSOR_MAX {
            let message = format!(
                "found a cursor of {} bytes, expected at most {CURSOR_MAX}",
                pulled.cursor.len()
            );
            return Err(CallError::new(codes::INTERNAL, message));
        }
        for (key, value) in &pulled.state {
            kept_state::check(key, value.as_ref())?;
        }
        let now = self.now();
        self.upkeep.cursor = Some(pulled.cursor);
        self.upkeep.pulled_at = Some(now);
        for note in pulled.notes {
            self.note(note);
        }
        let events = pulled.events.into_iter().map(|event| SyncPulledEvent {
            id: EventId::generate(now),
            name: event.name,
            payload: Bytes::from(event.payload),
            occurred_at: event.occurred_at_ms.map(Millis),
            delivery_id: event.delivery_id,
        });
        let timers = pulled.timers.into_iter();
        self.pending.pulled = Some(PulledBatch {
            id: RequestId::generate(now),
            events: events.collect(),
            state: pulled.state,
            timers: timers.map(|(key, timed)| (key, timed.map(timer))).collect(),
        });
        self.pending_is_due();
        Ok(())
    }

    /// What an operator says of the next pull holds also where it was said a moment ago; and where
    /// nothing is said any more, it is not put off for longer than its provider declares.
    pub(super) fn mind_the_poll(&mut self) {
        if self.view().live().is_none() {
            return;
        }
        let Some(next) = self.next_poll() else {
            self.mind_the_interval();
            return;
        };
        if self.upkeep.pull_at.is_none_or(|at| at > next) {
            self.upkeep.pull_at = Some(next);
        }
    }

    fn mind_the_interval(&mut self) {
        let every = self.service.facts().pull.and_then(|pull| pull.every);
        // One that was refused is put off on purpose.
        let is_refused = self.upkeep.retry_action == Some(SyncAction::Pull);
        let (Some(every), Some(at), false) = (every, self.upkeep.pull_at, is_refused) else {
            return;
        };
        if at > times::next(self.now(), every, 1.0) {
            self.upkeep.pull_at = Some(times::next(self.now(), every, random_fraction()));
        }
    }

    fn next_poll(&self) -> Option<Millis> {
        match self.subscription.terms.poll.as_ref()? {
            Poll::Every(every) => Some(times::next(self.now(), *every, random_fraction())),
            Poll::At { cron, timezone } => {
                let timetable = Timetable::parse(cron, timezone).ok()?;
                timetable.next_after(self.now())
            }
        }
    }

    fn schedule_pull(&mut self, next_in: Option<Duration>) {
        if let Some(next) = self.next_poll() {
            let asked = next_in.map(|next_in| self.now().plus(next_in));
            self.upkeep.pull_at = Some(asked.map_or(next, |asked| asked.min(next)));
            return;
        }
        let every = self.service.facts().pull.and_then(|pull| pull.every);
        let next_in = next_in.map(|next_in| next_in.max(PAUSE_MIN));
        let wait = match (next_in, every) {
            (Some(next_in), Some(every)) => Some(next_in.min(every)),
            (one, other) => one.or(other),
        };
        self.upkeep.pull_at = wait.map(|wait| times::next(self.now(), wait, random_fraction()));
    }
}

fn timer(timed: TimedEvent) -> NewTimer {
    let PulledEvent {
        name,
        payload,
        occurred_at_ms,
        delivery_id,
    } = timed.event;
    NewTimer {
        due_at: Millis(timed.due_at_ms),
        name,
        payload: Bytes::from(payload),
        occurred_at: occurred_at_ms.map(Millis),
        delivery_id,
    }
}
