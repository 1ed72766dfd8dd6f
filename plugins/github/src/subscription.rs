//! A subscription is one webhook: of a repository, of an organisation, or a GitHub App's own.
//!
//! ```text
//!   create ──► held ──► check: ok | drifted ──► update
//!                │              missing ──────► create
//!                └────► delete (gone already: fine)
//! ```
//! The webhook's address is ours alone and cannot be guessed, so a webhook that has it is ours:
//! a `create` whose answer was lost finds it again instead of making a second one, and a `delete`
//! that knows no id finds what there is to end.
//! <https://docs.github.com/en/rest/repos/webhooks>, <https://docs.github.com/en/rest/orgs/webhooks>,
//! <https://docs.github.com/en/rest/apps/webhooks>

pub mod account;
mod app_hook;
pub mod check;
mod drift;
mod hook;
pub mod options;
mod target;

use std::collections::BTreeMap;

use serde_json::json;
use trigger_plugin_api::prelude::*;

use self::hook::{Hook, Wanted};
pub use self::target::Subject;
use self::target::Target;
use crate::api::{Api, Failure, instant_ms};

/// The name of the secret in `subscription_schema`.
const SECRET: &str = "webhook_secret";
/// Since when the webhook is ours, by GitHub's clock: what failed before is nobody's loss.
pub const OURS_SINCE_MS: &str = "ours_since_ms";

/// Makes the webhook, with the secret that the host keeps for it.
pub async fn create(api: &Api<'_>, new: &NewSubscription) -> Result<CreatedSubscription> {
    let target = match Subject::of_parameters(&new.parameters)? {
        Subject::Webhook(target) => target,
        Subject::App => return app_hook::create(api, new).await,
    };
    let wanted = Wanted::of(&new.endpoint_url, &new.parameters, &new.events)?;
    let secret = secret(&new.secrets)?;
    let made = match api
        .send("POST", &target.hooks_path(), Some(&wanted.new_hook(secret)))
        .await
    {
        Ok(response) => response.json()?,
        Err(Failure::AlreadyExists) => take_over(api, &target, &wanted, secret).await?,
        Err(failure) => {
            return Err(failure.during(format_args!("create the webhook of {target}")));
        }
    };
    Ok(created(api, &target, &made))
}

/// Changes the webhook in place. Its secret stays.
pub async fn update(api: &Api<'_>, change: &SubscriptionChange) -> Result<CreatedSubscription> {
    let held = &change.subscription;
    let subject = Subject::of_held(held)?;
    let wanted_subject = Subject::of_parameters(&change.parameters)?;
    if wanted_subject != subject {
        return Err(Error::invalid_input(format!(
            "a webhook of {subject} cannot be moved to {wanted_subject}: make a new subscription"
        )));
    }
    let target = match subject {
        Subject::Webhook(target) => target,
        Subject::App => return app_hook::update(api, change).await,
    };
    let wanted = Wanted::of(&change.endpoint_url, &change.parameters, &change.events)?;
    let path = target.hook_path(&held.external_id)?;
    let hook = change_hook(api, &path, &wanted, secret(&held.secrets)?)
        .await
        .map_err(|failure| failure.during(format_args!("change the webhook of {target}")))?;
    let mut updated = created(api, &target, &hook);
    if let Some(since) = held.properties.get(OURS_SINCE_MS) {
        let properties = &mut updated.properties;
        properties.insert(OURS_SINCE_MS.to_owned(), since.clone());
    }
    Ok(updated)
}

/// Deletes the webhook; without its id, whatever sends to our address.
pub async fn delete(api: &Api<'_>, held: &ExistingSubscription) -> Result<()> {
    let target = match Subject::of_held(held)? {
        Subject::Webhook(target) => target,
        Subject::App => return app_hook::release(api, held).await,
    };
    let deleted = match held.external_id.as_str() {
        "" => delete_by_address(api, &target, &held.endpoint_url).await,
        id => {
            let path = target.hook_path(id)?;
            api.send("DELETE", &path, None).await.map(drop)
        }
    };
    let during = |failure: Failure| failure.during(format_args!("delete the webhook of {target}"));
    match deleted {
        Ok(()) => Ok(()),
        Err(Failure::NotFound) => {
            if check::is_hidden(api, &target).await.map_err(during)? {
                return Err(check::hidden(&target));
            }
            Ok(())
        }
        Err(failure) => Err(during(failure)),
    }
}

