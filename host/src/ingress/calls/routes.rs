//! The paths that runnables are called at, and what they are made of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request as HttpRequest, Response, StatusCode, header};
use axum::routing::{MethodRouter, any, get, post};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::caller::Address;
use super::custom::{self, Table};
use super::keep::Made;
use super::named::Named;
use super::refusal::Refusal;
use super::uploads::Uploads;
use super::{finished, handshake, reply};
use crate::clock::{Clock, random};
use crate::ingress::body::Budget;
use crate::jobs::Executor;
use crate::metrics::Metrics;
use crate::model::{CallKind, Callee};
use crate::plugins::Registry;
use crate::store::Store;
use crate::tokens::Tokens;

/// So many rows for refused calls may wait to be written.
const REFUSED_ROWS_MAX: usize = 64;
/// So many callers wait for their jobs at once.
const WAITING_MAX: usize = 4096;
/// So many requests that name no route are read to their end at once.
const STRANGERS_MAX: usize = 64;
/// The methods of a synchronous call.
const WITH_GET: &str = "GET, POST, OPTIONS";
/// The bodies that are held at once have so many bytes together.
const BODIES_MAX: usize = 256 << 20;

/// What [`Calls`] are made of.
pub struct Parts {
    /// Where jobs are kept.
    pub store: Store,
    /// Who calls.
    pub tokens: Arc<Tokens>,
    /// Runs what somebody waits for, and tells of its end.
    pub executor: Executor,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Told after each commit with a job that is ready.
    pub jobs_wake: Arc<Notify>,
    /// Where the files of calls lie.
    pub uploads: Uploads,
    /// The largest body, in bytes.
    pub body_max: usize,
    /// A sender has this long for a body.
    pub read_timeout: Duration,
    /// A caller waits at most this long.
    pub wait_max: Duration,
    /// Headers that every call hands over.
    pub include_headers: Vec<String>,
    /// More requests read at once are answered 503.
    pub in_flight_max: usize,
    /// Providers that know the callers of routes.
    pub registry: Registry,
    /// How callers reach this host, without a slash at its end.
    pub public_url: String,
}

/// What calls need.
pub struct Calls {
    pub(super) parts: Parts,
    pub(super) places: Semaphore,
    pub(super) waiting: Semaphore,
    pub(super) refused_rows: Arc<Semaphore>,
    pub(super) budget: Budget,
    pub(super) custom: Table,
    pub(super) strangers: Semaphore,
    /// What those are read with who name no route.
    pub(super) decoy: [u8; 32],
}

impl Calls {
    /// Of these parts.
    pub fn new(parts: Parts) -> Calls {
        let mut decoy = [0; 32];
        random(&mut decoy);
        Calls {
            places: Semaphore::new(parts.in_flight_max),
            waiting: Semaphore::new(WAITING_MAX),
            refused_rows: Arc::new(Semaphore::new(REFUSED_ROWS_MAX)),
            budget: Budget::of(BODIES_MAX),
            custom: Table::new(parts.public_url.clone()),
            strangers: Semaphore::new(STRANGERS_MAX),
            decoy,
            parts,
        }
    }

    /// Routes may have been changed: none is served as it was.
    pub fn forget_routes(&self) {
        self.custom.forget();
    }
}

/// Whether the caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Async,
    Sync,
}

impl How {
    /// What a call that went well is answered, as far as it is known when it is kept.
    pub(super) fn status(self) -> StatusCode {
        match self {
            How::Async => StatusCode::CREATED,
            How::Sync => StatusCode::OK,
        }
    }
}

