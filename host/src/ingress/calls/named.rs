//! The workspace and the name that the path of a call names.

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::Response;
use axum::http::request::Parts;

use super::refusal::Refusal;

/// Both, decoded.
pub(super) struct Named(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Response<Body>> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((workspace, named))) => Ok(Named(workspace, named)),
            // Axum's own refusal is plain text, which no client of ours reads.
            Err(_) => {
                let refusal = Refusal::unreadable("path", "it is not UTF-8 when decoded");
                Err(refusal.cut_off().into_response())
            }
        }
    }
}
