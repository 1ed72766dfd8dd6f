//! A subscription is one hook of Webhook Listeners for each of its events, all with one address and
//! one secret.
//!
//! ```text
//!   create ──► held ──► check: ok | drifted ──► update
//!     │ one fails:  │            missing ──────► create
//!     └ all undone  └──► delete (gone already: fine)
//! ```
//! Every hook carries the key of its making in a header, so that the hooks of a `create` whose answer
//! was lost are found again, and told from those of another making at the same address. Nextcloud
//! answers 200 to writes that do nothing, so whatever is written is read back.

pub mod account;
pub mod check;
mod hook;
pub mod options;
mod wanted;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::warn;

use self::hook::Hook;
use self::wanted::Wanted;
use crate::api::{Api, Failure, encode};

/// The name of the secret in `subscription_schema`.
const SECRET: &str = "webhook_secret";
const SECRET_BYTES: usize = 32;
const HOOKS: &str = "/apps/webhook_listeners/api/v1/webhooks";

/// The ids of our hooks by the name of their event.
type HookIds = BTreeMap<String, u64>;

/// Makes a hook for each event: all of them, or none.
pub async fn create(
    api: &Api<'_>,
    declared: &Declared,
    new: &NewSubscription,
) -> Result<CreatedSubscription> {
    let secret = match new.secrets.get(SECRET) {
        Some(secret) if !secret.is_empty() => secret.clone(),
        _ => random_secret(api.host()),
    };
    let making = wanted::Making {
        url: &new.endpoint_url,
        secret: &secret,
        key: &new.key,
    };
    let wanted = wanted::all(declared, making, &new.parameters, &new.events)?;
    let mut left = ours_at(api, &new.endpoint_url, &new.key)
        .await
        .map_err(|failure| failure.during("look for hooks of this subscription"))?;
    let mut made = HookIds::new();
    for each in &wanted {
        let before = left.iter().position(|hook| hook.event == each.class.class);
        let before = before.map(|at| left.swap_remove(at));
        let outcome = match before {
            Some(hook) => {
                made.insert(each.class.name.clone(), hook.id);
                change_hook(api, hook.id, each).await
            }
            None => make_hook(api, each, &mut made).await,
        };
        if let Err(error) = outcome {
            return Err(undo(api, new, &made, error).await);
        }
    }
    for hook in left {
        delete_hook(api, hook.id).await.map_err(|failure| {
            failure.during(format_args!("delete the superfluous hook {}", hook.id))
        })?;
    }
    Ok(created(&made, secret))
}

/// Changes the hooks in place; events that come are made, events that go are deleted.
pub async fn update(
    api: &Api<'_>,
    declared: &Declared,
    change: &SubscriptionChange,
) -> Result<CreatedSubscription> {
    let held = &change.subscription;
    let secret = match held.secrets.get(SECRET) {
        Some(secret) if !secret.is_empty() => secret.clone(),
        _ => random_secret(api.host()),
    };
    let making = wanted::Making {
        url: &change.endpoint_url,
        secret: &secret,
        key: &held.key,
    };
    let wanted = wanted::all(declared, making, &change.parameters, &change.events)?;
    // All are looked at before the first is changed: a write to one that is gone would be answered 200.
    let mut before = HookIds::new();
    for (name, hook) in held_hooks(api, declared, held).await? {
        before.insert(name, hook.id);
    }
    let mut now = HookIds::new();
    let mut made = HookIds::new();
    for each in &wanted {
        let name = &each.class.name;
        let outcome = match before.remove(name) {
            Some(id) => {
                now.insert(name.clone(), id);
                change_hook(api, id, each).await
            }
            None => make_hook(api, each, &mut made).await,
        };
        if let Err(error) = outcome {
            for (name, id) in &made {
                if let Err(failure) = delete_hook(api, *id).await {
                    warn!("the hook {id} for {name} is left over: {failure}");
                }
            }
            return Err(error);
        }
    }
    for (name, id) in before {
        delete_hook(api, id)
            .await
            .map_err(|failure| failure.during(format_args!("delete the hook for {name}")))?;
    }
    now.extend(made);
    Ok(created(&now, secret))
}

/// Deletes all hooks of the subscription: those that we know, and those that carry its key.
pub async fn delete(api: &Api<'_>, held: &ExistingSubscription) -> Result<()> {
    for id in hook_ids(held)? {
        delete_hook(api, id)
            .await
            .map_err(|failure| failure.during(format_args!("delete the hook {id}")))?;
    }
    if held.key.is_empty() && !held.external_id.is_empty() {
        return Ok(());
    }
    let left = ours_at(api, &held.endpoint_url, &held.key)
        .await
        .map_err(|failure| failure.during("look for hooks of this subscription"))?;
    for hook in left {
        delete_hook(api, hook.id)
            .await
            .map_err(|failure| failure.during(format_args!("delete the hook {}", hook.id)))?;
    }
    Ok(())
}

/// All hooks of the server, ours or not; those of one making are one subscription.
pub async fn list(api: &Api<'_>, declared: &Declared) -> Result<Vec<HeldSubscription>> {
    let hooks: Vec<Hook> = api
        .ocs("GET", HOOKS, None)
        .await
        .map_err(|failure| failure.during("list the hooks of this server"))?;
    let mut together: Vec<((String, String), Vec<Hook>)> = Vec::new();
    for hook in hooks {
        let making = (hook.uri.clone(), hook.key().unwrap_or_default().to_owned());
        match together
            .iter_mut()
            .find(|(each, _)| *each == making && !each.1.is_empty())
        {
            Some((_, hooks)) => hooks.push(hook),
            None => together.push((making, vec![hook])),
        }
    }
    Ok(together
        .into_iter()
        .map(|(_, hooks)| hook::into_held(declared, hooks))
        .collect())
}

