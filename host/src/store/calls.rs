//! Calls of runnables: a request of the log, its key and its jobs, in one commit with all others that
//! wait.
//!
//! Whose a key is, `call_keys.rs` says. A call that is repeated finds itself as the owner and its rows
//! in place, so nothing happens twice.

use tokio::sync::oneshot;

use super::body::Stored;
use super::call_keys::{Key, settle_keys};
use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::Statement;
use super::writer::{Write, Written};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{JobId, RequestId, TokenId, WorkspaceId};
use crate::model::{
    CallJob, CallKey, CallLease, CallRequest, Called, JobState, NewCall, NewJob, RequestOutcome,
};

impl Store {
    /// Keeps a call and makes its jobs; resolves after the commit is synced. Repeating it is harmless.
    pub async fn call(&self, call: NewCall) -> Result<Called, StoreError> {
        self.call_packed(PackedCall::pack(call).await).await
    }

    /// The same, and tells when it is committed but not yet synced, unless its key was seen before: what
    /// the call asked for may be begun then. Nothing may be answered before all of it is kept, and the
    /// sync waits a little for the commit of what was begun, which it can be shared with.
    pub async fn call_and_begin(
        &self,
        call: NewCall,
        begun: oneshot::Sender<()>,
    ) -> Result<Called, StoreError> {
        let mut packed = PackedCall::pack(call).await;
        packed.begun = Some(begun);
        self.call_packed(packed).await
    }

    async fn call_packed(&self, packed: PackedCall) -> Result<Called, StoreError> {
        let packed = Box::new(packed);
        match self
            .writer
            .write("call a runnable", Write::Call(packed))
            .await?
        {
            Written::Call(called) => Ok(called),
            _ => unreachable!("invariant: a call is answered with `Called`"),
        }
    }

    /// A call was answered otherwise than its row says.
    pub async fn note_call_status(
        &self,
        workspace: &WorkspaceId,
        id: &RequestId,
        status: u16,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "note how a call was answered",
            "update requests set status = $1, reason = $2 where workspace_id = $3 and id = $4",
        )
        .bind(status)
        .bind(reason)
        .bind(workspace)
        .bind(id)
        .run(&mut connection)
        .await
        .map(|_| ())
    }
}

/// A call with its bytes as they are stored.
pub(super) struct PackedCall {
    workspace_id: WorkspaceId,
    request: Option<CallRequest>,
    pub(super) key: Option<CallKey>,
    /// What its key stands for if nobody used it before: ids, separated by spaces.
    pub(super) ids: String,
    jobs: Vec<PackedCallJob>,
    pub(super) token_id: Option<TokenId>,
    /// Who begins what it asked for.
    begun: Option<oneshot::Sender<()>>,
}

struct PackedCallJob {
    job: NewJob,
    arguments: Stored,
    lease: Option<CallLease>,
    is_wiped: bool,
}

impl PackedCall {
    async fn pack(call: NewCall) -> PackedCall {
        let mut jobs = Vec::with_capacity(call.jobs.len());
        for CallJob {
            mut job,
            lease,
            is_wiped,
        } in call.jobs
        {
            jobs.push(PackedCallJob {
                arguments: Stored::pack(job.arguments.take()).await,
                job,
                lease,
                is_wiped,
            });
        }
        let named = call.key.iter().flat_map(|key| &key.jobs);
        let ids: Vec<&str> = named.map(JobId::as_str).collect();
        PackedCall {
            ids: ids.join(" "),
            workspace_id: call.workspace_id,
            request: call.request,
            key: call.key,
            jobs,
            token_id: call.token_id,
            begun: None,
        }
    }

    /// Whether what it asks for may begin before it is synced.
    pub(super) fn begins(&self) -> bool {
        self.begun.is_some()
    }

    /// It is committed, if not synced; whether what it asked for is begun now.
    pub(super) fn tell_begun(&mut self, called: &Called) -> bool {
        match (self.begun.take(), called) {
            // Who does not wait any more begins nothing.
            (Some(begun), Called::Made) => begun.send(()).is_ok(),
            _ => false,
        }
    }

    pub(super) fn size(&self) -> usize {
        let arguments: usize = self.jobs.iter().map(|job| job.arguments.len() + 512).sum();
        let request = self.request.as_ref();
        arguments + request.map_or(0, |row| row.headers.len() + row.query.len())
    }

    pub(super) fn key(&self) -> Option<Key<'_>> {
        let key = self.key.as_ref()?;
        Some((
            self.workspace_id.as_str(),
            &key.key,
            key.runnable_id.as_str(),
        ))
    }
}

/// Inserts the rows; one answer for each call, in their order.
pub(super) async fn insert(
    connection: &mut impl Connection,
    backend: Backend,
    calls: &[&PackedCall],
    now: Millis,
) -> Result<Vec<Called>, StoreError> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let called = settle_keys(connection, backend, calls, now).await?;
    let rows: Vec<(&PackedCall, &Called)> = calls.iter().copied().zip(&called).collect();
    insert_requests(connection, backend, &rows).await?;
    let made = rows.iter().filter(|(_, called)| **called == Called::Made);
    let jobs: Vec<(&PackedCall, &PackedCallJob)> = made
        .flat_map(|(call, _)| call.jobs.iter().map(|job| (*call, job)))
        .collect();
    insert_jobs(connection, backend, &jobs).await?;
    insert_wipes(connection, backend, &jobs).await?;
    Ok(called)
}

