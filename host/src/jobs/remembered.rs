//! Flows that this host planned last: it reads only what their open steps came to, and not all steps again.
//! Whoever planned a flow in between has raised its fence; then all of it is read. Few steps, and flows
//! whose results are large, are read anew each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::flows::{Memory, StepFact};
use crate::id::JobId;
use crate::model::{JobState, NewStep, StepState};

/// A flow with fewer steps is read as fast.
const STEPS_MIN: usize = 16;
/// The arguments of a flow and the results of its steps; read, they take a few times as much.
const FLOW_BYTES_MAX: u64 = 4 << 20;
/// Of all flows; the one that was planned longest ago is forgotten first.
const BYTES_MAX: u64 = 8 << 20;
const FLOWS_MAX: usize = 256;

/// The steps of a flow that is being planned.
#[derive(Default)]
pub(super) struct Known {
    /// By key.
    pub(super) steps: HashMap<String, StepFact>,
    pub(super) memory: Memory,
    /// Those that have not ended, with their keys.
    open: HashMap<JobId, String>,
    /// The bytes of all results.
    results_size: u64,
    /// And of the flow's arguments.
    arguments_size: u64,
}

impl Known {
    /// Nothing yet of a flow with arguments of so many bytes.
    pub(super) fn with_arguments(bytes: usize) -> Known {
        Known {
            arguments_size: bytes as u64,
            ..Known::default()
        }
    }

    /// The jobs of the steps that have not ended.
    pub(super) fn open(&self) -> Vec<JobId> {
        self.open.keys().cloned().collect()
    }

    pub(super) fn results_size(&self) -> u64 {
        self.results_size
    }

    fn size(&self) -> u64 {
        self.results_size + self.arguments_size
    }

    /// What was read of the flow's steps, whose results have so many bytes.
    pub(super) fn learn(&mut self, steps: Vec<StepState>, results_size: u64) {
        self.results_size += results_size;
        for step in steps {
            self.note(step);
        }
    }

    /// These steps begin.
    pub(super) fn begin(&mut self, steps: &[NewStep]) {
        for step in steps {
            self.note(StepState {
                job_id: step.id.clone(),
                step: step.step.clone(),
                state: JobState::Ready,
                result: None,
                error: None,
            });
        }
    }

    fn note(&mut self, step: StepState) {
        match step.state.is_final() {
            true => self.open.remove(&step.job_id),
            false => self.open.insert(step.job_id.clone(), step.step.clone()),
        };
        let fact = StepFact {
            job_id: step.job_id,
            state: step.state,
            result: step.result,
            error: step.error,
        };
        self.steps.insert(step.step, fact);
    }
}

/// By the flow's job, in the order in which they were planned.
#[derive(Default)]
pub(super) struct Remembered(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    flows: IndexMap<JobId, Kept>,
    bytes: u64,
}

struct Kept {
    fence: i64,
    known: Known,
}

impl Remembered {
    /// What is known of a flow that was claimed under this fence, if nobody else claimed it since.
    pub(super) fn take(&self, job: &JobId, fence: i64) -> Option<Known> {
        let kept = self.shelf().remove(job)?;
        (kept.fence + 1 == fence).then_some(kept.known)
    }

    /// What was planned under this fence is committed.
    pub(super) fn keep(&self, job: &JobId, fence: i64, known: Known) {
        if known.steps.len() < STEPS_MIN || known.size() > FLOW_BYTES_MAX {
            return;
        }
        let mut shelf = self.shelf();
        shelf.bytes += known.size();
        shelf.flows.insert(job.clone(), Kept { fence, known });
        while shelf.flows.len() > FLOWS_MAX || shelf.bytes > BYTES_MAX {
            let Some(oldest) = shelf.flows.keys().next().cloned() else {
                return;
            };
            shelf.remove(&oldest);
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn remove(&mut self, job: &JobId) -> Option<Kept> {
        let kept = self.flows.shift_remove(job)?;
        self.bytes -= kept.known.size();
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    fn step(number: usize, state: JobState) -> StepState {
        StepState {
            job_id: JobId::generate(Millis(number as i64)),
            step: format!("each[{number}].a"),
            state,
            result: None,
            error: None,
        }
    }

    fn known(steps: usize, results_size: u64) -> Known {
        let mut known = Known::default();
        for number in 0..steps {
            known.note(step(number, JobState::Ready));
        }
        known.results_size = results_size;
        known.arguments_size = u64::from(results_size > 0);
        known
    }

    #[test]
    fn who_claimed_it_in_between_knows_more() {
        let (remembered, job) = (Remembered::default(), JobId::generate(Millis(1)));
        remembered.keep(&job, 7, known(STEPS_MIN, 10));
        assert!(remembered.take(&job, 8).is_some());
        assert!(remembered.take(&job, 8).is_none(), "taken once");
        remembered.keep(&job, 7, known(STEPS_MIN, 10));
        assert!(remembered.take(&job, 9).is_none());
        assert_eq!(remembered.shelf().bytes, 0);
    }

    #[test]
    fn few_steps_and_large_results_are_not_kept_and_the_oldest_goes_first() {
        let remembered = Remembered::default();
        let keep = |steps, size| {
            let job = JobId::generate(Millis(1));
            remembered.keep(&job, 1, known(steps, size));
            job
        };
        for (steps, size) in [(STEPS_MIN - 1, 1), (STEPS_MIN, FLOW_BYTES_MAX)] {
            assert!(remembered.take(&keep(steps, size), 2).is_none());
        }
        let first = keep(STEPS_MIN, FLOW_BYTES_MAX - 1);
        let others: Vec<JobId> = (0..2)
            .map(|_| keep(STEPS_MIN, FLOW_BYTES_MAX - 1))
            .collect();
        assert!(remembered.take(&first, 2).is_none(), "too much in all");
        assert!(others.iter().all(|job| remembered.take(job, 2).is_some()));
        let first = keep(STEPS_MIN, 0);
        for _ in 0..FLOWS_MAX {
            keep(STEPS_MIN, 0);
        }
        assert!(remembered.take(&first, 2).is_none(), "too many");
    }

    #[test]
    fn steps_that_ended_are_not_open() {
        let mut known = known(3, 0);
        assert_eq!(known.open().len(), 3);
        let (id, key) = known.open.iter().next().expect("a step");
        let ended = StepState {
            job_id: id.clone(),
            step: key.clone(),
            ..step(0, JobState::Dead)
        };
        known.note(ended);
        assert_eq!((known.open().len(), known.steps.len()), (2, 3));
    }
}