/// The routes of the calls.
pub fn router(calls: Arc<Calls>) -> Router {
    let open = |methods: MethodRouter<Arc<Calls>>| {
        methods
            .options(handshake::answer)
            .fallback(async || not_allowed("POST, OPTIONS"))
    };
    // A look changes nothing, and a call does: HEAD is no GET here.
    let open_to_get = |methods: MethodRouter<Arc<Calls>>| {
        methods
            .options(handshake::answer)
            .head(async || not_allowed(WITH_GET))
            .fallback(async || not_allowed(WITH_GET))
    };
    let shown =
        |methods: MethodRouter<Arc<Calls>>| methods.fallback(async || not_allowed("GET, HEAD"));
    Router::new()
        .route(
            "/api/w/{workspace}/jobs/run/p/{*path}",
            open(post(run_path)),
        )
        .route("/api/w/{workspace}/jobs/run/h/{hash}", open(post(run_hash)))
        .route(
            "/api/w/{workspace}/jobs/run/f/{*path}",
            open(post(run_flow)),
        )
        .route(
            "/api/w/{workspace}/jobs/run_wait_result/p/{*path}",
            open_to_get(post(wait_path).get(wait_path_get)),
        )
        .route(
            "/api/w/{workspace}/jobs/run_wait_result/h/{hash}",
            open_to_get(post(wait_hash).get(wait_hash_get)),
        )
        .route(
            "/api/w/{workspace}/jobs/run_wait_result/f/{*path}",
            open_to_get(post(wait_flow).get(wait_flow_get)),
        )
        .route(
            "/api/w/{workspace}/jobs_u/get/{id}",
            shown(get(finished::show)),
        )
        .route(
            "/api/w/{workspace}/jobs_u/completed/get_result/{id}",
            shown(get(finished::result)),
        )
        .route(
            "/api/w/{workspace}/jobs_u/completed/get_result_maybe/{id}",
            shown(get(finished::result_maybe)),
        )
        .route("/hooks/{*path}", any(custom::serve::receive))
        .with_state(calls)
}

macro_rules! handlers {
    ($($(#[$doc:meta])* $name:ident $method:ident $path:literal $param:literal $how:ident $kind:ident $callee:ident $status:literal;)*) => {$(
        $(#[$doc])*
        #[utoipa::path($method, path = $path, tag = "calls",
            params(("workspace" = String, Path), ($param = String, Path),
                ("token" = Option<String>, Query, description = "instead of the header"),
                ("include_header" = Option<String>, Query, description = "headers to hand over, separated by commas"),
                ("include_query" = Option<String>, Query, description = "arguments of the query to hand over"),
                ("wrap_body" = Option<bool>, Query, description = "hands an object over as `body`"),
                ("raw" = Option<bool>, Query, description = "hands the body over as it was sent too"),
                ("job_id" = Option<String>, Query, description = "the same gives the same job for 24 hours"),
                ("payload" = Option<String>, Query, description = "of a GET: base64 of JSON"),
                ("timeout" = Option<String>, Query, description = "of a synchronous call: seconds"),
                ("error_status" = Option<u16>, Query, description = "for a job that failed, instead of 500"),
                ("cancel_on_disconnect" = Option<bool>, Query, description = "cancels the job of a caller who hangs up")),
            responses((status = $status, description = "the job's id, or its result")))]
        pub(super) async fn $name(
            State(calls): State<Arc<Calls>>,
            Named(workspace, named): Named,
            request: HttpRequest<Body>,
        ) -> Response<Body> {
            let address = Address {
                kind: CallKind::$kind,
                workspace: &workspace,
                callee: Callee::$callee(&named),
            };
            calls.answer(How::$how, address, request).await
        }
    )*};
}

handlers! {
    /// Runs the latest version at a path; answers with the job's id at once.
    run_path post "/api/w/{workspace}/jobs/run/p/{path}" "path" Async Runnable Path 201;
    /// Runs a fixed version; answers with the job's id at once.
    run_hash post "/api/w/{workspace}/jobs/run/h/{hash}" "hash" Async Runnable Version 201;
    /// Runs a flow; answers with the job's id at once.
    run_flow post "/api/w/{workspace}/jobs/run/f/{path}" "path" Async Flow Path 201;
    /// Runs the latest version at a path and answers with its result.
    wait_path post "/api/w/{workspace}/jobs/run_wait_result/p/{path}" "path" Sync Runnable Path 200;
    /// Runs a fixed version and answers with its result.
    wait_hash post "/api/w/{workspace}/jobs/run_wait_result/h/{hash}" "hash" Sync Runnable Version 200;
    /// Runs a flow and answers with its result.
    wait_flow post "/api/w/{workspace}/jobs/run_wait_result/f/{path}" "path" Sync Flow Path 200;
    /// The same with arguments in the query.
    wait_path_get get "/api/w/{workspace}/jobs/run_wait_result/p/{path}" "path" Sync Runnable Path 200;
    /// The same with arguments in the query.
    wait_hash_get get "/api/w/{workspace}/jobs/run_wait_result/h/{hash}" "hash" Sync Runnable Version 200;
    /// The same with arguments in the query.
    wait_flow_get get "/api/w/{workspace}/jobs/run_wait_result/f/{path}" "path" Sync Flow Path 200;
}

