//! The log of events.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
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
use crate::id::EventId;
use crate::model::{Event, EventFilter};

/// An event of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    pub id: String,
    pub name: String,
    pub provider: String,
    /// The subscription's name; null if it is deleted.
    pub subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// pending, handled or failed.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many triggers it fired; 0 with `handled` is an unmatched event.
    pub matched: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    pub received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handled_at: Option<String>,
}

/// An event with its payload.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDetail {
    #[serde(flatten)]
    pub event: EventView,
    /// JSON as it is, else a text; null if it was trimmed.
    pub payload: Value,
}

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// The id or name of a subscription.
    pub subscription: Option<String>,
    /// The id of a request.
    pub request: Option<String>,
    /// The event's name.
    pub name: Option<String>,
    /// pending, handled or failed.
    pub state: Option<String>,
    /// true: those that fired a trigger; false: those that fired none.
    pub matched: Option<bool>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// How many items at most: 1 to 1000, 50 if absent.
    pub limit: Option<u32>,
}

/// Bytes as they are shown: JSON as it is, else a text.
pub(super) fn shown(bytes: Option<Bytes>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

async fn view(names: &mut Names<'_>, row: Event) -> Result<EventView, Problem> {
    Ok(EventView {
        id: row.id.to_string(),
        name: row.name,
        provider: row.provider,
        subscription: names.subscription(&row.subscription_id).await?,
        request_id: row.request_id.map(|id| id.to_string()),
        state: row.state.to_string(),
        reason: row.reason,
        matched: row.matched,
        occurred_at: row.occurred_at.map(time),
        received_at: time(row.received_at),
        handled_at: row.handled_at.map(time),
    })
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/events", tag = "events",
    params(("workspace" = String, Path), EventParams),
    responses((status = 200, body = Listed<EventView>)))]
pub async fn list_events(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(params): QueryOf<EventParams>,
) -> Result<Json<Listed<EventView>>, Problem> {
    let (store, workspace) = (state.store(), &place.workspace.id);
    let mut filter = EventFilter {
        request_id: word("request", params.request.as_deref())?,
        name: params.name,
        state: word("state", params.state.as_deref())?,
        matched: params.matched,
        ..EventFilter::default()
    };
    if let Some(named) = &params.subscription {
        filter.subscription_id = Some(find_subscription(store, workspace, named).await?.id);
    }
    let page = PageParams {
        cursor: params.cursor,
        limit: params.limit,
    }
    .query()?;
    let found = store.list_events(workspace, &filter, &page).await?;
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

/// One event with its payload.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/events/{event}", tag = "events",
    params(("workspace" = String, Path), ("event" = String, Path)),
    responses((status = 200, body = EventDetail)))]
pub async fn show_event(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    Named(named): Named,
) -> Result<Json<EventDetail>, Problem> {
    let event_id: EventId = id("event", &named)?;
    let (store, workspace) = (state.store(), &place.workspace.id);
    let row = store.event(workspace, &event_id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no event `{named}`")))?;
    let payload = shown(store.event_payload(workspace, &event_id).await?);
    let event = view(&mut Names::new(store, workspace), row).await?;
    Ok(Json(EventDetail { event, payload }))
}
