//! The webhook of a GitHub App. Every app has exactly one: it can be pointed at us and cannot be
//! made or deleted, and which events it sends is set in the app's settings at GitHub.
//!
//! Its address may be taken when nobody uses it: when there is none, when it is ours, or when it
//! is one that we gave back. <https://docs.github.com/en/rest/apps/webhooks>

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::drift;
use super::hook::{HookConfig, Wanted};
use super::{OURS_SINCE_MS, secret};
use crate::api::{Api, Failure};

const PATH: &str = "/app/hook/config";
/// An app has one webhook, which has no id of its own.
const EXTERNAL_ID: &str = "app";

/// Points the app's webhook at us.
pub async fn create(api: &Api<'_>, new: &NewSubscription) -> Result<CreatedSubscription> {
    let wanted = Wanted::of(&new.endpoint_url, &new.parameters, &[])?;
    let found = config(api).await?;
    let theirs = found.url.as_deref().unwrap_or_default();
    let is_free = theirs.is_empty() || theirs == wanted.url || theirs == given_back(&wanted.url);
    if !is_free {
        return Err(Error::invalid_input(
            "the GitHub App's webhook sends to another address: an app has only one, so empty the field Webhook URL in the app's settings first",
        ));
    }
    let since_ms = api.host().now_ms();
    change(api, &wanted.config(secret(&new.secrets)?)).await?;
    Ok(created(json!(since_ms)))
}

/// Writes address, secret and form again.
pub async fn update(api: &Api<'_>, wish: &SubscriptionChange) -> Result<CreatedSubscription> {
    let held = &wish.subscription;
    let wanted = Wanted::of(&wish.endpoint_url, &wish.parameters, &[])?;
    change(api, &wanted.config(secret(&held.secrets)?)).await?;
    let since = held.properties.get(OURS_SINCE_MS).cloned();
    Ok(created(since.unwrap_or_else(|| json!(api.host().now_ms()))))
}

/// Gives the webhook back: it keeps an address of this host that belongs to no subscription, which
/// is as near to deletion as GitHub allows.
pub async fn release(api: &Api<'_>, held: &ExistingSubscription) -> Result<()> {
    let found = config(api).await?;
    if found.url.as_deref() != Some(held.endpoint_url.as_str()) {
        return Ok(());
    }
    change(api, &json!({"url": given_back(&held.endpoint_url)})).await?;
    api.host().log(
        Level::Warn,
        "the webhook of a GitHub App cannot be deleted: switch it off in the app's settings",
    );
    Ok(())
}

/// Compares the webhook with what we want it to be.
pub async fn check(api: &Api<'_>, held: &ExistingSubscription) -> Result<CheckReport> {
    let wanted = Wanted::of(&held.endpoint_url, &held.parameters, &[])?;
    let found = config(api).await?;
    if found.url.as_deref().is_none_or(str::is_empty) {
        return Ok(CheckReport::missing(
            "the GitHub App's webhook has no address",
        ));
    }
    Ok(drift::report(drift::of_config(&wanted, &found)))
}

/// The one that there is, if it has an address.
pub async fn list(api: &Api<'_>) -> Result<Vec<HeldSubscription>> {
    let found = config(api).await?;
    let url = found.url.filter(|url| !url.is_empty());
    Ok(url
        .map(|url| HeldSubscription {
            external_id: EXTERNAL_ID.to_owned(),
            endpoint_url: url,
            events: Vec::new(),
            active: true,
            properties: Map::from_iter([("app".to_owned(), json!(true))]),
        })
        .into_iter()
        .collect())
}

async fn config(api: &Api<'_>) -> Result<HookConfig> {
    if !api.is_app() {
        return Err(Error::credentials(
            "the webhook of a GitHub App is shown to the app alone: the credential needs its app_id and private_key",
        ));
    }
    let read: Result<HookConfig, Failure> = api.get(PATH).await;
    read.map_err(|failure| failure.during("read the GitHub App's webhook"))
}

async fn change(api: &Api<'_>, config: &Value) -> Result<()> {
    api.send("PATCH", PATH, Some(config))
        .await
        .map(drop)
        .map_err(|failure| failure.during("change the GitHub App's webhook"))
}

/// `https://host/webhooks/github/` of `https://host/webhooks/github/ep_1`.
fn given_back(endpoint_url: &str) -> &str {
    let end = endpoint_url.rfind('/').map_or(0, |slash| slash + 1);
    &endpoint_url[..end]
}

fn created(since_ms: Value) -> CreatedSubscription {
    CreatedSubscription {
        external_id: EXTERNAL_ID.to_owned(),
        properties: Map::from_iter([
            ("app".to_owned(), json!(true)),
            (OURS_SINCE_MS.to_owned(), since_ms),
        ]),
        ..CreatedSubscription::default()
    }
}
