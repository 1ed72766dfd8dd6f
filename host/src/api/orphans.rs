//! Orphans: what services hold that sends to this host and belongs to nothing here.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace, Read};
use super::audit::{Deed, note};
use super::body::QueryOf;
use super::page::Listed;
use super::problem::Problem;
use super::state::ApiState;
use super::subscription_actions::{credential, json_object};
use crate::subscriptions::{Orphan, OrphanSearch};

/// Where to look.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrphanParams {
    pub provider: String,
    /// The name of the credential that acts for us.
    pub credential: Option<String>,
    /// One place, by the provider's parameters: a JSON object. Absent: wherever subscriptions of
    /// this workspace with this credential are.
    pub parameters: Option<String>,
}

/// One thing at a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrphanView {
    /// The service's own id of it.
    pub external_id: String,
    pub endpoint_url: String,
    pub events: Vec<String>,
    pub active: bool,
    /// Where it was found.
    pub parameters: Map<String, Value>,
    /// After a deletion: whether it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// Why it could not be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn view(orphan: Orphan) -> OrphanView {
    OrphanView {
        external_id: orphan.held.external_id,
        endpoint_url: orphan.held.endpoint_url,
        events: orphan.held.events,
        active: orphan.held.active,
        parameters: orphan.parameters,
        deleted: None,
        error: None,
    }
}

/// What a service holds that sends to this host and belongs to no subscription.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/orphans", tag = "subscriptions",
    params(("workspace" = String, Path), OrphanParams),
    responses((status = 200, body = Listed<OrphanView>)))]
pub async fn list_orphans(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(params): QueryOf<OrphanParams>,
) -> Result<Json<Listed<OrphanView>>, Problem> {
    let search = search(&state, &place, params).await?;
    let found = state
        .subscriptions()
        .orphans(&place.workspace.id, &search)
        .await?;
    Ok(Json(Listed::whole(found.into_iter().map(view).collect())))
}

/// Ends them at the service; says of each whether that worked.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/orphans", tag = "subscriptions",
    params(("workspace" = String, Path), OrphanParams),
    responses((status = 200, body = Listed<OrphanView>)))]
pub async fn delete_orphans(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    QueryOf(params): QueryOf<OrphanParams>,
) -> Result<Json<Listed<OrphanView>>, Problem> {
    let search = search(&state, &place, params).await?;
    let found = state
        .subscriptions()
        .orphans(&place.workspace.id, &search)
        .await?;
    let mut items = Vec::with_capacity(found.len());
    for orphan in found {
        let ended = state.subscriptions().delete_orphan(&search, &orphan).await;
        let mut item = view(orphan);
        item.deleted = Some(ended.is_ok());
        match ended {
            Ok(()) => {
                let deed = Deed {
                    workspace_id: Some(&place.workspace.id),
                    action: "orphan.delete",
                    object: &item.external_id,
                    detail: json!({ "provider": search.provider, "endpoint_url": item.endpoint_url }),
                };
                note(&state, &place.caller, deed).await?;
            }
            Err(error) => item.error = Some(error.to_string()),
        }
        items.push(item);
    }
    Ok(Json(Listed::whole(items)))
}

async fn search<S>(
    state: &ApiState,
    place: &InWorkspace<S>,
    params: OrphanParams,
) -> Result<OrphanSearch, Problem> {
    let named = params.credential.as_deref();
    Ok(OrphanSearch {
        credential_id: credential(state, place, &params.provider, named).await?,
        parameters: json_object("parameters", params.parameters.as_deref())?,
        provider: params.provider,
    })
}
