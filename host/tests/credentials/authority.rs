//! An OAuth service of the tests' own on a loopback port: it checks what it is sent as a strict one
//! does, remembers what it gave, and misbehaves when told to.
#![allow(dead_code, reason = "each user needs its own part of it")]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub const CLIENT_ID: &str = "client-1";
/// Nowhere but here and sealed.
pub const CLIENT_SECRET: &str = "canary-client-secret";

/// How the token endpoint answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Json,
    Form,
    /// Errors come with status 200.
    ErrorIn200,
    /// A page with status 500.
    Page500,
    /// 503 for everything.
    Away,
    /// Sends elsewhere, which must not be followed.
    Redirect,
    /// Answers with more than anybody reads.
    Endless,
}

/// What it holds and what happened.
#[derive(Default)]
pub struct Book {
    pub style: Style,
    /// Of access tokens, in seconds; 0: not told.
    pub lifetime_s: u64,
    /// Whether the client must identify itself by Basic authentication.
    pub wants_basic: bool,
    /// The code for a refresh token that is dead.
    pub refusal: Option<&'static str>,
    /// Challenge by code.
    codes: HashMap<String, Option<String>>,
    pub live_access: HashSet<String>,
    pub live_refresh: HashSet<String>,
    /// Everything it ever gave.
    pub given: Vec<String>,
    /// Requests for tokens that came, those that are held open included.
    pub asked: u32,
    /// Requests of each kind.
    pub exchanges: u32,
    pub refreshes: u32,
    /// Refresh tokens that were dead when they came.
    pub dead_refreshes: u32,
    /// Calls with a dead access token.
    pub dead_calls: u32,
    pub revoked: Vec<String>,
    /// What a strict service would complain of.
    pub complaints: Vec<String>,
    /// The person there says no, and the service says this of it.
    pub denial: Option<&'static str>,
    /// 403 instead of an answer to calls.
    pub forbids: bool,
    count: u32,
}

impl Book {
    fn give(&mut self, kind: &str) -> String {
        self.count += 1;
        let token = format!("canary-{kind}-{}-{}", self.count, std::process::id());
        self.given.push(token.clone());
        token
    }

    /// Ends everything that was given.
    pub fn revoke_all(&mut self) {
        self.live_access.clear();
        self.live_refresh.clear();
    }
}

/// The running service.
#[derive(Clone)]
pub struct Authority {
    pub url: String,
    book: Arc<Mutex<Book>>,
    /// Refreshes wait here when it is empty.
    pub gate: Arc<Semaphore>,
    /// Exchanges of codes likewise.
    pub exchange_gate: Arc<Semaphore>,
}

impl Authority {
    pub async fn start() -> Authority {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let book = Book {
            lifetime_s: 3600,
            ..Book::default()
        };
        let authority = Authority {
            url,
            book: Arc::new(Mutex::new(book)),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            exchange_gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let router = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/me", get(me))
            .route("/framing", get(framing))
            .route("/posting", get(posting))
            .with_state(authority.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        authority
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no panic")
    }

    /// Renewals, renewals by a dead token, calls by a dead token.
    pub fn refreshed(&self) -> (u32, u32, u32) {
        let book = self.book();
        (book.refreshes, book.dead_refreshes, book.dead_calls)
    }

    /// Whether a header holds a live token.
    pub fn knows(&self, authorization: Option<&str>) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| self.book().live_access.contains(token))
    }
}

