//! Providers: what is asked of the registry, and the routes that show and switch them.

use axum::Json;
use axum::extract::State;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::access::{Holder, InstanceAdmin, Named, Read};
use super::audit::{self, Deed};
use super::page::Listed;
use super::problem::Problem;
use super::state::ApiState;
use crate::documents::{Catalog, CatalogError, SubscriptionDraft};
use crate::id::SubscriptionId;

/// The provider registry, as far as the API concerns it.
pub trait Providers: Catalog + Send + Sync + 'static {
    /// Every provider: loaded, refused, disabled, discovered.
    fn list(&self) -> Vec<ProviderRow>;

    /// Whether every enabled provider was tried once, so that traffic can be taken.
    fn is_settled(&self) -> bool;

    /// Whether services send to endpoints of this provider: not if it only speaks over connections.
    fn takes_webhooks(&self, provider: &str) -> bool {
        let _ = provider;
        true
    }

    /// The OAuth clients that the instance shares with its workspaces.
    fn shared_clients(&self) -> Vec<SharedClientRow> {
        Vec::new()
    }

    /// A genuine request of this event, signed with the subscription's secret, with a delivery id
    /// that no other has.
    fn sample<'a>(
        &'a self,
        order: &'a SampleOrder,
    ) -> BoxFuture<'a, Result<SampleRequest, CatalogError>>;

    /// Writes the manifest that enables a provider, pinned to the library as it is, and loads it.
    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<ProviderRow, CatalogError>>;

    /// Disables it in its manifest and stops using it.
    fn disable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<ProviderRow, CatalogError>>;
}

/// A provider as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProviderRow {
    pub name: String,
    pub state: ProviderState,
    /// Why it is in this state, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Of the library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The file name of the library or declaration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The names of its events.
    pub events: Vec<String>,
    /// One word for what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The version of the contract that it was built against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abi: Option<String>,
    /// What built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// Whether some load of it serves, also while a newer library is refused.
    pub serving: bool,
    /// When the load that serves was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_at: Option<String>,
    /// How often it was loaded since the start; a replaced library keeps its memory.
    pub loads: u64,
    /// What its declaration left open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How a provider is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderState {
    /// It works.
    Loaded,
    /// Its library is there; no manifest enables it.
    #[default]
    Discovered,
    /// Its manifest disables it.
    Disabled,
    /// It cannot be loaded; an earlier library may still serve.
    Refused,
    /// It panicked too often and is left alone.
    Quarantined,
}

/// An OAuth client that the instance shares; what makes it one is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedClientRow {
    pub provider: String,
    pub base_url: Option<String>,
}

/// Which sample is wanted, for which subscription.
#[derive(Debug, Clone)]
pub struct SampleOrder {
    pub provider: String,
    pub event: String,
    pub subscription_id: SubscriptionId,
    pub endpoint_url: String,
    pub draft: SubscriptionDraft,
}

/// A request as the service would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRequest {
    pub method: String,
    /// Without the `?`; empty if there is none.
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Every provider, by name.
#[utoipa::path(get, path = "/api/v1/providers", tag = "providers",
    responses((status = 200, body = Listed<ProviderRow>)))]
pub async fn list_providers(
    State(state): State<ApiState>,
    _: Holder<Read>,
) -> Json<Listed<ProviderRow>> {
    let mut rows = state.providers().list();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Json(Listed::whole(rows))
}

/// One provider.
#[utoipa::path(get, path = "/api/v1/providers/{provider}", tag = "providers",
    params(("provider" = String, Path)), responses((status = 200, body = ProviderRow)))]
pub async fn show_provider(
    State(state): State<ApiState>,
    _: Holder<Read>,
    Named(name): Named,
) -> Result<Json<ProviderRow>, Problem> {
    let row = state
        .providers()
        .list()
        .into_iter()
        .find(|row| row.name == name);
    row.map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no provider `{name}`")))
}

/// Enables a provider, pinned to its library as it is now.
#[utoipa::path(post, path = "/api/v1/providers/{provider}/enable", tag = "providers",
    params(("provider" = String, Path)), responses((status = 200, body = ProviderRow)))]
pub async fn enable_provider(
    State(state): State<ApiState>,
    admin: InstanceAdmin,
    Named(name): Named,
) -> Result<Json<ProviderRow>, Problem> {
    let row = state.providers().enable(&name).await?;
    note(&state, &admin, "provider.enable", &row).await?;
    Ok(Json(row))
}

/// Disables a provider; its subscriptions are answered 503 until it is enabled again.
#[utoipa::path(post, path = "/api/v1/providers/{provider}/disable", tag = "providers",
    params(("provider" = String, Path)), responses((status = 200, body = ProviderRow)))]
pub async fn disable_provider(
    State(state): State<ApiState>,
    admin: InstanceAdmin,
    Named(name): Named,
) -> Result<Json<ProviderRow>, Problem> {
    let row = state.providers().disable(&name).await?;
    note(&state, &admin, "provider.disable", &row).await?;
    Ok(Json(row))
}

async fn note(
    state: &ApiState,
    admin: &InstanceAdmin,
    action: &str,
    row: &ProviderRow,
) -> Result<(), Problem> {
    let deed = Deed {
        workspace_id: None,
        action,
        object: &row.name,
        detail: json!({ "sha256": row.sha256 }),
    };
    audit::note(state, &admin.caller, deed).await
}
