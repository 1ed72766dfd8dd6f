//! What runs at the moment on this host, so that its leases are extended and it can be stopped.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::id::JobId;

/// The claims that this host works on.
#[derive(Default)]
pub(super) struct Running(Mutex<HashMap<JobId, Claimed>>);

struct Claimed {
    fence: i64,
    stop: CancellationToken,
}

impl Running {
    /// Takes a claim in; the token stops its attempt.
    pub(super) fn add(&self, job: &JobId, fence: i64) -> CancellationToken {
        let stop = CancellationToken::new();
        let claimed = Claimed {
            fence,
            stop: stop.clone(),
        };
        self.lock().insert(job.clone(), claimed);
        stop
    }

    /// The claim is settled. A newer claim of the same job stays.
    pub(super) fn remove(&self, job: &JobId, fence: i64) {
        let mut running = self.lock();
        if running
            .get(job)
            .is_some_and(|claimed| claimed.fence == fence)
        {
            running.remove(job);
        }
    }

    /// All claims, job and fence.
    pub(super) fn claims(&self) -> Vec<(JobId, i64)> {
        let running = self.lock();
        running
            .iter()
            .map(|(job, claimed)| (job.clone(), claimed.fence))
            .collect()
    }

    /// Stops the attempt of a job, if it runs here.
    pub(super) fn stop(&self, job: &JobId) -> bool {
        let running = self.lock();
        let claimed = running.get(job);
        if let Some(claimed) = claimed {
            claimed.stop.cancel();
        }
        claimed.is_some()
    }

    /// Stops everything.
    pub(super) fn stop_all(&self) {
        self.lock()
            .values()
            .for_each(|claimed| claimed.stop.cancel());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Claimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
