//! What can be asked of a subscription: pause, resume, test, check, sync, options.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trigger_plugin_api::messages::OptionsPage;
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace, Named, Read};
use super::body::QueryOf;
use super::names::find_subscription;
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscription_view::{SubscriptionView, whole_view};
use crate::id::{CredentialId, SubscriptionId, WorkspaceId};
use crate::model::{Change, PageQuery, Subscription, SubscriptionState};
use crate::subscriptions::{OptionsOrder, OptionsPlace};

/// What is looked for among the values of a parameter.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OptionsParams {
    /// The parameter's name.
    pub parameter: String,
    /// What was typed.
    #[serde(default)]
    pub search: String,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

/// The same before there is a subscription.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProviderOptionsParams {
    /// The parameter's name.
    pub parameter: String,
    /// What was typed.
    #[serde(default)]
    pub search: String,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// The name of the credential that acts for us.
    pub credential: Option<String>,
    /// What was chosen for the other parameters: a JSON object.
    pub parameters: Option<String>,
}

/// One page of values. A value that stands nowhere here is possible all the same.
#[derive(Debug, Serialize, ToSchema)]
pub struct Options {
    pub items: Vec<OptionView>,
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
}

/// One value.
#[derive(Debug, Serialize, ToSchema)]
pub struct OptionView {
    pub value: String,
    pub label: String,
}

impl From<OptionsPage> for Options {
    fn from(page: OptionsPage) -> Options {
        let items = page.options.into_iter().map(|option| OptionView {
            value: option.value,
            label: option.label,
        });
        Options {
            items: items.collect(),
            next: page.next_cursor,
        }
    }
}

/// Nothing runs for it any more; the service goes on sending, and is answered.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/pause",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 200, body = SubscriptionView)))]
pub async fn pause_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<SubscriptionView>, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    switch(&state, &place, &row, SubscriptionState::Paused).await
}

/// It goes on, and catches up where the service can tell what was missed.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/resume",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 200, body = SubscriptionView)))]
pub async fn resume_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<SubscriptionView>, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    if row.state != SubscriptionState::Paused {
        return Ok(Json(shown(&state, &place.workspace.id, &row.id).await?));
    }
    switch(&state, &place, &row, SubscriptionState::Active).await
}

/// Asks the service to send something harmless now.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/test",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 204)))]
pub async fn test_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    state.subscriptions().test(&row).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Compares it with what the service holds, and does what its policy says.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/check",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 200, body = SubscriptionView)))]
pub async fn check_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<SubscriptionView>, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    state.subscriptions().check(&row).await?;
    Ok(Json(shown(&state, &place.workspace.id, &row.id).await?))
}

/// Does everything now that keeps it alive: what failed is tried again, changes are read.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/sync",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    responses((status = 200, body = SubscriptionView)))]
pub async fn sync_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<Json<SubscriptionView>, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    state.subscriptions().sync(&row).await?;
    Ok(Json(shown(&state, &place.workspace.id, &row.id).await?))
}

/// The values that one of its parameters may have, searched at the service.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/options",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path),
    OptionsParams), responses((status = 200, body = Options)))]
pub async fn subscription_options(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
    QueryOf(params): QueryOf<OptionsParams>,
) -> Result<Json<Options>, Problem> {
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    let at = OptionsPlace {
        provider: row.provider,
        credential_id: row.terms.credential_id,
        parameters: row.parameters,
    };
    let order = OptionsOrder {
        parameter: params.parameter,
        search: params.search,
        cursor: params.cursor,
    };
    Ok(Json(
        state.subscriptions().options(&at, order).await?.into(),
    ))
}

/// The values that a parameter may have, before there is a subscription.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/providers/{provider}/options",
    tag = "subscriptions", params(("workspace" = String, Path), ("provider" = String, Path),
    ProviderOptionsParams), responses((status = 200, body = Options)))]
pub async fn provider_options(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(provider): Named,
    QueryOf(params): QueryOf<ProviderOptionsParams>,
) -> Result<Json<Options>, Problem> {
    let at = OptionsPlace {
        credential_id: credential(&state, &place, &provider, params.credential.as_deref()).await?,
        parameters: json_object("parameters", params.parameters.as_deref())?.unwrap_or_default(),
        provider,
    };
    let order = OptionsOrder {
        parameter: params.parameter,
        search: params.search,
        cursor: params.cursor,
    };
    Ok(Json(
        state.subscriptions().options(&at, order).await?.into(),
    ))
}

/// A subscription as it is now.
pub(super) async fn shown(
    state: &ApiState,
    workspace: &WorkspaceId,
    id: &SubscriptionId,
) -> Result<SubscriptionView, Problem> {
    let row = state.store().subscription_upkeep(id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no subscription `{id}`")))?;
    Ok(whole_view(state, workspace, row).await?)
}

/// Sets a state that an operator can set.
pub(super) async fn switch(
    state: &ApiState,
    place: &InWorkspace<Apply>,
    row: &Subscription,
    wanted: SubscriptionState,
) -> Result<Json<SubscriptionView>, Problem> {
    let change = Change::SetSubscriptionState {
        id: row.id.clone(),
        state: wanted,
        reason: None,
    };
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(Json(shown(state, &place.workspace.id, &row.id).await?))
}

/// The credential that a query names; it has to be one of the provider's.
pub(super) async fn credential<S>(
    state: &ApiState,
    place: &InWorkspace<S>,
    provider: &str,
    named: Option<&str>,
) -> Result<Option<CredentialId>, Problem> {
    let workspace = &place.workspace.id;
    let Some(named) = named else {
        return only_credential(state, workspace, provider).await;
    };
    let found = match named.parse::<CredentialId>() {
        Ok(id) => state.store().credential(workspace, &id).await?,
        Err(_) => state.store().credential_by_name(workspace, named).await?,
    };
    let found = found.filter(|found| found.provider == provider);
    let found = found.ok_or_else(|| {
        Problem::not_found(format!("there is no credential `{named}` of `{provider}`"))
    })?;
    Ok(Some(found.id))
}

/// Where none is named, the only one there is of the provider; with several it has to be said.
async fn only_credential(
    state: &ApiState,
    workspace: &WorkspaceId,
    provider: &str,
) -> Result<Option<CredentialId>, Problem> {
    let mut own = Vec::new();
    let mut page = PageQuery::first(PageQuery::LIMIT_MAX);
    loop {
        let found = state.store().list_credentials(workspace, &page).await?;
        own.extend(
            found
                .items
                .into_iter()
                .filter(|one| one.provider == provider),
        );
        let Some(next) = found.next else { break };
        page.cursor = Some(next);
    }
    match own.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.id.clone())),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|one| format!("`{}`", one.name))
                .collect();
            let names = names.join(", ");
            let message = format!(
                "there are several accounts of `{provider}`: name one as `credential`: {names}"
            );
            Err(Problem::bad_request(message))
        }
    }
}

/// A JSON object in a query.
pub(super) fn json_object(
    name: &str,
    text: Option<&str>,
) -> Result<Option<Map<String, Value>>, Problem> {
    let read = text.map(serde_json::from_str).transpose();
    read.map_err(|_| Problem::bad_request(format!("`{name}`: expected a JSON object `{{…}}`")))
}
