//! The hooks of Webhook Listeners, answered as the servers do that were recorded.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::accounts::Account;
use super::{State, filter, happenings, ocs_answer};
use crate::{Answer, Exchange};

const NOT_ADMIN: &str = "Logged in account must be an admin, a sub admin or gotten special right to access this setting";
const NOT_FOUND: &str = "Did expect one result but found none when executing: query \"SELECT * FROM `*PREFIX*webhook_listeners` WHERE `id` = :dcValue1\"; ";

/// A hook, its fields in the order in which they are told.
#[derive(Debug, Clone)]
pub struct Hook {
    pub id: u64,
    pub user_id: String,
    pub http_method: String,
    pub uri: String,
    pub event: String,
    pub event_filter: Value,
    pub user_id_filter: String,
    pub headers: Value,
    pub auth_method: String,
    /// In clear here; told encrypted.
    pub auth_data: Value,
    pub token_needed: Value,
}

#[derive(Default)]
pub struct Hooks {
    pub all: BTreeMap<u64, Hook>,
    made: u64,
}

/// Answers what follows the path of the hooks: nothing, or an id.
pub fn answer(state: &mut State, request: &Exchange, account: &Account, id: &str) -> Answer {
    let numeric = id.parse::<u64>().ok();
    if !id.is_empty() && numeric.is_none() {
        state.violate(request, "ids of hooks are numbers");
        return page(404);
    }
    if !account.may_make_hooks() {
        return ocs_answer(403, 403, NOT_ADMIN, json!([]));
    }
    match (request.method.as_str(), numeric) {
        ("GET", None) => {
            let wanted = request.query_value("uri");
            let hooks = state.hooks.all.values();
            let found = hooks.filter(|hook| wanted.as_ref().is_none_or(|uri| hook.uri == *uri));
            let found: Vec<Value> = found.map(Hook::described).collect();
            ok(json!(found))
        }
        ("GET", Some(id)) => match state.hooks.all.get(&id) {
            Some(hook) => ok(hook.described()),
            None => ocs_answer(404, 404, NOT_FOUND, json!([])),
        },
        ("POST", id) => write(state, request, account, id),
        // Whether there was one is told, but either is a success.
        ("DELETE", Some(id)) => ok(json!(state.hooks.all.remove(&id).is_some())),
        _ => {
            state.violate(
                request,
                "hooks are changed by POST, and this method is not allowed",
            );
            page(405)
        }
    }
}

fn write(state: &mut State, request: &Exchange, account: &Account, id: Option<u64>) -> Answer {
    let Some(Value::Object(given)) = request.json() else {
        state.violate(request, "the body is not a JSON object");
        return page(400);
    };
    let is_json = request
        .header("content-type")
        .is_some_and(|of_type| of_type.starts_with("application/json"));
    if !is_json {
        state.violate(
            request,
            "the body is not announced as JSON, so that no field of it is seen",
        );
        return page(500);
    }
    let hook = match Hook::of(&given, account) {
        Ok(hook) => hook,
        Err(Refusal::Answered(message)) => return ocs_answer(400, 400, &message, json!([])),
        Err(Refusal::Type(what)) => {
            state.violate(request, what);
            return page(500);
        }
    };
    // It is taken all the same: that is the trouble with it.
    if let Err(trouble) = filter::probe(&hook.event_filter, &happenings::probe(&hook.event)) {
        state.violate(request, format_args!("eventFilter: {trouble}"));
    }
    match id {
        None => {
            let id = state.hooks.add(hook);
            ok(state
                .hooks
                .all
                .get(&id)
                .map(Hook::described)
                .unwrap_or_default())
        }
        Some(id) => {
            let hook = Hook { id, ..hook };
            let described = hook.described();
            // One that is gone stays gone, and the answer is that of one that was changed.
            if let Some(held) = state.hooks.all.get_mut(&id) {
                *held = hook;
            }
            ok(described)
        }
    }
}

impl Hooks {
    fn add(&mut self, hook: Hook) -> u64 {
        self.made += 1;
        let id = self.made;
        self.all.insert(id, Hook { id, ..hook });
        id
    }
}

/// Why a hook is not taken.
enum Refusal {
    /// With a reason.
    Answered(String),
    /// A PHP `TypeError`: a page of status 500.
    Type(&'static str),
}

impl Hook {
    fn of(given: &Map<String, Value>, account: &Account) -> Result<Self, Refusal> {
        let text = |name: &'static str| match given.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(Refusal::Type("httpMethod, uri and event must be texts")),
        };
        let map = |name: &str| match given.get(name) {
            None | Some(Value::Null) => Ok(Value::Null),
            Some(Value::Object(map)) if map.is_empty() => Ok(json!([])),
            Some(map @ (Value::Object(_) | Value::Array(_))) => Ok(map.clone()),
            Some(_) => Err(Refusal::Type(
                "eventFilter, headers, authData and tokenNeeded must be maps",
            )),
        };
        let event = text("event")?.trim_start_matches('\\').to_owned();
        let auth_method = match given.get("authMethod") {
            None | Some(Value::Null) => "none".to_owned(),
            Some(Value::String(method)) if method == "none" || method == "header" => method.clone(),
            Some(_) => {
                return Err(Refusal::Answered(
                    "This auth method does not exist".to_owned(),
                ));
            }
        };
        let auth_data = map("authData")?;
        if !happenings::is_class(&event) {
            let message = format!("{event} is not an event class compatible with webhooks");
            return Err(Refusal::Answered(message));
        }
        if auth_method == "header" && auth_data.is_null() {
            let message = "Header auth method needs an associative array of headers as auth data";
            return Err(Refusal::Answered(message.to_owned()));
        }
        let or_empty = |value: Value| match value {
            Value::Null => json!([]),
            value => value,
        };
        Ok(Self {
            id: 0,
            user_id: account.uid.clone(),
            http_method: text("httpMethod")?,
            uri: text("uri")?,
            event,
            event_filter: or_empty(map("eventFilter")?),
            user_id_filter: match given.get("userIdFilter") {
                Some(Value::String(user)) => user.clone(),
                _ => String::new(),
            },
            headers: map("headers")?,
            auth_method,
            auth_data,
            token_needed: or_empty(map("tokenNeeded")?),
        })
    }

    /// As the server tells it.
    pub fn described(&self) -> Value {
        let auth_data = match &self.auth_data {
            Value::Null => Value::Null,
            sealed => json!(format!(
                "{:064x}|{:032x}|3",
                sealed.to_string().len(),
                self.id
            )),
        };
        json!({
            "id": self.id,
            "appId": null,
            "userId": self.user_id,
            "httpMethod": self.http_method,
            "uri": self.uri,
            "event": self.event,
            "eventFilter": self.event_filter,
            "userIdFilter": self.user_id_filter,
            "headers": self.headers,
            "authMethod": self.auth_method,
            "authData": auth_data,
            "tokenNeeded": self.token_needed,
        })
    }
}

fn ok(data: Value) -> Answer {
    ocs_answer(200, 200, "OK", data)
}

/// An empty page, which is what PHP answers when it gives up.
fn page(status: u16) -> Answer {
    Answer::text(status, "text/html; charset=UTF-8", "")
}
