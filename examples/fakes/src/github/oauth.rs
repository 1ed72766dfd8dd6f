//! The pages and the endpoint by which an OAuth app gets a token.
//!
//! <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>,
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens>.
//! Errors come with status 200, and answers as a form unless JSON is asked for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::accounts::Accounts;
use super::bodies;
use crate::{Answer, Exchange};

/// The one OAuth app that there is.
pub const CLIENT_ID: &str = "Iv1.demo";
/// Its secret.
pub const CLIENT_SECRET: &str = "demo-secret";
const CODE_LIFETIME_MS: i64 = 10 * 60_000;
/// Half a year.
const REFRESH_LIFETIME_S: i64 = 15_897_600;
const PAGE: &str = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/";

/// Grants on their way, and what was granted.
#[derive(Debug, Default)]
pub struct Grants {
    codes: BTreeMap<String, Code>,
    /// The access token that each refresh token came with.
    refresh_tokens: BTreeMap<String, String>,
    /// Tokens end after this, as a GitHub App's do; absent: never, as an OAuth app's.
    pub expire_after_s: Option<i64>,
    /// The user presses Cancel.
    pub denies: bool,
    made: u64,
}

#[derive(Debug)]
struct Code {
    redirect_uri: Option<String>,
    challenge: Option<String>,
    scopes: Vec<String>,
    ends_at_ms: i64,
}

