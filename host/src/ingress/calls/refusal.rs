//! Why a call is refused: what was wrong, and with which field.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::ingress::answer;
use crate::ingress::body::BodyError;
use crate::store::StoreError;

/// A call that is not taken, or that has no result.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    /// `?timeout`, `/data`, the name of a header.
    field: Option<Box<str>>,
    /// The job that goes on.
    pub(super) job: Option<String>,
    /// The rest of the body is not read.
    is_cut_off: bool,
    /// For the log, where it says more than the caller may know.
    reason: Option<Box<str>>,
    /// Headers beside those of every refusal.
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// What a caller is told (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct RefusedCall<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The words of the status.
    title: &'static str,
    status: u16,
    /// What was found, what was expected, what to do.
    detail: &'a str,
    /// `?timeout`, `/data`, the name of a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The job that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
}

impl Refusal {
    pub(super) fn of(status: StatusCode, detail: impl Into<String>) -> Refusal {
        Refusal {
            status,
            detail: detail.into(),
            field: None,
            job: None,
            is_cut_off: false,
            reason: None,
            headers: Vec::new(),
        }
    }

    /// 400: it cannot be read.
    pub(super) fn unreadable(field: impl Into<String>, detail: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::BAD_REQUEST, detail).at(field)
    }

    /// 422: it reads, but cannot be meant.
    pub(super) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::UNPROCESSABLE_ENTITY, detail).at(field)
    }

    /// 401: the same whatever the path names.
    pub(super) fn unauthenticated() -> Refusal {
        let detail = "send a good token as `Authorization: Bearer …` or `?token=…`";
        let mut refusal = Refusal::of(StatusCode::UNAUTHORIZED, detail)
            .at("token")
            .cut_off();
        let scheme = HeaderValue::from_static("Bearer");
        refusal.headers.push((header::WWW_AUTHENTICATE, scheme));
        refusal
    }

    /// 401 under `/hooks/`: the same whether there is no such route or its proof does not hold.
    pub(super) fn stranger() -> Refusal {
        let detail = "there is no such route, or what proves who calls is missing or wrong";
        let mut refusal = Refusal::of(StatusCode::UNAUTHORIZED, detail).at("authorization");
        for scheme in ["Bearer", "Basic realm=\"hooks\", charset=\"UTF-8\""] {
            let scheme = HeaderValue::from_static(scheme);
            refusal.headers.push((header::WWW_AUTHENTICATE, scheme));
        }
        refusal
    }

    /// Why, for the log alone.
    pub(super) fn because(mut self, reason: String) -> Refusal {
        self.reason = Some(reason.into());
        self
    }

    /// What the log says.
    pub(super) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(&self.detail)
    }

    /// 503: nothing is wrong with the call, it may be sent again.
    pub(super) fn unavailable(detail: impl Into<String>) -> Refusal {
        Refusal::of(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 429: too many of them, and after how long there is room again.
    pub(super) fn too_many(detail: impl Into<String>, wait: Duration) -> Refusal {
        let mut refusal = Refusal::of(StatusCode::TOO_MANY_REQUESTS, detail);
        let wait = (header::RETRY_AFTER, answer::seconds(wait));
        refusal.headers.push(wait);
        refusal
    }

    pub(super) fn at(mut self, field: impl Into<String>) -> Refusal {
        self.field = Some(field.into().into());
        self
    }

    pub(super) fn cut_off(mut self) -> Refusal {
        self.is_cut_off = true;
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        const RETRY_AFTER: Duration = Duration::from_secs(5);
        let title = self.status.canonical_reason().unwrap_or("refused");
        let mut response = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => answer::later(self.status, title, RETRY_AFTER),
            _ if self.is_cut_off => answer::cut_off(self.status, title),
            _ => answer::problem(self.status, title),
        };
        let told = RefusedCall {
            kind: "about:blank",
            title,
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
            job: self.job.as_deref(),
        };
        *response.body_mut() = Body::from(json!(told).to_string());
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        if error.is_unavailable() {
            tracing::warn!(%error, "a call could not be kept and was answered 503");
            return Refusal::unavailable("the call could not be kept: send it again");
        }
        tracing::error!(error = &error as &dyn std::error::Error, "a call failed");
        let detail = "the store failed; the server's log says more";
        Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Refusal {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
            BodyError::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal::of(status, error.to_string()).at("body").cut_off()
    }
}
