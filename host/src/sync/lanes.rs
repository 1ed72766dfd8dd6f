//! Lanes: what goes to one account, or to one service where there is none, is bounded, and stands
//! still while the service asks for it. Memory only: whoever forgets it is told again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Millis;
use crate::model::Subscription;

/// Every lane that is in use or blocked.
pub(super) struct Lanes {
    places: usize,
    lanes: Mutex<HashMap<Box<str>, Lane>>,
}

struct Lane {
    places: Arc<Semaphore>,
    /// Runs in it, those that wait for a place included.
    runs: usize,
    blocked_until: Option<Millis>,
}

/// A run's membership in a lane.
pub(super) struct Entered {
    lanes: Arc<Lanes>,
    name: Box<str>,
    places: Arc<Semaphore>,
}

/// The lane of a subscription: its credential, else its provider.
pub(super) fn lane_of(subscription: &Subscription) -> &str {
    let credential = subscription.terms.credential_id.as_ref();
    credential.map_or(subscription.provider.as_str(), |id| id.as_str())
}

impl Lanes {
    /// With so many calls at once in each.
    pub(super) fn of(places: usize) -> Arc<Lanes> {
        Arc::new(Lanes {
            places,
            lanes: Mutex::default(),
        })
    }

    pub(super) fn enter(self: &Arc<Self>, name: &str) -> Entered {
        let mut lanes = self.lock();
        let lane = lanes.entry(name.into()).or_insert_with(|| Lane {
            places: Arc::new(Semaphore::new(self.places)),
            runs: 0,
            blocked_until: None,
        });
        lane.runs += 1;
        Entered {
            lanes: Arc::clone(self),
            name: name.into(),
            places: Arc::clone(&lane.places),
        }
    }

    /// Those that take nothing more now: full, or blocked.
    pub(super) fn passed_over(&self, now: Millis) -> Vec<String> {
        let mut lanes = self.lock();
        lanes.retain(|_, lane| lane.runs > 0 || lane.is_blocked(now));
        let closed = lanes
            .iter()
            .filter(|(_, lane)| lane.runs >= self.places || lane.is_blocked(now));
        closed.map(|(name, _)| name.to_string()).collect()
    }

    /// When the first lane opens again that is blocked now.
    pub(super) fn next_open(&self, now: Millis) -> Option<Millis> {
        let lanes = self.lock();
        let blocked = lanes.values().filter_map(|lane| lane.blocked_until);
        blocked.filter(|until| *until > now).min()
    }

    /// Forgets which are blocked: until when was told by another clock. Whoever still asks for time
    /// says so again.
    pub(super) fn open(&self) {
        for lane in self.lock().values_mut() {
            lane.blocked_until = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn is_blocked(&self, now: Millis) -> bool {
        self.blocked_until.is_some_and(|until| until > now)
    }
}

impl Entered {
    /// Waits for a place.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Until when the lane is blocked, if it is.
    pub(super) fn blocked_until(&self, now: Millis) -> Option<Millis> {
        let lanes = self.lanes.lock();
        let until = lanes.get(&self.name).and_then(|lane| lane.blocked_until);
        until.filter(|until| *until > now)
    }

    /// Nothing more goes there until then.
    pub(super) fn block(&self, until: Millis) {
        if let Some(lane) = self.lanes.lock().get_mut(&self.name) {
            lane.blocked_until = lane.blocked_until.max(Some(until));
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.name) {
            lane.runs -= 1;
            if lane.runs == 0 && lane.blocked_until.is_none() {
                lanes.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_blocked_lane_is_passed_over_and_an_empty_one_is_forgotten() {
        let lanes = Lanes::of(2);
        let (first, second) = (lanes.enter("a"), lanes.enter("a"));
        let other = lanes.enter("b");
        assert_eq!(lanes.passed_over(Millis(0)), ["a"]);
        drop(second);
        assert!(lanes.passed_over(Millis(0)).is_empty());
        first.block(Millis(10));
        drop(first);
        assert_eq!(lanes.passed_over(Millis(9)), ["a"]);
        assert_eq!(lanes.next_open(Millis(9)), Some(Millis(10)));
        drop(other);
        assert!(lanes.passed_over(Millis(10)).is_empty());
        assert!(lanes.lock().is_empty());
    }
}
