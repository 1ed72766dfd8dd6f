//! What a route may say, and the form in which it is stored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::document::note;
use super::fields::{Fields, found};
use super::mistake::Mistake;
use super::{route_auth, words};
use crate::model::{RouteAnswer, RouteMode, RoutePattern};
use crate::yaml::pointer_join;

const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];
/// Names that begin so are the host's own.
const RESERVED: &str = "WEBHOOK__";
const BODY_MAX: usize = 64 << 10;

/// A route as it is wanted.
#[derive(Clone, PartialEq)]
pub struct RouteEntry {
    pub pointer: String,
    pub name: String,
    pub path: RoutePattern,
    /// Sorted, each once.
    pub methods: Vec<String>,
    /// Its path; none: the route only answers.
    pub runnable: Option<String>,
    pub preprocessor: Option<String>,
    pub auth: AuthEntry,
    pub mode: RouteMode,
    pub origins: Vec<String>,
    pub include_headers: Vec<String>,
    pub include_query: Vec<String>,
    pub wrap_body: bool,
    pub raw: bool,
    pub timeout_ms: Option<u64>,
    pub error_status: Option<u16>,
    pub answer: Option<RouteAnswer>,
    pub enabled: bool,
}

/// Who may call, as it is written.
#[derive(Clone, PartialEq)]
pub enum AuthEntry {
    None,
    Token,
    Basic {
        username: String,
        password: String,
    },
    /// Rules in the words of a declaration, and their secrets by name.
    Verify {
        rules: Map<String, Value>,
        secrets: BTreeMap<String, String>,
    },
    /// The fields of the provider's subscription schema; some of them are secret.
    Provider {
        provider: String,
        manual: Map<String, Value>,
    },
}

impl std::fmt::Debug for RouteEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("RouteEntry");
        shown.field("name", &self.name).field("path", &self.path);
        shown.finish_non_exhaustive()
    }
}

/// Reads one entry of `routes`.
pub(super) fn read(
    value: &Value,
    pointer: String,
    mistakes: &mut Vec<Mistake>,
) -> Option<RouteEntry> {
    let before = mistakes.len();
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let name = fields.text("name", mistakes);
    if let Some(name) = name {
        note(words::name(name), &fields, "name", mistakes);
    }
    let path = fields.text("path", mistakes);
    let path = path.and_then(|text| read_path(text, &fields.pointer_of("path"), mistakes));
    let methods = read_methods(&mut fields, mistakes);
    let runnable = fields.text_if_any("runnable", mistakes);
    let preprocessor = fields.text_if_any("preprocessor", mistakes);
    let mode = fields.word("mode", &["async", "sync"], mistakes);
    let is_sync = mode == Some("sync");
    let auth = fields.value("auth");
    if auth.is_none() {
        let message = "`auth` is missing: who may call; `none` lets everyone";
        mistakes.push(Mistake::value(&pointer, message).allowing(route_auth::KINDS));
    }
    let auth_pointer = fields.pointer_of("auth");
    let auth = auth.and_then(|auth| route_auth::read(auth, &auth_pointer, path.as_ref(), mistakes));
    let origins = fields.value("cors").map(|cors| {
        let pointer = fields.pointer_of("cors");
        read_origins(cors, &pointer, mistakes)
    });
    let include_headers = read_headers(&mut fields, auth.as_ref(), mistakes);
    let include_query = read_query(&mut fields, auth.as_ref(), mistakes);
    let answer = fields.value("answer");
    let answer =
        answer.and_then(|answer| read_answer(answer, &fields.pointer_of("answer"), mistakes));
    let wrap_body = fields.flag("wrap_body", mistakes);
    let raw = fields.flag("raw", mistakes);
    let timeout_ms = fields.duration_ms("timeout", mistakes);
    let error_status = fields.count("error_status", (200, 599), mistakes);
    let enabled = fields.flag("enabled", mistakes);
    let has_answer = fields.value("answer").is_some();
    let mut misplaced = |key: &str, message: &str| {
        let message = format!("`{key}` {message}");
        mistakes.push(Mistake::value(fields.pointer_of(key), message));
    };
    if runnable.is_none() && !has_answer {
        misplaced("runnable", "is missing: what is run; or say an `answer`");
    }
    if runnable.is_none() && preprocessor.is_some() {
        misplaced(
            "preprocessor",
            "shapes the arguments of a `runnable`, which is missing",
        );
    }
    if runnable.is_none() && auth == Some(AuthEntry::Token) {
        misplaced("auth", "by token is for a `runnable`, which is missing");
    }
    if is_sync && answer.is_some() {
        misplaced(
            "answer",
            "and `mode: sync` exclude each other: the result is the answer",
        );
    }
    fields.finish(mistakes);
    if mistakes.len() > before {
        return None;
    }
    Some(RouteEntry {
        pointer,
        name: name?.to_owned(),
        path: path?,
        methods,
        runnable: runnable.map(str::to_owned),
        preprocessor: preprocessor.map(str::to_owned),
        auth: auth?,
        mode: match is_sync {
            true => RouteMode::Sync,
            false => RouteMode::Async,
        },
        origins: origins.unwrap_or_default(),
        include_headers,
        include_query,
        wrap_body: wrap_body.unwrap_or(false),
        raw: raw.unwrap_or(false),
        timeout_ms,
        error_status: error_status.and_then(|status| u16::try_from(status).ok()),
        answer,
        enabled: enabled.unwrap_or(true),
    })
}

