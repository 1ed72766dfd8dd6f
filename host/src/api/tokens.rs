//! API tokens.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::access::{Admin, Holder, Named};
use super::audit::Deed;
use super::body::JsonBody;
use super::names::id;
use super::page::Listed;
use super::problem::Problem;
use super::state::ApiState;
use super::subscriptions::time;
use crate::documents::Mistake;
use crate::id::{TokenId, WorkspaceId};
use crate::model::{CallKind, RunnableKind, Runs, Scope, Token};
use crate::tokens::{Caller, TokenOrder};
use crate::units;

/// A token; the token itself is not kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    pub id: String,
    pub name: String,
    /// The workspace's name; null: the whole instance.
    pub workspace: Option<String>,
    pub scopes: Vec<String>,
    /// The one runnable that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<RunsView>,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub revoked_at: Option<String>,
    /// active, expired or revoked.
    pub state: &'static str,
}

/// A token and, this once, the token itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedToken {
    #[serde(flatten)]
    pub about: TokenView,
    /// Shown only here.
    pub token: String,
}

/// A token that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenWish {
    pub name: String,
    /// Any of admin, read, apply, run, send.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The name of the workspace it is for; absent: the whole instance.
    pub workspace: Option<String>,
    /// After how long it expires: 90d; absent: never.
    pub expires_in: Option<String>,
    /// The one runnable that it runs; it has no scopes then.
    pub runs: Option<RunsWish>,
}

/// The one runnable that a token runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunsView {
    pub path: String,
    /// runnable or flow.
    pub kind: String,
}

/// The one runnable that a token is to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunsWish {
    pub path: String,
    /// runnable or flow; absent: what stands at the path.
    pub kind: Option<String>,
}

async fn view(state: &ApiState, token: Token) -> Result<TokenView, Problem> {
    let workspace = match &token.workspace_id {
        Some(id) => Some(workspace_name(state, id).await?),
        None => None,
    };
    let now = state.clock().now();
    let state = match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(expires_at)) if expires_at <= now => "expired",
        (None, _) => "active",
    };
    Ok(TokenView {
        id: token.id.to_string(),
        name: token.name,
        workspace,
        scopes: token.scopes.iter().map(ToString::to_string).collect(),
        runs: token.runs.map(|runs| RunsView {
            path: runs.path,
            kind: runs.kind.to_string(),
        }),
        created_at: time(token.created_at),
        expires_at: token.expires_at.map(time),
        last_used_at: token.last_used_at.map(time),
        revoked_at: token.revoked_at.map(time),
        state,
    })
}

async fn workspace_name(state: &ApiState, id: &WorkspaceId) -> Result<String, Problem> {
    let all = state.store().list_workspaces().await?;
    let found = all.into_iter().find(|workspace| workspace.id == *id);
    Ok(found.map_or_else(|| id.to_string(), |workspace| workspace.name))
}

/// The tokens, newest first; a workspace's admin sees those of the workspace.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = Listed<TokenView>)))]
pub async fn list_tokens(
    State(state): State<ApiState>,
    admin: Holder<Admin>,
) -> Result<Json<Listed<TokenView>>, Problem> {
    let own = admin.caller.workspace_id.as_ref();
    let mut items = Vec::new();
    for token in state.store().list_tokens(own).await? {
        items.push(view(&state, token).await?);
    }
    Ok(Json(Listed::whole(items)))
}

/// Makes a token. The answer is the only place where it is shown.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenWish,
    responses((status = 201, body = CreatedToken)))]
