//! Jobs, their attempts, and what can be done with them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::access::{InWorkspace, Named, Read, Run};
use super::audit::Deed;
use super::body::{JsonBody, QueryOf};
use super::events::shown;
use super::names::{Names, find_runnable, find_trigger, id};
use super::page::{Listed, PageParams, word};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::id::{JobId, RunnableId, VersionId};
use crate::model::{Attempt, Job, JobCause, JobFilter, NewJob, Replay, Workspace};
use crate::runnables::RunnableSpec;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    pub id: String,
    /// ready, running, waiting (a flow whose steps run), done, dead or cancelled.
    pub state: String,
    /// event, webhook, schedule, replay, test, flow (a step of one) or error (another job was given up).
    pub cause: String,
    /// The runnable's path; null if it was deleted and trimmed.
    pub runnable: Option<String>,
    /// The version it runs.
    pub version_id: String,
    /// The event's name.
    pub event: Option<String>,
    pub event_id: Option<String>,
    /// The trigger's name; null if there was none or it is deleted.
    pub trigger: Option<String>,
    /// Attempts begun, the running one included.
    pub attempts: u32,
    pub attempts_max: u32,
    /// JSON as it is, else a text.
    pub result: Value,
    pub error: Option<String>,
    /// Of a replay: the job that was run again; of an error handler's: the job that was given up.
    pub origin_job_id: Option<String>,
    /// The flow's job that it is a step of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// Which step: `fetch`, `each[3].ship`, `fetch!error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    pub created_at: String,
    /// When it is run (again), at the soonest.
    pub due_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
}

/// A job with its arguments.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobDetail {
    #[serde(flatten)]
    pub job: JobView,
    /// JSON as it is, else a text; null if they were trimmed.
    pub arguments: Value,
}

/// One execution of a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    pub id: String,
    /// Counts from 1.
    pub number: u32,
    /// ok, failed, timeout, refused, lost or cancelled.
    pub outcome: String,
    pub error: Option<String>,
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    pub http_status: Option<u16>,
    pub stdout: Option<String>,
    pub stderr: Option<String>,
    pub result: Value,
    pub started_at: String,
    pub finished_at: String,
    pub duration_ms: u64,
    pub host_id: String,
}

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobParams {
    /// ready, running, waiting, done, dead or cancelled.
    pub state: Option<String>,
    /// event, webhook, schedule, replay, test, flow or error.
    pub cause: Option<String>,
    /// The id or path of a runnable.
    pub runnable: Option<String>,
    /// The id or name of a trigger.
    pub trigger: Option<String>,
    /// The id of an event.
    pub event: Option<String>,
    /// The id of a flow's job: its steps.
    pub flow: Option<String>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// How many items at most: 1 to 1000, 50 if absent.
    pub limit: Option<u32>,
}

/// A job that is started to try a runnable.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartJob {
    /// The id or path of a runnable.
    pub runnable: String,
    /// What it is given; an empty object if absent.
    pub arguments: Option<Value>,
}

async fn view(names: &mut Names<'_>, row: Job) -> Result<JobView, Problem> {
    let event = match &row.event_id {
        Some(id) => names.event(id).await?,
        None => None,
    };
    let (flow_id, step) = match row.step {
        Some(step) => (Some(step.flow_id.to_string()), Some(step.step)),
        None => (None, None),
    };
    let trigger = match &row.trigger_id {
        Some(id) => names.trigger(id).await?,
        None => None,
    };
    Ok(JobView {
        id: row.id.to_string(),
        state: row.state.to_string(),
        cause: row.cause.to_string(),
        runnable: names.runnable(&row.runnable_id).await?,
        version_id: row.version_id.to_string(),
        event,
        event_id: row.event_id.map(|id| id.to_string()),
        trigger,
        attempts: row.attempts_made,
        attempts_max: row.attempts_max,
        result: shown(row.result),
        error: row.error,
        origin_job_id: row.origin_job_id.map(|id| id.to_string()),
        flow_id,
        step,
        created_at: time(row.created_at),
        due_at: time(row.due_at),
        started_at: row.started_at.map(time),
        finished_at: row.finished_at.map(time),
    })
}

