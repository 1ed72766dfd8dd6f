//! The webhook of a workspace: who is told of every change in it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::access::{Admin, InWorkspace, Read};
use super::audit::Deed;
use super::body::JsonBody;
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscriptions::time;
use crate::clock::random;
use crate::documents::{self, Mistake};
use crate::model::{AuditEntry, HookOrder, WorkspaceHook};
use crate::reference;
use crate::secret::Secret;

/// Who is told of the changes in a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct HookView {
    /// Without its query, which may hold a secret.
    pub url: String,
    /// Ranges of addresses opened beyond public ones.
    pub allow: Vec<String>,
    /// So many changes are still to be told.
    pub waiting: i64,
    /// When the last one was taken.
    pub told_at: Option<String>,
    /// Why the last one was not; null: it was.
    pub failure: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// What notices are signed with, this once: it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Who is to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HookWish {
    /// http or https.
    pub url: String,
    /// `whsec_` and the base64 of 24 to 64 bytes; absent: the one that is there, or else a new one.
    pub secret: Option<String>,
    /// Ranges of addresses to open, like `10.0.0.0/8`.
    #[serde(default)]
    pub allow: Vec<String>,
}

fn view(hook: WorkspaceHook) -> HookView {
    HookView {
        url: shown(&hook.url),
        allow: hook.allow,
        waiting: hook.waiting,
        told_at: hook.told_at.map(time),
        failure: hook.failure,
        created_at: time(hook.created_at),
        updated_at: time(hook.updated_at),
        secret: None,
    }
}

/// An address may carry a secret in its query.
fn shown(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => format!("{address}?[masked]"),
        None => url.to_owned(),
    }
}

fn none() -> Problem {
    Problem::not_found("nobody is told of the changes in this workspace")
}

/// Who is told of the changes in a workspace.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/webhook", tag = "workspaces",
    params(("workspace" = String, Path)), responses((status = 200, body = HookView)))]
pub async fn show_hook(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
) -> Result<Json<HookView>, Problem> {
    let hook = state.store().workspace_hook(&place.workspace.id).await?;
    Ok(Json(view(hook.ok_or_else(none)?)))
}

/// Names who is told of every change in a workspace, signed after Standard Webhooks.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/webhook", tag = "workspaces",
    params(("workspace" = String, Path)), request_body = HookWish,
    responses((status = 200, body = HookView)))]
pub async fn put_hook(
    State(state): State<ApiState>,
    place: InWorkspace<Admin>,
    JsonBody(wish): JsonBody<HookWish>,
) -> Result<Json<HookView>, Problem> {
    check(&wish)?;
    let (store, workspace) = (state.store(), &place.workspace.id);
    let held = store.workspace_hook(workspace).await?;
    let (secret, made) = match (wish.secret, held) {
        (Some(secret), _) => (Secret::new(secret), None),
        (None, Some(held)) => (held.secret, None),
        (None, None) => {
            let secret = new_secret();
            (Secret::new(secret.clone()), Some(secret))
        }
    };
    let order = HookOrder {
        url: wish.url,
        secret,
        allow: wish.allow,
    };
    let audit = entry(&state, &place, "webhook.set");
    store.set_workspace_hook(workspace, &order, audit).await?;
    state.announce(Changed::Objects(workspace.clone()));
    let hook = store.workspace_hook(workspace).await?;
    Ok(Json(HookView {
        secret: made,
        ..view(hook.ok_or_else(none)?)
    }))
}

/// Nobody is told any more; what was not told yet is let go.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/webhook", tag = "workspaces",
    params(("workspace" = String, Path)), responses((status = 204)))]
pub async fn delete_hook(
    State(state): State<ApiState>,
    place: InWorkspace<Admin>,
) -> Result<StatusCode, Problem> {
    let audit = entry(&state, &place, "webhook.remove");
    let store = state.store();
    match store
        .remove_workspace_hook(&place.workspace.id, audit)
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(none()),
    }
}

fn check(wish: &HookWish) -> Result<(), Problem> {
    let mut mistakes = Vec::new();
    let mut note = |pointer: String, checked: Result<(), String>| {
        if let Err(expected) = checked {
            mistakes.push(Mistake::value(pointer, format!("expected {expected}")));
        }
    };
    note("/url".to_owned(), documents::target(&wish.url));
    if let Some(secret) = &wish.secret {
        let is_reference = reference::is_reference(secret);
        let checked = match is_reference {
            true => Err("a secret: references are not followed here".to_owned()),
            false => documents::signing_secret(secret),
        };
        note("/secret".to_owned(), checked);
    }
    for (index, range) in wish.allow.iter().enumerate() {
        note(format!("/allow/{index}"), documents::network(range));
    }
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(mistakes)),
    }
}

fn new_secret() -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    format!("whsec_{}", STANDARD.encode(bytes))
}

fn entry(state: &ApiState, place: &InWorkspace<Admin>, action: &str) -> AuditEntry {
    let deed = Deed {
        workspace_id: Some(&place.workspace.id),
        action,
        object: place.workspace.id.as_str(),
        detail: json!({}),
    };
    deed.of(&place.caller, state)
}
