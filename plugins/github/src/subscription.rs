//! A subscription is one webhook of a repository or an organisation.
//!
//! ```text
//!   create ──► held ──► check: ok | drifted ──► update
//!                │              missing ──────► create
//!                └────► delete (gone already: fine)
//! ```
//! The webhook's address is ours alone and cannot be guessed, so a webhook that has it is ours:
//! a `create` whose answer was lost finds it again instead of making a second one.
//! <https://docs.github.com/en/rest/repos/webhooks>, <https://docs.github.com/en/rest/orgs/webhooks>

pub mod account;
pub mod check;
mod hook;
pub mod options;
mod target;

use std::fmt::Write as _;

use serde_json::json;
use trigger_plugin_api::prelude::*;

use self::hook::{Hook, Wanted};
use self::target::Target;
use crate::api::{Api, Failure};

/// The name of the secret in `subscription_schema`.
const SECRET: &str = "webhook_secret";
/// As many bytes as the digest that it signs with.
const SECRET_BYTES: usize = 32;

/// Makes the webhook, with a secret of its own.
pub async fn create(api: &Api<'_>, new: &NewSubscription) -> Result<CreatedSubscription> {
    let target = Target::of_parameters(&new.parameters)?;
    let wanted = Wanted::of(&new.endpoint_url, &new.parameters, &new.events)?;
    let secret = random_secret(api.host());
    let made = match api
        .send(
            "POST",
            &target.hooks_path(),
            Some(&wanted.new_hook(&secret)),
        )
        .await
    {
        Ok(response) => response.json()?,
        Err(Failure::AlreadyExists) => take_over(api, &target, &wanted, &secret).await?,
        Err(failure) => {
            return Err(failure.during(format_args!("create the webhook of {target}")));
        }
    };
    Ok(created(&target, &made, secret))
}

/// Changes the webhook in place. Its secret stays.
pub async fn update(api: &Api<'_>, change: &SubscriptionChange) -> Result<CreatedSubscription> {
    let held = &change.subscription;
    let target = Target::of_held(held)?;
    let wanted_target = Target::of_parameters(&change.parameters)?;
    if wanted_target != target {
        return Err(Error::invalid_input(format!(
            "a webhook of {target} cannot be moved to {wanted_target}: make a new subscription"
        )));
    }
    let wanted = Wanted::of(&change.endpoint_url, &change.parameters, &change.events)?;
    let secret = match held.secrets.get(SECRET) {
        Some(secret) if !secret.is_empty() => secret.clone(),
        _ => random_secret(api.host()),
    };
    let hook = change_hook(api, &target.hook_path(held)?, &wanted, &secret)
        .await
        .map_err(|failure| failure.during(format_args!("change the webhook of {target}")))?;
    Ok(created(&target, &hook, secret))
}

/// Deletes the webhook.
pub async fn delete(api: &Api<'_>, held: &ExistingSubscription) -> Result<()> {
    let target = Target::of_held(held)?;
    let during = |failure: Failure| failure.during(format_args!("delete the webhook of {target}"));
    match api.send("DELETE", &target.hook_path(held)?, None).await {
        Ok(_) => Ok(()),
        Err(Failure::NotFound) => {
            if check::is_hidden(api, &target).await.map_err(during)? {
                return Err(check::hidden(&target));
            }
            Ok(())
        }
        Err(failure) => Err(during(failure)),
    }
}

/// All webhooks of a repository or an organisation, ours or not.
pub async fn list(api: &Api<'_>, request: &ListRequest) -> Result<Vec<HeldSubscription>> {
    let target = Target::of_parameters(&request.parameters)?;
    let hooks: Vec<Hook> = all_hooks(api, &target)
        .await
        .map_err(|failure| failure.during(format_args!("list the webhooks of {target}")))?;
    Ok(hooks.into_iter().map(Hook::into_held).collect())
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

fn created(target: &Target, hook: &Hook, secret: String) -> CreatedSubscription {
    let mut properties = target.properties();
    properties.insert("hook_id".to_owned(), json!(hook.id));
    properties.insert("events".to_owned(), json!(hook.events));
    CreatedSubscription {
        external_id: hook.id.to_string(),
        properties,
        secrets: [(SECRET.to_owned(), secret)].into(),
        expires_at_ms: None,
    }
}

fn random_secret(host: &Host) -> String {
    let mut bytes = [0; SECRET_BYTES];
    host.random(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("invariant: writing to a String cannot fail");
        text
    })
}
