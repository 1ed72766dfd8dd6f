//! What a runnable may say, and the form in which it is stored: durations in milliseconds, sizes in
//! bytes, secrets apart.

use serde_json::{Map, Value, json};

use super::document::{RunnableEntry, note};
use super::fields::Fields;
use super::mistake::Mistake;
use super::{flow, nats, words};
use crate::model::RunnableKind;
use crate::reference;
use crate::yaml::pointer_join;

pub(super) const OUTPUT_MAX: u64 = 16 << 20;
const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "GET", "DELETE"];
/// Where references are followed.
const COMMAND_SECRETS: &str = "`secret_env`, which the program reads from its environment";
const HTTP_SECRETS: &str = "`secret_headers` and `secret`";
pub(super) const CLOUDEVENTS: [&str; 3] = ["none", "structured", "binary"];

/// Reads one entry of `runnables`.
pub(super) fn read(
    value: &Value,
    pointer: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<RunnableEntry> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let path = fields.text("path", mistakes);
    if let Some(path) = path {
        note(words::path(path), &fields, "path", mistakes);
    }
    let kinds = ["command", "http", "nats", "flow"].map(|kind| (kind, fields.value(kind)));
    let given: Vec<(&'static str, &Value)> = kinds
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)))
        .collect();
    let mut parts = match given.as_slice() {
        [("command", command)] => read_command(command, &fields.pointer_of("command"), mistakes),
        [("http", http)] => read_http(http, &fields.pointer_of("http"), mistakes),
        [("nats", nats)] => nats::read(nats, &fields.pointer_of("nats"), mistakes),
        [(kind, flow)] => {
            let read = flow::read(flow, &fields.pointer_of(kind), mistakes);
            flow::refuse_policy(&mut fields, mistakes);
            read.map(|spec| (RunnableKind::Flow, spec, Map::new()))
        }
        [] => {
            let message = "what is to be run is missing: `command`, `http`, `nats` or `flow`";
            let allowed = ["command", "http", "nats", "flow"];
            mistakes.push(Mistake::value(pointer, message).allowing(allowed));
            None
        }
        [(first, _), (second, _), ..] => {
            let message = format!("`{first}` and `{second}` stand together, expected one of them");
            mistakes.push(Mistake::value(fields.pointer_of(second), message));
            None
        }
    };
    let on_error = read_handler(&mut fields, mistakes);
    let retry = fields.value("retry");
    let retry = retry.and_then(|retry| read_retry(retry, &fields.pointer_of("retry"), mistakes));
    let concurrency = fields.count("concurrency", (1, 10_000), mistakes);
    let delete_after_use = fields.flag("delete_after_use", mistakes);
    fields.finish(mistakes);
    let (kind, mut spec, secrets) = parts.take()?;
    put(&mut spec, "retry", retry);
    put(&mut spec, "concurrency", concurrency);
    put(&mut spec, "delete_after_use", delete_after_use);
    Some(RunnableEntry {
        pointer: pointer.to_owned(),
        path: path?.to_owned(),
        kind,
        spec,
        secrets,
        on_error,
    })
}

