//! Credentials: for whom this host acts, and how that stands.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::integrations::DeleteParams;
use super::names::find_credential;
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::credentials::{CheckError, GivenBack, SHARED};
use crate::model::{Change, Credential, CredentialKind, CredentialState};
use crate::store::StoreError;

/// A credential; its secrets are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialView {
    pub id: String,
    pub name: String,
    pub provider: String,
    /// The name of the integration it came from; `shared` for the instance's.
    pub integration: Option<String>,
    /// oauth: an account was connected; api-key: its fields were filled in.
    pub kind: String,
    /// What is not secret, by field.
    pub fields: Map<String, Value>,
    /// Null: the provider did not tell.
    pub account: Option<AccountView>,
    /// What it may do, in the service's words.
    pub scopes: Vec<String>,
    /// active, or needs_reconnect.
    pub state: String,
    /// Why it needs reconnecting, or why it could not be renewed the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    pub state_since: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_due_at: Option<String>,
    /// The subscriptions that depend on it.
    pub subscriptions: Vec<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// Whom a credential belongs to, as the service tells.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    pub id: String,
    pub name: Option<String>,
}

/// What became of a credential that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedCredential {
    pub name: String,
    /// given_back: the service took its tokens back; not_offered; kept: another credential acts for
    /// the same account, and would end with them; failed: they may be good there until they end by
    /// themselves.
    pub tokens: &'static str,
    /// The subscriptions that are degraded now.
    pub degraded: Vec<String>,
}

pub(super) async fn view(state: &ApiState, row: Credential) -> Result<CredentialView, StoreError> {
    let store = state.store();
    let integration = match &row.integration_id {
        Some(id) => store
            .integration(&row.workspace_id, id)
            .await?
            .map(|one| one.name),
        None if row.kind == CredentialKind::Oauth => Some(SHARED.to_owned()),
        None => None,
    };
    let subscriptions = store.subscriptions_of_credential(&row.id).await?;
    let next_action = match (row.state, row.kind) {
        (CredentialState::Active, _) => None,
        (_, CredentialKind::Oauth) => Some(format!(
            "triggerd connect {} --name {}",
            row.provider, row.name
        )),
        (_, CredentialKind::ApiKey) => {
            Some("apply a document with a good key in its `values`".to_owned())
        }
    };
    let is_active = row.state == CredentialState::Active;
    Ok(CredentialView {
        id: row.id.to_string(),
        name: row.name,
        provider: row.provider,
        integration,
        kind: row.kind.to_string(),
        fields: row.fields,
        account: row.account_id.map(|id| AccountView {
            id,
            name: row.account_name,
        }),
        scopes: row.scopes,
        state: row.state.to_string(),
        state_reason: row.state_reason,
        state_since: time(row.state_since),
        next_action,
        expires_at: row.expires_at.map(time),
        refresh_due_at: row.refresh_due_at.filter(|_| is_active).map(time),
        subscriptions,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    })
}

/// In the words of a [`DeletedCredential`].
pub(super) fn given_back(given: &GivenBack) -> &'static str {
    match given {
        GivenBack::Done => "given_back",
        GivenBack::NotOffered => "not_offered",
        GivenBack::Shared => "kept",
        GivenBack::Failed(_) => "failed",
    }
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/credentials", tag = "credentials",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<CredentialView>)))]
pub async fn list_credentials(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<CredentialView>>, Problem> {
    let found = state
        .store()
        .list_credentials(&place.workspace.id, &page.query()?)
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

/// One credential, by id or name.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/credentials/{credential}",
    tag = "credentials", params(("workspace" = String, Path), ("credential" = String, Path)),
    responses((status = 200, body = CredentialView)))]
pub async fn show_credential(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<CredentialView>, Problem> {
    let row = find_credential(state.store(), &place.workspace.id, &named).await?;
    Ok(Json(view(&state, row).await?))
}

/// Creates or changes one credential, as in a document.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/credentials", tag = "credentials",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_credential(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(apply_one(&state, &place, "credentials", body).await?))
}

/// Asks the service whose credential it is. One that the service refuses needs reconnecting from
/// then on; a key that it takes again is active again.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/credentials/{credential}/check",
    tag = "credentials", params(("workspace" = String, Path), ("credential" = String, Path)),
    responses((status = 200, body = CredentialView)))]
pub async fn check_credential(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<CredentialView>, Problem> {
    let row = find_credential(state.store(), &place.workspace.id, &named).await?;
    match state.credentials().check_kept(&row.id).await {
        Ok(_) => {}
        // What is wrong with it stands in its state from now on, unless it is nothing of the
        // service's.
        Err(CheckError::Wrong { message, .. }) => {
            let row = find_credential(state.store(), &place.workspace.id, row.id.as_str()).await?;
            if row.state == CredentialState::Active {
                return Err(Problem::conflict(message));
            }
        }
        Err(CheckError::Unavailable(reason)) => return Err(Problem::unavailable(reason)),
        Err(CheckError::Store(error)) => return Err(error.into()),
    }
    let row = find_credential(state.store(), &place.workspace.id, row.id.as_str()).await?;
    Ok(Json(view(&state, row).await?))
}

/// Deletes a credential and gives its tokens back to the service. A conflict while subscriptions
/// depend on it; with `force` they are degraded.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/credentials/{credential}",
    tag = "credentials",
    params(("workspace" = String, Path), ("credential" = String, Path), DeleteParams),
    responses((status = 200, body = DeletedCredential), (status = 409, body = Problem,
        content_type = "application/problem+json")))]
pub async fn delete_credential(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    QueryOf(params): QueryOf<DeleteParams>,
    Named(named): Named,
) -> Result<Json<DeletedCredential>, Problem> {
    let store = state.store();
    let row = find_credential(store, &place.workspace.id, &named).await?;
    let used = store.subscriptions_of_credential(&row.id).await?;
    if !used.is_empty() && !params.force {
        let dependents = used.iter().map(|name| format!("subscription {name}"));
        return Err(Problem::in_use(
            "credential",
            &row.name,
            dependents.collect(),
        ));
    }
    let tokens = given_back(&state.credentials().give_back(&row.id).await?);
    let mut changes = vec![Change::DeleteCredential(row.id.clone())];
    if params.force {
        changes.insert(0, Change::DetachCredential(row.id.clone()));
    }
    store.apply(&place.actor(), changes).await?;
    state.credentials().announce(&row.id);
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(Json(DeletedCredential {
        name: row.name,
        tokens,
        degraded: used,
    }))
}