pub async fn create_token(
    State(state): State<ApiState>,
    admin: Holder<Admin>,
    JsonBody(wish): JsonBody<TokenWish>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let order = order(&state, &admin.caller, wish).await?;
    let scopes: Vec<&str> = order.scopes.iter().map(|scope| scope.as_str()).collect();
    let runs = order.runs.as_ref().map(|runs| runs.path.as_str());
    let deed = Deed {
        workspace_id: order.workspace_id.as_ref(),
        action: "token.create",
        object: "",
        detail: json!({ "name": order.name, "scopes": scopes, "runs": runs }),
    };
    let entry = deed.of(&admin.caller, &state);
    let (token, text) = state.tokens().create_noted(order, entry).await?;
    let about = view(&state, token).await?;
    let created = CreatedToken {
        about,
        token: text.expose().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn order(state: &ApiState, caller: &Caller, wish: TokenWish) -> Result<TokenOrder, Problem> {
    let mut mistakes = Vec::new();
    if wish.name.trim().is_empty() || wish.name.len() > 100 {
        mistakes.push(Mistake::value(
            "/name",
            "expected a name of at most 100 bytes",
        ));
    }
    let mut scopes: Vec<Scope> = Vec::new();
    for (index, text) in wish.scopes.iter().enumerate() {
        match text.parse() {
            Ok(scope) if !scopes.contains(&scope) => scopes.push(scope),
            Ok(_) => {}
            Err(_) => {
                let mistake = Mistake::value(format!("/scopes/{index}"), "expected a scope");
                let allowed = Scope::ALL.iter().map(|scope| scope.as_str());
                mistakes.push(mistake.allowing(allowed));
            }
        }
    }
    match (&wish.runs, wish.scopes.is_empty()) {
        (None, true) => mistakes.push(Mistake::value("/scopes", "expected at least one scope")),
        (Some(_), false) => mistakes.push(Mistake::value(
            "/scopes",
            "a token that runs one runnable has no scopes",
        )),
        _ => {}
    }
    let lifetime = wish.expires_in.as_deref().map(units::parse_duration);
    if lifetime == Some(None) {
        mistakes.push(Mistake::value(
            "/expires_in",
            format!("expected {}", units::DURATION_FORM),
        ));
    }
    if lifetime == Some(Some(Duration::ZERO)) {
        mistakes.push(Mistake::value(
            "/expires_in",
            "expected a time longer than 0; leave it out for a token that does not expire",
        ));
    }
    let workspace_id = match &wish.workspace {
        Some(name) => {
            let found = state.store().workspace_by_name(name).await?;
            let found = found.filter(|found| caller.reaches(&found.id));
            if found.is_none() {
                let message = format!("there is no workspace `{name}`");
                mistakes.push(Mistake::value("/workspace", message));
            }
            found.map(|found| found.id)
        }
        // A workspace's admin cannot make a token that reaches further than their own.
        None => caller.workspace_id.clone(),
    };
    let runs = match &wish.runs {
        Some(runs) => read_runs(state, runs, workspace_id.as_ref(), &mut mistakes).await?,
        None => None,
    };
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    let now = state.clock().now();
    let expires_at = lifetime.flatten().map(|lifetime| now.plus(lifetime));
    Ok(TokenOrder {
        name: wish.name,
        workspace_id,
        scopes,
        expires_at,
        runs,
    })
}

/// A token for one runnable belongs to the workspace where that is.
async fn read_runs(
    state: &ApiState,
    wish: &RunsWish,
    workspace: Option<&WorkspaceId>,
    mistakes: &mut Vec<Mistake>,
) -> Result<Option<Runs>, Problem> {
    let Ok(wanted) = wish.kind.as_deref().map(str::parse::<CallKind>).transpose() else {
        let allowed = CallKind::ALL.iter().map(|kind| kind.as_str());
        let mistake = Mistake::value("/runs/kind", "expected a kind of runnable");
        mistakes.push(mistake.allowing(allowed));
        return Ok(None);
    };
    let Some(workspace) = workspace else {
        let message = "a token that runs one runnable needs the workspace of it";
        mistakes.push(Mistake::value("/workspace", message));
        return Ok(None);
    };
    let (store, path) = (state.store(), &wish.path);
    let Some(found) = store.runnable_by_path(workspace, path).await? else {
        let message = format!("there is no runnable `{path}`");
        mistakes.push(Mistake::value("/runs/path", message));
        return Ok(None);
    };
    let version = store.runnable_version(&found.version_id).await?;
    let is_flow = version.is_some_and(|version| version.kind == RunnableKind::Flow);
    // A token for the other kind could run nothing at all.
    let (kind, message) = match is_flow {
        true => (CallKind::Flow, "is a flow: say `flow`, or leave it out"),
        false => (
            CallKind::Runnable,
            "is no flow: say `runnable`, or leave it out",
        ),
    };
    if wanted.is_some_and(|wanted| wanted != kind) {
        let message = format!("`{path}` {message}");
        mistakes.push(Mistake::value("/runs/kind", message));
    }
    Ok(Some(Runs {
        path: path.clone(),
        kind,
    }))
}

/// Revokes a token, at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "The id, not the token itself")),
    responses((status = 204)))]
pub async fn revoke_token(
    State(state): State<ApiState>,
    admin: Holder<Admin>,
    Named(named): Named,
) -> Result<StatusCode, Problem> {
    let token_id: TokenId = id("token", &named)?;
    let own = admin.caller.workspace_id.as_ref();
    let reachable = state.store().list_tokens(own).await?;
    let found = reachable.into_iter().find(|token| token.id == token_id);
    let gone = || Problem::not_found(format!("there is no token `{named}`"));
    let token = found.ok_or_else(gone)?;
    let deed = Deed {
        workspace_id: token.workspace_id.as_ref(),
        action: "token.revoke",
        object: token.id.as_str(),
        detail: json!({ "name": token.name }),
    };
    let entry = deed.of(&admin.caller, &state);
    state.store().noted(entry).revoke_token(&token.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
