//! Subscriptions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::names::find_subscription;
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscription_actions::{shown, switch};
use super::subscription_view::{SubscriptionView, list_view};
use crate::clock::Millis;
use crate::model::SubscriptionState;
use crate::subscriptions::Ended;

/// How a subscription is deleted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Without a word to the service: what was made there stays there.
    #[serde(default)]
    pub force: bool,
}

/// A switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchSubscription {
    /// `active` or `paused`.
    pub state: String,
}

/// A time as it is shown: RFC 3339 in UTC.
pub(super) fn time(at: Millis) -> String {
    at.to_string()
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/subscriptions", tag = "subscriptions",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<SubscriptionView>)))]
pub async fn list_subscriptions(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<SubscriptionView>>, Problem> {
    let workspace = &place.workspace.id;
    let page = page.query()?;
    let found = state
        .store()
        .list_subscription_upkeep(workspace, &page)
        .await?;
    let mut items = Vec::with_capacity(found.items.len());
    for row in found.items {
        items.push(list_view(&state, workspace, row).await?);
    }
    Ok(Json(Listed {
        items,
        next: found.next,
    }))
}

/// One subscription, by id or name.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 200, body = SubscriptionView)))]
pub async fn show_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<SubscriptionView>, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    Ok(Json(shown(&state, &place.workspace.id, &row.id).await?))
}

/// Creates or changes one subscription, as in a document.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/subscriptions", tag = "subscriptions",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(
        apply_one(&state, &place, "subscriptions", body).await?,
    ))
}

/// Pauses a subscription, or takes it up again.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/state",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    request_body = SwitchSubscription, responses((status = 200, body = SubscriptionView)))]
pub async fn switch_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
    JsonBody(body): JsonBody<SwitchSubscription>,
) -> Result<Json<SubscriptionView>, Problem> {
    let wanted = match body.state.as_str() {
        "active" => SubscriptionState::Active,
        "paused" => SubscriptionState::Paused,
        _ => {
            let mistake =
                crate::documents::Mistake::value("/state", "expected a state to switch to");
            return Err(Problem::invalid(vec![
                mistake.allowing(["active", "paused"]),
            ]));
        }
    };
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    switch(&state, &place, &row, wanted).await
}

/// Deletes a subscription, at its service first; a conflict while triggers use it, or if the service
/// refuses.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path),
    DeleteParams), responses((status = 204)))]
pub async fn delete_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
    QueryOf(params): QueryOf<DeleteParams>,
) -> Result<StatusCode, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    let actor = place.actor();
    let ended = state
        .subscriptions()
        .delete(&actor, &row, params.force)
        .await;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    match ended? {
        Ended::Gone => Ok(StatusCode::NO_CONTENT),
        Ended::Kept { reason } => Err(Problem::conflict(format!(
            "`{}` is kept, and ending it is tried again: {reason}; `force` deletes it here alone",
            row.name
        ))),
    }
}
