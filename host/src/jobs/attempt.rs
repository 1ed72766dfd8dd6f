//! One claimed job, from its claim to its record.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backoff::RetryPolicy;
use crate::clock::{Millis, random_fraction};
use crate::id::AttemptId;
use crate::jobs::breaker::{Breaker, Verdict};
use crate::jobs::ends::Ended;
use crate::jobs::executor::Inner;
use crate::jobs::flow::{self, Went};
use crate::jobs::verdict::{next_of, verdict_of};
use crate::jobs::versions::Read;
use crate::kill_points::{Step, reached};
use crate::model::{
    AttemptOutcome, ClaimedJob, Finished, JobState, NewAttempt, Next, RunnableState,
};
use crate::panics;
use crate::runnables::{AttemptReport, Retry, Target, strays};
use crate::store::StoreError;

/// How long a record waits for a store that is away; the place stays taken meanwhile.
const RECORD: RetryPolicy = RetryPolicy {
    attempts_max: u32::MAX,
    first_ms: 50,
    factor: 2.0,
    delay_max_ms: 5_000,
    jitter: 0.2,
};
/// When a job is due again that could not be begun because the store went away.
const GIVEN_BACK: Duration = Duration::from_secs(1);

/// Starts the work on a claimed job, whose place is taken.
pub(super) fn start(host: &Arc<Inner>, claimed: ClaimedJob) {
    let host = Arc::clone(host);
    let (id, fence) = (claimed.job.id.clone(), claimed.job.fence);
    let stop = host.running.add(&id, fence);
    let tasks = host.tasks.clone();
    tasks.spawn(async move {
        // Whatever becomes of it, it runs here no longer, and its lease is kept no longer.
        let worked = panics::survive(Box::pin(attend(&host, claimed, stop))).await;
        host.running.remove(&id, fence);
        let is_last = worked.is_some_and(|worked| worked.is_last);
        if !is_last || host.is_short() {
            host.wake.notify_one();
            if host.is_draining() {
                host.tell_others().await;
            }
        }
    });
}

/// What the work on a job came to.
struct Worked {
    verdict: Verdict,
    /// Its job is done, and nobody has to look for what follows from it.
    is_last: bool,
}

impl From<Verdict> for Worked {
    fn from(verdict: Verdict) -> Worked {
        Worked {
            verdict,
            is_last: false,
        }
    }
}

/// Runs a claimed job, records what became of it, and frees its place. Ends early when `stop` says
/// so: the program or request is ended, and the job is ready again if the host is being stopped;
/// else it is no longer ours.
async fn attend(host: &Inner, claimed: ClaimedJob, stop: CancellationToken) -> Worked {
    host.metrics.jobs_running.add(1);
    let runnable = claimed.job.runnable_id.clone();
    // A panic of ours leaves the job to its lease; the place is free in any case.
    let worked = panics::survive(work(host, claimed, stop)).await;
    let worked = worked.unwrap_or_else(|| {
        tracing::error!(%runnable, "the work on a job panicked; its lease runs out");
        Worked::from(Verdict::Unknown)
    });
    let verdict = worked.verdict;
    host.metrics.jobs_running.add(-1);
    let now = host.clock.now();
    let breaker = host
        .schedule()
        .end(&runnable, verdict, now, random_fraction());
    let is_bad = matches!(verdict, Verdict::Trouble | Verdict::Busy(_));
    if let (true, Breaker::Open { until, trips, .. }) = (is_bad, breaker) {
        tracing::warn!(%runnable, trips, %until, "a runnable's jobs wait: its target is in trouble");
    }
    worked
}

async fn work(host: &Inner, claimed: ClaimedJob, stop: CancellationToken) -> Worked {
    match begin(host, &claimed).await {
        Ok(begun) => settle(host, &claimed, &begun, &stop).await,
        Err(error) => {
            give_back(host, &claimed, &error).await;
            Verdict::Unknown.into()
        }
    }
}

struct Begun {
    version: Arc<Read>,
    context: crate::runnables::JobContext,
    started_at: Millis,
}

