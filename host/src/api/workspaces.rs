//! Workspaces.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::access::{Holder, InstanceAdmin, Named, Read};
use super::audit::Deed;
use super::body::JsonBody;
use super::page::Listed;
use super::problem::Problem;
use super::state::ApiState;
use super::subscriptions::time;
use crate::documents::{Mistake, workspace_name_form};
use crate::model::{AuditEntry, Workspace};

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkspaceView {
    pub id: String,
    pub name: String,
    pub created_at: String,
}

/// A workspace that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceWish {
    pub name: String,
}

fn view(workspace: Workspace) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id.to_string(),
        name: workspace.name,
        created_at: time(workspace.created_at),
    }
}

/// The workspaces that the token reaches, by name.
#[utoipa::path(get, path = "/api/v1/workspaces", tag = "workspaces",
    responses((status = 200, body = Listed<WorkspaceView>)))]
pub async fn list_workspaces(
    State(state): State<ApiState>,
    reader: Holder<Read>,
) -> Result<Json<Listed<WorkspaceView>>, Problem> {
    let all = state.store().list_workspaces().await?;
    let reached = all
        .into_iter()
        .filter(|workspace| reader.caller.reaches(&workspace.id));
    Ok(Json(Listed::whole(reached.map(view).collect())))
}

/// Makes a workspace.
#[utoipa::path(post, path = "/api/v1/workspaces", tag = "workspaces",
    request_body = WorkspaceWish, responses((status = 201, body = WorkspaceView)))]
pub async fn create_workspace(
    State(state): State<ApiState>,
    admin: InstanceAdmin,
    JsonBody(wish): JsonBody<WorkspaceWish>,
) -> Result<(StatusCode, Json<WorkspaceView>), Problem> {
    if let Err(expected) = workspace_name_form(&wish.name) {
        let message = format!("expected {expected}");
        return Err(Problem::invalid(vec![Mistake::value("/name", message)]));
    }
    let entry = entry(&state, &admin, "workspace.create", ("", &wish.name));
    let made = state.store().noted(entry).insert_workspace(&wish.name);
    let workspace = made.await?;
    Ok((StatusCode::CREATED, Json(view(workspace))))
}

/// Deletes a workspace; a conflict while it holds anything.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}", tag = "workspaces",
    params(("workspace" = String, Path)), responses((status = 204)))]
pub async fn delete_workspace(
    State(state): State<ApiState>,
    admin: InstanceAdmin,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let found = state.store().workspace_by_name(&named).await?;
    let gone = || Problem::not_found(format!("there is no workspace `{named}`"));
    let workspace = found.ok_or_else(gone)?;
    let named = (workspace.id.as_str(), workspace.name.as_str());
    let entry = entry(&state, &admin, "workspace.delete", named);
    let deleted = state.store().noted(entry).delete_workspace(&workspace);
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entry(
    state: &ApiState,
    admin: &InstanceAdmin,
    action: &str,
    (id, name): (&str, &str),
) -> AuditEntry {
    let deed = Deed {
        workspace_id: None,
        action,
        object: id,
        detail: json!({ "name": name }),
    };
    deed.of(&admin.caller, state)
}
