//! What became of a job, for who called: `jobs_u/get`, `get_result`, `get_result_maybe`.
//!
//! A user's token sees the jobs of its workspace; a token for one runnable those it made itself. A
//! job is named by its id, or by the key its caller gave it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::caller::{forbidden, no_workspace, token_of};
use super::named::Named;
use super::refusal::Refusal;
use super::reply;
use super::routes::Calls;
use crate::id::JobId;
use crate::jobs::Ended;
use crate::model::{Job, JobState, RunnableKind, Scope, Workspace};

// Written straight away, never built: what was kept may be nested as deeply as can be read.

#[derive(Serialize)]
struct Shown<'j> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'j JobId,
    workspace_id: &'j str,
    state: JobState,
    running: bool,
    success: Option<bool>,
    canceled: bool,
    job_kind: &'static str,
    script_path: Option<String>,
    script_hash: Option<String>,
    args: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    attempts: u32,
    created_at: String,
    started_at: Option<String>,
    duration_ms: Option<u64>,
}

#[derive(Serialize)]
struct Maybe {
    completed: bool,
    success: Option<bool>,
    started: bool,
    result: Option<Box<RawValue>>,
}

/// A job, in the words that its callers know.
#[utoipa::path(get, path = "/api/w/{workspace}/jobs_u/get/{id}", tag = "calls",
    params(("workspace" = String, Path), ("id" = String, Path),
        ("token" = Option<String>, Query, description = "instead of the header")),
    responses((status = 200, description = "the job")))]
pub(super) async fn show(
    State(calls): State<Arc<Calls>>,
    Named(workspace, named): Named,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let shown = async {
        let (workspace, job) = calls.find_job(&headers, &uri, &workspace, &named).await?;
        calls.shown(&workspace, &job).await
    };
    answer(shown.await)
}

/// The result of a job that ended; 404 before.
#[utoipa::path(get, path = "/api/w/{workspace}/jobs_u/completed/get_result/{id}", tag = "calls",
    params(("workspace" = String, Path), ("id" = String, Path),
        ("token" = Option<String>, Query, description = "instead of the header")),
    responses((status = 200, description = "the result, or why there is none")))]
pub(super) async fn result(
    State(calls): State<Arc<Calls>>,
    Named(workspace, named): Named,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let result = async {
        let (_, job) = calls.find_job(&headers, &uri, &workspace, &named).await?;
        if !job.state.is_final() {
            let detail = format!("the job has not ended: it is {}", job.state);
            return Err(Refusal::of(StatusCode::NOT_FOUND, detail).at("id"));
        }
        Ok(result_of(&job))
    };
    answer(result.await)
}

/// Whether a job ended, and its result if it did.
#[utoipa::path(get, path = "/api/w/{workspace}/jobs_u/completed/get_result_maybe/{id}", tag = "calls",
    params(("workspace" = String, Path), ("id" = String, Path),
        ("token" = Option<String>, Query, description = "instead of the header")),
    responses((status = 200, description = "`completed`, `success` and `result`")))]
pub(super) async fn result_maybe(
    State(calls): State<Arc<Calls>>,
    Named(workspace, named): Named,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let maybe = async {
        let (_, job) = calls.find_job(&headers, &uri, &workspace, &named).await?;
        let is_final = job.state.is_final();
        let result = is_final.then(|| result_of(&job));
        Ok(raw(&Maybe {
            completed: is_final,
            success: is_final.then_some(job.state == JobState::Done),
            started: job.started_at.is_some(),
            result,
        }))
    };
    answer(maybe.await)
}

impl Calls {
    async fn find_job(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        workspace: &str,
        named: &str,
    ) -> Result<(Workspace, Job), Refusal> {
        let (token, _) = token_of(headers, uri.query().unwrap_or_default())?;
        let (store, tokens) = (&self.parts.store, &self.parts.tokens);
        let caller = tokens.recognise(token.expose()).await?;
        let caller = caller.ok_or_else(Refusal::unauthenticated)?;
        let found = store.workspace_by_name(workspace).await?;
        let found = found.filter(|found| caller.reaches(&found.id));
        let found = found.ok_or_else(|| no_workspace(workspace))?;
        let may_see = caller.may(Scope::Read) || caller.may(Scope::Run);
        if !may_see && caller.runs.is_none() {
            let detail = "this needs a token with scope `read` or `run`";
            return Err(forbidden(detail));
        }
        let missing = || {
            let detail = format!("there is no job `{named}` in this workspace");
            Refusal::of(StatusCode::NOT_FOUND, detail).at("id")
        };
        let id = match named.parse::<JobId>() {
            Ok(id) => id,
            Err(_) => {
                let now = self.parts.clock.now();
                let job = store.job_of_key(&found.id, named, now).await?;
                job.ok_or_else(missing)?
            }
        };
        if !may_see {
            let made_by = store.job_caller(&found.id, &id).await?;
            if made_by.as_ref() != Some(&caller.token_id) {
                return Err(missing());
            }
        }
        let job = store.job(&found.id, &id).await?.ok_or_else(missing)?;
        Ok((found, job))
    }

    async fn shown(&self, workspace: &Workspace, job: &Job) -> Result<Box<RawValue>, Refusal> {
        let store = &self.parts.store;
        let runnable = store.runnable(&workspace.id, &job.runnable_id).await?;
        let version = store.runnable_version(&job.version_id).await?;
        let arguments = store.job_arguments(&job.id).await?;
        let arguments =
            arguments.and_then(|bytes| serde_json::from_slice::<Box<RawValue>>(&bytes).ok());
        let is_final = job.state.is_final();
        let took = job.started_at.zip(job.finished_at);
        Ok(raw(&Shown {
            kind: if is_final {
                "CompletedJob"
            } else {
                "QueuedJob"
            },
            id: &job.id,
            workspace_id: &workspace.name,
            state: job.state,
            running: job.state == JobState::Running,
            success: is_final.then_some(job.state == JobState::Done),
            canceled: job.state == JobState::Cancelled,
            job_kind: match version.as_ref().map(|version| version.kind) {
                Some(RunnableKind::Flow) => "flow",
                _ => "script",
            },
            script_path: runnable.map(|runnable| runnable.path),
            script_hash: version.map(|version| version.hash),
            args: arguments,
            result: is_final.then(|| result_of(job)),
            attempts: job.attempts_made,
            created_at: job.created_at.to_string(),
            started_at: job.started_at.map(|at| at.to_string()),
            duration_ms: took.map(|(from, to)| to.since(from).as_millis() as u64),
        }))
    }
}

fn result_of(job: &Job) -> Box<RawValue> {
    let ended = Ended {
        state: job.state,
        result: job.result.clone(),
        error: job.error.clone(),
    };
    reply::result_of(&ended, job.id.as_str())
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("invariant: names and values that are JSON are JSON")
}

fn answer(shown: Result<Box<RawValue>, Refusal>) -> Response<Body> {
    match shown {
        Ok(json) => {
            let mut response = Response::new(Body::from(json.get().to_owned()));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}
