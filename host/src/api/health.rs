//! Health and metrics; without a token, since they tell nothing about anybody.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::providers::ProviderState;
use super::state::ApiState;

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    pub status: &'static str,
}

/// That work can be taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub status: &'static str,
    /// How many providers serve.
    pub providers_loaded: usize,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Whether the store answers and takes what is written, and the providers were loaded.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Problem,
        content_type = "application/problem+json")))]
pub async fn readyz(State(state): State<ApiState>) -> Result<Json<Readiness>, Problem> {
    if !state.providers().is_settled() {
        return Err(Problem::unavailable("the providers are being loaded"));
    }
    if let Err(error) = state.store().check_ready().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the store is not ready"
        );
        return Err(Problem::unavailable(
            "the database does not answer, or takes nothing more",
        ));
    }
    let rows = state.providers().list();
    // Those that answer: also with an older load, while a newer library is refused.
    let loaded = rows
        .iter()
        .filter(|row| row.serving && row.state != ProviderState::Quarantined);
    Ok(Json(Readiness {
        status: "ready",
        providers_loaded: loaded.count(),
    }))
}

/// What is counted and measured, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
pub async fn metrics(State(state): State<ApiState>) -> Response {
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, state.metrics().render()).into_response()
}
