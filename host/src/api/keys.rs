//! The keys that seal secrets.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::access::InstanceAdmin;
use super::problem::Problem;
use super::state::ApiState;
use crate::id::AuditId;
use crate::model::AuditEntry;

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
    let at = state.clock().now();
    let entry = AuditEntry {
        id: AuditId::generate(at),
        workspace_id: None,
        token_id: Some(admin.caller.token_id),
        action: "keys.rotate".to_owned(),
        object: rotation.key_id.clone(),
        detail: json!({ "resealed": rotation.resealed }),
        at,
    };
    state.store().insert_audit(entry).await?;
    Ok(Json(RotationView {
        key_id: rotation.key_id,
        resealed: rotation.resealed,
        retired: rotation.retired,
    }))
}