fn attempt_view(row: Attempt) -> AttemptView {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    let took = row.finished_at.since(row.started_at);
    AttemptView {
        id: row.id.to_string(),
        number: row.number,
        outcome: row.outcome.to_string(),
        error: row.error,
        exit_code: row.exit_code,
        signal: row.signal,
        http_status: row.http_status,
        stdout: row.stdout.map(text),
        stderr: row.stderr.map(text),
        result: shown(row.result),
        started_at: time(row.started_at),
        finished_at: time(row.finished_at),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        host_id: row.host_id.to_string(),
    }
}

async fn find(state: &ApiState, workspace: &Workspace, named: &str) -> Result<Job, Problem> {
    let job_id: JobId = id("job", named)?;
    let found = state.store().job(&workspace.id, &job_id).await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no job `{named}`")))
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs", tag = "jobs",
    params(("workspace" = String, Path), JobParams),
    responses((status = 200, body = Listed<JobView>)))]
pub async fn list_jobs(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(params): QueryOf<JobParams>,
) -> Result<Json<Listed<JobView>>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let mut filter = JobFilter {
        state: word("state", params.state.as_deref())?,
        cause: word("cause", params.cause.as_deref())?,
        event_id: word("event", params.event.as_deref())?,
        flow_id: word("flow", params.flow.as_deref())?,
        ..JobFilter::default()
    };
    if let Some(named) = &params.runnable {
        filter.runnable_id = Some(find_runnable(store, workspace, named).await?.id);
    }
    if let Some(named) = &params.trigger {
        filter.trigger_id = Some(find_trigger(store, workspace, named).await?.id);
    }
    let page = PageParams {
        cursor: params.cursor,
        limit: params.limit,
    }
    .query()?;
    let found = store.list_jobs(workspace, &filter, &page).await?;
    let mut names = Names::new(store, workspace);
    let mut items = Vec::with_capacity(found.items.len());
    for row in found.items {
        items.push(view(&mut names, row).await?);
    }
    Ok(Json(Listed {
        items,
        next: found.next,
    }))
}

/// One job with its arguments.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs/{job}", tag = "jobs",
    params(("workspace" = String, Path), ("job" = String, Path)),
    responses((status = 200, body = JobDetail)))]
pub async fn show_job(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<JobDetail>, Problem> {
    let row = find(&state, &place.workspace, &named).await?;
    let arguments = shown(state.store().job_arguments(&row.id).await?);
    let mut names = Names::new(state.store(), &place.workspace.id);
    Ok(Json(JobDetail {
        job: view(&mut names, row).await?,
        arguments,
    }))
}

/// All attempts of a job, in their order.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs/{job}/attempts", tag = "jobs",
    params(("workspace" = String, Path), ("job" = String, Path)),
    responses((status = 200, body = Listed<AttemptView>)))]
pub async fn list_attempts(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<Listed<AttemptView>>, Problem> {
    let row = find(&state, &place.workspace, &named).await?;
    let attempts = state.store().list_attempts(&row.id).await?;
    Ok(Json(Listed::whole(
        attempts.into_iter().map(attempt_view).collect(),
    )))
}

/// Starts a job to try a runnable.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/jobs", tag = "jobs",
    params(("workspace" = String, Path)), request_body = StartJob,
    responses((status = 201, body = JobView)))]
pub async fn start_job(
    State(state): State<ApiState>,
    place: InWorkspace<Run>,
    JsonBody(body): JsonBody<StartJob>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let runnable = find_runnable(store, workspace, &body.runnable).await?;
    if runnable.deleted_at.is_some() {
        return Err(Problem::conflict("the runnable is deleted"));
    }
    let now = state.clock().now();
    let arguments = body
        .arguments
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let job = NewJob {
        id: JobId::generate(now),
        workspace_id: workspace.clone(),
        cause: JobCause::Test,
        event_id: None,
        trigger_id: None,
        attempts_max: attempts_max(&state, &runnable.version_id).await?,
        runnable_id: runnable.id,
        version_id: runnable.version_id,
        arguments: Some(arguments.to_string().into()),
        due_at: now,
        created_at: now,
    };
    let job_id = job.id.clone();
    let detail = json!({ "runnable": body.runnable });
    let deed = deed(&place, "job.start", &job_id, detail);
    let entry = deed.of(&place.caller, &state);
    store.noted(entry).insert_job(job).await?;
    state.metrics().jobs.increment(JobCause::Test.as_str());
    state.announce(Changed::Jobs);
    let row = find(&state, &place.workspace, job_id.as_str()).await?;
    let mut names = Names::new(store, workspace);
    Ok((StatusCode::CREATED, Json(view(&mut names, row).await?)))
}

