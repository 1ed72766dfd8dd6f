//! What goes back over a connection: the results of the jobs that its messages caused. Memory only: a
//! result goes over the connection that its message came by, or nowhere.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::spec::{Reply, as_sent};
use crate::id::{EventId, WorkspaceId};
use crate::model::{EventEnds, JobState, NewEvent};
use crate::store::{Store, StoreError};

/// More events are not waited for; the oldest go first.
const WAITING_MAX: usize = 1000;
/// So many are looked at in one step.
const LOOK_MAX: usize = 64;

pub(super) struct Replies {
    wanted: Reply,
    waiting: VecDeque<EventId>,
}

impl Replies {
    pub(super) fn new(wanted: Reply) -> Replies {
        Replies {
            wanted,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn are_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Events whose jobs may have something to say.
    pub(super) fn expect(&mut self, events: &[NewEvent]) {
        if !(self.wanted.results || self.wanted.errors) {
            return;
        }
        self.waiting
            .extend(events.iter().map(|event| event.id.clone()));
        let surplus = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..surplus);
    }

    /// What there is to be sent by now.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        workspace: &WorkspaceId,
    ) -> Result<Vec<String>, StoreError> {
        let asked: Vec<EventId> = self.waiting.iter().take(LOOK_MAX).cloned().collect();
        let ends = store.ends_of_events(workspace, &asked).await?;
        let mut texts = Vec::new();
        for end in ends.into_iter().filter(EventEnds::is_whole) {
            self.waiting.retain(|event| *event != end.event_id);
            texts.extend(self.texts(end));
        }
        // Those that are not done yet let the others have their turn.
        let still = asked.len().min(self.waiting.len());
        self.waiting.rotate_left(still);
        Ok(texts)
    }

    fn texts(&self, ends: EventEnds) -> Vec<String> {
        let said = ends.jobs.into_iter().filter_map(|job| match job.state {
            JobState::Done if self.wanted.results => {
                let result = job.result.unwrap_or_default();
                match serde_json::from_slice(&result).ok()? {
                    Value::Null => None,
                    result => Some(as_sent(&result)),
                }
            }
            JobState::Dead if self.wanted.errors => {
                Some(json!({"error": job.error.unwrap_or_default()}).to_string())
            }
            _ => None,
        });
        said.collect()
    }
}
