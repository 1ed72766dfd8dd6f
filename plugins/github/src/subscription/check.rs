//! Whether GitHub still holds the webhook as we hold it, and how it differs.

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::app_hook;
use super::drift;
use super::hook::{Hook, Wanted};
use super::target::{Subject, Target};
use crate::api::{Api, Failure, instant_ms};

/// What our endpoint answers to a request with a wrong signature.
const UNAUTHORIZED: u16 = 401;

/// Part of an entry of the delivery log.
#[derive(Deserialize)]
struct Delivery {
    delivered_at: String,
    status_code: u16,
}

/// Reads the webhook and compares.
pub async fn compare(api: &Api<'_>, held: &ExistingSubscription) -> Result<CheckReport> {
    let target = match Subject::of_held(held)? {
        Subject::Webhook(target) => target,
        Subject::App => return app_hook::check(api, held).await,
    };
    let during = |failure: Failure| failure.during(format_args!("read the webhook of {target}"));
    let path = target.hook_path(&held.external_id)?;
    match api.get::<Hook>(&path).await {
        Ok(hook) => {
            let wanted = Wanted::of(&held.endpoint_url, &held.parameters, &held.events)?;
            let mut differences = drift::of_hook(&wanted, &hook);
            // Without any difference to be seen, there may be one that is not shown.
            if differences.is_empty() && signs_wrongly(api, &path, &hook).await.map_err(during)? {
                differences.push(drift::of_secret());
            }
            let mut report = drift::report(differences);
            report.findings.extend(last_refusal(&hook));
            Ok(report)
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

/// Whether the newest request since the webhook was last changed was refused for its signature.
/// Organisations' webhooks do not say how the last one was answered, so their log is asked.
async fn signs_wrongly(api: &Api<'_>, path: &str, hook: &Hook) -> Result<bool, Failure> {
    let told = hook.last_response.as_ref().map(|last| last.code);
    if told.is_some_and(|code| code != Some(UNAUTHORIZED)) {
        return Ok(false);
    }
    let log = format!("{path}/deliveries?per_page=1");
    let newest: Vec<Delivery> = match api.get(&log).await {
        Ok(newest) => newest,
        // An old Enterprise Server keeps no log.
        Err(Failure::NotFound) => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let changed_ms = hook.updated_at.as_deref().and_then(instant_ms);
    Ok(newest.first().is_some_and(|delivery| {
        delivery.status_code == UNAUTHORIZED && instant_ms(&delivery.delivered_at) >= changed_ms
    }))
}

fn last_refusal(hook: &Hook) -> Option<String> {
    let last = hook.last_response.as_ref()?;
    let code = last.code.filter(|code| !(200..300).contains(code))?;
    let message = last.message.as_deref().unwrap_or("no reason given");
    Some(format!(
        "the last delivery was not accepted: {code} ({message})"
    ))
}
