//! One call, from its head to its committed jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request as HttpRequest, StatusCode};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::caller::{Address, Found};
use super::content::{self, Sent};
use super::logged;
use super::options::{self, Options};
use super::refusal::Refusal;
use super::routes::{Calls, How};
use super::uploads::Kept;
use crate::clock::Millis;
use crate::id::{JobId, RequestId, TokenId, VersionId, WorkspaceId};
use crate::ingress::body::{self, Reading};
use crate::jobs::{Hold, Waiter};
use crate::model::{
    CallJob, CallKey, CallRequest, Called, CalledVersion, ClaimedJob, Job, JobCause, JobState,
    NewCall, NewJob, RequestOutcome, Runnable, RunnableState,
};
use crate::runnables::RunPolicy;

/// For so long a key gives the same job.
const KEY_WINDOW: Duration = Duration::from_secs(24 * 3600);
const IDEMPOTENCY_KEY: &str = "idempotency-key";

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
    pub(super) is_wiped: bool,
    pub(super) options: Asked,
}

/// What of the query is for the answer.
pub(super) struct Asked {
    pub(super) timeout: Option<Duration>,
    pub(super) error_status: Option<u16>,
    pub(super) cancel_on_disconnect: bool,
}

/// What is to be committed.
struct Order {
    request: CallRequest,
    key: Option<CallKey>,
    token_id: TokenId,
    runnable: Runnable,
    version_id: VersionId,
    policy: RunPolicy,
    arguments: Vec<Bytes>,
    jobs: Vec<JobId>,
    files: Option<Kept>,
    how: How,
}

