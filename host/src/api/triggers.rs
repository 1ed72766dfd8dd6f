//! Triggers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::names::{Names, find_runnable, find_subscription, find_trigger};
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::model::{Change, Trigger, TriggerFilter};

/// A trigger.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriggerView {
    pub id: String,
    pub name: String,
    /// The subscription's name.
    pub subscription: Option<String>,
    pub event: String,
    pub parameters: Map<String, Value>,
    /// The runnable's path.
    pub runnable: Option<String>,
    pub enabled: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// Which triggers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TriggerParams {
    /// The id or name of a subscription.
    pub subscription: Option<String>,
    /// The id or path of a runnable.
    pub runnable: Option<String>,
    /// The name of an event.
    pub event: Option<String>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// How many items at most: 1 to 1000, 50 if absent.
    pub limit: Option<u32>,
}

async fn view(names: &mut Names<'_>, row: Trigger) -> Result<TriggerView, Problem> {
    Ok(TriggerView {
        id: row.id.to_string(),
        name: row.name,
        subscription: names.subscription(&row.subscription_id).await?,
        event: row.event,
        parameters: row.parameters,
        runnable: names.runnable(&row.runnable_id).await?,
        enabled: row.enabled,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    })
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/triggers", tag = "triggers",
    params(("workspace" = String, Path), TriggerParams),
    responses((status = 200, body = Listed<TriggerView>)))]
pub async fn list_triggers(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(params): QueryOf<TriggerParams>,
) -> Result<Json<Listed<TriggerView>>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let mut filter = TriggerFilter {
        event: params.event,
        ..TriggerFilter::default()
    };
    if let Some(named) = &params.subscription {
        filter.subscription_id = Some(find_subscription(store, workspace, named).await?.id);
    }
    if let Some(named) = &params.runnable {
        filter.runnable_id = Some(find_runnable(store, workspace, named).await?.id);
    }
    let page = PageParams {
        cursor: params.cursor,
        limit: params.limit,
    }
    .query()?;
    let found = store.list_triggers(workspace, &filter, &page).await?;
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

/// One trigger, by id or name.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/triggers/{trigger}", tag = "triggers",
    params(("workspace" = String, Path), ("trigger" = String, Path)),
    responses((status = 200, body = TriggerView)))]
pub async fn show_trigger(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<TriggerView>, Problem> {
    let row = find_trigger(state.store(), &place.workspace.id, &named).await?;
    let mut names = Names::new(state.store(), &place.workspace.id);
    Ok(Json(view(&mut names, row).await?))
}

/// Creates or changes one trigger, as in a document.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/triggers", tag = "triggers",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_trigger(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(apply_one(&state, &place, "triggers", body).await?))
}

/// Deletes a trigger; the jobs it made stay.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/triggers/{trigger}",
    tag = "triggers", params(("workspace" = String, Path), ("trigger" = String, Path)),
    responses((status = 204)))]
pub async fn delete_trigger(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let row = find_trigger(state.store(), &place.workspace.id, &named).await?;
    let change = Change::DeleteTrigger(row.id);
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(StatusCode::NO_CONTENT)
}