fn pairs(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

async fn authorize(State(it): State<Authority>, RawQuery(query): RawQuery) -> Response {
    let sent = pairs(&query.unwrap_or_default());
    let get = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
    let mut book = it.book();
    if get("client_id") != CLIENT_ID || get("response_type") != "code" {
        book.complaints
            .push("authorize: wrong client or response type".to_owned());
    }
    if get("state").len() < 40 {
        book.complaints
            .push("authorize: the state can be guessed".to_owned());
    }
    let challenge = sent.get("code_challenge").cloned();
    if challenge.is_some() && get("code_challenge_method") != "S256" {
        book.complaints
            .push("authorize: a challenge without S256".to_owned());
    }
    if let Some(denial) = book.denial {
        let said: String = url::form_urlencoded::byte_serialize(denial.as_bytes()).collect();
        let back = format!(
            "{}?error=access_denied&error_description={said}&state={}",
            get("redirect_uri"),
            get("state")
        );
        return (StatusCode::FOUND, [(header::LOCATION, back)]).into_response();
    }
    let code = book.give("code");
    book.codes.insert(code.clone(), challenge);
    let back = format!("{}?code={code}&state={}", get("redirect_uri"), get("state"));
    (StatusCode::FOUND, [(header::LOCATION, back)]).into_response()
}

async fn token(State(it): State<Authority>, headers: HeaderMap, body: String) -> Response {
    let sent = pairs(&body);
    let is_refresh = sent
        .get("grant_type")
        .is_some_and(|kind| kind == "refresh_token");
    it.book().asked += 1;
    if is_refresh {
        // Held open until the test lets it go.
        drop(it.gate.acquire().await);
    } else {
        drop(it.exchange_gate.acquire().await);
    }
    let mut book = it.book();
    if is_refresh {
        book.refreshes += 1;
    } else {
        book.exchanges += 1;
    }
    match book.style {
        Style::Away => return (StatusCode::SERVICE_UNAVAILABLE, "{}").into_response(),
        Style::Page500 => {
            return (StatusCode::INTERNAL_SERVER_ERROR, "<html>oops</html>").into_response();
        }
        Style::Redirect => {
            let elsewhere = format!("{}/elsewhere", it.url);
            return (StatusCode::FOUND, [(header::LOCATION, elsewhere)]).into_response();
        }
        Style::Endless => return "access_token=".repeat(200_000).into_response(),
        _ => {}
    }
    check_client(&mut book, &headers, &sent);
    let granted = if is_refresh {
        refresh(&mut book, &sent)
    } else {
        exchange(&mut book, &sent)
    };
    match granted {
        Ok(()) => give(&mut book),
        Err(code) => {
            let said = json!({"error": code, "error_description": format!("no: {body}")});
            let status = match book.style {
                Style::ErrorIn200 => StatusCode::OK,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, axum::Json(said)).into_response()
        }
    }
}

fn check_client(book: &mut Book, headers: &HeaderMap, sent: &HashMap<String, String>) {
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let basic = format!("Basic {basic}");
    let is_basic = headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| *value == *basic);
    let is_body = sent.get("client_id").is_some_and(|id| id == CLIENT_ID)
        && sent
            .get("client_secret")
            .is_some_and(|secret| secret == CLIENT_SECRET);
    let is_good = if book.wants_basic { is_basic } else { is_body };
    if !is_good {
        book.complaints
            .push("token: the client did not identify itself".to_owned());
    }
}

fn exchange(book: &mut Book, sent: &HashMap<String, String>) -> Result<(), &'static str> {
    let code = sent.get("code").cloned().unwrap_or_default();
    let Some(challenge) = book.codes.remove(&code) else {
        return Err("invalid_grant");
    };
    let verifier = sent.get("code_verifier").cloned().unwrap_or_default();
    let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    if challenge.is_some_and(|challenge| challenge != shown) {
        book.complaints
            .push("token: the verifier does not fit the challenge".to_owned());
        return Err("invalid_grant");
    }
    if !sent
        .get("redirect_uri")
        .is_some_and(|uri| uri.ends_with("/oauth/callback"))
    {
        book.complaints.push("token: another redirect".to_owned());
        return Err("invalid_grant");
    }
    Ok(())
}

fn refresh(book: &mut Book, sent: &HashMap<String, String>) -> Result<(), &'static str> {
    let token = sent.get("refresh_token").cloned().unwrap_or_default();
    if !book.live_refresh.remove(&token) {
        book.dead_refreshes += 1;
        return Err(book.refusal.unwrap_or("invalid_grant"));
    }
    // As the strictest do: the access token dies with the refresh token that it came with.
    book.live_access.clear();
    Ok(())
}

fn give(book: &mut Book) -> Response {
    let (access, refresh) = (book.give("access"), book.give("refresh"));
    book.live_access.insert(access.clone());
    book.live_refresh.insert(refresh.clone());
    let lifetime = book.lifetime_s;
    if book.style == Style::Form {
        let mut form = format!("access_token={access}&refresh_token={refresh}&scope=repo%2Cgist");
        if lifetime > 0 {
            form = format!("{form}&expires_in={lifetime}");
        }
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        return ([(header::CONTENT_TYPE, kind)], form).into_response();
    }
    let mut given = json!({
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "scope": "repo gist",
    });
    if lifetime > 0 {
        given["expires_in"] = lifetime.into();
    }
    axum::Json(given).into_response()
}

async fn revoke(State(it): State<Authority>, body: String) -> StatusCode {
    let sent = pairs(&body);
    let token = sent.get("token").cloned().unwrap_or_default();
    let mut book = it.book();
    book.revoke_all();
    book.revoked.push(token);
    StatusCode::OK
}

/// A page of someone else's that holds ours in a frame.
async fn framing(RawQuery(query): RawQuery) -> Html<String> {
    let sent = pairs(&query.unwrap_or_default());
    Html(format!("<iframe src=\"{}\"></iframe>", sent["url"]))
}

/// A page of someone else's that sends our form.
async fn posting(RawQuery(query): RawQuery) -> Html<String> {
    let sent = pairs(&query.unwrap_or_default());
    Html(format!(
        "<form method=post action=\"{}\"></form><script>document.forms[0].submit()</script>",
        sent["url"]
    ))
}

async fn me(State(it): State<Authority>, headers: HeaderMap) -> Response {
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let known = it.knows(sent);
    let mut book = it.book();
    if book.forbids {
        return StatusCode::FORBIDDEN.into_response();
    }
    if !known {
        book.dead_calls += 1;
        return StatusCode::UNAUTHORIZED.into_response();
    }
    axum::Json(json!({"id": 7, "login": "ada"})).into_response()
}
