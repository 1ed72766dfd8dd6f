//! Runnables and their versions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::names::find_runnable;
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::documents::Mistake;
use crate::model::{Change, Runnable, RunnableState, RunnableVersion};

/// A runnable, with the version that new jobs run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunnableView {
    pub id: String,
    pub path: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// Absent if it was trimmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionView>,
}

/// A version of a runnable; the values of its secrets are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    pub id: String,
    /// Counts from 1.
    pub number: i64,
    /// Names its content.
    pub hash: String,
    /// command, http, nats or flow.
    pub kind: String,
    pub spec: Value,
    /// The names of its secrets.
    pub secrets: Vec<String>,
    pub created_at: String,
}

/// A switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRunnable {
    /// `enabled` or `disabled`.
    pub state: String,
    /// Why; shown with the state.
    pub reason: Option<String>,
}

fn version_view(version: RunnableVersion) -> VersionView {
    let names = version
        .secrets
        .as_ref()
        .map(|secrets| secret_names(secrets.expose()));
    VersionView {
        id: version.id.to_string(),
        number: version.number,
        hash: version.hash,
        kind: version.kind.to_string(),
        spec: version.spec,
        secrets: names.unwrap_or_default(),
        created_at: time(version.created_at),
    }
}

/// `secret`, `headers.Authorization`: the names of the fields, not what they hold.
fn secret_names(secrets: &str) -> Vec<String> {
    let secrets: Map<String, Value> = serde_json::from_str(secrets).unwrap_or_default();
    let mut names = Vec::new();
    for (key, value) in &secrets {
        match value {
            Value::Object(inner) => {
                names.extend(inner.keys().map(|name| format!("{key}.{name}")));
            }
            _ => names.push(key.clone()),
        }
    }
    names
}

async fn view(state: &ApiState, row: Runnable) -> Result<RunnableView, Problem> {
    let version = state.store().runnable_version(&row.version_id).await?;
    Ok(RunnableView {
        id: row.id.to_string(),
        path: row.path,
        state: row.state.to_string(),
        state_reason: row.state_reason,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
        version: version.map(version_view),
    })
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/runnables", tag = "runnables",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<RunnableView>)))]
pub async fn list_runnables(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<RunnableView>>, Problem> {
    let found = state
        .store()
        .list_runnables(&place.workspace.id, &page.query()?)
        .await?;
    let mut items = Vec::with_capacity(found.items.len());
    for row in found.items {
        items.push(view(&state, row).await?);
    }
    Ok(Json(Listed {
        items,
        next: found.next,
    }))
}

/// One runnable, by id or path (its slashes encoded as %2F).
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/runnables/{runnable}",
    tag = "runnables", params(("workspace" = String, Path), ("runnable" = String, Path)),
    responses((status = 200, body = RunnableView)))]
pub async fn show_runnable(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<RunnableView>, Problem> {
    let row = find_runnable(state.store(), &place.workspace.id, &named).await?;
    Ok(Json(view(&state, row).await?))
}

/// All versions of a runnable, newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/runnables/{runnable}/versions",
    tag = "runnables", params(("workspace" = String, Path), ("runnable" = String, Path)),
    responses((status = 200, body = Listed<VersionView>)))]
pub async fn list_runnable_versions(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<Listed<VersionView>>, Problem> {
    let row = find_runnable(state.store(), &place.workspace.id, &named).await?;
    let versions = state.store().list_runnable_versions(&row.id).await?;
    Ok(Json(Listed::whole(
        versions.into_iter().map(version_view).collect(),
    )))
}

/// Creates or changes one runnable, as in a document.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/runnables", tag = "runnables",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_runnable(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(apply_one(&state, &place, "runnables", body).await?))
}

/// Disables a runnable, whose jobs then wait, or enables it again.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/runnables/{runnable}/state",
    tag = "runnables", params(("workspace" = String, Path), ("runnable" = String, Path)),
    request_body = SwitchRunnable, responses((status = 200, body = RunnableView)))]
pub async fn switch_runnable(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
    JsonBody(body): JsonBody<SwitchRunnable>,
) -> Result<Json<RunnableView>, Problem> {
    let Ok(wanted) = body.state.parse::<RunnableState>() else {
        let mistake = Mistake::value("/state", "expected a state to switch to");
        let allowed = RunnableState::ALL.iter().map(|state| state.as_str());
        return Err(Problem::invalid(vec![mistake.allowing(allowed)]));
    };
    let row = find_runnable(state.store(), &place.workspace.id, &named).await?;
    let id = row.id.clone();
    let change = Change::SetRunnableState {
        id,
        state: wanted,
        reason: body.reason,
    };
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    state.announce(Changed::Jobs);
    let row = find_runnable(state.store(), &place.workspace.id, row.id.as_str()).await?;
    Ok(Json(view(&state, row).await?))
}

/// Deletes a runnable; a conflict while something else uses or names it. Its past stays.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/runnables/{runnable}",
    tag = "runnables", params(("workspace" = String, Path), ("runnable" = String, Path)),
    responses((status = 204)))]
pub async fn delete_runnable(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let row = find_runnable(state.store(), &place.workspace.id, &named).await?;
    let change = Change::DeleteRunnable(row.id);
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(StatusCode::NO_CONTENT)
}
