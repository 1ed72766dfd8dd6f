//! From what a call hands over to its committed jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::content::Read;
use super::refusal::Refusal;
use super::routes::{Calls, How};
use super::uploads::Kept;
use crate::id::{JobId, RequestId, TokenId, VersionId, WorkspaceId};
use crate::jobs::{Hold, Waiter};
use crate::model::{
    CallJob, CallKey, CallRequest, Called, ClaimedJob, Job, JobCause, JobState, NewCall, NewJob,
    Runnable, RunnableState,
};
use crate::runnables::RunPolicy;

/// For so long a key gives the same job.
const KEY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// A call whose jobs are committed.
pub(super) struct Made {
    pub(super) request_id: RequestId,
    pub(super) workspace_id: WorkspaceId,
    pub(super) jobs: Vec<JobId>,
    /// One for each job, if the caller waits.
    pub(super) waiters: Vec<Waiter>,
    pub(super) is_batch: bool,
    /// The key was seen before: the jobs may have ended long ago.
    pub(super) is_repeated: bool,
    /// It was, and not all of them are kept any more.
    pub(super) is_gone: bool,
    pub(super) is_wiped: bool,
    pub(super) options: Asked,
}

/// What of the query is for the answer.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) timeout: Option<Duration>,
    pub(super) error_status: Option<u16>,
    pub(super) cancel_on_disconnect: bool,
}

/// What is to be run, for whom, and how it is answered.
pub(super) struct Wanted {
    pub(super) how: How,
    pub(super) runnable: Runnable,
    pub(super) version_id: VersionId,
    pub(super) policy: RunPolicy,
    /// Whose token it was; none: a route was called otherwise.
    pub(super) token_id: Option<TokenId>,
    pub(super) key: Option<Key>,
    pub(super) asked: Asked,
}

/// What marks a call, and for how long.
pub(super) struct Key {
    pub(super) text: String,
    pub(super) window: Duration,
}

/// What was read of a call, with the jobs that are to be made of it.
pub(super) struct Shaped {
    pub(super) arguments: Vec<Arguments>,
    pub(super) jobs: Vec<JobId>,
    pub(super) is_batch: bool,
    pub(super) files: Option<Kept>,
}

/// What is to be committed.
struct Order {
    workspace_id: WorkspaceId,
    request: Option<CallRequest>,
    wanted: Wanted,
    arguments: Vec<Bytes>,
    jobs: Vec<JobId>,
    files: Option<Kept>,
}

impl Wanted {
    fn is_wiped(&self) -> bool {
        self.how == How::Sync && self.policy.delete_after_use
    }
}

impl Key {
    /// A caller's own mark, which holds for a day.
    pub(super) fn of_a_day(text: String) -> Key {
        Key {
            text,
            window: KEY_WINDOW,
        }
    }
}

impl Calls {
    /// Gives each event of a call its job, and puts its files aside under the first one's name.
    pub(super) async fn shape(&self, read: Read) -> Result<Shaped, Refusal> {
        let now = self.parts.clock.now();
        let each = read.arguments.iter();
        let jobs: Vec<JobId> = each.map(|_| JobId::generate(now)).collect();
        let mut arguments = read.arguments;
        let files = match (jobs.first(), arguments.first_mut(), read.files.is_empty()) {
            (Some(job), Some(arguments), false) => {
                Some(self.parts.uploads.put(job, read.files, arguments).await?)
            }
            _ => None,
        };
        Ok(Shaped {
            arguments,
            jobs,
            is_batch: read.is_batch,
            files,
        })
    }

    /// Makes the jobs of a call, together with its row.
    pub(super) async fn keep(
        self: &Arc<Self>,
        wanted: Wanted,
        shaped: Shaped,
        row: &CallRequest,
    ) -> Result<Made, Refusal> {
        let request_id = row.id.clone();
        self.keep_with(
            wanted,
            shaped,
            Some(row.clone()),
            (request_id, &row.workspace_id),
        )
        .await
    }

    /// The same for jobs that a request has beside the one that it is about: they have no row.
    pub(super) async fn keep_beside(
        self: &Arc<Self>,
        wanted: Wanted,
        shaped: Shaped,
        row: &CallRequest,
    ) -> Result<Made, Refusal> {
        let request_id = row.id.clone();
        self.keep_with(wanted, shaped, None, (request_id, &row.workspace_id))
            .await
    }

    async fn keep_with(
        self: &Arc<Self>,
        wanted: Wanted,
        shaped: Shaped,
        request: Option<CallRequest>,
        (request_id, workspace_id): (RequestId, &WorkspaceId),
    ) -> Result<Made, Refusal> {
        let (asked, is_wiped) = (wanted.asked, wanted.is_wiped());
        let is_batch = shaped.is_batch;
        let arguments = shaped.arguments.into_iter();
        let order = Order {
            workspace_id: workspace_id.clone(),
            request,
            wanted,
            arguments: arguments.map(Arguments::into_bytes).collect(),
            jobs: shaped.jobs,
            files: shaped.files,
        };
        let (called, jobs, waiters) = self.make(order).await?;
        Ok(Made {
            request_id,
            workspace_id: workspace_id.clone(),
            jobs,
            waiters,
            is_batch,
            is_repeated: called != Called::Made,
            is_gone: matches!(called, Called::Gone { .. }),
            is_wiped,
            options: asked,
        })
    }

