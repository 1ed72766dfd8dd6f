//! Who may call a route: by nothing, a token, a password, a signature, or a provider's verdict.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trigger_plugin_api::rules::{RuleMistake, SingleRules};

use super::fields::Fields;
use super::mistake::Mistake;
use super::route::AuthEntry;
use crate::model::RoutePattern;
use crate::yaml::pointer_join;

/// What `auth` may be: the first two as they stand, the others as keys of a map.
pub(super) const KINDS: [&str; 5] = ["none", "token", "basic", "verify", "provider"];
/// The rules of `verify`, and what stands beside them.
const RULES: [&str; 3] = ["verify", "delivery_id", "challenge"];

/// Reads `auth`.
pub(super) fn read(
    value: &Value,
    pointer: &str,
    path: Option<&RoutePattern>,
    mistakes: &mut Vec<Mistake>,
) -> Option<AuthEntry> {
    match value {
        Value::String(word) if word == "none" => return Some(AuthEntry::None),
        Value::String(word) if word == "token" => return Some(AuthEntry::Token),
        Value::String(_) => {
            let message = "expected `none`, `token`, or a map with `basic`, `verify` or `provider`";
            mistakes.push(Mistake::value(pointer, message).allowing(KINDS));
            return None;
        }
        _ => {}
    }
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let is_there = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
    match KINDS[2..].iter().filter(|kind| is_there(kind)).count() {
        1 => {}
        _ => {
            let message = "expected exactly one of `basic`, `verify` and `provider`";
            mistakes.push(Mistake::value(pointer, message).allowing(KINDS[2..].iter().copied()));
            return None;
        }
    }
    if let Some(basic) = fields.value("basic") {
        let read = read_basic(basic, &fields.pointer_of("basic"), mistakes);
        fields.finish(mistakes);
        return read;
    }
    if is_there("provider") {
        let provider = fields.text("provider", mistakes);
        let manual = fields.map("manual", mistakes);
        fields.finish(mistakes);
        return Some(AuthEntry::Provider {
            provider: provider?.to_owned(),
            manual: manual.cloned().unwrap_or_default(),
        });
    }
    let mut rules = Map::new();
    for key in RULES {
        if let Some(rule) = fields.value(key) {
            rules.insert(key.to_owned(), rule.clone());
        }
    }
    let named = fields.text_map("secrets", mistakes).cloned();
    let secret = fields.text_if_any("secret", mistakes);
    let previous = fields.text_if_any("previous_secret", mistakes);
    fields.finish(mistakes);
    let compiled = match SingleRules::parse(&rules) {
        Ok(compiled) => compiled,
        Err(found) => {
            mistakes.extend(found.into_iter().map(|one| placed(one, pointer)));
            return None;
        }
    };
    let mut secrets: BTreeMap<String, String> = named
        .into_iter()
        .flatten()
        .filter_map(|(name, text)| Some((name, text.as_str()?.to_owned())))
        .collect();
    let needed = compiled.secrets();
    match (needed.first(), secret, previous) {
        (Some(name), secret, previous) => {
            secrets.extend(secret.map(|text| (name.clone(), text.to_owned())));
            secrets.extend(previous.map(|text| (format!("{name}.previous"), text.to_owned())));
        }
        (None, None, None) => {}
        (None, ..) => {
            let message = "`secret` belongs to no rule: nothing is compared with it";
            mistakes.push(Mistake::value(pointer_join(pointer, "secret"), message));
        }
    }
    let is_needed = |name: &str| {
        let base = name.split('.').next().unwrap_or(name);
        needed.iter().any(|needed| needed == base)
    };
    for name in secrets.keys().filter(|name| !is_needed(name)) {
        let at = pointer_join(&pointer_join(pointer, "secrets"), name);
        mistakes.push(Mistake::unknown_key(at, name, needed.clone()));
    }
    if let Err(error) = compiled.open("", secrets.clone()) {
        let at = match secret {
            Some(_) => pointer_join(pointer, "secret"),
            None => pointer.to_owned(),
        };
        mistakes.push(Mistake::value(at, error.message));
    }
    let has_parameters = path.is_some_and(|path| path.parameters().next().is_some());
    if compiled.signs_address() && has_parameters {
        let message = "`{url}` cannot be signed where the path has parameters";
        let at = format!("{pointer}/verify/signed");
        mistakes.push(Mistake::value(at, message));
    }
    Some(AuthEntry::Verify { rules, secrets })
}

/// The header that carries a secret as it is, of rules that were read.
pub(super) fn masked_header(rules: &Map<String, Value>) -> Option<String> {
    let rules = SingleRules::parse(rules).ok()?;
    rules.masked_header().map(str::to_owned)
}

fn read_basic(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<AuthEntry> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let username = fields.text("username", mistakes);
    let password = fields.text("password", mistakes);
    let has_controls = |text: &str| text.contains(char::is_control);
    if username.is_some_and(|text| text.is_empty() || text.contains(':') || has_controls(text)) {
        let message = "`username`: expected a name without `:`";
        mistakes.push(Mistake::value(fields.pointer_of("username"), message));
    }
    if password.is_some_and(|text| text.trim().is_empty() || has_controls(text)) {
        let message = "`password`: an empty one would let everyone in";
        mistakes.push(Mistake::value(fields.pointer_of("password"), message));
    }
    fields.finish(mistakes);
    Some(AuthEntry::Basic {
        username: username?.to_owned(),
        password: password?.to_owned(),
    })
}

fn placed(mistake: RuleMistake, pointer: &str) -> Mistake {
    let pointer = mistake
        .path
        .iter()
        .fold(pointer.to_owned(), |at, key| pointer_join(&at, key));
    Mistake::value(pointer, mistake.message)
}