/// All webhooks of a repository, an organisation or an app, ours or not.
pub async fn list(api: &Api<'_>, request: &ListRequest) -> Result<Vec<HeldSubscription>> {
    let target = match Subject::of_parameters(&request.parameters)? {
        Subject::Webhook(target) => target,
        Subject::App => return app_hook::list(api).await,
    };
    let hooks: Vec<Hook> = all_hooks(api, &target)
        .await
        .map_err(|failure| failure.during(format_args!("list the webhooks of {target}")))?;
    Ok(hooks.into_iter().map(Hook::into_held).collect())
}

/// Asks GitHub to send a `ping`.
pub async fn test(api: &Api<'_>, held: &ExistingSubscription) -> Result<()> {
    let subject = Subject::of_held(held)?;
    if subject == Subject::App {
        return Err(Error::unsupported(
            "GitHub sends no ping to an app's webhook: redeliver one at the app's settings, Advanced",
        ));
    }
    let path = format!("{}/pings", subject.hook_path(held)?);
    api.send("POST", &path, None)
        .await
        .map_err(|failure| failure.during(format_args!("ping the webhook of {subject}")))?;
    Ok(())
}

async fn all_hooks(api: &Api<'_>, target: &Target) -> Result<Vec<Hook>, Failure> {
    api.all(&format!("{}?per_page=100", target.hooks_path()))
        .await
}

/// Finds the webhook that has our address and gives it what is wanted.
async fn take_over(api: &Api<'_>, target: &Target, wanted: &Wanted, secret: &str) -> Result<Hook> {
    let during = |failure: Failure| {
        failure.during(format_args!(
            "take over the webhook that {target} has already"
        ))
    };
    let hooks = all_hooks(api, target).await.map_err(during)?;
    let Some(ours) = hooks.iter().find(|hook| hook.sends_to(&wanted.url)) else {
        return Err(Error::invalid_input(format!(
            "cannot create the webhook of {target}: GitHub says that it exists already, and lists none with our address"
        )));
    };
    let path = format!("{}/{}", target.hooks_path(), ours.id);
    change_hook(api, &path, wanted, secret)
        .await
        .map_err(during)
}

async fn change_hook(
    api: &Api<'_>,
    path: &str,
    wanted: &Wanted,
    secret: &str,
) -> Result<Hook, Failure> {
    let change = wanted.change(secret);
    let response = api.send("PATCH", path, Some(&change)).await?;
    Ok(response.json()?)
}

async fn delete_by_address(api: &Api<'_>, target: &Target, url: &str) -> Result<(), Failure> {
    let hooks = all_hooks(api, target).await?;
    for hook in hooks.iter().filter(|hook| hook.sends_to(url)) {
        let path = format!("{}/{}", target.hooks_path(), hook.id);
        match api.send("DELETE", &path, None).await {
            Ok(_) | Err(Failure::NotFound) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// The host keeps the secret that it gave.
fn created(api: &Api<'_>, target: &Target, hook: &Hook) -> CreatedSubscription {
    let since = hook.updated_at.as_deref().and_then(instant_ms);
    let mut properties = target.properties();
    properties.insert("hook_id".to_owned(), json!(hook.id));
    properties.insert("events".to_owned(), json!(hook.events));
    properties.insert(
        OURS_SINCE_MS.to_owned(),
        json!(since.unwrap_or_else(|| api.host().now_ms())),
    );
    CreatedSubscription {
        external_id: hook.id.to_string(),
        properties,
        ..CreatedSubscription::default()
    }
}

/// The host makes one for every subscription before it calls; without it, GitHub would sign nothing.
fn secret(secrets: &BTreeMap<String, String>) -> Result<&str> {
    let secret = secrets.get(SECRET).filter(|secret| !secret.is_empty());
    secret
        .map(String::as_str)
        .ok_or_else(|| Error::host(format!("the host keeps no {SECRET} for this subscription")))
}
