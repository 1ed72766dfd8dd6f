//! Connecting an account: asking for an address to open, and waiting for what comes of it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace, Named, Read};
use super::body::{JsonBody, QueryOf, patience};
use super::credentials::{CredentialView, view};
use super::names::id;
use super::problem::Problem;
use super::state::ApiState;
use super::subscriptions::time;
use crate::credentials::{ConnectError, ConnectOrder, Waiting};
use crate::documents::{Mistake, workspace_name_form};
use crate::id::ConnectId;

/// Nobody is let wait longer at a time.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// An account that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectWish {
    pub provider: String,
    /// The name of an integration, or `shared`; absent: the only one there is.
    pub integration: Option<String>,
    /// The name of the credential to be made, or to be connected anew; absent: the provider's.
    pub name: Option<String>,
}

/// An address to be opened in a browser.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectTicket {
    /// Whoever opens it connects an account: it is for one person only.
    pub url: String,
    /// Where the service sends the browser back to: it must be registered there to the letter.
    pub redirect_url: String,
    /// To ask what became of it.
    pub ticket: String,
    /// The address is good until then.
    pub expires_at: String,
}

/// How far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectView {
    /// waiting, started, exchanging, done, failed or expired.
    pub phase: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialView>,
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitParams {
    /// Answer when it is done or failed, or after this time, `25s` at most; absent: at once.
    pub wait: Option<String>,
}

/// Asks for an address at which a person connects an account.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/connect", tag = "credentials",
    params(("workspace" = String, Path)), request_body = ConnectWish,
    responses((status = 201, body = ConnectTicket)))]
pub async fn order_connect(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    JsonBody(wish): JsonBody<ConnectWish>,
) -> Result<(StatusCode, Json<ConnectTicket>), Problem> {
    if let Some(Err(expected)) = wish.name.as_deref().map(workspace_name_form) {
        let message = format!("`name`: expected {expected}");
        return Err(Problem::invalid(vec![Mistake::value("/name", message)]));
    }
    let order = ConnectOrder {
        workspace_id: place.workspace.id.clone(),
        token_id: place.caller.token_id.clone(),
        provider: wish.provider,
        integration: wish.integration,
        name: wish.name,
    };
    let ordered = state.credentials().order(order).await?;
    let ticket = ConnectTicket {
        url: ordered.url.expose().clone(),
        redirect_url: ordered.redirect_url,
        ticket: ordered.id.to_string(),
        expires_at: time(ordered.expires_at),
    };
    Ok((StatusCode::CREATED, Json(ticket)))
}

/// What became of it, for the token that asked.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/connect/{ticket}", tag = "credentials",
    params(("workspace" = String, Path), ("ticket" = String, Path), WaitParams),
    responses((status = 200, body = ConnectView)))]
pub async fn show_connect(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
    QueryOf(params): QueryOf<WaitParams>,
    Named(named): Named,
) -> Result<Json<ConnectView>, Problem> {
    let patience = patience("wait", params.wait.as_deref(), WAIT_MAX)?;
    let connect_id: ConnectId = id("ticket", &named)?;
    let (workspace, token) = (&place.workspace.id, &place.caller.token_id);
    let waiting = state
        .credentials()
        .wait(workspace, token, &connect_id, patience);
    let waiting = waiting.await?;
    let gone = || Problem::not_found(format!("there is no ticket `{named}`"));
    let shown = |phase: &str| ConnectView {
        phase: phase.to_owned(),
        reason: None,
        credential: None,
    };
    Ok(Json(match waiting.ok_or_else(gone)? {
        Waiting::Pending(connect) => shown(connect.phase.as_str()),
        Waiting::Expired => shown("expired"),
        Waiting::Failed(reason) => ConnectView {
            reason: Some(reason),
            ..shown("failed")
        },
        Waiting::Done(credential) => ConnectView {
            credential: Some(view(&state, *credential).await?),
            ..shown("done")
        },
    }))
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Problem {
        match error {
            ConnectError::Wrong {
                field,
                message,
                allowed,
            } => {
                let mistake = Mistake::value(format!("/{field}"), message);
                Problem::invalid(vec![mistake.allowing(allowed)])
            }
            ConnectError::Store(error) => error.into(),
            other => Problem::conflict(other.to_string()),
        }
    }
}
