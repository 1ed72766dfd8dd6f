//! Who gets a free place: the runnables that have ready jobs, in turn, within their own limits.
//!
//! A part of all places is kept for runnables that have no job running, so that slow ones cannot
//! hold every place however many they are.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::id::RunnableId;
use crate::jobs::breaker::{Breaker, Verdict};

/// Which jobs run where, without the jobs: numbers only.
#[derive(Debug)]
pub struct Schedule {
    places: u32,
    kept_free: u32,
    running: u32,
    runnables: HashMap<RunnableId, Load>,
    served_last: Option<RunnableId>,
}

#[derive(Debug, Default)]
struct Load {
    running: u32,
    breaker: Breaker,
}

/// A runnable with ready jobs.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which one.
    pub runnable: RunnableId,
    /// How many of its jobs may run at the same time.
    pub concurrency: u32,
}

/// Places given to a runnable: they are taken until they are given back or their attempts end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub runnable: RunnableId,
    /// How many.
    pub places: u32,
}

impl Schedule {
    /// With so many places in all.
    pub fn new(places: u32) -> Schedule {
        Schedule {
            places: places.max(1),
            kept_free: places / 4,
            running: 0,
            runnables: HashMap::new(),
            served_last: None,
        }
    }

    /// Gives the free places to the candidates, one each in turn, beginning after the one that was
    /// served last.
    pub fn grant(&mut self, candidates: &[Candidate], now: Millis) -> Vec<Grant> {
        let mut turn: Vec<&Candidate> = candidates.iter().collect();
        turn.sort_unstable_by(|a, b| a.runnable.cmp(&b.runnable));
        if let Some(last) = &self.served_last {
            let first = turn.partition_point(|candidate| candidate.runnable <= *last);
            turn.rotate_left(first);
        }
        let mut granted = vec![0u32; turn.len()];
        let mut has_progress = true;
        while has_progress && self.running < self.places {
            has_progress = false;
            for (candidate, granted) in turn.iter().zip(&mut granted) {
                if self.has_place(candidate, now) {
                    self.runnables
                        .entry(candidate.runnable.clone())
                        .or_default()
                        .running += 1;
                    self.running += 1;
                    self.served_last = Some(candidate.runnable.clone());
                    *granted += 1;
                    has_progress = true;
                }
            }
        }
        turn.iter()
            .zip(granted)
            .filter(|(_, places)| *places > 0)
            .map(|(candidate, places)| Grant {
                runnable: candidate.runnable.clone(),
                places,
            })
            .collect()
    }

    /// Takes one place for a runnable, if it may have one now.
    pub fn take(&mut self, candidate: &Candidate, now: Millis) -> bool {
        let has_place = self.running < self.places && self.has_place(candidate, now);
        if has_place {
            self.runnables
                .entry(candidate.runnable.clone())
                .or_default()
                .running += 1;
            self.running += 1;
        }
        has_place
    }

    /// Places that found no job.
    pub fn give_back(&mut self, runnable: &RunnableId, places: u32) {
        if let Some(load) = self.runnables.get_mut(runnable) {
            load.running = load.running.saturating_sub(places);
            self.running = self.running.saturating_sub(places);
        }
        self.forget_if_idle(runnable);
    }

    /// An attempt ended; `fraction` is random, in `[0, 1)`. Tells what became of the breaker.
    pub fn end(
        &mut self,
        runnable: &RunnableId,
        verdict: Verdict,
        now: Millis,
        fraction: f64,
    ) -> Breaker {
        let load = self.runnables.entry(runnable.clone()).or_default();
        load.breaker.note(verdict, now, fraction);
        let breaker = load.breaker;
        self.give_back(runnable, 1);
        breaker
    }

    /// The earliest time at which a breaker lets one of these pass that it holds back now.
    pub fn next_probe(&self, candidates: &[Candidate], now: Millis) -> Option<Millis> {
        candidates
            .iter()
            .filter_map(|candidate| {
                self.runnables
                    .get(&candidate.runnable)?
                    .breaker
                    .opens_at(now)
            })
            .min()
    }

    /// Whether one of these may run, but for a place here.
    pub fn lacks_places(&self, candidates: &[Candidate], now: Millis) -> bool {
        let is_held_back = |candidate: &Candidate| {
            let load = self.runnables.get(&candidate.runnable);
            load.is_some_and(|load| load.breaker.places(now) == 0)
        };
        let mut others = candidates.iter().filter(|one| !is_held_back(one));
        others.any(|candidate| !self.has_place(candidate, now))
    }

    /// How many places are taken.
    pub fn running(&self) -> u32 {
        self.running
    }

    fn has_place(&self, candidate: &Candidate, now: Millis) -> bool {
        let (running, breaker) = match self.runnables.get(&candidate.runnable) {
            Some(load) => (load.running, load.breaker),
            None => (0, Breaker::default()),
        };
        let free = self.places - self.running.min(self.places);
        let kept_free = if running == 0 { 0 } else { self.kept_free };
        free > kept_free && running < candidate.concurrency.min(breaker.places(now))
    }

    fn forget_if_idle(&mut self, runnable: &RunnableId) {
        let is_idle = self
            .runnables
            .get(runnable)
            .is_some_and(|load| load.running == 0 && load.breaker == Breaker::default());
        if is_idle {
            self.runnables.remove(runnable);
        }
    }
}

#[cfg(test)]
mod tests;
