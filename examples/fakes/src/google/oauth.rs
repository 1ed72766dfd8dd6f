//! Consent and tokens.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded::Serializer;

use super::STANDING_TOKEN;
use crate::{Answer, Exchange};

const LIFETIME_S: i64 = 3599;

/// What the account has consented to.
pub struct Grants {
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Access>,
    /// Refresh token to scopes.
    refresh: BTreeMap<String, Vec<String>>,
    issued: u64,
    /// Who has consented before gets no refresh token without `prompt=consent`.
    has_consented: bool,
    /// The boxes that the account leaves ticked; `None`: all.
    pub ticked: Option<Vec<String>>,
    /// Any other is `invalid_client`; empty: every one is good.
    pub client_secret: String,
    pub violations: Vec<String>,
}

struct Code {
    redirect_uri: String,
    client_id: String,
    challenge: Option<String>,
    scopes: Vec<String>,
    offline: bool,
}

struct Access {
    scopes: Vec<String>,
    expires_at_ms: i64,
}

impl Default for Grants {
    fn default() -> Self {
        let scopes = ["drive.readonly", "calendar.readonly", "calendar.events"];
        let standing = Access {
            scopes: scopes
                .map(|name| format!("https://www.googleapis.com/auth/{name}"))
                .to_vec(),
            expires_at_ms: i64::MAX,
        };
        Self {
            codes: BTreeMap::new(),
            access: [(STANDING_TOKEN.to_owned(), standing)].into(),
            refresh: BTreeMap::new(),
            issued: 0,
            has_consented: false,
            ticked: None,
            client_secret: String::new(),
            violations: Vec::new(),
        }
    }
}

impl Grants {
    /// The page that asks for consent; the account always gives it at once.
    pub fn authorize(&mut self, request: &Exchange) -> Answer {
        let query: BTreeMap<String, String> = request.query_pairs().into_iter().collect();
        let value = |name: &str| query.get(name).map_or("", String::as_str);
        for (name, is_right) in [
            ("client_id", !value("client_id").is_empty()),
            (
                "redirect_uri",
                url::Url::parse(value("redirect_uri")).is_ok(),
            ),
            ("response_type", value("response_type") == "code"),
            ("scope", !value("scope").is_empty()),
            ("state", !value("state").is_empty()),
            (
                "code_challenge_method",
                value("code_challenge").is_empty() || value("code_challenge_method") == "S256",
            ),
            (
                "access_type",
                matches!(value("access_type"), "" | "online" | "offline"),
            ),
        ] {
            if !is_right {
                self.violations
                    .push(format!("authorize: {name} is `{}`", value(name)));
                return Answer::text(
                    400,
                    "text/html",
                    format!("Error 400: invalid_request ({name})"),
                );
            }
        }
        let ticked = |scope: &&str| {
            let ticked = self.ticked.as_ref();
            ticked.is_none_or(|ticked| ticked.iter().any(|each| each == scope))
        };
        let scopes: Vec<String> = value("scope")
            .split(' ')
            .filter(ticked)
            .map(str::to_owned)
            .collect();
        let offline = value("access_type") == "offline"
            && (!self.has_consented || value("prompt") == "consent");
        self.has_consented = true;
        self.issued += 1;
        let code = format!("4/0A{}", self.issued);
        let mut location = Serializer::new(String::new());
        location.append_pair("state", value("state"));
        location.append_pair("code", &code);
        location.append_pair("scope", &scopes.join(" "));
        let separator = if value("redirect_uri").contains('?') {
            '&'
        } else {
            '?'
        };
        let location = format!("{}{separator}{}", value("redirect_uri"), location.finish());
        let granted = Code {
            redirect_uri: value("redirect_uri").to_owned(),
            client_id: value("client_id").to_owned(),
            challenge: Some(value("code_challenge").to_owned()).filter(|text| !text.is_empty()),
            scopes,
            offline,
        };
        self.codes.insert(code, granted);
        Answer::redirect(location)
    }

    /// Codes and refresh tokens for access tokens.
    pub fn token(&mut self, at_ms: i64, request: &Exchange) -> Answer {
        let form: BTreeMap<String, String> = request.form().into_iter().collect();
        let value = |name: &str| form.get(name).map_or("", String::as_str);
        if !self.client_secret.is_empty() && value("client_secret") != self.client_secret {
            return refused(
                401,
                "invalid_client",
                "The provided client secret is invalid.",
            );
        }
        match value("grant_type") {
            "authorization_code" => {
                let Some(code) = self.codes.remove(value("code")) else {
                    return refused(400, "invalid_grant", "Malformed auth code.");
                };
                if code.redirect_uri != value("redirect_uri")
                    || code.client_id != value("client_id")
                {
                    self.violations
                        .push("token: another redirect_uri or client than asked with".to_owned());
                    return refused(400, "redirect_uri_mismatch", "Bad Request");
                }
                let verified = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier")));
                if code
                    .challenge
                    .is_some_and(|challenge| challenge != verified)
                {
                    return refused(400, "invalid_grant", "Invalid code verifier.");
                }
                let refresh = code.offline.then(|| self.issue_refresh(&code.scopes));
                self.issue(at_ms, code.scopes, refresh)
            }
            "refresh_token" => match self.refresh.get(value("refresh_token")).cloned() {
                Some(scopes) => self.issue(at_ms, scopes, None),
                None => refused(400, "invalid_grant", "Token has been expired or revoked."),
            },
            other => {
                self.violations
                    .push(format!("token: grant_type is `{other}`"));
                refused(400, "unsupported_grant_type", "Invalid grant_type.")
            }
        }
    }

    /// Ends a token and what hangs on it.
    pub fn revoke(&mut self, request: &Exchange) -> Answer {
        let mut pairs = request.form();
        pairs.extend(request.query_pairs());
        let token = pairs
            .into_iter()
            .find_map(|(name, value)| (name == "token").then_some(value));
        let token = token.unwrap_or_default();
        if self.access.remove(&token).is_none() && self.refresh.remove(&token).is_none() {
            return refused(400, "invalid_token", "Token expired or revoked");
        }
        self.revoke_all();
        Answer::json(200, &json!({}))
    }

    /// The account takes its consent back.
    pub fn revoke_all(&mut self) {
        self.access.clear();
        self.refresh.clear();
        self.codes.clear();
        self.has_consented = false;
    }

    /// Access tokens end before their time; refresh tokens stay.
    pub fn expire_access(&mut self) {
        self.access.clear();
    }

    /// What a token may do, while it is good.
    pub fn scopes_of(&self, token: &str, at_ms: i64) -> Option<&[String]> {
        let access = self.access.get(token)?;
        (access.expires_at_ms > at_ms).then_some(&access.scopes)
    }

    fn issue_refresh(&mut self, scopes: &[String]) -> String {
        self.issued += 1;
        let token = format!("1//0{}", self.issued);
        self.refresh.insert(token.clone(), scopes.to_vec());
        token
    }

    fn issue(&mut self, at_ms: i64, scopes: Vec<String>, refresh: Option<String>) -> Answer {
        self.issued += 1;
        let token = format!("ya29.a0{}", self.issued);
        let mut body = json!({
            "access_token": token,
            "expires_in": LIFETIME_S,
            "scope": scopes.join(" "),
            "token_type": "Bearer",
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = Value::from(refresh);
        }
        let access = Access {
            scopes,
            expires_at_ms: at_ms + LIFETIME_S * 1000,
        };
        self.access.insert(token, access);
        Answer::json(200, &body)
    }
}

fn refused(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(
        status,
        &json!({"error": error, "error_description": description}),
    )
}
