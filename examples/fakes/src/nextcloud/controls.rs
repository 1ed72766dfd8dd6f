//! What the server's people do: things happen, hooks are changed by hand, connections are revoked.

use serde_json::{Map, Value, json};

use super::{State, happenings};

/// Runs one control.
///
/// # Errors
/// A sentence for what is not known.
pub fn run(
    state: &mut State,
    at_ms: i64,
    action: &str,
    arguments: &Value,
) -> Result<Value, String> {
    let empty = Map::new();
    let told = arguments.as_object().unwrap_or(&empty);
    let text = |name: &str| told.get(name).and_then(Value::as_str);
    let flag = |name: &str| told.get(name).and_then(Value::as_bool);
    match action {
        // {class, path, source_path, id, user, tags, object_ids, calendar: {id, uri, owner, name}, ics, event}
        "happen" => happenings::happen(state, at_ms, told).map(|sent| json!({ "sent": sent })),
        // {id}, or all
        "vanish_hook" => {
            let before = state.hooks.all.len();
            match told.get("id").and_then(Value::as_u64) {
                Some(id) => state.hooks.all.retain(|each, _| *each != id),
                None => state.hooks.all.clear(),
            }
            Ok(json!({"vanished": before - state.hooks.all.len()}))
        }
        // {id, set: {uri, event, eventFilter, headers, authMethod, httpMethod}}; without id all
        "alter_hook" => alter_hooks(state, told),
        "hooks" => {
            let hooks = state.hooks.all.values();
            Ok(hooks.map(super::hooks::Hook::described).collect())
        }
        "deliveries" => {
            let ended = state.delivered.iter();
            Ok(ended
                .map(|(id, status)| json!({"id": id, "status": status}))
                .collect())
        }
        // {user}, or everybody's: connections and app passwords
        "revoke_tokens" => {
            let user = text("user");
            state.grants.revoke(user);
            for account in &mut state.accounts.all {
                account.has_app_password &= user.is_some_and(|user| user != account.uid);
            }
            Ok(Value::Null)
        }
        // {on}
        "maintenance" => {
            state.in_maintenance = flag("on").unwrap_or(true);
            Ok(Value::Null)
        }
        // {enabled}: Webhook Listeners
        "app" => {
            state.is_app_disabled = !flag("enabled").unwrap_or(true);
            Ok(Value::Null)
        }
        // {user}: who is at the browser
        "login" => {
            let user = text("user").ok_or("expected {\"user\": …}")?;
            state.accounts.at_browser = user.to_owned();
            Ok(Value::Null)
        }
        // {user, admin, delegated}
        "account" => {
            let user = text("user").ok_or("expected {\"user\": …}")?;
            let account = state.accounts.named_mut(user);
            let account = account.ok_or_else(|| format!("there is no user `{user}`"))?;
            account.is_admin = flag("admin").unwrap_or(account.is_admin);
            account.is_delegated = flag("delegated").unwrap_or(account.is_delegated);
            Ok(Value::Null)
        }
        other => Err(format!("there is no control `{other}`")),
    }
}

fn alter_hooks(state: &mut State, told: &Map<String, Value>) -> Result<Value, String> {
    let wanted = told.get("id").and_then(Value::as_u64);
    let set = told.get("set").and_then(Value::as_object);
    let set = set.ok_or("expected {\"id\": …, \"set\": {…}}")?;
    let mut altered = 0;
    for hook in state.hooks.all.values_mut() {
        if wanted.is_some_and(|id| id != hook.id) {
            continue;
        }
        altered += 1;
        for (field, value) in set {
            let text = || {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or(format!("`{field}` is a text"))
            };
            match field.as_str() {
                "uri" => hook.uri = text()?,
                "event" => hook.event = text()?,
                "httpMethod" => hook.http_method = text()?,
                "authMethod" => hook.auth_method = text()?,
                "userIdFilter" => hook.user_id_filter = text()?,
                "eventFilter" => hook.event_filter = value.clone(),
                "headers" => hook.headers = value.clone(),
                "tokenNeeded" => hook.token_needed = value.clone(),
                other => return Err(format!("a hook has no `{other}`")),
            }
        }
    }
    Ok(json!({ "altered": altered }))
}
