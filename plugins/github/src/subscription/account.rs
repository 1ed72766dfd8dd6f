//! Whom a token belongs to, what it may do and when it ends.

use serde::Deserialize;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, Failure, instant_ms};

/// Scopes of classic tokens that let us keep webhooks. Fine-grained tokens name no scopes.
const SUFFICIENT: [&str; 4] = [
    "admin:repo_hook",
    "write:repo_hook",
    "admin:org_hook",
    "repo",
];

const OPERATION: &str = "find out whom the access token belongs to";

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}

/// Asks GitHub who we are: a user, a GitHub App, or an installation of one.
pub async fn identify(api: &Api<'_>, credentials: &Credentials) -> Result<Account> {
    if api.is_app() {
        return app(api, credentials).await;
    }
    match api.send("GET", "/user", None).await {
        Ok(response) => user(&response),
        Err(Failure::Forbidden { message, .. }) if message.contains("by integration") => {
            installation(api).await
        }
        Err(failure) => Err(failure.during(OPERATION)),
    }
}

fn user(response: &HttpResponse) -> Result<Account> {
    let user: User = response.json()?;
    let scopes = response.header("x-oauth-scopes").map(list);
    if let Some(scopes) = &scopes
        && !scopes
            .iter()
            .any(|scope| SUFFICIENT.contains(&scope.as_str()))
    {
        let held = match scopes.is_empty() {
            true => "no scope".to_owned(),
            false => format!("the scopes {}", scopes.join(", ")),
        };
        return Err(Error::credentials(format!(
            "the access token of {} has {held}, but needs admin:repo_hook, or admin:org_hook for organisations",
            user.login
        )));
    }
    Ok(Account {
        id: user.id.to_string(),
        name: user.login,
        scopes: scopes.unwrap_or_default(),
        expires_at_ms: response
            .header("github-authentication-token-expiration")
            .and_then(instant_ms),
    })
}

/// A key that GitHub takes may read the app's webhook, which it tells nobody else.
async fn app(api: &Api<'_>, credentials: &Credentials) -> Result<Account> {
    api.send("GET", "/app/hook/config", None)
        .await
        .map_err(|failure| {
            failure.during("find out which GitHub App the private key belongs to")
        })?;
    let app_id = credentials.value("app_id").unwrap_or_default();
    Ok(Account {
        id: app_id.to_owned(),
        name: format!("GitHub App {app_id}"),
        ..Account::default()
    })
}

/// The token of an app's installation belongs to no user.
async fn installation(api: &Api<'_>) -> Result<Account> {
    api.send("GET", "/installation/repositories?per_page=1", None)
        .await
        .map_err(|failure| failure.during(OPERATION))?;
    Ok(Account {
        id: "installation".to_owned(),
        name: "an installation of a GitHub App".to_owned(),
        ..Account::default()
    })
}

fn list(header: &str) -> Vec<String> {
    header
        .split(',')
        .map(str::trim)
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect()
}
