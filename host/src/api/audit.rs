//! Who changed what: read here, and written down for what is no change of a document's object.

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
use crate::id::{AuditId, WorkspaceId};
use crate::model::AuditEntry;
use crate::tokens::Caller;

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

/// What was changed outside of any workspace, newest first; each workspace has its own list.
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

/// What somebody did.
pub struct Deed<'a> {
    /// None: it concerns the whole instance.
    pub workspace_id: Option<&'a WorkspaceId>,
    /// `token.revoke` and the like.
    pub action: &'a str,
    /// The id of what it was done to.
    pub object: &'a str,
    /// Never holds a secret.
    pub detail: Value,
}

impl Deed<'_> {
    /// The entry that says who did it, and when.
    pub fn of(self, caller: &Caller, state: &ApiState) -> AuditEntry {
        let at = state.clock().now();
        AuditEntry {
            id: AuditId::generate(at),
            workspace_id: self.workspace_id.cloned(),
            token_id: Some(caller.token_id.clone()),
            action: self.action.to_owned(),
            object: self.object.to_owned(),
            detail: self.detail,
            at,
        }
    }
}

/// Notes what the caller has done, where that has been done elsewhere than in the store.
pub async fn note(state: &ApiState, caller: &Caller, deed: Deed<'_>) -> Result<(), Problem> {
    let entry = deed.of(caller, state);
    Ok(state.store().insert_audit(entry).await?)
}
