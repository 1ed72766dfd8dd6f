//! What pages of other origins may do (Fetch, "CORS protocol"): call routes that name their origin.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::table::Fit;
use crate::ingress::calls::handshake;
use crate::model::Route;

/// How long a browser remembers an answer, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");
/// What a page may send where it does not ask for anything else.
const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key");
const ASKED_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;

/// The origin of the page that sent a request, if the route lets it: `Ok(None)` if no page did.
pub(super) fn origin_for<'h>(
    route: &Route,
    headers: &'h HeaderMap,
) -> Result<Option<&'h HeaderValue>, ()> {
    let origins = &route.content.spec.origins;
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| !origins.is_empty()) else {
        return Ok(None);
    };
    let is_named = origins
        .iter()
        .any(|one| one == "*" || one.as_bytes() == origin.as_bytes());
    is_named.then_some(Some(origin)).ok_or(())
}

/// Lets the page read the answer.
pub(super) fn allow(response: &mut Response<Body>, origin: Option<&HeaderValue>) {
    let Some(origin) = origin else { return };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// Answers `OPTIONS`: to a page whether it may call, to a sender of CloudEvents that it may send, to
/// everyone else nothing.
pub(super) async fn preflight(fitting: &[Fit], headers: HeaderMap) -> Response<Body> {
    let asked = headers
        .get(&ASKED_METHOD)
        .and_then(|method| method.to_str().ok());
    let Some(asked) = asked.filter(|_| headers.contains_key(header::ORIGIN)) else {
        return handshake::answer(headers).await;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let route = fitting
        .iter()
        .map(|fit| &fit.served.route)
        .find(|route| route.content.methods.iter().any(|method| method == asked));
    let origin = route.and_then(|route| origin_for(route, &headers).ok().flatten());
    let (Some(route), Some(origin)) = (route, origin) else {
        return response;
    };
    allow(&mut response, Some(origin));
    let methods = HeaderValue::from_str(&route.content.methods.join(", "));
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let answer = response.headers_mut();
    if let Ok(methods) = methods {
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    // What is sent is checked like everything else that comes in.
    let wanted = wanted.cloned().unwrap_or(HEADERS);
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    response
}
