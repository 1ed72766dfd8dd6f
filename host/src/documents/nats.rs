//! What a runnable says that is a subject of a NATS server.

use serde_json::{Map, Value};

use super::document::note;
use super::fields::Fields;
use super::mistake::Mistake;
use super::runnable::{
    CLOUDEVENTS, OUTPUT_MAX, Parts, check_map, put, refuse_reference, refuse_references,
};
use super::words;
use crate::model::RunnableKind;
use crate::outbound::nats::{NatsLogin, NatsServer};
use crate::runnables::{check_nats_header, check_subject};

/// Where references are followed.
const SECRETS: &str = "`login`";

/// Reads what stands under `nats`.
pub(super) fn read(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<Parts> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let url = fields.text_if_any("url", mistakes);
    let servers = fields.texts("servers", mistakes);
    if url.is_some() == servers.is_some() {
        let message = "expected `url`, or `servers` with a list of them";
        mistakes.push(Mistake::value(pointer, message).allowing(["url", "servers"]));
    }
    if let Some(url) = url {
        check_server(url, fields.pointer_of("url"), mistakes);
    }
    for (index, server) in servers.iter().flatten().enumerate() {
        let pointer = format!("{}/{index}", fields.pointer_of("servers"));
        check_server(server, pointer, mistakes);
    }
    let subject = fields.text("subject", mistakes);
    if let Some(subject) = subject {
        note(check_subject(subject), &fields, "subject", mistakes);
    }
    let jetstream = fields.flag("jetstream", mistakes);
    let reply = fields.flag("reply", mistakes);
    if (jetstream, reply) == (Some(true), Some(true)) {
        let message = "`jetstream` and `reply` stand together, expected one of them";
        mistakes.push(Mistake::value(fields.pointer_of("reply"), message));
    }
    let headers = fields.text_map("headers", mistakes);
    let pointer = fields.pointer_of("headers");
    check_map(
        headers,
        &pointer,
        (header_name, words::header_value),
        mistakes,
    );
    refuse_references(headers, &pointer, "login", mistakes);
    let timeout_ms = fields.duration_ms("timeout", mistakes);
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
    let login = fields.value("login");
    let login = login.and_then(|login| read_login(login, &fields.pointer_of("login"), mistakes));
    fields.finish(mistakes);

    let mut spec = Map::new();
    put(&mut spec, "url", url);
    put(&mut spec, "servers", servers);
    put(&mut spec, "subject", subject);
    put(&mut spec, "jetstream", jetstream);
    put(&mut spec, "reply", reply);
    put(&mut spec, "headers", headers);
    put(&mut spec, "timeout_ms", timeout_ms);
    put(&mut spec, "allow", allow);
    put(&mut spec, "cloudevents", cloudevents);
    put(&mut spec, "response_max", response_max);
    let mut secrets = Map::new();
    put(&mut secrets, "login", login);
    Some((RunnableKind::Nats, spec, secrets))
}

fn header_name(name: &str) -> Result<(), String> {
    check_nats_header(name, "")
}

fn check_server(text: &str, pointer: String, mistakes: &mut Vec<Mistake>) {
    if refuse_reference(text, pointer.clone(), SECRETS, mistakes) {
        return;
    }
    if let Err(expected) = text.parse::<NatsServer>() {
        mistakes.push(Mistake::value(pointer, format!("expected {expected}")));
    }
}

fn read_login(value: &Value, pointer: &str, mistakes: &mut Vec<Mistake>) -> Option<Value> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let token = fields.text_if_any("token", mistakes);
    let user = fields.text_if_any("user", mistakes);
    let password = fields.text_if_any("password", mistakes);
    let nkey = fields.text_if_any("nkey", mistakes);
    let creds = fields.text_if_any("creds", mistakes);
    let checks = [
        ("nkey", nkey.map(NatsLogin::nkey)),
        ("creds", creds.map(NatsLogin::creds)),
    ];
    for (key, read) in checks {
        if let Some(Err(expected)) = read {
            note(Err(expected.to_string()), &fields, key, mistakes);
        }
    }
    let is_one = [token, user, nkey, creds].iter().flatten().count() == 1;
    if !is_one || user.is_some() != password.is_some() {
        let message = "expected `token`, or `user` and `password`, or `nkey`, or `creds`";
        mistakes.push(Mistake::value(pointer, message));
    }
    fields.finish(mistakes);
    Some(value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(changes: Value) -> Vec<String> {
        let mut entry = json!({"url": "nats://nats.example.org", "subject": "orders.new"});
        if let (Value::Object(entry), Value::Object(changes)) = (&mut entry, changes) {
            entry.extend(changes);
            entry.retain(|_, value| !value.is_null());
        }
        let mut mistakes = Vec::new();
        read(&entry, "/nats", &mut mistakes);
        let told = mistakes
            .iter()
            .map(|one| format!("{} {}", one.pointer, one.message));
        told.collect()
    }

    #[test]
    fn a_login_is_one_of_four_and_kept_apart() {
        for login in [json!({"token": "t"}), json!({"user": "u", "password": "p"})] {
            let entry = json!({"url": "nats://n.example.org", "subject": "a", "login": login});
            let (kind, spec, secrets) = read(&entry, "", &mut Vec::new()).expect("parts");
            assert_eq!(kind, RunnableKind::Nats);
            assert!(!spec.contains_key("login"));
            assert_eq!(secrets["login"], login);
        }
        for login in [
            json!({}),
            json!({"user": "hunter2"}),
            json!({"token": "hunter2", "nkey": "hunter2"}),
            json!({"nkey": "hunter2"}),
            json!({"creds": "hunter2"}),
            json!({"token": "t", "hunter": "hunter2"}),
            json!("hunter2"),
        ] {
            let told = mistakes(json!({ "login": login }));
            assert!(
                !told.is_empty() && told[0].starts_with("/nats/login"),
                "{login} {told:?}"
            );
            assert!(!told.concat().contains("hunter2"), "{told:?}");
        }
    }

    #[test]
    fn each_mistake_stands_at_its_field() {
        assert_eq!(mistakes(json!({})), [""; 0]);
        for (changes, pointer) in [
            (json!({"url": null}), "/nats "),
            (json!({"servers": ["nats://other.example.org"]}), "/nats "),
            (json!({"url": "nats://u:p@nats.example.org"}), "/nats/url "),
            (json!({"url": "${URL}"}), "/nats/url "),
            (
                json!({"url": null, "servers": ["nats://a", "b"]}),
                "/nats/servers/1 ",
            ),
            (json!({"subject": "orders.>"}), "/nats/subject "),
            (json!({"subject": null}), "/nats "),
            (json!({"jetstream": true, "reply": true}), "/nats/reply "),
            (json!({"jetstream": "yes"}), "/nats/jetstream "),
            (json!({"headers": {"A": "${X}"}}), "/nats/headers/A "),
            (json!({"allow": ["10.0.0.0"]}), "/nats/allow/0 "),
            (json!({"queue": "q"}), "/nats/queue "),
        ] {
            let told = mistakes(changes);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with(pointer), "{told:?}");
        }
    }
}