    /// Commits, and starts or wakes. It goes on if the caller hangs up: what is committed is begun.
    async fn make(
        self: &Arc<Self>,
        order: Order,
    ) -> Result<(Called, Vec<JobId>, Vec<Waiter>), Refusal> {
        let ends = self.parts.executor.ends();
        let how = order.wanted.how;
        let mut waiters: Vec<Waiter> = match how {
            How::Sync => order.jobs.iter().map(|job| ends.wait_for(job)).collect(),
            How::Async => Vec::new(),
        };
        let jobs = order.jobs.clone();
        // Who hangs up while the commit is under way wants its jobs cancelled after it.
        let settled = CancellationToken::new();
        let guard = (how == How::Sync && order.wanted.asked.cancel_on_disconnect)
            .then(|| self.cancel_when_dropped(&order.workspace_id, &jobs, &settled));
        let calls = Arc::clone(self);
        let committing = tokio::spawn(async move {
            let called = calls.commit(order).await;
            settled.cancel();
            called
        });
        let called = committing.await.unwrap_or_else(|_| {
            let detail = "the call failed; the server's log says more";
            Err(Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, detail))
        });
        if let Some(guard) = guard {
            guard.disarm();
        }
        let called = called?;
        let repeated = match &called {
            Called::Made => return Ok((called, jobs, waiters)),
            Called::Taken => return Err(another_key()),
            Called::Again { jobs } | Called::Gone { jobs } => jobs.clone(),
        };
        waiters = match how {
            How::Sync => repeated.iter().map(|job| ends.wait_for(job)).collect(),
            How::Async => Vec::new(),
        };
        Ok((called, repeated, waiters))
    }

    async fn commit(&self, order: Order) -> Result<Called, Refusal> {
        let now = self.parts.clock.now();
        let wanted = &order.wanted;
        // Somebody waits for it: begun in the same commit, if there is a place.
        let is_alone = order.jobs.len() == 1 && wanted.runnable.state == RunnableState::Enabled;
        let hold = (wanted.how == How::Sync && is_alone)
            .then(|| {
                self.parts
                    .executor
                    .hold(&wanted.runnable.id, &wanted.policy)
            })
            .flatten();
        let lease = hold.as_ref().map(Hold::lease);
        let is_wiped = wanted.is_wiped();
        let jobs: Vec<CallJob> = order
            .jobs
            .iter()
            .zip(&order.arguments)
            .map(|(id, arguments)| CallJob {
                job: NewJob {
                    id: id.clone(),
                    workspace_id: order.workspace_id.clone(),
                    cause: JobCause::Webhook,
                    event_id: None,
                    trigger_id: None,
                    runnable_id: wanted.runnable.id.clone(),
                    version_id: wanted.version_id.clone(),
                    arguments: Some(arguments.clone()),
                    attempts_max: wanted.policy.retry.attempts_max,
                    due_at: now,
                    created_at: now,
                },
                lease: lease.clone(),
                is_wiped,
            })
            .collect();
        let claimed = hold.map(|hold| (hold, claimed_job(&jobs[0], &order.arguments[0])));
        let made = jobs.len();
        let started = std::time::Instant::now();
        let call = NewCall {
            workspace_id: order.workspace_id,
            request: order.request,
            key: wanted.key.as_ref().map(|key| CallKey {
                key: key.text.clone(),
                runnable_id: wanted.runnable.id.clone(),
                jobs: order.jobs,
                expires_at: now.plus(key.window),
            }),
            jobs,
            token_id: wanted.token_id.clone(),
        };
        // Its job begins while the commit is synced: it is answered after the attempt's own commit,
        // whose sync holds both. A key is to be lasting first, or its job could run under two names.
        let (claimed, called) = match claimed {
            Some((hold, claimed)) if wanted.key.is_none() => {
                let (begin, is_begun) = oneshot::channel();
                let start = async {
                    // Not told: it is not committed, and the place is free again.
                    if is_begun.await.is_ok() {
                        hold.start(claimed);
                    }
                };
                let called = self.parts.store.call_and_begin(call, begin);
                (None, tokio::join!(called, start).0)
            }
            claimed => (claimed, self.parts.store.call(call).await),
        };
        let called = called?;
        let metrics = &self.parts.metrics;
        metrics.commit_latency.observe(started.elapsed());
        if called == Called::Made {
            metrics.calls.increment("accepted");
            metrics.jobs.add(JobCause::Webhook.as_str(), made as u64);
            if let Some(files) = order.files {
                files.keep();
            }
            match claimed {
                Some((hold, claimed)) => hold.start(claimed),
                None if lease.is_none() => self.parts.jobs_wake.notify_one(),
                None => {}
            }
        } else if called != Called::Taken {
            metrics.calls.increment("duplicate");
        }
        Ok(called)
    }
}

/// 409: of the call that the key stands for, whoever made another one is told nothing.
fn another_key() -> Refusal {
    let detail = "this key was used with another token: mark this call with a key of its own";
    Refusal::of(StatusCode::CONFLICT, detail).at("idempotency-key")
}

/// The job as it stands in the store after the commit.
fn claimed_job(made: &CallJob, arguments: &Bytes) -> ClaimedJob {
    let job = &made.job;
    ClaimedJob {
        job: Job {
            id: job.id.clone(),
            workspace_id: job.workspace_id.clone(),
            cause: job.cause,
            event_id: None,
            trigger_id: None,
            runnable_id: job.runnable_id.clone(),
            version_id: job.version_id.clone(),
            state: JobState::Running,
            attempts_made: 1,
            attempts_max: job.attempts_max,
            due_at: job.due_at,
            lease_owner: made.lease.as_ref().map(|lease| lease.owner.clone()),
            lease_expires_at: made.lease.as_ref().map(|lease| lease.expires_at),
            fence: 1,
            result: None,
            error: None,
            origin_job_id: None,
            step: None,
            created_at: job.created_at,
            started_at: Some(job.created_at),
            finished_at: None,
        },
        arguments: arguments.clone(),
    }
}