static INSERT_REQUESTS: ManyRows = ManyRows::new(
    "insert into requests (id, workspace_id, subscription_id, provider, method, path, query, \
     headers, encoding, body_size, received_at, outcome, status, reason, delivery_id, events, \
     runnable_id, job_id) values ",
    "(?, ?, '', 'webhook', ?, ?, ?, ?, 'plain', ?, ?, ?, ?, ?, ?, 0, ?, ?)",
    " on conflict (workspace_id, id) do nothing",
);

async fn insert_requests(
    connection: &mut impl Connection,
    backend: Backend,
    rows: &[(&PackedCall, &Called)],
) -> Result<(), StoreError> {
    let rows: Vec<(&PackedCall, &CallRequest, &Called)> = rows
        .iter()
        // Who is refused is logged as such by its caller.
        .filter(|(_, called)| **called != Called::Taken)
        .filter_map(|(call, called)| Some((*call, call.request.as_ref()?, *called)))
        .collect();
    for chunk in chunks(&rows) {
        let mut insert = Statement::composed(
            "insert the requests of calls",
            INSERT_REQUESTS.text(backend, chunk.len()),
        );
        for (call, request, called) in chunk {
            let (outcome, job) = match called {
                Called::Made => (request.outcome, call.jobs.first().map(|job| &job.job.id)),
                Called::Again { jobs } | Called::Gone { jobs } => {
                    (RequestOutcome::Duplicate, jobs.first())
                }
                // Left out above.
                Called::Taken => (RequestOutcome::Refused, None),
            };
            insert.push(&request.id);
            insert.push(&request.workspace_id);
            insert.push(&request.method);
            insert.push(&request.path);
            insert.push(&request.query);
            insert.push(&request.headers);
            insert.push(i64::try_from(request.body_size).unwrap_or(i64::MAX));
            insert.push(request.received_at);
            insert.push(outcome);
            insert.push(request.status);
            insert.push(&request.reason);
            insert.push(call.key.as_ref().map(|key| key.key.as_str()));
            insert.push(&request.runnable_id);
            insert.push(job);
        }
        insert.run(connection).await?;
    }
    Ok(())
}

static INSERT_JOBS: ManyRows = ManyRows::new(
    "insert into jobs (id, workspace_id, cause, runnable_id, version_id, arguments, encoding, \
     state, attempts_made, attempts_max, due_at, lease_owner, lease_expires_at, fence, created_at, \
     started_at, token_id) values ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " on conflict (id) do nothing",
);

async fn insert_jobs(
    connection: &mut impl Connection,
    backend: Backend,
    jobs: &[(&PackedCall, &PackedCallJob)],
) -> Result<(), StoreError> {
    for chunk in chunks(jobs) {
        let mut insert = Statement::composed(
            "insert the jobs of calls",
            INSERT_JOBS.text(backend, chunk.len()),
        );
        for (
            call,
            PackedCallJob {
                job,
                arguments,
                lease,
                ..
            },
        ) in chunk
        {
            insert.push(&job.id);
            insert.push(&job.workspace_id);
            insert.push(job.cause);
            insert.push(&job.runnable_id);
            insert.push(&job.version_id);
            insert.push(arguments.bytes.clone());
            insert.push(arguments.encoding);
            insert.push(match lease {
                Some(_) => JobState::Running,
                None => JobState::Ready,
            });
            insert.push(i64::from(lease.is_some()));
            insert.push(job.attempts_max);
            insert.push(job.due_at);
            insert.push(lease.as_ref().map(|lease| &lease.owner));
            insert.push(lease.as_ref().map(|lease| lease.expires_at));
            insert.push(i64::from(lease.is_some()));
            insert.push(job.created_at);
            insert.push(lease.as_ref().map(|_| job.created_at));
            insert.push(&call.token_id);
        }
        insert.run(connection).await?;
    }
    Ok(())
}

static INSERT_WIPES: ManyRows = ManyRows::new(
    "insert into job_wipes (job_id) values ",
    "(?)",
    " on conflict (job_id) do nothing",
);

async fn insert_wipes(
    connection: &mut impl Connection,
    backend: Backend,
    jobs: &[(&PackedCall, &PackedCallJob)],
) -> Result<(), StoreError> {
    let wiped: Vec<&JobId> = jobs
        .iter()
        .filter(|(_, job)| job.is_wiped)
        .map(|(_, job)| &job.job.id)
        .collect();
    for chunk in chunks(&wiped) {
        let text = INSERT_WIPES.text(backend, chunk.len());
        let mut insert = Statement::composed("note jobs to be wiped", text);
        for job in chunk {
            insert.push(*job);
        }
        insert.run(connection).await?;
    }
    Ok(())
}
