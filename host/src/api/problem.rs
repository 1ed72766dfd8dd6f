//! What went wrong, as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use trigger_plugin_abi::codes;

use crate::documents::{CatalogError, Mistake};
use crate::store::StoreError;
use crate::subscriptions::OperationError;

/// An answer that is not what was asked for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The status of the answer.
    #[schema(value_type = u16)]
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    /// What kind of problem it is; does not change.
    pub title: &'static str,
    /// What was found, what was expected, what to do.
    pub detail: String,
    /// The parts of the body that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
    /// What depends on it: kind and name of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
}

fn status_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    fn of(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            dependents: Vec::new(),
        }
    }

    /// No token, or one that is not good (any more).
    pub fn unauthenticated() -> Problem {
        let detail = "send a good API token as `Authorization: Bearer …`";
        Problem::of(StatusCode::UNAUTHORIZED, "not authenticated", detail)
    }

    /// The token is good, but not for this.
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::of(StatusCode::FORBIDDEN, "not allowed", detail)
    }

    /// It is not there, or not for this caller: the two are not told apart.
    pub fn not_found(what: impl Into<String>) -> Problem {
        Problem::of(StatusCode::NOT_FOUND, "not found", what)
    }

    /// The request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::of(StatusCode::BAD_REQUEST, "bad request", detail)
    }

    /// The request reads, but what it says has mistakes.
    pub fn invalid(errors: Vec<Mistake>) -> Problem {
        let detail = match errors.as_slice() {
            [one] => one.message.clone(),
            several => format!("{} mistakes, nothing was changed", several.len()),
        };
        let mut problem = Problem::of(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.errors = errors;
        problem
    }

    /// It contradicts what is stored.
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::of(StatusCode::CONFLICT, "conflict", detail)
    }

    /// It cannot be deleted while these depend on it.
    pub fn in_use(kind: &str, name: &str, dependents: Vec<String>) -> Problem {
        let mut problem = Problem::conflict(format!(
            "{} on the {kind} `{name}`: {}; delete those first, or force it",
            if dependents.len() == 1 {
                "one depends".to_owned()
            } else {
                format!("{} depend", dependents.len())
            },
            dependents.join(", ")
        ));
        problem.dependents = dependents;
        problem
    }

    /// The body is over the limit.
    pub fn too_large() -> Problem {
        let detail = "the body is over the limit (`limits.api_body_max`)";
        Problem::of(StatusCode::PAYLOAD_TOO_LARGE, "too large", detail)
    }

    /// The body did not arrive in time.
    pub fn too_slow() -> Problem {
        let detail = "the body did not arrive in time (`limits.read_timeout`)";
        Problem::of(StatusCode::REQUEST_TIMEOUT, "too slow", detail)
    }

    /// The body is not JSON by its own account.
    pub fn not_json() -> Problem {
        let detail = "send the body as `Content-Type: application/json`";
        Problem::of(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported media type",
            detail,
        )
    }

    /// The path is there, the method is not.
    pub fn method_not_allowed() -> Problem {
        let detail = "this path does not take this method";
        Problem::of(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail)
    }

    /// Not now; the same call may be repeated.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::of(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The service was asked and failed.
    pub fn bad_gateway(detail: impl Into<String>) -> Problem {
        Problem::of(StatusCode::BAD_GATEWAY, "the service failed", detail)
    }

    /// A mistake of ours, or of a plugin.
    pub fn internal(detail: impl Into<String>) -> Problem {
        Problem::of(StatusCode::INTERNAL_SERVER_ERROR, "internal error", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        if error.is_unavailable() {
            tracing::warn!(%error, "the store is unavailable");
            return Problem::unavailable("the database does not answer, try again");
        }
        if error.is_conflict() {
            return Problem::conflict(error.to_string());
        }
        if error.is_not_found() {
            return Problem::not_found(error.to_string());
        }
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
        Problem::internal("the store failed; the server's log says more")
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Problem {
        let told = error.to_string();
        match error {
            OperationError::Store(error) => error.into(),
            OperationError::Later(_) => Problem::unavailable(told),
            OperationError::Call(error) => match error.code {
                codes::INVALID_INPUT => Problem::bad_request(told),
                codes::NOT_FOUND => Problem::not_found(told),
                codes::RATE_LIMITED => Problem::unavailable(told),
                codes::UNSUPPORTED | codes::CREDENTIALS => Problem::conflict(told),
                _ => Problem::bad_gateway(told),
            },
            OperationError::NotLoaded(_)
            | OperationError::Manual(_)
            | OperationError::NotMade(_)
            | OperationError::Account(_) => Problem::conflict(told),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Problem {
        match &error {
            CatalogError::Unknown { .. } => Problem::not_found(error.to_string()),
            CatalogError::NotLoaded(_) => Problem::conflict(error.to_string()),
            CatalogError::Refused(_) => Problem::bad_request(error.to_string()),
            CatalogError::Failed(_) => Problem::internal(error.to_string()),
        }
    }
}