impl Begun {
    fn is_flow(&self) -> bool {
        let version = self.version.as_ref().as_ref();
        version.is_ok_and(|version| matches!(version.spec.target, Target::Flow(_)))
    }
}

async fn begin(host: &Inner, claimed: &ClaimedJob) -> Result<Begun, StoreError> {
    Ok(Begun {
        version: host.versions.read(&claimed.job.version_id).await?,
        context: host.names.context(claimed).await?,
        started_at: host.clock.now(),
    })
}

async fn settle(
    host: &Inner,
    claimed: &ClaimedJob,
    begun: &Begun,
    stop: &CancellationToken,
) -> Worked {
    let job = &claimed.job;
    let report = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        ran = run(host, claimed, begun) => match ran {
            Ok(Ran::Report(report)) => Some(report),
            Ok(Ran::Waits) => return Verdict::Unknown.into(),
            Err(error) => {
                give_back(host, claimed, &error).await;
                return Verdict::Unknown.into();
            }
        },
    };
    if report.is_none() {
        // Its group ended when it was dropped.
        strays::end(HashSet::from([(job.id.clone(), job.attempts_made)])).await;
    }
    if report.is_none() && !host.is_killed() {
        // Cancelled, which wrote its attempt, or another host's by now.
        return Verdict::Unknown.into();
    }
    let finished_at = host.clock.now();
    let policy = begun
        .version
        .as_ref()
        .as_ref()
        .map(|version| version.spec.policy().retry);
    let own = job.step.as_ref().and_then(|step| step.retry);
    let (report, mut next, verdict) = match report {
        Some(report) => {
            let policy = own.or(policy.ok()).unwrap_or_default();
            let next = next_of(&report, job, &policy, finished_at, random_fraction());
            // A flow has no target that could be in trouble; its steps have theirs.
            let verdict = match begun.is_flow() {
                true => Verdict::Well,
                false => verdict_of(&report),
            };
            (report, next, verdict)
        }
        // Not the job's fault, so it is no reason to give it up.
        None => {
            let report = AttemptReport::not_ok(AttemptOutcome::Lost, "the host stopped it");
            (
                report,
                Next::Again {
                    due_at: finished_at,
                },
                Verdict::Unknown,
            )
        }
    };
    if report.retry == Retry::DisableTarget && is_deleted_or_disable(host, claimed, &report).await {
        // Nobody will enable it.
        next = Next::Dead;
    }
    tracing::debug!(job = %job.id, attempt = job.attempts_made, outcome = %report.outcome, ?next, "an attempt ended");
    let is_last = next == Next::Done && job.step.is_none();
    let took = finished_at.since(begun.started_at);
    host.metrics.attempts.increment(report.outcome.as_str());
    host.metrics.attempt_latency.observe(took);
    reached(Step::Attempted);
    record(
        host,
        finished(host, claimed, begun.started_at, finished_at, report, next),
    )
    .await;
    Worked { verdict, is_last }
}

/// What running a job came to.
enum Ran {
    Report(AttemptReport),
    /// A flow, which waits for its steps by now.
    Waits,
}

/// Runs it; a panic of ours on the way is a failed attempt like any other.
async fn run(host: &Inner, claimed: &ClaimedJob, begun: &Begun) -> Result<Ran, StoreError> {
    let version = match begun.version.as_ref() {
        Ok(version) => version,
        Err(mistake) => {
            let error = format!("the version cannot be run: {mistake}");
            return Ok(Ran::Report(AttemptReport {
                retry: Retry::Never,
                ..AttemptReport::not_ok(AttemptOutcome::Refused, error)
            }));
        }
    };
    if let Target::Flow(steps) = &version.spec.target {
        let went = flow::advance(host, claimed, &begun.context, steps).await?;
        return Ok(match went {
            Went::On => Ran::Waits,
            Went::Ended(report) => Ran::Report(report),
        });
    }
    let run = host
        .runner
        .run(&version.spec, &version.secrets, &begun.context);
    let ran = panics::survive(run).await;
    Ok(Ran::Report(ran.unwrap_or_else(|| {
        tracing::error!(job = %begun.context.job_id, "running a job panicked");
        AttemptReport::not_ok(AttemptOutcome::Failed, "the host failed while running it")
    })))
}