impl Calls {
    /// Reads the call and makes its jobs. A refusal that the caller may know of stands in the log.
    pub(super) async fn take(
        self: &Arc<Self>,
        how: How,
        address: &Address<'_>,
        request: HttpRequest<Body>,
    ) -> Result<Made, Refusal> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let found = self.find(&parts.headers, query, address).await?;
        let now = self.parts.clock.now();
        let mut row = CallRequest {
            id: RequestId::generate(now),
            workspace_id: found.workspace.id.clone(),
            runnable_id: None,
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: options::logged(query),
            headers: logged::headers(&parts.headers),
            body_size: 0,
            received_at: now,
            outcome: RequestOutcome::Accepted,
            status: how.status().as_u16(),
            reason: None,
        };
        let incoming = Incoming {
            method: &parts.method,
            headers: parts.headers,
            query,
            body,
        };
        let made = self.read_and_make(how, found, incoming, &mut row).await;
        made.inspect_err(|refusal| self.log_refused(row, refusal))
    }

    async fn read_and_make(
        self: &Arc<Self>,
        how: How,
        found: Found,
        incoming: Incoming<'_>,
        row: &mut CallRequest,
    ) -> Result<Made, Refusal> {
        let CalledVersion {
            runnable,
            version_id,
            ..
        } = found.runnable?;
        row.runnable_id = Some(runnable.id.clone());
        let read_policy = self.parts.executor.policy(&version_id).await?;
        // A version that does not read fails at its attempt, where that is said.
        let policy = read_policy.unwrap_or(RunPolicy {
            retry: crate::backoff::RetryPolicy::default(),
            concurrency: 1,
            delete_after_use: false,
        });
        let is_wiped = how == How::Sync && policy.delete_after_use;
        if is_wiped {
            // The log of requests is not to keep what the job does not.
            (row.query, row.headers) = (String::new(), "[]".to_owned());
        }
        if how == How::Sync && runnable.state == RunnableState::Disabled {
            let reason = runnable.state_reason.as_deref().unwrap_or("by an operator");
            let detail = format!("the runnable is disabled ({reason}), so its jobs wait");
            return Err(Refusal::of(StatusCode::CONFLICT, detail).cut_off());
        }
        let mut sent_options = Options::parse(incoming.query).map_err(Refusal::cut_off)?;
        let asked = Asked {
            timeout: sent_options.timeout,
            error_status: sent_options.error_status,
            cancel_on_disconnect: sent_options.cancel_on_disconnect,
        };
        let key = key_of(&incoming.headers, &mut sent_options).map_err(Refusal::cut_off)?;
        let Ok(place) = self.places.try_acquire() else {
            return Err(Refusal::unavailable("too many requests at once").cut_off());
        };
        let reading = Reading {
            announced: logged::announced(&incoming.headers),
            limit: self.parts.body_max,
            within: self.parts.read_timeout,
            budget: &self.budget,
        };
        let (body, held) = body::read(incoming.body, reading).await?;
        row.body_size = body.len() as u64;
        let read = content::read(Sent {
            is_get: *incoming.method == Method::GET,
            headers: incoming.headers,
            body,
            options: sent_options,
            always: self.parts.include_headers.clone(),
            is_token_in_header: found.is_token_in_header,
        })
        .await?;
        let now = self.parts.clock.now();
        let jobs: Vec<JobId> = read
            .arguments
            .iter()
            .map(|_| JobId::generate(now))
            .collect();
        let mut arguments = read.arguments;
        let files = match (jobs.first(), arguments.first_mut(), read.files.is_empty()) {
            (Some(job), Some(arguments), false) => {
                Some(self.parts.uploads.put(job, read.files, arguments).await?)
            }
            _ => None,
        };
        let order = Order {
            key: key.map(|key| CallKey {
                key,
                runnable_id: runnable.id.clone(),
                expires_at: now.plus(KEY_WINDOW),
            }),
            request: row.clone(),
            token_id: found.caller.token_id,
            runnable,
            version_id,
            policy,
            arguments: arguments.into_iter().map(Arguments::into_bytes).collect(),
            jobs,
            files,
            how,
        };
        drop((place, held));
        let mut made = self.make(order, now, &asked).await?;
        made.is_batch = read.is_batch;
        made.is_wiped = is_wiped;
        made.options = asked;
        Ok(made)
    }

    /// Commits, and starts or wakes. It goes on if the caller hangs up: what is committed is begun.
    async fn make(
        self: &Arc<Self>,
        order: Order,
        now: Millis,
        asked: &Asked,
    ) -> Result<Made, Refusal> {
        let ends = self.parts.executor.ends();
        let mut waiters: Vec<Waiter> = match order.how {
            How::Sync => order.jobs.iter().map(|job| ends.wait_for(job)).collect(),
            How::Async => Vec::new(),
        };
        let (request_id, workspace_id) =
            (order.request.id.clone(), order.request.workspace_id.clone());
        let jobs = order.jobs.clone();
        // Who hangs up while the commit is under way wants its jobs cancelled after it.
        let settled = CancellationToken::new();
        let guard = (order.how == How::Sync && asked.cancel_on_disconnect)
            .then(|| self.cancel_when_dropped(&workspace_id, &jobs, &settled));
        let calls = Arc::clone(self);
        let committing = tokio::spawn(async move {
            let called = calls.commit(order, now).await;
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
        let (jobs, is_repeated) = match called? {
            Called::Made => (jobs, false),
            Called::Again { jobs } => {
                if !waiters.is_empty() {
                    waiters = jobs.iter().map(|job| ends.wait_for(job)).collect();
                }
                (jobs, true)
            }
        };
        Ok(Made {
            request_id,
            workspace_id,
            jobs,
            waiters,
            is_batch: false,
            is_repeated,
            is_wiped: false,
            options: Asked {
                timeout: None,
                error_status: None,
                cancel_on_disconnect: false,
            },
        })
    }

    async fn commit(&self, order: Order, now: Millis) -> Result<Called, Refusal> {
        // Somebody waits for it: begun in the same commit, if there is a place.
        let is_alone = order.jobs.len() == 1 && order.runnable.state == RunnableState::Enabled;
        let hold = (order.how == How::Sync && is_alone)
            .then(|| self.parts.executor.hold(&order.runnable.id, &order.policy))
            .flatten();
        let lease = hold.as_ref().map(Hold::lease);
        let is_wiped = order.how == How::Sync && order.policy.delete_after_use;
        let jobs: Vec<CallJob> = order
            .jobs
            .iter()
            .zip(&order.arguments)
            .map(|(id, arguments)| CallJob {
                job: NewJob {
                    id: id.clone(),
                    workspace_id: order.request.workspace_id.clone(),
                    cause: JobCause::Webhook,
                    event_id: None,
                    trigger_id: None,
                    runnable_id: order.runnable.id.clone(),
                    version_id: order.version_id.clone(),
                    arguments: Some(arguments.clone()),
                    attempts_max: order.policy.retry.attempts_max,
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
        let called = self.parts.store.call(NewCall {
            request: order.request,
            key: order.key,
            jobs,
            token_id: Some(order.token_id),
        });
        let called = called.await?;
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
                None => self.parts.jobs_wake.notify_one(),
            }
        } else {
            metrics.calls.increment("duplicate");
        }
        Ok(called)
    }

    /// The row is written after the answer, as those of refused requests are.
    fn log_refused(&self, mut row: CallRequest, refusal: &Refusal) {
        row.outcome = RequestOutcome::Refused;
        row.status = refusal.status.as_u16();
        row.reason = Some(refusal.detail.clone());
        let Ok(permit) = Arc::clone(&self.refused_rows).try_acquire_owned() else {
            return;
        };
        let store = self.parts.store.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let call = NewCall {
                request: row,
                key: None,
                jobs: Vec::new(),
                token_id: None,
            };
            if let Err(error) = store.call(call).await {
                tracing::warn!(%error, "the row of a refused call could not be kept");
            }
        });
    }
}

/// A request whose head was read.
struct Incoming<'a> {
    method: &'a Method,
    headers: HeaderMap,
    query: &'a str,
    body: Body,
}

/// The header, or else `?job_id=`.
fn key_of(headers: &HeaderMap, options: &mut Options) -> Result<Option<String>, Refusal> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(options.key.take()),
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default();
            options::key(IDEMPOTENCY_KEY, text).map(Some)
        }
        (Some(_), Some(_)) => Err(Refusal::unreadable(
            IDEMPOTENCY_KEY,
            "it stands there twice",
        )),
    }
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
