//! Routes: addresses of a workspace's own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::{Apply, InWorkspace, Named, Read};
use super::apply::{AppliedObject, apply_one};
use super::body::{JsonBody, QueryOf};
use super::names::{Names, find_route};
use super::page::{Listed, PageParams};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::model::{Change, Route, RouteMode};

/// A route.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteView {
    pub id: String,
    pub name: String,
    /// With its parameters: `/hooks/orders/{id}`.
    pub path: String,
    /// Where it answers.
    pub url: String,
    pub methods: Vec<String>,
    /// The runnable's path; null: the route only answers.
    pub runnable: Option<String>,
    /// The path of the runnable that shapes the arguments.
    pub preprocessor: Option<String>,
    /// async or sync.
    pub mode: &'static str,
    /// none, token, basic, verify or provider.
    pub auth: String,
    /// All of what it says; no secret is part of it.
    pub spec: Value,
    /// The names of its secrets.
    pub secrets: Vec<String>,
    pub enabled: bool,
    pub created_at: String,
    pub updated_at: String,
}

async fn view(state: &ApiState, names: &mut Names<'_>, route: Route) -> Result<RouteView, Problem> {
    let secrets = match route.has_secrets {
        true => state.store().route_secrets(&route.id).await?,
        false => None,
    };
    let secrets: Map<String, Value> = secrets
        .and_then(|text| serde_json::from_str(text.expose()).ok())
        .unwrap_or_default();
    let content = route.content;
    Ok(RouteView {
        id: route.id.to_string(),
        name: route.name,
        url: state.route_url(&content.path),
        path: content.path.to_string(),
        methods: content.methods,
        runnable: match &content.runnable_id {
            Some(id) => names.runnable(id).await?,
            None => None,
        },
        preprocessor: match &content.preprocessor_id {
            Some(id) => names.runnable(id).await?,
            None => None,
        },
        mode: match content.spec.mode {
            RouteMode::Async => "async",
            RouteMode::Sync => "sync",
        },
        auth: content.spec.auth.kind().to_owned(),
        spec: serde_json::to_value(&content.spec).unwrap_or_default(),
        secrets: secrets.keys().cloned().collect(),
        enabled: content.enabled,
        created_at: time(route.created_at),
        updated_at: time(route.updated_at),
    })
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/routes", tag = "routes",
    params(("workspace" = String, Path), PageParams),
    responses((status = 200, body = Listed<RouteView>)))]
pub async fn list_routes(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(page): QueryOf<PageParams>,
) -> Result<Json<Listed<RouteView>>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let found = store.list_routes(workspace, &page.query()?).await?;
    let mut names = Names::new(store, workspace);
    let mut items = Vec::with_capacity(found.items.len());
    for row in found.items {
        items.push(view(&state, &mut names, row).await?);
    }
    Ok(Json(Listed {
        items,
        next: found.next,
    }))
}

/// One route, by id or name.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/routes/{route}", tag = "routes",
    params(("workspace" = String, Path), ("route" = String, Path)),
    responses((status = 200, body = RouteView)))]
pub async fn show_route(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<RouteView>, Problem> {
    let row = find_route(state.store(), &place.workspace.id, &named).await?;
    let mut names = Names::new(state.store(), &place.workspace.id);
    Ok(Json(view(&state, &mut names, row).await?))
}

/// Creates or changes one route, as in a document; refused if another one takes its requests.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/routes", tag = "routes",
    params(("workspace" = String, Path)), request_body = Object,
    responses((status = 200, body = AppliedObject)))]
pub async fn put_route(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<AppliedObject>, Problem> {
    Ok(Json(apply_one(&state, &place, "routes", body).await?))
}

/// Deletes a route; the jobs it made stay.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/routes/{route}",
    tag = "routes", params(("workspace" = String, Path), ("route" = String, Path)),
    responses((status = 204)))]
pub async fn delete_route(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let row = find_route(state.store(), &place.workspace.id, &named).await?;
    let change = Change::DeleteRoute(row.id);
    state.store().apply(&place.actor(), vec![change]).await?;
    state.announce(Changed::Objects(place.workspace.id.clone()));
    Ok(StatusCode::NO_CONTENT)
}
