//! Integrations: OAuth clients and base URLs.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::credentials::{DeletedCredential, given_back};
use super::names::find_integration;
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::credentials::SHARED;
use crate::id::CredentialId;
use crate::model::{Change, Integration};

/// An integration; its client secret is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct IntegrationView {
    /// Absent: it is the instance's and stands in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub name: String,
    pub provider: String,
    /// Whether all workspaces share it.
    pub shared: bool,
    /// Null: what the provider declares.
    pub base_url: Option<String>,
    /// Null: there is no client, or it is the instance's.
    pub client_id: Option<String>,
    pub has_client_secret: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// How something is deleted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Also if something depends on it.
    #[serde(default)]
    pub force: bool,
}

/// What became of an integration that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedIntegration {
    pub name: String,
    /// Those that came from it, which are deleted too.
    pub credentials: Vec<DeletedCredential>,
}

fn view(row: Integration) -> IntegrationView {
    IntegrationView {
        id: Some(row.id.to_string()),
        name: row.name,
        provider: row.provider,
        shared: false,
        base_url: row.base_url,
        client_id: row.client_id,
        has_client_secret: row.has_client_secret,
        created_at: Some(time(row.created_at)),
        updated_at: Some(time(row.updated_at)),
    }
}

/// Newest first; those that the instance shares stand at the end.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/integrations", tag = "integrations",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<IntegrationView>)))]
pub async fn list_integrations(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<IntegrationView>>, Problem> {
    let found = state
        .store()
        .list_integrations(&place.workspace.id, &page.query()?)
        .await?;
    let mut listed = Listed::of(found, view);
    if listed.next.is_none() {
        let shared = state.providers().shared_clients();
        listed
            .items
            .extend(shared.into_iter().map(|client| IntegrationView {
                id: None,
                name: SHARED.to_owned(),
                provider: client.provider,
                shared: true,
                base_url: client.base_url,
                client_id: None,
                has_client_secret: true,
                created_at: None,
                updated_at: None,
            }));
    }
    Ok(Json(listed))
}

/// One integration, by id or name.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/integrations/{integration}",
    tag = "integrations", params(("workspace" = String, Path), ("integration" = String, Path)),
    responses((status = 200, body = IntegrationView)))]
pub async fn show_integration(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<IntegrationView>, Problem> {
    let row = find_integration(state.store(), &place.workspace.id, &named).await?;
    Ok(Json(view(row)))
}

/// Creates or changes one integration, as in a document.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/integrations", tag = "integrations",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_integration(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(apply_one(&state, &place, "integrations", body).await?))
}

/// Deletes an integration. A conflict while credentials depend on it; with `force` they are deleted
/// too, and their subscriptions degraded.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/integrations/{integration}",
    tag = "integrations",
    params(("workspace" = String, Path), ("integration" = String, Path), DeleteParams),
    responses((status = 200, body = DeletedIntegration), (status = 409, body = Problem,
        content_type = "application/problem+json")))]
pub async fn delete_integration(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    QueryOf(params): QueryOf<DeleteParams>,
    Named(named): Named,
) -> Result<Json<DeletedIntegration>, Problem> {
    let store = state.store();
    let row = find_integration(store, &place.workspace.id, &named).await?;
    let names = store.credentials_of_integration(&row.id).await?;
    let mut dependents = Vec::new();
    let mut changes = Vec::new();
    let mut deleted = DeletedIntegration {
        name: row.name.clone(),
        credentials: Vec::new(),
    };
    for name in &names {
        let found = store.credential_by_name(&place.workspace.id, name).await?;
        let Some(credential) = found else { continue };
        dependents.push(format!("credential {name}"));
        let used = store.subscriptions_of_credential(&credential.id).await?;
        dependents.extend(used.iter().map(|name| format!("subscription {name}")));
        changes.push(Change::DetachCredential(credential.id.clone()));
        changes.push(Change::DeleteCredential(credential.id));
        deleted.credentials.push(DeletedCredential {
            name: credential.name,
            tokens: "not_offered",
            degraded: used,
        });
    }
    if !dependents.is_empty() && !params.force {
        return Err(Problem::in_use("integration", &row.name, dependents));
    }
    let gone = changes.iter().filter_map(|change| match change {
        Change::DeleteCredential(id) => Some(id.clone()),
        _ => None,
    });
    let gone: Vec<CredentialId> = gone.collect();
    for (id, told) in gone.iter().zip(&mut deleted.credentials) {
        told.tokens = given_back(&state.credentials().give_back(id).await?);
    }
    changes.push(Change::DeleteIntegration(row.id));
    store.apply(&place.actor(), changes).await?;
    for id in &gone {
        state.credentials().announce(id);
    }
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(Json(deleted))
}