impl Grants {
    /// `GET /login/oauth/authorize`: the user consents at once.
    pub fn authorize(&mut self, at_ms: i64, request: &Exchange) -> Answer {
        let value = |name| request.query_value(name);
        if value("client_id").as_deref() != Some(CLIENT_ID) {
            return Answer::text(404, "text/html", "no such OAuth app");
        }
        let Some(redirect_uri) = value("redirect_uri") else {
            return Answer::text(
                400,
                "text/html",
                "this OAuth app has no redirect_uri of its own",
            );
        };
        let Ok(mut back) = url::Url::parse(&redirect_uri) else {
            return Answer::text(400, "text/html", "the redirect_uri is no address");
        };
        let state = value("state").unwrap_or_default();
        if self.denies {
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair(
                    "error_description",
                    "The user has denied your application access.",
                )
                .append_pair("state", &state);
            return Answer::redirect(back);
        }
        if value("code_challenge").is_some()
            && value("code_challenge_method").as_deref() != Some("S256")
        {
            return Answer::text(400, "text/html", "code_challenge_method must be S256");
        }
        let code = format!("code{}", self.next());
        let scopes = value("scope").unwrap_or_default();
        let granted = Code {
            redirect_uri: Some(redirect_uri),
            challenge: value("code_challenge"),
            scopes: scopes
                .split([' ', ','])
                .filter(|each| !each.is_empty())
                .map(str::to_owned)
                .collect(),
            ends_at_ms: at_ms + CODE_LIFETIME_MS,
        };
        self.codes.insert(code.clone(), granted);
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &state);
        Answer::redirect(back)
    }

    /// `POST /login/oauth/access_token`.
    pub fn token(&mut self, at_ms: i64, accounts: &mut Accounts, request: &Exchange) -> Answer {
        let asked = parameters(request);
        let text = |name: &str| asked.get(name).map(String::as_str);
        if text("client_id") != Some(CLIENT_ID) || text("client_secret") != Some(CLIENT_SECRET) {
            return answer(
                request,
                &error(
                    "incorrect_client_credentials",
                    "The client_id and/or client_secret passed are incorrect.",
                ),
            );
        }
        let body = match text("grant_type") {
            Some("refresh_token") => self.refresh(at_ms, accounts, text("refresh_token")),
            None | Some("authorization_code") => self.exchange(at_ms, accounts, &asked),
            Some(_) => error("unsupported_grant_type", "The grant type is not supported."),
        };
        answer(request, &body)
    }

    /// `DELETE /applications/{client_id}/token` and `/grant`: with the client's own password.
    pub fn revoke(&mut self, accounts: &mut Accounts, request: &Exchange) -> Answer {
        if !is_client(request) {
            return bodies::not_found();
        }
        let body = request.json().unwrap_or_default();
        let token = body["access_token"].as_str().unwrap_or_default();
        if accounts.tokens.remove(token).is_none() {
            return bodies::not_found();
        }
        self.refresh_tokens.retain(|_, access| access != token);
        Answer::status(204)
    }

    /// Nothing that was granted is good any more.
    pub fn forget(&mut self) {
        self.refresh_tokens.clear();
        self.codes.clear();
    }

    fn exchange(
        &mut self,
        at_ms: i64,
        accounts: &mut Accounts,
        asked: &BTreeMap<String, String>,
    ) -> Value {
        let text = |name: &str| asked.get(name).map(String::as_str);
        // A code is good once.
        let code = text("code").and_then(|code| self.codes.remove(code));
        let Some(code) = code.filter(|code| at_ms < code.ends_at_ms) else {
            return error(
                "bad_verification_code",
                "The code passed is incorrect or expired.",
            );
        };
        let redirect_uri = text("redirect_uri");
        if redirect_uri.is_some() && redirect_uri != code.redirect_uri.as_deref() {
            return error(
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            );
        }
        let proof = text("code_verifier")
            .map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
        if code.challenge.is_some() && code.challenge != proof {
            return error(
                "bad_verification_code",
                "The code passed is incorrect or expired.",
            );
        }
        self.issue(at_ms, accounts, code.scopes)
    }

    /// Both tokens are replaced, and the old ones are dead at once.
    fn refresh(&mut self, at_ms: i64, accounts: &mut Accounts, token: Option<&str>) -> Value {
        let access = token.and_then(|token| self.refresh_tokens.remove(token));
        let Some(access) = access else {
            return error(
                "bad_refresh_token",
                "The refresh token passed is incorrect or expired.",
            );
        };
        accounts.tokens.remove(&access);
        self.issue(at_ms, accounts, Vec::new())
    }

    fn issue(&mut self, at_ms: i64, accounts: &mut Accounts, scopes: Vec<String>) -> Value {
        let number = self.next();
        let Some(seconds) = self.expire_after_s else {
            let token = format!("gho_demo{number}");
            accounts.add(&token, Some(scopes.clone()), None);
            return json!({
                "access_token": token,
                "scope": scopes.join(","),
                "token_type": "bearer",
            });
        };
        let (token, refresh) = (format!("ghu_demo{number}"), format!("ghr_demo{number}"));
        accounts.add(&token, None, Some(at_ms + seconds * 1000));
        self.refresh_tokens.insert(refresh.clone(), token.clone());
        json!({
            "access_token": token,
            "expires_in": seconds,
            "refresh_token": refresh,
            "refresh_token_expires_in": REFRESH_LIFETIME_S,
            "scope": "",
            "token_type": "bearer",
        })
    }

    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

fn parameters(request: &Exchange) -> BTreeMap<String, String> {
    let body: Vec<(String, String)> = match request.json() {
        Some(Value::Object(object)) => texts(&object),
        _ => request.form(),
    };
    request.query_pairs().into_iter().chain(body).collect()
}

fn texts(object: &Map<String, Value>) -> Vec<(String, String)> {
    let pairs = object.iter();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn is_client(request: &Exchange) -> bool {
    let expected = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    request.header("authorization") == Some(&format!("Basic {expected}"))
}

fn error(code: &str, description: &str) -> Value {
    json!({
        "error": code,
        "error_description": description,
        "error_uri": format!("{PAGE}#{}", code.replace('_', "-")),
    })
}

fn answer(request: &Exchange, body: &Value) -> Answer {
    let wants_json = request
        .header("accept")
        .is_some_and(|accept| accept.contains("application/json"));
    if wants_json {
        return Answer::json(200, body);
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in body.as_object().into_iter().flatten() {
        let number = value.to_string();
        form.append_pair(name, value.as_str().unwrap_or(&number));
    }
    Answer::text(
        200,
        "application/x-www-form-urlencoded; charset=utf-8",
        form.finish(),
    )
}