/// Runs a job again: a new job with the same arguments, on the runnable's version of now.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/jobs/{job}/replay", tag = "jobs",
    params(("workspace" = String, Path), ("job" = String, Path)),
    responses((status = 201, body = JobView)))]
pub async fn replay_job(
    State(state): State<ApiState>,
    place: InWorkspace<Run>,
    Named(named): Named,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let origin = find(&state, &place.workspace, &named).await?;
    let version_id = version_now(&state, &place.workspace, &origin.runnable_id).await?;
    let replay = Replay {
        id: JobId::generate(state.clock().now()),
        attempts_max: attempts_max(&state, &version_id).await?,
        version_id,
    };
    let detail = json!({ "origin": origin.id });
    let entry = deed(&place, "job.replay", &replay.id, detail).of(&place.caller, &state);
    let row = state
        .store()
        .noted(entry)
        .replay_job(&place.workspace.id, &origin.id, replay)
        .await?;
    state.metrics().jobs.increment(JobCause::Replay.as_str());
    state.announce(Changed::Jobs);
    let mut names = Names::new(state.store(), &place.workspace.id);
    Ok((StatusCode::CREATED, Json(view(&mut names, row).await?)))
}

/// Cancels a job that has not ended, with its steps if it is a flow.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/jobs/{job}/cancel", tag = "jobs",
    params(("workspace" = String, Path), ("job" = String, Path)),
    responses((status = 200, body = JobView)))]
pub async fn cancel_job(
    State(state): State<ApiState>,
    place: InWorkspace<Run>,
    Named(named): Named,
) -> Result<Json<JobView>, Problem> {
    let job_id: JobId = id("job", &named)?;
    let entry = deed(&place, "job.cancel", &job_id, json!({})).of(&place.caller, &state);
    let row = state
        .store()
        .noted(entry)
        .cancel_job(&place.workspace.id, &job_id)
        .await?;
    let steps = state.store().cancelled_steps(&job_id).await?;
    for cancelled in steps.into_iter().chain([job_id]) {
        state.metrics().jobs_ended.increment(row.state.as_str());
        state.announce(Changed::Cancelled(cancelled));
    }
    let mut names = Names::new(state.store(), &place.workspace.id);
    Ok(Json(view(&mut names, row).await?))
}

fn deed<'a>(
    place: &'a InWorkspace<Run>,
    action: &'a str,
    job: &'a JobId,
    detail: Value,
) -> Deed<'a> {
    Deed {
        workspace_id: Some(&place.workspace.id),
        action,
        object: job.as_str(),
        detail,
    }
}

async fn version_now(
    state: &ApiState,
    workspace: &Workspace,
    runnable: &RunnableId,
) -> Result<VersionId, Problem> {
    let found = state.store().runnable(&workspace.id, runnable).await?;
    let found = found.filter(|found| found.deleted_at.is_none());
    let gone = || Problem::conflict("the runnable is deleted, so its jobs cannot be run again");
    Ok(found.ok_or_else(gone)?.version_id)
}

async fn attempts_max(state: &ApiState, version_id: &VersionId) -> Result<u32, Problem> {
    let version = state.store().runnable_version(version_id).await?;
    let spec = version.and_then(|version| RunnableSpec::parse(version.kind, &version.spec).ok());
    // A version that does not read fails at its attempt, where that is said.
    Ok(spec.map_or(1, |spec| spec.policy().retry.attempts_max))
}
