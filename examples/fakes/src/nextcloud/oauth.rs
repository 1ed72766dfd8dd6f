//! OAuth 2 as the app `oauth2` does it: no PKCE, refresh tokens for one use, and permanent refusals
//! that say `invalid_request`.

use serde_json::json;
use url::Url;

use super::State;
use super::accounts::basic;
use crate::{Answer, Exchange};

/// The registered client.
pub const CLIENT_ID: &str = "triggerd-client-identifier";
/// The registered client's secret key.
pub const CLIENT_SECRET: &str = "triggerd-client-secret-key";

const CODE_LIFETIME_MS: i64 = 600_000;
const ACCESS_LIFETIME_S: i64 = 3_600;

/// One connection of an account: first a code, then tokens that take each other's place.
#[derive(Debug, Clone)]
struct Grant {
    uid: String,
    /// The code at first, the refresh token ever after.
    code: String,
    is_redeemed: bool,
    made_at_ms: i64,
    access_token: String,
    expires_at_ms: i64,
}

#[derive(Default)]
pub struct Grants {
    all: Vec<Grant>,
    made: u64,
}

impl Grants {
    /// Whose access token it is, if it still lives.
    pub fn holder(&self, at_ms: i64, token: &str) -> Option<String> {
        let grant = self.all.iter().find(|grant| {
            grant.is_redeemed && grant.access_token == token && at_ms < grant.expires_at_ms
        })?;
        Some(grant.uid.clone())
    }

    /// Somebody removed the connections, of one account or of all.
    pub fn revoke(&mut self, uid: Option<&str>) {
        self.all
            .retain(|grant| uid.is_some_and(|uid| grant.uid != uid));
    }

    fn random(&mut self, length: usize) -> String {
        self.made += 1;
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut state = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let letters = (0..length).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let index = usize::try_from(state % 62).unwrap_or_default();
            char::from(alphabet[index])
        });
        letters.collect()
    }
}

/// Who is at the browser agrees at once; the real server shows a login first.
pub fn authorize(state: &mut State, at_ms: i64, request: &Exchange) -> Answer {
    let value = |name: &str| request.query_value(name).unwrap_or_default();
    if value("client_id") != CLIENT_ID {
        state.violate(request, "the client is not registered");
        return Answer::text(
            404,
            "text/html; charset=UTF-8",
            "<!DOCTYPE html>Your client is not authorized to connect",
        );
    }
    let Ok(mut back) = Url::parse(&value("redirect_uri")) else {
        state.violate(request, "redirect_uri is no address");
        return Answer::text(400, "text/html; charset=UTF-8", "<!DOCTYPE html>");
    };
    if value("response_type") != "code" {
        state.violate(request, "response_type is not `code`");
        back.query_pairs_mut()
            .append_pair("error", "unsupported_response_type")
            .append_pair("state", &value("state"));
        return Answer::redirect(back);
    }
    let code = state.grants.random(128);
    state.grants.all.push(Grant {
        uid: state.accounts.at_browser.clone(),
        code: code.clone(),
        is_redeemed: false,
        made_at_ms: at_ms,
        access_token: String::new(),
        expires_at_ms: 0,
    });
    back.query_pairs_mut()
        .append_pair("state", &value("state"))
        .append_pair("code", &code);
    Answer {
        status: 303,
        ..Answer::redirect(back)
    }
}

/// Redeems a code or a refresh token.
pub fn token(state: &mut State, at_ms: i64, request: &Exchange) -> Answer {
    let form = request.form();
    let value = |name: &str| {
        form.iter()
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.as_str())
    };
    let by_header = basic(request);
    let (client_id, client_secret) = match &by_header {
        Some((id, secret)) => (Some(id.as_str()), Some(secret.as_str())),
        None => (value("client_id"), value("client_secret")),
    };
    let (code, is_refresh) = match value("grant_type") {
        Some("authorization_code") => (value("code"), false),
        Some("refresh_token") => (value("refresh_token"), true),
        _ => {
            state.violate(
                request,
                "grant_type is neither authorization_code nor refresh_token",
            );
            return refused("invalid_grant");
        }
    };
    let index = state
        .grants
        .all
        .iter()
        .position(|grant| Some(grant.code.as_str()) == code);
    let Some(index) = index else {
        return refused("invalid_request");
    };
    let grant = &state.grants.all[index];
    if !is_refresh && grant.is_redeemed {
        return refused("invalid_request");
    }
    if !is_refresh && at_ms - grant.made_at_ms > CODE_LIFETIME_MS {
        state.grants.all.remove(index);
        return refused("invalid_request");
    }
    let Some(client_secret) = client_secret else {
        state.violate(request, "client_secret is missing");
        return Answer::text(
            500,
            "text/html; charset=UTF-8",
            "<!DOCTYPE html>Internal Server Error",
        );
    };
    if client_id != Some(CLIENT_ID) || client_secret != CLIENT_SECRET {
        return refused("invalid_client");
    }
    let (access_token, refresh_token) = (state.grants.random(72), state.grants.random(128));
    let grant = &mut state.grants.all[index];
    grant.is_redeemed = true;
    grant.code = refresh_token.clone();
    grant.access_token = access_token.clone();
    grant.expires_at_ms = at_ms + ACCESS_LIFETIME_S * 1000;
    Answer::json(
        200,
        &json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFETIME_S,
            "refresh_token": refresh_token,
            "user_id": grant.uid,
        }),
    )
}

fn refused(error: &str) -> Answer {
    Answer::json(400, &json!({ "error": error }))
}
