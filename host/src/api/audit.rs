//! Who changed what.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::access::{Admin, InWorkspace, InstanceAdmin};
use super::body::QueryOf;
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::ApiState;
use super::subscriptions::time;
use crate::model::AuditEntry;

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    pub id: String,
    pub at: String,
    /// `runnable.create` and the like.
    pub action: String,
    /// The id of the object.
    pub object: String,
    /// The token that did it; null: the host itself.
    pub token_id: Option<String>,
    pub detail: Value,
}

fn view(entry: AuditEntry) -> AuditView {
    AuditView {
        id: entry.id.to_string(),
        at: time(entry.at),
        action: entry.action,
        object: entry.object,
        token_id: entry.token_id.map(|id| id.to_string()),
        detail: entry.detail,
    }
}

/// What was changed in a workspace, newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/audit", tag = "audit",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<AuditView>)))]
pub async fn list_workspace_audit(
    State(state): State<ApiState>,
    place: InWorkspace<Admin>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<AuditView>>, Problem> {
    let found = state
        .store()
        .list_audit(Some(&place.workspace.id), &page.query()?)
        .await?;
    Ok(Json(Listed::of(found, view)))
}

/// What was changed in the whole instance, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(PageParams),
    responses((status = 200, body = Listed<AuditView>)))]
pub async fn list_audit(
    State(state): State<ApiState>,
    _: InstanceAdmin,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<AuditView>>, Problem> {
    let found = state.store().list_audit(None, &page.query()?).await?;
    Ok(Json(Listed::of(found, view)))
}
