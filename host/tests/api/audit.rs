//! Every call that changes something leaves an entry that says who it was.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::routes::operations;
use crate::support::{Api, SIGNING, document_with_accounts};

/// Calls that change nothing that is kept: they make samples, ask a service, or make an address
/// whose use is what is noted.
const CHANGE_NOTHING: [&str; 6] = [
    "POST /connect",
    "POST /credentials/{credential}/check",
    "POST /subscriptions/{subscription}/check",
    "POST /subscriptions/{subscription}/sample",
    "POST /subscriptions/{subscription}/sync",
    "POST /subscriptions/{subscription}/test",
];
/// Needs a service that holds something: its entry is one line in the loop that ends them.
const ELSEWHERE: &str = "DELETE /orphans";

/// A call as the description names it, what it is sent, and what is noted of it.
struct Step {
    call: &'static str,
    named: &'static str,
    body: Value,
    noted: &'static str,
}

fn step(call: &'static str, named: &'static str, body: Value, noted: &'static str) -> Step {
    Step {
        call,
        named,
        body,
        noted,
    }
}

/// In an order in which each works. `{id}` is the id that the step before was answered.
fn steps() -> Vec<Step> {
    let runnable = |path: &str| json!({ "path": path, "command": { "argv": ["./x.sh"] } });
    let route = json!({ "name": "r", "path": "/hooks/r", "methods": ["POST"], "mode": "async",
        "auth": "none", "runnable": "f/demo/record" });
    let schedule = json!({ "name": "nightly", "cron": "0 0 2 * * *", "timezone": "UTC",
        "runnable": "f/demo/record" });
    let by_hand = json!({ "name": "second", "provider": "acme",
        "manual": { "webhook_secret": "canary-second" } });
    let trigger = json!({ "name": "t2", "subscription": "my-repo", "event": "issues",
        "runnable": "f/demo/record" });
    let integration = json!({ "name": "two", "provider": "acme",
        "base_url": "https://two.acme.example",
        "client": { "client_id": "c", "client_secret": "canary-client" } });
    let credential = json!({ "name": "two", "provider": "acme",
        "values": { "access_token": "canary-3f9a1c" } });
    let hook = json!({ "url": "https://told.example.org/", "secret": SIGNING });
    let none = || json!({});
    vec![
        step(
            "POST /apply",
            "",
            document_with_accounts(),
            "trigger.create",
        ),
        step("PUT /webhook", "", hook, "webhook.set"),
        step("DELETE /webhook", "", none(), "webhook.remove"),
        step("PUT /integrations", "", integration, "integration.create"),
        step(
            "DELETE /integrations/{integration}",
            "two",
            none(),
            "integration.delete",
        ),
        step("PUT /credentials", "", credential, "credential.create"),
        step(
            "DELETE /credentials/{credential}",
            "two",
            none(),
            "credential.delete",
        ),
        step(
            "PUT /runnables",
            "",
            runnable("f/demo/new"),
            "runnable.create",
        ),
        step(
            "POST /runnables/{runnable}/state",
            "f%2Fdemo%2Fnew",
            json!({ "state": "disabled" }),
            "runnable.state",
        ),
        step(
            "DELETE /runnables/{runnable}",
            "f%2Fdemo%2Fnew",
            none(),
            "runnable.delete",
        ),
        step("PUT /subscriptions", "", by_hand, "subscription.create"),
        step(
            "POST /subscriptions/{subscription}/pause",
            "second",
            none(),
            "subscription.state",
        ),
        step(
            "POST /subscriptions/{subscription}/resume",
            "second",
            none(),
            "subscription.state",
        ),
        step(
            "POST /subscriptions/{subscription}/state",
            "second",
            json!({ "state": "paused" }),
            "subscription.state",
        ),
        step(
            "DELETE /subscriptions/{subscription}",
            "second",
            none(),
            "subscription.delete",
        ),
        step("PUT /triggers", "", trigger, "trigger.create"),
        step("DELETE /triggers/{trigger}", "t2", none(), "trigger.delete"),
        step("PUT /schedules", "", schedule, "schedule.create"),
        step(
            "POST /schedules/{schedule}/pause",
            "nightly",
            none(),
            "schedule.switch",
        ),
        step(
            "POST /schedules/{schedule}/resume",
            "nightly",
            none(),
            "schedule.switch",
        ),
        step(
            "DELETE /schedules/{schedule}",
            "nightly",
            none(),
            "schedule.delete",
        ),
        step("PUT /routes", "", route, "route.create"),
        step("DELETE /routes/{route}", "r", none(), "route.delete"),
        step(
            "POST /jobs",
            "",
            json!({ "runnable": "f/demo/record" }),
            "job.start",
        ),
        step("POST /jobs/{job}/cancel", "{id}", none(), "job.cancel"),
        step("POST /jobs/{job}/replay", "{id}", none(), "job.replay"),
        step(
            "POST /api/v1/workspaces",
            "",
            json!({ "name": "third" }),
            "workspace.create",
        ),
        step(
            "DELETE /api/v1/workspaces/{workspace}",
            "third",
            none(),
            "workspace.delete",
        ),
        step(
            "POST /api/v1/providers/{provider}/disable",
            "acme",
            none(),
            "provider.disable",
        ),
        step(
            "POST /api/v1/providers/{provider}/enable",
            "acme",
            none(),
            "provider.enable",
        ),
        step(
            "POST /api/v1/tokens",
            "",
            json!({ "name": "t", "scopes": ["read"] }),
            "token.create",
        ),
        step(
            "DELETE /api/v1/tokens/{token}",
            "{id}",
            none(),
            "token.revoke",
        ),
        step("POST /api/v1/keys/rotate", "", none(), "keys.rotate"),
    ]
}

