//! The pages that a person's browser sees while an account is connected: one that says who asks for
//! what, one that leads to the service, one that it comes back to.
//!
//! Nothing begins by looking: who opens an address that was slipped to them, or looks at it for
//! others (a chat's preview), has connected nothing. It begins with the button, in this page and in
//! no frame.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use url::{Url, form_urlencoded};

use super::pages::Page;
use super::state::ApiState;
use crate::credentials::{Arrival, ConnectError, Cookie, Departure, Errand};
use crate::secret::Secret;

/// The pages, which are no part of the described API: browsers use them.
pub(super) fn pages() -> Router<ApiState> {
    Router::new()
        .route("/oauth/start/{ticket}", get(show).post(start))
        .route("/oauth/callback", get(callback))
}

/// Who asks for what.
async fn show(State(state): State<ApiState>, Path(ticket): Path<String>) -> Response {
    let Ok(_place) = state.free_pages().try_acquire() else {
        return busy();
    };
    match state.credentials().errand(&ticket).await {
        Ok(errand) => asking(&errand).into_response(),
        Err(error) => refused(&error).into_response(),
    }
}

/// Sends the browser to the service.
async fn start(
    State(state): State<ApiState>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Ok(_place) = state.free_pages().try_acquire() else {
        return busy();
    };
    if !is_own_form(&headers, state.public_base()) {
        return Page::new(StatusCode::FORBIDDEN, "Not connected")
            .says("This was asked for by another page. Open the address itself.")
            .into_response();
    }
    match state.credentials().depart(&ticket).await {
        Ok(departure) => leading(&departure).into_response(),
        Err(error) => refused(&error).into_response(),
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
    let spent = state.credentials().cookie_of(&arrival);
    let page = match state.credentials().arrive(arrival).await {
        Ok(connected) => {
            let whom = connected.account_name.as_deref().unwrap_or_default();
            Page::new(StatusCode::OK, "Connected")
                .says(&format!("{} is connected.", connected.provider))
                .lists(&[("Account", whom), ("Credential", &connected.name)])
                .says("You can close this page and go back to your terminal.")
        }
        Err(error) => refused(&error),
    };
    match spent {
        Some(cookie) => page.with(header::SET_COOKIE, &ended(&cookie)),
        None => page,
    }
    .into_response()
}

fn asking(errand: &Errand) -> Page {
    Page::new(StatusCode::OK, "Connect an account")
        .says(&format!(
            "If you continue and consent there, triggerd acts at {} in your name.",
            errand.place
        ))
        .lists(&[
            ("Workspace", &errand.workspace),
            ("Asked for by", &errand.asked_by),
            ("Provider", &errand.provider),
            ("Credential", &errand.name),
            ("Permissions", &errand.scopes.join(", ")),
        ])
        .asks(&format!("Continue to {}", errand.place))
        .adds("You did not ask for this yourself? Close this page: nothing has happened.")
}

fn leading(departure: &Departure) -> Page {
    let place = departure.location.host_str().unwrap_or("the service");
    Page::new(StatusCode::OK, "Connecting")
        .says("You are sent to the service, which asks for your consent.")
        .leads_to(&departure.location, &format!("Continue to {place}"))
        .with(header::SET_COOKIE, &kept(departure))
}

fn kept(departure: &Departure) -> String {
    let (name, attributes) = (&departure.cookie.name, attributes(&departure.cookie));
    let value = departure.cookie_value.expose();
    let seconds = departure.lifetime.as_secs();
    format!("{name}={value}; Max-Age={seconds}; {attributes}")
}

fn ended(cookie: &Cookie) -> String {
    format!("{}=; Max-Age=0; {}", cookie.name, attributes(cookie))
}

fn attributes(cookie: &Cookie) -> String {
    let secure = if cookie.is_secure { "; Secure" } else { "" };
    format!("Path={}; HttpOnly; SameSite=Lax{secure}", cookie.path)
}

/// Whether a form was sent by a page of this host. Who is no browser says nothing of it, and has no
/// person whose consent could be stolen.
fn is_own_form(headers: &HeaderMap, public_base: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text("origin") else {
        return true;
    };
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let is_ours = Url::parse(public_base).is_ok_and(|own| own.origin() == origin.origin());
    let authority = origin.authority();
    is_ours || (!authority.is_empty() && text("host") == Some(authority))
}

fn arrival(query: &str, headers: &HeaderMap) -> Arrival {
    let mut arrival = Arrival::default();
    let mut is_doubled = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        let before = match &*name {
            "state" => arrival.state.replace(Secret::new(value)).is_some(),
            "code" => arrival.code.replace(Secret::new(value)).is_some(),
            "error" => arrival.error.replace(value).is_some(),
            "error_description" => arrival.error_description.replace(value).is_some(),
            _ => false,
        };
        is_doubled |= before;
    }
    if is_doubled {
        // RFC 6749, section 3.1: none may stand twice; which one counts would be a guess.
        arrival.state = None;
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

fn refused(error: &ConnectError) -> Page {
    let (status, sentence) = match error {
        ConnectError::NoTicket | ConnectError::NoState => {
            (StatusCode::BAD_REQUEST, error.to_string())
        }
        ConnectError::Wrong { .. } | ConnectError::Refused(_) => {
            (StatusCode::CONFLICT, error.to_string())
        }
        ConnectError::Store(error) => {
            tracing::warn!(%error, "a page for connecting an account has no store");
            let sentence = "the database does not answer: try again".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    };
    Page::new(status, "Not connected").says(&as_sentence(&sentence))
}

/// Errors begin small and end open.
fn as_sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{}.", rest.as_str().trim_end_matches('.'))
}

fn busy() -> Response {
    Page::new(StatusCode::SERVICE_UNAVAILABLE, "Not now")
        .says("Too many at once. Try again.")
        .with(header::RETRY_AFTER, "2")
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
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

    #[test]
    fn what_stands_twice_counts_for_nothing() {
        let headers = HeaderMap::new();
        assert!(arrival("state=a&code=b", &headers).state.is_some());
        assert!(arrival("state=a&code=b&code=c", &headers).state.is_none());
        assert!(arrival("state=a&state=a&code=b", &headers).state.is_none());
    }

    #[test]
    fn another_sites_form_is_not_ours() {
        let base = "https://hooks.example.org";
        let is_own = |pairs: &[(&'static str, &'static str)]| is_own_form(&headers(pairs), base);
        assert!(is_own(&[("sec-fetch-site", "same-origin")]));
        assert!(is_own(&[("origin", "https://hooks.example.org")]));
        assert!(is_own(&[
            ("origin", "http://10.0.0.1:8080"),
            ("host", "10.0.0.1:8080")
        ]));
        assert!(is_own(&[]), "no browser");
        for site in ["cross-site", "same-site", "none"] {
            let own_origin = ("origin", "https://hooks.example.org");
            assert!(!is_own(&[("sec-fetch-site", site), own_origin]), "{site}");
        }
        let host = ("host", "hooks.example.org");
        for origin in [
            "null",
            "https://evil.example",
            "http://hooks.example.org:81",
            "?",
        ] {
            assert!(!is_own(&[("origin", origin), host]), "{origin}");
        }
    }

    #[test]
    fn errors_are_said_in_sentences() {
        assert_eq!(as_sentence("it is over"), "It is over.");
        assert_eq!(as_sentence(""), ".");
    }
}