/// Disables the runnable of a target that is gone, unless it is deleted.
async fn is_deleted_or_disable(host: &Inner, claimed: &ClaimedJob, report: &AttemptReport) -> bool {
    let runnable = &claimed.job.runnable_id;
    let reason = report.error.clone();
    let state = RunnableState::Disabled;
    match host.store.set_runnable_state(runnable, state, reason).await {
        Ok(true) => tracing::warn!(%runnable, "a runnable is disabled: its target is gone"),
        Ok(false) => return true,
        // Its next attempt will find the same.
        Err(error) => tracing::error!(%runnable, %error, "a runnable cannot be disabled"),
    }
    false
}

fn finished(
    host: &Inner,
    claimed: &ClaimedJob,
    started_at: Millis,
    finished_at: Millis,
    report: AttemptReport,
    next: Next,
) -> Finished {
    Finished {
        job_id: claimed.job.id.clone(),
        fence: claimed.job.fence,
        attempt: NewAttempt {
            id: AttemptId::generate(finished_at),
            number: claimed.job.attempts_made,
            host_id: host.owner.clone(),
            started_at,
            finished_at,
            outcome: report.outcome,
            exit_code: report.exit_code.map(i64::from),
            signal: report.signal.map(i64::from),
            http_status: report.http_status,
            stdout: report.stdout,
            stderr: report.stderr,
            result: report.result,
            // PostgreSQL keeps no NUL in text.
            error: report.error.map(|error| error.replace('\0', "\u{fffd}")),
        },
        next,
    }
}

/// Records the attempt (T4), for as long as it takes: what was run is not run again because the
/// database was away for a moment. Our lease may run out meanwhile; then the fence tells.
async fn record(host: &Inner, finished: Finished) {
    let job = finished.job_id.clone();
    for tried in 1.. {
        match host.store.finish_attempts(vec![finished.clone()]).await {
            Ok(held) if held == [true] => {
                match finished.next {
                    Next::Done => host.metrics.jobs_ended.increment("done"),
                    Next::Dead => {
                        host.metrics.jobs_ended.increment("dead");
                        host.failures_wake.notify_one();
                    }
                    Next::Retry { .. } | Next::Again { .. } => return,
                }
                host.ends.tell(&job, || ended(finished));
                return;
            }
            Ok(_) => {
                tracing::warn!(%job, "an attempt came home too late: its job is no longer ours");
                return;
            }
            Err(error) if error.is_unavailable() && !host.is_killed() => {
                tracing::warn!(%job, tried, %error, "an attempt cannot be recorded yet");
                tokio::time::sleep(RECORD.delay(tried, random_fraction())).await;
            }
            Err(error) => {
                // Its lease runs out, and it is run again.
                tracing::error!(%job, %error, "an attempt cannot be recorded");
                return;
            }
        }
    }
}

fn ended(finished: Finished) -> Ended {
    let attempt = finished.attempt;
    match finished.next {
        Next::Done => Ended {
            state: JobState::Done,
            result: attempt.result,
            error: attempt.error,
        },
        _ => Ended {
            state: JobState::Dead,
            result: None,
            error: attempt.error,
        },
    }
}

async fn give_back(host: &Inner, claimed: &ClaimedJob, error: &StoreError) {
    let job = &claimed.job;
    tracing::warn!(job = %job.id, %error, "a job cannot be begun and is given back");
    let due_at = host.clock.now().plus(GIVEN_BACK);
    let released = host
        .store
        .release_jobs(vec![(job.id.clone(), job.fence)], due_at)
        .await;
    if let Err(error) = released {
        tracing::warn!(job = %job.id, %error, "a job cannot be given back; its lease runs out instead");
    }
}
