//! Whom a credential belongs to, and whether it may make hooks.

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::warn;

use super::HOOKS;
use crate::api::{Api, Failure, encode};

/// The account that we act for.
#[derive(Deserialize)]
pub struct User {
    /// Unlike the login name, it stands in paths of WebDAV.
    pub id: String,
    #[serde(default)]
    displayname: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// Asks Nextcloud who we are, and for hooks that nobody has, which only those are answered who may
/// make some.
pub async fn identify(api: &Api<'_>) -> Result<Account> {
    let user = whoami(api).await?;
    let none = format!("{HOOKS}?uri={}", encode("triggerd:validate"));
    match api.ocs::<Value>("GET", &none, None).await {
        Ok(_) => {}
        // The account is not to blame; that the app is missing is said when a hook is made.
        Err(failure @ Failure::AppMissing { .. }) => {
            warn!("{failure}");
        }
        Err(failure) => return Err(failure.during(format_args!("use the account {}", user.id))),
    }
    Ok(Account {
        name: match user.displayname {
            Some(name) if !name.is_empty() => name,
            _ => user.id.clone(),
        },
        id: user.id,
        scopes: user.groups,
        expires_at_ms: None,
    })
}

/// Asks Nextcloud who we are.
pub async fn whoami(api: &Api<'_>) -> Result<User> {
    api.ocs("GET", "/cloud/user", None)
        .await
        .map_err(|failure| failure.during("find out whom the credential belongs to"))
}
