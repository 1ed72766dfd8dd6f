//! Who waits for the end of a job is told at once, if the job ends on this host; a bounded look at the
//! store finds the ends of others. Memory only: who is not told looks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::id::JobId;
use crate::model::JobState;
use crate::store::{Store, StoreError};

/// How often jobs that are waited for are looked at in the store, all by one look: they may end on
/// another host, or be cancelled there.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a job ended, as far as its caller is concerned.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `done`, `dead` or `cancelled`.
    pub state: JobState,
    /// JSON.
    pub result: Option<Bytes>,
    /// Why it did not work.
    pub error: Option<String>,
}

/// The jobs that are waited for on this host. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ends(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    number: u64,
    jobs: HashMap<JobId, Vec<(u64, oneshot::Sender<Ended>)>>,
}

/// Waits for the end of one job; dropped, it waits no more.
pub struct Waiter {
    job: JobId,
    number: u64,
    ends: Ends,
    ended: oneshot::Receiver<Ended>,
}

impl Ends {
    /// Begins to wait. To be called before the job can end, or else with a look at it afterwards.
    pub fn wait_for(&self, job: &JobId) -> Waiter {
        let (tell, ended) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.number += 1;
        let number = waiting.number;
        waiting
            .jobs
            .entry(job.clone())
            .or_default()
            .push((number, tell));
        Waiter {
            job: job.clone(),
            number,
            ends: self.clone(),
            ended,
        }
    }

    /// A job ended, or a result of it is there that answers its callers.
    pub fn tell(&self, job: &JobId, ended: impl FnOnce() -> Ended) {
        let Some(waiters) = self.lock().jobs.remove(job) else {
            return;
        };
        let ended = ended();
        for (_, waiter) in waiters {
            // Who hung up meanwhile does not want to know.
            let _ = waiter.send(ended.clone());
        }
    }

    /// One look at all jobs that are waited for; none if there are none.
    pub async fn look(&self, store: &Store) -> Result<(), StoreError> {
        let jobs: Vec<JobId> = self.lock().jobs.keys().cloned().collect();
        if jobs.is_empty() {
            return Ok(());
        }
        for ended in store.ended_jobs(&jobs).await? {
            self.tell(&ended.id, || Ended {
                state: ended.state,
                result: ended.result,
                error: ended.error,
            });
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Resolves when the job ended. May be dropped and called again.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.ended).await {
            Ok(ended) => ended,
            // Nobody takes a waiter out without telling it.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.ends.lock();
        if let Some(waiters) = waiting.jobs.get_mut(&self.job) {
            waiters.retain(|(number, _)| *number != self.number);
            if waiters.is_empty() {
                waiting.jobs.remove(&self.job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    fn done() -> Ended {
        Ended {
            state: JobState::Done,
            result: Some(Bytes::from_static(b"1")),
            error: None,
        }
    }

    #[tokio::test]
    async fn everyone_who_waits_for_a_job_is_told_and_nobody_else() {
        let (ends, job, other) = (
            Ends::default(),
            JobId::generate(Millis(1)),
            JobId::generate(Millis(2)),
        );
        let (mut first, mut second) = (ends.wait_for(&job), ends.wait_for(&job));
        let _waits_on = ends.wait_for(&other);
        ends.tell(&job, done);
        assert_eq!(first.ended().await.state, JobState::Done);
        assert_eq!(second.ended().await.result.as_deref(), Some(&b"1"[..]));
        assert_eq!(ends.lock().jobs.len(), 1);
    }

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let (ends, job) = (Ends::default(), JobId::generate(Millis(1)));
        drop(ends.wait_for(&job));
        assert!(ends.lock().jobs.is_empty());
        ends.tell(&job, || unreachable!("nobody waits"));
    }
}
