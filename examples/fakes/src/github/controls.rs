//! What only the service's own users can make happen, as `POST /_fake/{action}`.
//!
//! | action | arguments |
//! |---|---|
//! | `push` | `repository` (`acme/site`), `event` (`push`), `payload`, `count`: it happens, and every webhook that waits for it is told |
//! | `lose_deliveries` | `times`: so many deliveries from now on find nobody |
//! | `ping_before_answer` | `on`: pings come before the webhook's own answer |
//! | `hooks`, `deliveries` | what there is, secrets included |
//! | `vanish_hook` | `id`; absent: all |
//! | `alter_hook` | `id` (absent: all), and any of `url events active content_type secret insecure_ssl` |
//! | `add_hook` | `repository` or `organization`, `url`: somebody else's webhook |
//! | `repositories` | `owner`, `count`: so many more; or `name`, `private`, `archived`, `admin` of one |
//! | `organization` | `login`: one more |
//! | `add_token` | `token`, `scopes`, `expires_in_s` |
//! | `revoke_tokens` | `refresh` (`true`): what was granted is good no longer; `false` leaves refresh tokens |
//! | `expiring_tokens` | `seconds`: tokens granted from now on end, and can be refreshed; `null`: as before |
//! | `deny` | `on`: the user does not consent |
//! | `throttle` | `kind` (`primary primary_too_many retry_after too_many secondary`), `times`, `seconds`, `path` |
//! | `quota` | `limit`, `remaining`, `resets_in_s` |

use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::hooks::{Hook, Owner};