/// Short for what lies in a workspace.
fn shortened(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v1/workspaces/{workspace}/");
    path.map_or_else(String::new, |path| format!("{method} /{path}"))
}

#[test]
fn no_call_that_changes_something_is_forgotten_here() {
    let all: BTreeSet<String> = operations()
        .iter()
        .filter(|(method, _)| method != "GET")
        .map(|(method, path)| match shortened(method, path) {
            short if short.is_empty() => format!("{method} {path}"),
            short => short,
        })
        .collect();
    let tried = steps().into_iter().map(|step| step.call.to_owned());
    let known: BTreeSet<String> = CHANGE_NOTHING
        .iter()
        .chain([&ELSEWHERE])
        .map(|call| (*call).to_owned())
        .chain(tried)
        .collect();
    assert_eq!(all, known);
}

#[tokio::test]
async fn every_change_over_the_api_says_who_made_it() {
    let api = Api::start().await;
    let own = api.call("GET", "/api/v1/tokens", &api.admin, None).await;
    let own = own.body["items"][0]["id"].clone();
    let mut before = String::new();
    for step in steps() {
        let (method, path) = step.call.split_once(' ').expect("a method and a path");
        let whole = match path.starts_with("/api/") {
            true => path.to_owned(),
            false => format!("/api/v1/workspaces/default{path}"),
        };
        let path = match (whole.find('{'), whole.find('}')) {
            (Some(from), Some(to)) => {
                let named = step.named.replace("{id}", &before);
                format!("{}{named}{}", &whole[..from], &whole[to + 1..])
            }
            _ => whole,
        };
        let answer = api.call(method, &path, &api.admin, Some(step.body)).await;
        assert!(answer.status.is_success(), "{}: {}", step.call, answer.text);
        if let Some(id) = answer.body["id"].as_str() {
            id.clone_into(&mut before);
        }
        let is_of_workspace = path.contains("/workspaces/default/");
        let log = match is_of_workspace {
            true => "/api/v1/workspaces/default/audit",
            false => "/api/v1/audit",
        };
        let log = api.call("GET", log, &api.admin, None).await;
        // What one call did is of one millisecond, and in no order.
        let items = log.body["items"].as_array().expect("entries");
        let of_this_call = |entry: &&Value| entry["at"] == items[0]["at"];
        let mut noted = items.iter().filter(of_this_call);
        let noted = noted.find(|entry| entry["action"] == step.noted);
        let noted = noted.unwrap_or_else(|| panic!("{}: {}", step.call, log.text));
        assert_eq!(noted["token_id"], own, "{}", step.call);
    }
}
