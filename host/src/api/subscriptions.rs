//! Subscriptions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::names::find_subscription;
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use crate::clock::Millis;
use crate::model::{Change, Subscription, SubscriptionState};

/// A subscription; its secrets are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    pub id: String,
    pub name: String,
    pub provider: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    pub state_since: String,
    /// What to register at the service.
    pub endpoint_url: String,
    /// manual: someone else registered the address at the service; managed: this host did.
    pub mode: String,
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    pub has_secrets: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// A switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchSubscription {
    /// `active` or `paused`.
    pub state: String,
}

fn view(state: &ApiState, row: Subscription) -> SubscriptionView {
    SubscriptionView {
        endpoint_url: state.endpoint_url(&row.provider, &row.endpoint),
        id: row.id.to_string(),
        name: row.name,
        provider: row.provider,
        state: row.state.to_string(),
        state_reason: row.state_reason,
        state_since: row.state_since.to_string(),
        mode: row.mode.to_string(),
        parameters: row.parameters,
        properties: row.properties,
        has_secrets: row.has_secrets,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    }
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
    let found = state
        .store()
        .list_subscriptions(&place.workspace.id, &page.query()?)
        .await?;
    Ok(Json(Listed::of(found, |row| view(&state, row))))
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
    Ok(Json(view(&state, row)))
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
    let id = row.id.clone();
    let change = Change::SetSubscriptionState {
        id,
        state: wanted,
        reason: None,
    };
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    let row = find_subscription(state.store(), &place.workspace.id, row.id.as_str()).await?;
    Ok(Json(view(&state, row)))
}

/// Deletes a subscription; a conflict while triggers use it.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 204)))]
pub async fn delete_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    let change = Change::DeleteSubscription(row.id);
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(StatusCode::NO_CONTENT)
}