const PUSH: &str = include_str!("../../data/github-push.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Push {
    repository: String,
    event: String,
    payload: Value,
    count: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Altered {
    id: Option<u64>,
    url: Option<String>,
    events: Option<Vec<String>>,
    active: Option<bool>,
    content_type: Option<String>,
    secret: Option<String>,
    insecure_ssl: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Repositories {
    owner: String,
    count: u32,
    name: String,
    private: bool,
    archived: bool,
    admin: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    token: String,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    expires_in_s: Option<i64>,
}

/// Makes it happen.
///
/// # Errors
/// A sentence for an unknown action or wrong arguments.
pub fn act(
    state: &mut State,
    at_ms: i64,
    action: &str,
    arguments: &Value,
) -> Result<Value, String> {
    let is_on = arguments["on"].as_bool().unwrap_or(true);
    match action {
        "push" => return push(state, at_ms, read(arguments)?),
        "hooks" => return Ok(state.every_hook().map(shown).collect()),
        "deliveries" => {
            let entries = state.log.entries.iter();
            return Ok(entries
                .map(|entry| {
                    let mut item = entry.item();
                    item["hook_id"] = json!(entry.hook_id);
                    item
                })
                .collect());
        }
        "lose_deliveries" => {
            state.log.lost =
                usize::try_from(arguments["times"].as_u64().unwrap_or(1)).unwrap_or(usize::MAX)
        }
        "ping_before_answer" => state.log.ping_before_answer = is_on,
        "vanish_hook" => {
            let id = arguments["id"].as_u64();
            state
                .hooks
                .all
                .retain(|hook| id.is_some_and(|id| hook.id != id));
        }
        "alter_hook" => alter(state, at_ms, &read(arguments)?),
        "add_hook" => return add_hook(state, at_ms, arguments),
        "repositories" => add_repositories(state, &read(arguments)?),
        "organization" => state
            .world
            .add_organization(arguments["login"].as_str().unwrap_or("acme-labs")),
        "add_token" => {
            let new: NewToken = read(arguments)?;
            let ends = new.expires_in_s.map(|seconds| at_ms + seconds * 1000);
            state.accounts.add(&new.token, new.scopes, ends);
        }
        "revoke_tokens" => {
            state.accounts.tokens.clear();
            if arguments["refresh"] != false {
                state.grants.forget();
            }
        }
        "expiring_tokens" => state.grants.expire_after_s = arguments["seconds"].as_i64(),
        "deny" => state.grants.denies = is_on,
        "throttle" => state.limits.throttles.push(read(arguments)?),
        "quota" => state.limits.set(at_ms, arguments),
        other => return Err(format!("there is no action `{other}`")),
    }
    Ok(json!({}))
}

/// Something happens in a repository: its webhooks, its organisation's and the app's are told,
/// all under one GUID.
fn push(state: &mut State, at_ms: i64, push: Push) -> Result<Value, String> {
    let Some(repository) = state.world.repository(&push.repository).cloned() else {
        return Err(format!("there is no repository `{}`", push.repository));
    };
    let (owner, _) = repository.full_name.split_once('/').unwrap_or_default();
    let owners = [
        Owner::Repository(repository.full_name.clone()),
        Owner::Organization(owner.to_owned()),
        Owner::App,
    ];
    let told: Vec<Hook> = state
        .every_hook()
        .filter(|hook| owners.contains(&hook.owner) && hook.active && !hook.config.url.is_empty())
        .filter(|hook| {
            hook.events
                .iter()
                .any(|event| *event == "*" || *event == push.event)
        })
        .cloned()
        .collect();
    let mut guids = Vec::new();
    for _ in 0..push.count {
        let guid = state.log.next_guid();
        let mut payload = match &push.payload {
            Value::Null => serde_json::from_str(PUSH).unwrap_or_default(),
            payload => payload.clone(),
        };
        payload["repository"]["id"] = json!(repository.id);
        payload["repository"]["full_name"] = json!(repository.full_name);
        for hook in &told {
            state
                .log
                .send(at_ms, hook, &guid, &push.event, payload.clone());
        }
        guids.push(guid);
    }
    Ok(json!({"guids": guids, "hooks": told.len()}))
}

fn alter(state: &mut State, at_ms: i64, altered: &Altered) {
    let app = altered.id == Some(state.app_hook.id);
    let hooks = state
        .hooks
        .all
        .iter_mut()
        .chain(app.then_some(&mut state.app_hook));
    for hook in hooks.filter(|hook| altered.id.is_none_or(|id| id == hook.id)) {
        if let Some(url) = &altered.url {
            hook.config.url.clone_from(url);
        }
        if let Some(events) = &altered.events {
            hook.events.clone_from(events);
        }
        if let Some(content_type) = &altered.content_type {
            hook.config.content_type = Some(content_type.clone());
        }
        if let Some(secret) = &altered.secret {
            hook.config.secret = Some(secret.clone()).filter(|secret| !secret.is_empty());
        }
        hook.active = altered.active.unwrap_or(hook.active);
        hook.config.insecure_ssl = altered.insecure_ssl.unwrap_or(hook.config.insecure_ssl);
        hook.updated_ms = at_ms;
    }
}

fn add_hook(state: &mut State, at_ms: i64, arguments: &Value) -> Result<Value, String> {
    let owner = match (
        arguments["repository"].as_str(),
        arguments["organization"].as_str(),
    ) {
        (Some(name), _) => Owner::Repository(name.to_owned()),
        (_, Some(login)) => Owner::Organization(login.to_owned()),
        _ => return Err("`repository` or `organization` is missing".to_owned()),
    };
    let body = json!({"config": {"url": arguments["url"], "content_type": "json"}});
    match state.hooks.create(at_ms, &owner, &body) {
        Ok(hook) => Ok(json!({"id": hook.id})),
        Err(refused) => Err(String::from_utf8_lossy(&refused.body).into_owned()),
    }
}

fn add_repositories(state: &mut State, wanted: &Repositories) {
    for number in 0..wanted.count {
        state
            .world
            .add(&format!("{}/repository-{number:04}", wanted.owner));
    }
    if wanted.name.is_empty() {
        return;
    }
    let at = state
        .world
        .all
        .iter()
        .position(|each| each.full_name == wanted.name);
    let repository = match at {
        Some(at) => &mut state.world.all[at],
        None => state.world.add(&wanted.name),
    };
    repository.is_private = wanted.private;
    repository.is_archived = wanted.archived;
    repository.is_admin = wanted.admin.unwrap_or(true);
}

fn shown(hook: &Hook) -> Value {
    json!({
        "id": hook.id,
        "owner": hook.owner.path(),
        "active": hook.active,
        "events": hook.events,
        "url": hook.config.url,
        "content_type": hook.config.content_type,
        "insecure_ssl": hook.config.insecure_ssl,
        "secret": hook.config.secret,
    })
}

fn read<T: for<'de> Deserialize<'de>>(arguments: &Value) -> Result<T, String> {
    let arguments = match arguments {
        Value::Null => json!({}),
        arguments => arguments.clone(),
    };
    serde_json::from_value(arguments).map_err(|error| error.to_string())
}

impl Default for Push {
    fn default() -> Self {
        Self {
            repository: "acme/site".to_owned(),
            event: "push".to_owned(),
            payload: Value::Null,
            count: 1,
        }
    }
}
