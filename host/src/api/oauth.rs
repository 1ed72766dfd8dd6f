//! The two pages that a person's browser sees while an account is connected: one that sends it to
//! the service, one that it comes back to. Plain text in HTML, nothing that runs, nothing that loads.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use url::form_urlencoded;

use super::state::ApiState;
use crate::credentials::{Arrival, ConnectError, Departure};
use crate::secret::Secret;

const CSP: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// As long as a state is good.
const COOKIE_MAX_AGE_S: u32 = 600;

/// The pages, which are no part of the described API: browsers use them.
pub(super) fn pages() -> Router<ApiState> {
    Router::new()
        .route("/oauth/start/{ticket}", get(start))
        .route("/oauth/callback", get(callback))
}

/// Sends the browser to the service.
async fn start(State(state): State<ApiState>, Path(ticket): Path<String>) -> Response {
    let Ok(_place) = state.free_pages().try_acquire() else {
        return busy();
    };
    match state.credentials().depart(&ticket).await {
        Ok(departure) => set_out(&departure),
        Err(error) => refused(&error),
    }
}

/// The browser is back.
async fn callback(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Ok(_place) = state.free_pages().try_acquire() else {
        return busy();
    };
    let arrival = arrival(query.as_deref().unwrap_or_default(), &headers);
    match state.credentials().arrive(arrival).await {
        Ok(connected) => {
            let whom = connected.account_name.as_deref().unwrap_or("your account");
            let sentence = format!(
                "{} is connected as {whom}, kept as the credential {}. You can close this page.",
                connected.provider, connected.name
            );
            page(StatusCode::OK, "Connected", &sentence)
        }
        Err(error) => refused(&error),
    }
}

fn set_out(departure: &Departure) -> Response {
    let mut cookie = format!(
        "{}={}; Path=/oauth; Max-Age={COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Lax",
        departure.cookie_name,
        departure.cookie_value.expose()
    );
    if departure.is_secure {
        cookie.push_str("; Secure");
    }
    let mut response = page(
        StatusCode::SEE_OTHER,
        "Connecting",
        "You are sent to the service.",
    );
    let values = [
        (header::LOCATION, departure.location.as_str()),
        (header::SET_COOKIE, &cookie),
    ];
    for (name, value) in values {
        let Ok(value) = HeaderValue::from_str(value) else {
            let error = ConnectError::Refused("the service's address cannot be used".to_owned());
            return refused(&error);
        };
        response.headers_mut().insert(name, value);
    }
    response
}

fn arrival(query: &str, headers: &HeaderMap) -> Arrival {
    let mut arrival = Arrival::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match &*name {
            "state" => arrival.state = Some(Secret::new(value)),
            "code" => arrival.code = Some(Secret::new(value)),
            "error" => arrival.error = Some(value),
            "error_description" => arrival.error_description = Some(value),
            _ => {}
        }
    }
    let sent = headers.get_all(header::COOKIE).iter();
    let pairs = sent
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    arrival.cookies = pairs
        .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())))
        .collect();
    arrival
}

fn refused(error: &ConnectError) -> Response {
    let (status, sentence) = match error {
        ConnectError::NoTicket | ConnectError::NoState => {
            (StatusCode::BAD_REQUEST, error.to_string())
        }
        ConnectError::Wrong { .. } | ConnectError::Refused(_) => {
            (StatusCode::CONFLICT, error.to_string())
        }
        ConnectError::Store(error) => {
            tracing::warn!(%error, "a page for connecting an account has no store");
            let sentence = "The database does not answer. Try again.".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    };
    page(status, "Not connected", &sentence)
}

fn busy() -> Response {
    let sentence = "Too many at once. Try again.";
    page(StatusCode::SERVICE_UNAVAILABLE, "Not now", sentence)
}

fn page(status: StatusCode, title: &str, sentence: &str) -> Response {
    let (title, sentence) = (escaped(title), escaped(sentence));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title} - triggerd</title></head>\n\
         <body><h1>{title}</h1><p>{sentence}</p></body>\n</html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    (status, headers, html).into_response()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_cannot_become_markup() {
        assert_eq!(
            escaped("<script a='b\"'>&\u{7}"),
            "&#60;script a=&#39;b&#34;&#39;&#62;&#38; "
        );
    }

    #[test]
    fn cookies_are_read_from_all_their_headers() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; b=2=3"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=4"));
        let arrival = arrival("code=x%20y&state=s&error=", &headers);
        let cookies: Vec<(&str, &str)> = arrival
            .cookies
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect();
        assert_eq!(cookies, [("a", "1"), ("b", "2=3"), ("c", "4")]);
        assert_eq!(arrival.code.expect("a code").expose(), "x y");
    }
}
