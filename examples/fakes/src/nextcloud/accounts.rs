//! Who has an account, and who a request comes from.

use serde_json::{Value, json};

use super::State;
use crate::Exchange;

/// The administrator's login name.
pub const ADMIN: &str = "admin";
/// Everybody's app password is their login name and this.
pub const APP_PASSWORD: &str = "-app-password";

#[derive(Debug, Clone)]
pub struct Account {
    pub uid: String,
    pub display_name: String,
    /// Administrators and those that Webhook Listeners was delegated to may make hooks.
    pub is_admin: bool,
    pub is_delegated: bool,
    pub has_app_password: bool,
}

pub struct Accounts {
    pub all: Vec<Account>,
    /// Who is at the browser when an account is connected.
    pub at_browser: String,
}

impl Default for Accounts {
    fn default() -> Self {
        let account = |uid: &str, display_name: &str| Account {
            uid: uid.to_owned(),
            display_name: display_name.to_owned(),
            is_admin: uid == ADMIN,
            is_delegated: false,
            has_app_password: true,
        };
        Self {
            all: vec![account(ADMIN, "admin"), account("alice", "Alice Ünïcode")],
            at_browser: ADMIN.to_owned(),
        }
    }
}

impl Accounts {
    pub fn named(&self, uid: &str) -> Option<&Account> {
        self.all.iter().find(|account| account.uid == uid)
    }

    pub fn named_mut(&mut self, uid: &str) -> Option<&mut Account> {
        self.all.iter_mut().find(|account| account.uid == uid)
    }
}

impl Account {
    pub fn may_make_hooks(&self) -> bool {
        self.is_admin || self.is_delegated
    }

    /// `GET /cloud/user`, the fields that clients use.
    pub fn described(&self) -> Value {
        let groups = match self.is_admin {
            true => json!(["admin"]),
            false => json!([]),
        };
        json!({
            "enabled": true,
            "id": self.uid,
            "firstLoginTimestamp": 1_795_213_566,
            "lastLoginTimestamp": 1_795_213_729,
            "lastLogin": 1_795_213_729_000_i64,
            "backend": "Database",
            "subadmin": [],
            "quota": {"free": -3, "used": 20_174_307, "total": -3, "relative": 0, "quota": -3},
            "manager": "",
            "email": null,
            "additional_mail": [],
            "displayname": self.display_name,
            "display-name": self.display_name,
            "phone": "",
            "groups": groups,
            "language": "en",
            "locale": "",
            "timezone": "",
            "notify_email": null,
            "backendCapabilities": {"setDisplayName": true, "setPassword": true},
        })
    }
}

impl State {
    /// The account of a request's app password or access token.
    pub fn who_asks(&self, at_ms: i64, request: &Exchange) -> Option<Account> {
        let uid = match request.bearer() {
            Some(token) => self.grants.holder(at_ms, token)?,
            None => {
                let (login, password) = basic(request)?;
                let account = self.accounts.named(&login)?;
                let is_right = password == format!("{login}{APP_PASSWORD}");
                (account.has_app_password && is_right).then_some(login)?
            }
        };
        self.accounts.named(&uid).cloned()
    }
}

/// User and password of `Authorization: Basic`.
pub fn basic(request: &Exchange) -> Option<(String, String)> {
    let value = request.header("authorization")?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded.trim());
    let text = String::from_utf8(decoded.ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
