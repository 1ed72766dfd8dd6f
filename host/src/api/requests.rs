//! What arrived at endpoints.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::{InWorkspace, Named, Read};
use super::body::QueryOf;
use super::names::{Names, find_subscription, id};
use super::page::{Listed, PageParams, word};
use super::problem::Problem;
use super::state::ApiState;
use super::subscriptions::time;
use crate::id::RequestId;
use crate::model::{Request, RequestFilter};

/// A request of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestView {
    pub id: String,
    /// The subscription's name; null if it is deleted.
    pub subscription: Option<String>,
    /// The path of the runnable that it called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runnable: Option<String>,
    /// The (first) job that the call made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The provider's name; `webhook` for the call of a runnable.
    pub provider: String,
    pub received_at: String,
    /// accepted, duplicate, refused or answered.
    pub outcome: String,
    /// What it was answered with.
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// How many events it carried.
    pub events: u32,
    pub method: String,
    pub path: String,
    pub query: String,
    /// `[[name, value], …]`, declared secrets masked.
    pub headers: Value,
    pub body_size: u64,
}

/// A request with its body.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestDetail {
    #[serde(flatten)]
    pub request: RequestView,
    /// The body, if it is text and was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not text and was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// Which requests.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RequestParams {
    /// The id or name of a subscription.
    pub subscription: Option<String>,
    /// accepted, duplicate, refused or answered.
    pub outcome: Option<String>,
    /// What the service marked it with.
    pub delivery_id: Option<String>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// How many items at most: 1 to 1000, 50 if absent.
    pub limit: Option<u32>,
}

async fn view(names: &mut Names<'_>, row: Request) -> Result<RequestView, Problem> {
    Ok(RequestView {
        id: row.id.to_string(),
        subscription: match &row.subscription_id {
            Some(id) => names.subscription(id).await?,
            None => None,
        },
        runnable: match &row.runnable_id {
            Some(id) => names.runnable(id).await?,
            None => None,
        },
        job_id: row.job_id.map(|id| id.to_string()),
        provider: row.provider,
        received_at: time(row.received_at),
        outcome: row.outcome.to_string(),
        status: row.status,
        reason: row.reason,
        delivery_id: row.delivery_id,
        events: row.events,
        method: row.method,
        path: row.path,
        query: row.query,
        headers: row.headers,
        body_size: row.body_size,
    })
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/requests", tag = "requests",
    params(("workspace" = String, Path), RequestParams),
    responses((status = 200, body = Listed<RequestView>)))]
pub async fn list_requests(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(params): QueryOf<RequestParams>,
) -> Result<Json<Listed<RequestView>>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let mut filter = RequestFilter {
        outcome: word("outcome", params.outcome.as_deref())?,
        delivery_id: params.delivery_id,
        ..RequestFilter::default()
    };
    if let Some(named) = &params.subscription {
        filter.subscription_id = Some(find_subscription(store, workspace, named).await?.id);
    }
    let page = PageParams {
        cursor: params.cursor,
        limit: params.limit,
    }
    .query()?;
    let found = store.list_requests(workspace, &filter, &page).await?;
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

/// One request with its body.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/requests/{request}", tag = "requests",
    params(("workspace" = String, Path), ("request" = String, Path)),
    responses((status = 200, body = RequestDetail)))]
pub async fn show_request(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<RequestDetail>, Problem> {
    let request_id: RequestId = id("request", &named)?;
    let (store, workspace) = (state.store(), &place.workspace.id);
    let row = store.request(workspace, &request_id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no request `{named}`")))?;
    let held = store.request_body(workspace, &request_id).await?;
    let (body, body_base64) = match held.map(|bytes| String::from_utf8(bytes.into())) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(error)) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    let request = view(&mut Names::new(store, workspace), row).await?;
    Ok(Json(RequestDetail {
        request,
        body,
        body_base64,
    }))
}