/// `allowed` as `Allow` lists them.
fn not_allowed(allowed: &'static str) -> Response<Body> {
    let detail = "this path does not take this method";
    let refusal = Refusal::of(StatusCode::METHOD_NOT_ALLOWED, detail)
        .at("method")
        .cut_off();
    let mut response = refusal.into_response();
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

impl Calls {
    async fn answer(
        self: Arc<Self>,
        how: How,
        address: Address<'_>,
        request: HttpRequest<Body>,
    ) -> Response<Body> {
        let started = Instant::now();
        let answered = match how {
            How::Async => self.answer_at_once(&address, request).await,
            How::Sync => self.answer_with_result(&address, request).await,
        };
        self.counted(started, answered)
    }

    /// Counts an answer, and how long it took.
    pub(super) fn counted(
        &self,
        started: Instant,
        answered: Result<Response<Body>, Refusal>,
    ) -> Response<Body> {
        let metrics = &self.parts.metrics;
        metrics.call_latency.observe(started.elapsed());
        answered.unwrap_or_else(|refusal| {
            self.count_refusal(&refusal);
            refusal.into_response()
        })
    }

    pub(super) fn count_refusal(&self, refusal: &Refusal) {
        let metrics = &self.parts.metrics;
        metrics.calls.increment(match refusal.status.as_u16() {
            401 => "unauthenticated",
            413 => "too_large",
            503 => "unavailable",
            504 => "too_late",
            _ => "refused",
        });
    }

    async fn answer_at_once(
        self: &Arc<Self>,
        address: &Address<'_>,
        request: HttpRequest<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let made = self.take(How::Async, address, request).await?;
        if let Err(refusal) = self.check_kept(&made) {
            let reason = Some(refusal.detail.clone());
            self.note_status(&made, refusal.status, reason);
            return Err(refusal);
        }
        Ok(Calls::answer_ids(&made))
    }

    /// 201 and the ids of the jobs.
    pub(super) fn answer_ids(made: &Made) -> Response<Body> {
        let ids: Vec<&str> = made.jobs.iter().map(|job| job.as_str()).collect();
        let (kind, body) = match (made.is_batch, ids.as_slice()) {
            (false, [id]) => ("text/plain; charset=utf-8", (*id).to_owned()),
            _ => ("application/json", serde_json::json!(ids).to_string()),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::CREATED;
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    async fn answer_with_result(
        self: &Arc<Self>,
        address: &Address<'_>,
        request: HttpRequest<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let _waits = self.wait_place()?;
        let mut made = self.take(How::Sync, address, request).await?;
        self.answer_made(&mut made).await
    }

    /// A place among those who wait.
    pub(super) fn wait_place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let place = self.waiting.try_acquire();
        place.map_err(|_| {
            let refusal = Refusal::unavailable("too many callers wait for their jobs");
            refusal.cut_off()
        })
    }

    /// Waits for jobs that were made, and answers with their results.
    pub(super) async fn answer_made(
        self: &Arc<Self>,
        made: &mut Made,
    ) -> Result<Response<Body>, Refusal> {
        let answered = self.result_of(made).await;
        let (status, reason) = match &answered {
            Ok(response) => (response.status(), None),
            Err(refusal) => (refusal.status, Some(refusal.detail.clone())),
        };
        if status != How::Sync.status() {
            self.note_status(made, status, reason);
        }
        self.wipe(made);
        answered
    }

    async fn result_of(self: &Arc<Self>, made: &mut Made) -> Result<Response<Body>, Refusal> {
        self.check_kept(made)?;
        let ended = self.wait(made).await?;
        if made.is_repeated && made.is_wiped {
            self.check_not_wiped(made).await?;
        }
        let error_status = made.options.error_status;
        match (made.is_batch, ended.as_slice(), made.jobs.as_slice()) {
            (false, [ended], [job]) => reply::of_ended(ended, job.as_str(), error_status),
            (_, ended, jobs) => {
                let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
                Ok(reply::of_batch(ended, &jobs, error_status))
            }
        }
    }

    /// The row says 200, as most are answered; for the others it is put right after the answer.
    fn note_status(&self, made: &Made, status: StatusCode, reason: Option<String>) {
        let (store, id) = (self.parts.store.clone(), made.request_id.clone());
        let workspace = made.workspace_id.clone();
        tokio::spawn(async move {
            let noted = store
                .note_call_status(&workspace, &id, status.as_u16(), reason)
                .await;
            if let Err(error) = noted {
                tracing::debug!(%error, "how a call was answered was not noted");
            }
        });
    }
}
