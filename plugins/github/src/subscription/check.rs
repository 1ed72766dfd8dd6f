//! Whether GitHub still holds the webhook as we hold it, and how it differs.

use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::hook::{Hook, Wanted};
use super::target::Target;
use crate::api::{Api, Failure};

/// Reads the webhook and compares.
pub async fn compare(api: &Api<'_>, held: &ExistingSubscription) -> Result<CheckReport> {
    let target = Target::of_held(held)?;
    let during = |failure: Failure| failure.during(format_args!("read the webhook of {target}"));
    match api.get::<Hook>(&target.hook_path(held)?).await {
        Ok(hook) => {
            let wanted = Wanted::of(&held.endpoint_url, &held.parameters, &held.events)?;
            Ok(report(&wanted, &hook))
        }
        Err(Failure::NotFound) => {
            if is_hidden(api, &target).await.map_err(during)? {
                return Err(hidden(&target));
            }
            Ok(CheckReport::missing(format!(
                "GitHub has no webhook {} of {target}",
                held.external_id
            )))
        }
        Err(failure) => Err(during(failure)),
    }
}

/// Tells, after a 404, a webhook that is gone from one that the token may not see any more:
/// GitHub answers both alike. Hidden it is when the repository can be seen and its webhooks
/// cannot; a repository that cannot be seen either has gone, with its webhooks.
pub async fn is_hidden(api: &Api<'_>, target: &Target) -> Result<bool, Failure> {
    let one_hook = format!("{}?per_page=1", target.hooks_path());
    match api.page::<Value>(&one_hook).await {
        Ok(_) => return Ok(false),
        Err(Failure::NotFound) => {}
        Err(failure) => return Err(failure),
    }
    match api.get::<Value>(&target.path()).await {
        Ok(_) => Ok(true),
        Err(Failure::NotFound) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// What the operator is told of a webhook that the token may not see.
pub fn hidden(target: &Target) -> Error {
    Error::credentials(format!(
        "the access token may see {target} but not its webhooks: a classic token needs the scope \
         admin:repo_hook (for an organisation admin:org_hook), a fine-grained one the permission \
         Webhooks, and its owner must be an administrator of {target}"
    ))
}

fn report(wanted: &Wanted, hook: &Hook) -> CheckReport {
    let mut findings = differences(wanted, hook);
    let state = if findings.is_empty() {
        CheckState::Ok
    } else {
        CheckState::Drifted
    };
    if let Some(last) = &hook.last_response
        && let Some(code) = last.code
        && !(200..300).contains(&code)
    {
        let message = last.message.as_deref().unwrap_or("no reason given");
        findings.push(format!(
            "the last delivery was not accepted: {code} ({message})"
        ));
    }
    CheckReport::of(state, findings)
}

fn differences(wanted: &Wanted, hook: &Hook) -> Vec<String> {
    let mut found = Vec::new();
    if !hook.sends_to(&wanted.url) {
        found.push("it sends to another address than this subscription's endpoint".to_owned());
    }
    if hook.events != wanted.events {
        let join = |events: &std::collections::BTreeSet<String>| {
            events
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        found.push(format!(
            "it sends the events {}, but should send {}",
            join(&hook.events),
            join(&wanted.events)
        ));
    }
    if !hook.active {
        found.push("it is switched off".to_owned());
    }
    // GitHub takes an absent content type for `form`.
    let content_type = hook.config.content_type.as_deref().unwrap_or("form");
    if content_type != wanted.content_type {
        found.push(format!(
            "its content type is {content_type}, but should be {}",
            wanted.content_type
        ));
    }
    match (hook.config.is_insecure(), wanted.insecure_ssl) {
        (true, false) => found.push("it does not check the certificate".to_owned()),
        (false, true) => found.push("it checks the certificate, but should not".to_owned()),
        _ => {}
    }
    if hook.config.secret.as_deref().is_none_or(str::is_empty) {
        found.push("it has no secret, so that its requests are refused".to_owned());
    }
    found
}
