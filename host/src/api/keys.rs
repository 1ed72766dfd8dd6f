//! The keys that seal secrets.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::access::InstanceAdmin;
use super::audit::{Deed, note};
use super::problem::Problem;
use super::state::ApiState;

/// What a rotation did.
#[derive(Debug, Serialize, ToSchema)]
pub struct RotationView {
    /// The key that seals from now on.
    pub key_id: String,
    /// Secrets sealed anew.
    pub resealed: u64,
    /// Keys that seal nothing any more.
    pub retired: Vec<String>,
}

/// Makes a new key, seals every secret with it, and retires the others.
#[utoipa::path(post, path = "/api/v1/keys/rotate", tag = "keys",
    responses((status = 200, body = RotationView)))]
pub async fn rotate_keys(
    State(state): State<ApiState>,
    admin: InstanceAdmin,
) -> Result<Json<RotationView>, Problem> {
    let rotation = state.store().rotate_keys().await?;
    let deed = Deed {
        workspace_id: None,
        action: "keys.rotate",
        object: &rotation.key_id,
        detail: json!({ "resealed": rotation.resealed }),
    };
    note(&state, &admin.caller, deed).await?;
    Ok(Json(RotationView {
        key_id: rotation.key_id,
        resealed: rotation.resealed,
        retired: rotation.retired,
    }))
}
