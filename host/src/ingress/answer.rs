//! What a sender is answered.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use trigger_plugin_abi::host::Reply;

/// After a passing trouble of ours a sender may come again in so many seconds.
const RETRY_AFTER_S: u64 = 5;

/// Headers that a provider's reply may not set: they belong to the connection.
pub(super) const OURS: &[&str] = &[
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "keep-alive",
    "te",
    "trailer",
];

/// A problem (RFC 9457) for a sender: it says no more than the sender may know.
pub fn problem(status: StatusCode, title: &str) -> Response<Body> {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// 503: nothing is wrong with the request, it may be sent again.
pub fn unavailable(title: &str) -> Response<Body> {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        title,
        Duration::from_secs(RETRY_AFTER_S),
    )
}

/// 429 or 503 with the time to wait, in whole seconds, rounded up.
pub fn later(status: StatusCode, title: &str, wait: Duration) -> Response<Body> {
    let mut response = problem(status, title);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds(wait));
    response
}

/// A wait as `Retry-After` says it.
pub fn seconds(wait: Duration) -> HeaderValue {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX))
}

/// A problem after which the rest of the body is not read: the connection ends with it.
pub fn cut_off(status: StatusCode, title: &str) -> Response<Body> {
    let mut response = problem(status, title);
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 200 for what was kept, with the request's id.
pub fn kept(request_id: &str) -> Response<Body> {
    let mut body = String::with_capacity(48);
    body.push_str("{\"request\":\"");
    body.push_str(request_id);
    body.push_str("\"}");
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The provider's own reply. A status or header that is none is left out.
pub fn reply(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::OK);
    for (name, value) in &reply.headers {
        let name = header::HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (name, value)
            && !OURS.contains(&name.as_str())
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&str, &str)]) -> Response<Body> {
        let headers = headers.iter();
        reply(Reply {
            status,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: b"said".to_vec(),
        })
    }

    #[test]
    fn a_providers_reply_says_nothing_of_the_connection() {
        let said = [
            ("x-a", "b"),
            ("Content-Length", "1"),
            ("transfer-encoding", "chunked"),
            ("Connection", "upgrade"),
            ("x-broken", "a\r\nx-smuggled: b"),
            ("x broken", "a"),
        ];
        let answer = of(202, &said);
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let names: Vec<&str> = answer.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-a"]);
    }

    #[test]
    fn a_status_that_ends_no_exchange_is_left_out() {
        for status in [100, 101, 199, 99, 1000, 0] {
            assert_eq!(of(status, &[]).status(), StatusCode::OK, "{status}");
        }
        assert_eq!(of(599, &[]).status().as_u16(), 599);
    }
}
