//! The handshake of CloudEvents' webhooks (HTTP 1.1 web hooks 1.0.2): a sender asks whether it may
//! send here.
//!
//! It is granted to anyone and says nothing of what is there: what counts is the token of each
//! delivery. The callback that a sender may offer is never called.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

const ORIGIN: &str = "webhook-request-origin";
const RATE: &str = "webhook-request-rate";
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// Answers `OPTIONS`.
pub(super) async fn answer(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static("POST, GET, OPTIONS");
    response.headers_mut().insert(header::ALLOW, allow);
    let Some(origin) = headers.get(ORIGIN) else {
        return response;
    };
    *response.status_mut() = StatusCode::OK;
    let rate = headers.get(RATE).filter(|rate| {
        let rate = rate.to_str().ok().and_then(|rate| rate.parse::<u32>().ok());
        rate.is_some_and(|rate| rate > 0)
    });
    let rate = rate.cloned().unwrap_or(HeaderValue::from_static("*"));
    response
        .headers_mut()
        .insert(ALLOWED_ORIGIN, origin.clone());
    response.headers_mut().insert(ALLOWED_RATE, rate);
    response
}