/// The runnable that is told of errors; `null` is nobody, absent is as it was.
pub(super) fn read_handler(
    fields: &mut Fields<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Option<String>> {
    if fields.is_null("on_error") {
        return Some(None);
    }
    let path = fields.text_if_any("on_error", mistakes)?;
    note(words::path(path), fields, "on_error", mistakes);
    Some(Some(path.to_owned()))
}

/// Where in the document a field of the stored form stands: `argv[0]`, `env.NAME`, `timeout_ms`,
/// `retry.first_ms`. Without a field, the command or target as a whole.
pub(super) fn pointer_of(entry: &RunnableEntry, field: Option<&str>) -> String {
    let whole = format!("{}/{}", entry.pointer, entry.kind.as_str());
    let Some(field) = field else { return whole };
    let (head, inner) = match field.split_once(['.', '[']) {
        Some((head, inner)) => (head, Some(inner.trim_end_matches(']'))),
        None => (field, None),
    };
    let parent = match head {
        "spec" => return whole,
        "retry" | "concurrency" | "delete_after_use" => &entry.pointer,
        _ => &whole,
    };
    let written = |name: &str| name.strip_suffix("_ms").unwrap_or(name).to_owned();
    let pointer = pointer_join(parent, &written(head));
    match (head, inner) {
        (_, None) => pointer,
        ("retry", Some(inner)) => pointer_join(&pointer, &written(inner)),
        (_, Some(inner)) => pointer_join(&pointer, inner),
    }
}

pub(super) type Parts = (RunnableKind, Map<String, Value>, Map<String, Value>);

fn read_command(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<Parts> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let argv = fields.texts("argv", mistakes);
    match argv.as_deref() {
        None if fields.value("argv").is_none() => {
            let message = "`argv` is missing: the program and its arguments, as a list";
            mistakes.push(Mistake::value(pointer, message));
        }
        Some([] | ["", ..]) => {
            let expected = Err("a program and its arguments".to_owned());
            note(expected, &fields, "argv", mistakes);
        }
        _ => {}
    }
    for (index, argument) in argv.iter().flatten().enumerate() {
        note(words::argument(argument), &fields, "argv", mistakes);
        let pointer = format!("{}/{index}", fields.pointer_of("argv"));
        refuse_reference(argument, pointer, COMMAND_SECRETS, mistakes);
    }
    let timeout_ms = fields.duration_ms("timeout", mistakes);
    let env = fields.text_map("env", mistakes);
    let secret_env = fields.text_map("secret_env", mistakes);
    for (key, map) in [("env", env), ("secret_env", secret_env)] {
        let pointer = fields.pointer_of(key);
        check_map(
            map,
            &pointer,
            (words::variable, words::without_nul),
            mistakes,
        );
    }
    refuse_references(env, &fields.pointer_of("env"), "secret_env", mistakes);
    let cwd = fields.text_if_any("cwd", mistakes);
    if let Some(cwd) = cwd {
        note(words::without_nul(cwd), &fields, "cwd", mistakes);
        refuse_reference(cwd, fields.pointer_of("cwd"), COMMAND_SECRETS, mistakes);
    }
    let stdout_max = fields.size("stdout_max", OUTPUT_MAX, mistakes);
    let stderr_max = fields.size("stderr_max", OUTPUT_MAX, mistakes);
    let stdin = fields.word("stdin", &["arguments", "none"], mistakes);
    fields.finish(mistakes);

    let mut spec = Map::new();
    put(&mut spec, "argv", argv);
    put(&mut spec, "timeout_ms", timeout_ms);
    put(&mut spec, "env", env);
    put(&mut spec, "cwd", cwd);
    put(&mut spec, "stdout_max", stdout_max);
    put(&mut spec, "stderr_max", stderr_max);
    put(&mut spec, "stdin", stdin);
    let mut secrets = Map::new();
    put(&mut secrets, "env", secret_env);
    Some((RunnableKind::Command, spec, secrets))
}

fn read_http(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<Parts> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let url = fields.text("url", mistakes);
    if let Some(url) = url {
        let pointer = fields.pointer_of("url");
        if !refuse_reference(url, pointer, HTTP_SECRETS, mistakes) {
            note(words::target(url), &fields, "url", mistakes);
        }
    }
    let method = fields.word("method", &METHODS, mistakes);
    let timeout_ms = fields.duration_ms("timeout", mistakes);
    let headers = fields.text_map("headers", mistakes);
    let secret_headers = fields.text_map("secret_headers", mistakes);
    for (key, map) in [("headers", headers), ("secret_headers", secret_headers)] {
        let pointer = fields.pointer_of(key);
        check_map(
            map,
            &pointer,
            (words::header_name, words::header_value),
            mistakes,
        );
    }
    refuse_references(
        headers,
        &fields.pointer_of("headers"),
        "secret_headers",
        mistakes,
    );
    let secret = fields.text_if_any("secret", mistakes);
    if let Some(secret) = secret {
        note(words::signing_secret(secret), &fields, "secret", mistakes);
    }
    let allow = fields.texts("allow", mistakes);
    for (index, network) in allow.iter().flatten().enumerate() {
        if let Err(expected) = words::network(network) {
            let pointer = format!("{}/{index}", fields.pointer_of("allow"));
            let message = format!("found `{network}`, expected {expected}");
            mistakes.push(Mistake::value(pointer, message));
        }
    }
    let cloudevents = fields.word("cloudevents", &CLOUDEVENTS, mistakes);
    let response_max = fields.size("response_max", OUTPUT_MAX, mistakes);
    fields.finish(mistakes);

    let mut spec = Map::new();
    put(&mut spec, "url", url);
    put(&mut spec, "method", method);
    put(&mut spec, "timeout_ms", timeout_ms);
    put(&mut spec, "headers", headers);
    put(&mut spec, "allow", allow);
    put(&mut spec, "cloudevents", cloudevents);
    put(&mut spec, "response_max", response_max);
    let mut secrets = Map::new();
    put(&mut secrets, "secret", secret);
    put(&mut secrets, "headers", secret_headers);
    Some((RunnableKind::Http, spec, secrets))
}

pub(super) fn read_retry(
    value: &Value,
    pointer: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<Value> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let attempts = fields.count("attempts_max", (1, 1000), mistakes);
    let first = fields.duration_ms("first", mistakes);
    let factor = fields.number("factor", (1.0, 100.0), mistakes);
    let delay_max = fields.duration_ms("delay_max", mistakes);
    let jitter = fields.number("jitter", (0.0, 1.0), mistakes);
    fields.finish(mistakes);
    let mut retry = Map::new();
    put(&mut retry, "attempts_max", attempts);
    put(&mut retry, "first_ms", first);
    put(&mut retry, "factor", factor);
    put(&mut retry, "delay_max_ms", delay_max);
    put(&mut retry, "jitter", jitter);
    Some(Value::Object(retry))
}

pub(super) type Form = fn(&str) -> Result<(), String>;

pub(super) fn check_map(
    map: Option<&Map<String, Value>>,
    pointer: &str,
    (name_form, value_form): (Form, Form),
    mistakes: &mut Vec<Mistake>,
) {
    for (name, value) in map.into_iter().flatten() {
        let pointer = pointer_join(pointer, name);
        if let Err(expected) = name_form(name) {
            let message = format!("found `{name}`, expected {expected}");
            mistakes.push(Mistake {
                is_key: true,
                ..Mistake::value(pointer.clone(), message)
            });
        }
        if let Some(Err(expected)) = value.as_str().map(value_form) {
            let message = format!("`{name}`: expected {expected}");
            mistakes.push(Mistake::value(pointer, message));
        }
    }
}

/// A reference in a field that is kept in clear would put the secret it names there.
pub(super) fn refuse_references(
    map: Option<&Map<String, Value>>,
    pointer: &str,
    secret_key: &str,
    mistakes: &mut Vec<Mistake>,
) {
    for (name, value) in map.into_iter().flatten() {
        if value.as_str().is_some_and(reference::is_reference) {
            let message = format!("`{name}` names a secret, which belongs under `{secret_key}`");
            mistakes.push(Mistake::value(pointer_join(pointer, name), message));
        }
    }
}

/// A reference where nothing follows it would be taken as it is written. Tells whether it was one.
pub(super) fn refuse_reference(
    text: &str,
    pointer: String,
    allowed: &str,
    mistakes: &mut Vec<Mistake>,
) -> bool {
    let is_reference = reference::is_reference(text);
    if is_reference {
        let message = format!(
            "found a reference (`${{NAME}}` or `file:PATH`), which is not followed here; \
             references may stand in {allowed}"
        );
        mistakes.push(Mistake::value(pointer, message));
    }
    is_reference
}

pub(super) fn put<T: serde::Serialize>(map: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_stored_form_is_found_in_the_document() {
        let entry = RunnableEntry {
            pointer: "/runnables/2".to_owned(),
            path: "f/a/b".to_owned(),
            kind: RunnableKind::Command,
            spec: Map::new(),
            secrets: Map::new(),
            on_error: None,
        };
        for (field, pointer) in [
            (None, "/runnables/2/command"),
            (Some("spec"), "/runnables/2/command"),
            (Some("cwd"), "/runnables/2/command/cwd"),
            (Some("argv[1]"), "/runnables/2/command/argv/1"),
            (Some("env.A.B/C"), "/runnables/2/command/env/A.B~1C"),
            (Some("timeout_ms"), "/runnables/2/command/timeout"),
            (Some("retry.first_ms"), "/runnables/2/retry/first"),
            (Some("concurrency"), "/runnables/2/concurrency"),
        ] {
            assert_eq!(pointer_of(&entry, field), pointer, "{field:?}");
        }
    }

    #[test]
    fn a_reference_where_nothing_follows_it_is_refused() {
        let entry = |value: Value| {
            let mut mistakes = Vec::new();
            read(&value, "", &mut mistakes);
            let told: Vec<(String, String)> = mistakes
                .into_iter()
                .map(|one| (one.pointer, one.message))
                .collect();
            told
        };
        let command = json!({ "path": "f/a/b",
            "command": { "argv": ["./x", "--key", "${KEY}"], "cwd": "file:x" } });
        let told = entry(command);
        let pointers: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/command/argv/2", "/command/cwd"]);
        assert!(told.iter().all(|(_, said)| said.contains("`secret_env`")));
        for url in ["https://example.org/${KEY}", "file:url"] {
            let told = entry(json!({ "path": "f/a/b", "http": { "url": url } }));
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].0, "/http/url");
            assert!(told[0].1.contains("`secret_headers`"), "{}", told[0].1);
        }
        let escaped = json!({ "path": "f/a/b", "command": { "argv": ["./x", "$${KEY}"] } });
        assert_eq!(entry(escaped), []);
    }
}