/// The hooks with our address and our key; without a key, all with our address.
async fn ours_at(api: &Api<'_>, url: &str, key: &str) -> Result<Vec<Hook>, Failure> {
    if url.is_empty() {
        return Ok(Vec::new());
    }
    let path = format!("{HOOKS}?uri={}", encode(url));
    let hooks: Vec<Hook> = api.ocs("GET", &path, None).await?;
    let is_ours = |hook: &Hook| hook.uri == url && (key.is_empty() || hook.key() == Some(key));
    Ok(hooks.into_iter().filter(is_ours).collect())
}

/// What the server holds of what we hold, by the name of the event.
async fn held_hooks(
    api: &Api<'_>,
    declared: &Declared,
    held: &ExistingSubscription,
) -> Result<Vec<(String, Hook)>> {
    let mut hooks = Vec::new();
    for id in hook_ids(held)? {
        let hook = read_hook(api, id)
            .await
            .map_err(|failure| failure.during(format_args!("read the hook {id}")))?;
        let name = name_of(declared, held, &hook);
        hooks.push((name, hook));
    }
    Ok(hooks)
}

/// The event that a hook was made for: what it listens to now may have been changed by hand.
fn name_of(declared: &Declared, held: &ExistingSubscription, hook: &Hook) -> String {
    let known = held.properties.get("hooks").and_then(Value::as_object);
    let known = known.into_iter().flatten();
    let found = known
        .into_iter()
        .find(|(_, id)| id.as_u64() == Some(hook.id));
    match found {
        Some((name, _)) => name.clone(),
        None => hook.event_name(declared),
    }
}

/// Makes a hook, remembers it at once, and reads it back.
async fn make_hook(api: &Api<'_>, wanted: &Wanted, made: &mut HookIds) -> Result<()> {
    let name = &wanted.class.name;
    let during = |failure: Failure| failure.during(format_args!("create the hook for {name}"));
    let hook: Hook = api
        .ocs("POST", HOOKS, Some(&wanted.body()))
        .await
        .map_err(during)?;
    made.insert(name.clone(), hook.id);
    confirm(api, hook.id, wanted).await
}

async fn change_hook(api: &Api<'_>, id: u64, wanted: &Wanted) -> Result<()> {
    let name = &wanted.class.name;
    let path = format!("{HOOKS}/{id}");
    let _: Value = api
        .ocs("POST", &path, Some(&wanted.body()))
        .await
        .map_err(|failure| failure.during(format_args!("change the hook for {name}")))?;
    confirm(api, id, wanted).await
}

/// Reads back what was written.
async fn confirm(api: &Api<'_>, id: u64, wanted: &Wanted) -> Result<()> {
    let name = &wanted.class.name;
    let hook = read_hook(api, id)
        .await
        .map_err(|failure| failure.during(format_args!("read back the hook {id} for {name}")))?;
    match wanted.differences(&hook).first() {
        None => Ok(()),
        Some(drift) => Err(Error::upstream(format!(
            "Nextcloud accepted the hook for {name}, but keeps {} otherwise: {} instead of {}",
            drift.field, drift.theirs, drift.ours
        ))),
    }
}

async fn read_hook(api: &Api<'_>, id: u64) -> Result<Hook, Failure> {
    api.ocs("GET", &format!("{HOOKS}/{id}"), None).await
}

/// One that is gone is answered like one that was there.
async fn delete_hook(api: &Api<'_>, id: u64) -> Result<(), Failure> {
    match api
        .ocs::<Value>("DELETE", &format!("{HOOKS}/{id}"), None)
        .await
    {
        Ok(_) | Err(Failure::NotFound) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Takes back what a failed `create` made, also hooks whose making was not answered.
async fn undo(api: &Api<'_>, new: &NewSubscription, made: &HookIds, error: Error) -> Error {
    let outcome = async {
        for id in made.values() {
            delete_hook(api, *id).await?;
        }
        for hook in ours_at(api, &new.endpoint_url, &new.key).await? {
            delete_hook(api, hook.id).await?;
        }
        Ok::<(), Failure>(())
    };
    match outcome.await {
        Ok(()) => error,
        Err(failure) => {
            let detail = format!("and what was made before could not be taken back: {failure}");
            error.with_detail(detail)
        }
    }
}

/// The ids in `external_id`, of the form `12,13`; empty when nobody knows them.
fn hook_ids(held: &ExistingSubscription) -> Result<Vec<u64>> {
    let ids = held.external_id.split(',').map(str::trim);
    ids.filter(|id| !id.is_empty())
        .map(|id| {
            id.parse().map_err(|_| {
                Error::invalid_input(format!(
                    "the hooks' ids are `{}`, but Nextcloud's ids are numbers",
                    held.external_id
                ))
            })
        })
        .collect()
}

fn created(hooks: &HookIds, secret: String) -> CreatedSubscription {
    CreatedSubscription {
        external_id: hook::external_id(hooks.values().copied()),
        properties: Map::from_iter([("hooks".to_owned(), json!(hooks))]),
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