fn read_path(text: &str, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<RoutePattern> {
    let wrong = |message: String| Mistake::value(pointer, message);
    match text.parse::<RoutePattern>() {
        Ok(path) => {
            let mut names = path.parameters();
            let Some(name) = names.find(|name| name.starts_with(RESERVED)) else {
                drop(names);
                return Some(path);
            };
            let message = format!("`{name}`: names that begin with `{RESERVED}` are the host's");
            mistakes.push(wrong(message));
            None
        }
        Err(error) => {
            mistakes.push(wrong(format!("`path`: {error}")));
            None
        }
    }
}

fn read_methods(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let Some(listed) = fields.texts("methods", mistakes) else {
        return vec!["POST".to_owned()];
    };
    let pointer = fields.pointer_of("methods");
    if listed.is_empty() {
        let message = "`methods`: expected at least one";
        mistakes.push(Mistake::value(&pointer, message).allowing(METHODS));
    }
    for (index, method) in listed.iter().enumerate() {
        if !METHODS.contains(method) {
            let message = "expected a method in capitals";
            let mistake = Mistake::value(format!("{pointer}/{index}"), message);
            mistakes.push(mistake.allowing(METHODS));
        }
    }
    let mut methods: Vec<String> = listed.into_iter().map(str::to_owned).collect();
    methods.sort();
    methods.dedup();
    methods
}

fn read_origins(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let Some(mut fields) = Fields::open(value, pointer, mistakes) else {
        return Vec::new();
    };
    let origins = fields.texts("origins", mistakes).unwrap_or_default();
    let at = fields.pointer_of("origins");
    if origins.is_empty() {
        let message = "`origins` is missing: which pages may call, like `https://app.example.org`";
        mistakes.push(Mistake::value(pointer, message));
    }
    for (index, origin) in origins.iter().enumerate() {
        let is_alone = *origin == "*" && origins.len() == 1;
        let is_origin = Url::parse(origin).is_ok_and(|url| {
            let is_web = matches!(url.scheme(), "http" | "https");
            is_web && url.origin().ascii_serialization() == *origin
        });
        if !is_alone && !is_origin {
            let message = "expected an origin like `https://app.example.org`, or `*` alone";
            mistakes.push(Mistake::value(format!("{at}/{index}"), message));
        }
    }
    fields.finish(mistakes);
    origins.into_iter().map(str::to_owned).collect()
}

/// Headers that become arguments; the one that proves who calls is not among them.
fn read_headers(
    fields: &mut Fields<'_>,
    auth: Option<&AuthEntry>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<String> {
    let listed = fields
        .texts("include_headers", mistakes)
        .unwrap_or_default();
    let pointer = fields.pointer_of("include_headers");
    let secret = match auth {
        Some(AuthEntry::Token | AuthEntry::Basic { .. }) => Some("authorization".to_owned()),
        Some(AuthEntry::Verify { rules, .. }) => route_auth::masked_header(rules),
        _ => None,
    };
    for (index, header) in listed.iter().enumerate() {
        let is_secret = secret
            .as_ref()
            .is_some_and(|secret| secret.eq_ignore_ascii_case(header));
        let expected = if is_secret {
            "a header other than the one that proves who calls"
        } else if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
            "the name of an HTTP header"
        } else {
            continue;
        };
        let message = format!("expected {expected}");
        mistakes.push(Mistake::value(format!("{pointer}/{index}"), message));
    }
    listed.into_iter().map(str::to_owned).collect()
}

fn read_query(
    fields: &mut Fields<'_>,
    auth: Option<&AuthEntry>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<String> {
    let listed = fields.texts("include_query", mistakes).unwrap_or_default();
    let pointer = fields.pointer_of("include_query");
    for (index, name) in listed.iter().enumerate() {
        let is_token = *name == "token" && auth == Some(&AuthEntry::Token);
        if is_token || name.starts_with(RESERVED) || name.is_empty() {
            let message = "expected the name of an argument that is not the host's own";
            mistakes.push(Mistake::value(format!("{pointer}/{index}"), message));
        }
    }
    listed.into_iter().map(str::to_owned).collect()
}

fn read_answer(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<RouteAnswer> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let status = fields.count("status", (200, 599), mistakes).unwrap_or(200);
    let headers = fields.text_map("headers", mistakes);
    let at = fields.pointer_of("headers");
    for (name, value) in headers.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let is_cookie = name.eq_ignore_ascii_case("set-cookie");
        let wrong = match words::header_name(name).and(words::header_value(value)) {
            Ok(()) if is_cookie => Some("no cookie in the host's name".to_owned()),
            Ok(()) => None,
            Err(expected) => Some(expected),
        };
        if let Some(expected) = wrong {
            let message = format!("`{name}`: expected {expected}");
            mistakes.push(Mistake::value(pointer_join(&at, name), message));
        }
    }
    let body = match fields.value("body") {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        // Written as YAML, sent as JSON.
        Some(value @ (Value::Object(_) | Value::Array(_))) => value.to_string(),
        Some(other) => {
            let message = format!("`body`: found {}, expected a text", found(other));
            mistakes.push(Mistake::value(fields.pointer_of("body"), message));
            String::new()
        }
    };
    if body.len() > BODY_MAX {
        let message = format!("`body`: expected at most {BODY_MAX} bytes");
        mistakes.push(Mistake::value(fields.pointer_of("body"), message));
    }
    let is_json = matches!(
        fields.value("body"),
        Some(Value::Object(_) | Value::Array(_))
    );
    fields.finish(mistakes);
    let texts = headers.into_iter().flatten();
    let mut headers: BTreeMap<String, String> = texts
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned())))
        .collect();
    if is_json {
        let json = || "application/json".to_owned();
        headers
            .entry("content-type".to_owned())
            .or_insert_with(json);
    }
    Some(RouteAnswer {
        status: u16::try_from(status).unwrap_or(200),
        headers,
        body,
    })
}
