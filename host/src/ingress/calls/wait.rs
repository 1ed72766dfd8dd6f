//! Waiting for jobs: told of their ends, never asking again and again. Past the time 504, and the jobs
//! go on.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keep::Made;
use super::refusal::Refusal;
use super::routes::Calls;
use crate::id::{JobId, WorkspaceId};
use crate::jobs::Ended;
use crate::model::JobState;

impl Calls {
    /// The ends of a call's jobs, in their order.
    pub(super) async fn wait(self: &Arc<Self>, made: &mut Made) -> Result<Vec<Ended>, Refusal> {
        let settled = CancellationToken::new();
        settled.cancel();
        // Who repeats a call did not make its jobs, and hangs up on nobody else.
        let is_cancelled = made.options.cancel_on_disconnect && !made.is_repeated;
        let guard = is_cancelled
            .then(|| self.cancel_when_dropped(&made.workspace_id, &made.jobs, &settled));
        if made.is_repeated {
            // They may have ended before we began to wait.
            let ends = self.parts.executor.ends();
            ends.look(&self.parts.store).await?;
        }
        let limit = self.parts.wait_max;
        let timeout = made.options.timeout.map_or(limit, |asked| asked.min(limit));
        let until = Instant::now() + timeout;
        let mut ended = Vec::with_capacity(made.waiters.len());
        for (waiter, job) in made.waiters.iter_mut().zip(&made.jobs) {
            let late = tokio::select! {
                biased;
                end = waiter.ended() => {
                    ended.push(end);
                    continue;
                }
                () = tokio::time::sleep_until(until) => too_late(job, timeout),
                () = self.parts.executor.stopped() => stopping(job),
            };
            if let Some(guard) = guard {
                guard.disarm();
            }
            return Err(late);
        }
        if let Some(guard) = guard {
            guard.disarm();
        }
        Ok(ended)
    }

    /// Refuses who repeats a call whose jobs are not kept any more.
    pub(super) fn check_kept(&self, made: &Made) -> Result<(), Refusal> {
        if !made.is_gone {
            return Ok(());
        }
        let detail = "this call was made before, and its job is not kept any more";
        Err(Refusal::of(StatusCode::GONE, detail).at("idempotency-key"))
    }

    /// The same of jobs that were to be deleted after use, and were.
    pub(super) async fn check_not_wiped(&self, made: &Made) -> Result<(), Refusal> {
        for job in &made.jobs {
            if self.parts.store.job_arguments(job).await?.is_none() {
                let detail = "this call was answered before, and its result was deleted after use";
                let mut refusal = Refusal::of(StatusCode::GONE, detail).at("idempotency-key");
                refusal.job = Some(job.to_string());
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Cancels these jobs if it is dropped: the caller hung up. `settled` tells that they are
    /// committed, or never will be.
    pub(super) fn cancel_when_dropped(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
        jobs: &[JobId],
        settled: &CancellationToken,
    ) -> Guard {
        Guard {
            calls: Arc::clone(self),
            workspace: workspace.clone(),
            jobs: jobs.to_vec(),
            settled: settled.clone(),
            is_armed: true,
        }
    }

    /// Removes what a job that leaves no trace has left, once its caller was answered.
    pub(super) fn wipe(self: &Arc<Self>, made: &Made) {
        if !made.is_wiped {
            return;
        }
        let (calls, jobs) = (Arc::clone(self), made.jobs.clone());
        tokio::spawn(async move {
            for job in jobs {
                match calls.parts.store.wipe_job(&job).await {
                    Ok(true) => calls.parts.uploads.remove(&job),
                    // It goes on after its caller was answered, and needs its files.
                    Ok(false) => {}
                    // One that fails here is wiped by the next look at what is to be wiped.
                    Err(error) => tracing::warn!(%job, %error, "a job could not be wiped yet"),
                }
            }
        });
    }
}

fn too_late(job: &JobId, timeout: Duration) -> Refusal {
    let ms = timeout.as_millis();
    goes_on(
        job,
        format!("the job has not ended within {ms} ms; it goes on"),
    )
}

fn stopping(job: &JobId) -> Refusal {
    let detail = "the host stops, and the job goes on when it is back";
    goes_on(job, detail.to_owned())
}

fn goes_on(job: &JobId, detail: String) -> Refusal {
    let mut refusal = Refusal::of(StatusCode::GATEWAY_TIMEOUT, detail);
    refusal.job = Some(job.to_string());
    refusal
}

/// Cancels the jobs of a caller who hangs up.
pub(super) struct Guard {
    calls: Arc<Calls>,
    workspace: WorkspaceId,
    jobs: Vec<JobId>,
    settled: CancellationToken,
    is_armed: bool,
}

impl Guard {
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let calls = Arc::clone(&self.calls);
        let (workspace, jobs) = (self.workspace.clone(), std::mem::take(&mut self.jobs));
        let settled = self.settled.clone();
        tokio::spawn(async move {
            settled.cancelled().await;
            for job in jobs {
                calls.cancel(&workspace, &job).await;
            }
        });
    }
}

impl Calls {
    async fn cancel(&self, workspace: &WorkspaceId, job: &JobId) {
        match self.parts.store.cancel_job(workspace, job).await {
            Ok(_) => {
                let steps = self.parts.store.cancelled_steps(job).await;
                for step in steps.unwrap_or_default() {
                    self.parts.executor.stop_attempt(&step);
                }
                self.parts.executor.stop_attempt(job);
                self.parts.metrics.jobs_ended.increment("cancelled");
                self.parts.executor.ends().tell(job, || Ended {
                    state: JobState::Cancelled,
                    result: None,
                    error: Some("its caller hung up".to_owned()),
                });
            }
            // It ended meanwhile, or its call was not kept.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => tracing::warn!(%job, %error, "the job of a caller who hung up goes on"),
        }
    }
}
