//! Schedules.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::names::{Names, find_schedule};
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::clock::Millis;
use crate::model::{Change, NextTime, Schedule};
use crate::timetable::Timetable;

/// So many of the times that come are shown.
const NEXT_SHOWN: usize = 5;

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleView {
    pub id: String,
    pub name: String,
    /// active, paused, or ended: it comes to no time any more.
    pub state: String,
    pub cron: String,
    pub timezone: String,
    /// The runnable's path.
    pub runnable: Option<String>,
    pub arguments: Map<String, Value>,
    /// Whether a run may begin while the one before has not ended.
    pub overlap: bool,
    /// skip, once or all.
    pub missed: String,
    /// The next times, by the clock on the wall of its zone.
    pub next: Vec<String>,
    /// The last time that it was run for, and when that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scheduled_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fired_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_job_id: Option<String>,
    /// How many times it was not run for; of those that passed at once, a thousand are counted.
    pub skipped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

async fn view(names: &mut Names<'_>, row: Schedule, now: Millis) -> Result<ScheduleView, Problem> {
    let timetable = Timetable::parse(&row.cron, &row.timezone).ok();
    let shown = |at: Millis| match &timetable {
        Some(timetable) => timetable.shown(at),
        None => time(at),
    };
    let next = match (&timetable, row.due_at) {
        // One that is due and waits for the run before comes first.
        (Some(timetable), Some(due_at)) => {
            let after = timetable.next_times(due_at.max(now), NEXT_SHOWN - 1);
            std::iter::once(due_at).chain(after).map(shown).collect()
        }
        _ => Vec::new(),
    };
    let state = match (row.paused, row.due_at) {
        (true, _) => "paused",
        (false, Some(_)) => "active",
        (false, None) => "ended",
    };
    Ok(ScheduleView {
        state: state.to_owned(),
        runnable: names.runnable(&row.runnable_id).await?,
        last_scheduled_for: row.fired_for.map(shown),
        next,
        id: row.id.to_string(),
        name: row.name,
        cron: row.cron,
        timezone: row.timezone,
        arguments: row.arguments,
        overlap: row.overlap,
        missed: row.missed.to_string(),
        last_fired_at: row.fired_at.map(time),
        last_job_id: row.last_job_id.map(|id| id.to_string()),
        skipped: row.skipped,
        skipped_at: row.skipped_at.map(time),
        skip_reason: row.skip_reason,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    })
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/schedules", tag = "schedules",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<ScheduleView>)))]
pub async fn list_schedules(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<ScheduleView>>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let found = store.list_schedules(workspace, &page.query()?).await?;
    let mut names = Names::new(store, workspace);
    let mut items = Vec::with_capacity(found.items.len());
    for row in found.items {
        items.push(view(&mut names, row, state.clock().now()).await?);
    }
    Ok(Json(Listed {
        items,
        next: found.next,
    }))
}

/// One schedule, by id or name, with its next times.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/schedules/{schedule}",
    tag = "schedules", params(("workspace" = String, Path), ("schedule" = String, Path)),
    responses((status = 200, body = ScheduleView)))]
pub async fn show_schedule(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<ScheduleView>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let row = find_schedule(store, workspace, &named).await?;
    let mut names = Names::new(store, workspace);
    Ok(Json(view(&mut names, row, state.clock().now()).await?))
}

/// Creates or changes one schedule, as in a document.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/schedules", tag = "schedules",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_schedule(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(apply_one(&state, &place, "schedules", body).await?))
}

/// Pauses a schedule: its times pass, and are not missed.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/schedules/{schedule}/pause",
    tag = "schedules", params(("workspace" = String, Path), ("schedule" = String, Path)),
    responses((status = 200, body = ScheduleView)))]
pub async fn pause_schedule(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<ScheduleView>, Problem> {
    switch(&state, &place, &named, Switch::Pause).await
}

/// Takes a paused schedule up again, at its next time.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/schedules/{schedule}/resume",
    tag = "schedules", params(("workspace" = String, Path), ("schedule" = String, Path)),
    responses((status = 200, body = ScheduleView)))]
pub async fn resume_schedule(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<ScheduleView>, Problem> {
    switch(&state, &place, &named, Switch::Resume).await
}

/// Deletes a schedule; the jobs it made stay.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/schedules/{schedule}",
    tag = "schedules", params(("workspace" = String, Path), ("schedule" = String, Path)),
    responses((status = 204)))]
pub async fn delete_schedule(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let row = find_schedule(state.store(), &place.workspace.id, &named).await?;
    let change = Change::DeleteSchedule(row.id);
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Pause,
    Resume,
}

async fn switch(
    state: &ApiState,
    place: &InWorkspace<Apply>,
    named: &str,
    wanted: Switch,
) -> Result<Json<ScheduleView>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let row = find_schedule(store, workspace, named).await?;
    let now = state.clock().now();
    let paused = wanted == Switch::Pause;
    if row.paused != paused {
        let next = match Timetable::parse(&row.cron, &row.timezone) {
            _ if paused => None,
            Ok(timetable) => timetable.next_after(now),
            Err(error) => return Err(Problem::conflict(error.to_string())),
        };
        let change = Change::SwitchSchedule {
            id: row.id.clone(),
            paused,
            next: NextTime::Set(next),
        };
        store.apply(&place.actor(), vec![change]).await?;
        state.announce(Changed::Objects(workspace.clone()));
    }
    let row = find_schedule(store, workspace, row.id.as_str()).await?;
    let mut names = Names::new(store, workspace);
    Ok(Json(view(&mut names, row, now).await?))
}
