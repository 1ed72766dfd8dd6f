//! The bodies of answers: GitHub's own examples, filled in.

use serde_json::{Value, json};

use super::hooks::{Hook, Owner};
use super::published::example;
use crate::Answer;

/// GitHub's page for every error.
const PAGE: &str = "https://docs.github.com/rest";

/// Milliseconds since 1970 as GitHub writes moments.
pub fn moment(at_ms: i64) -> String {
    let seconds = jiff::Timestamp::from_second(at_ms.div_euclid(1000));
    seconds.map_or_else(|_| String::new(), |moment| moment.to_string())
}

/// A refusal in GitHub's form.
pub fn refusal(status: u16, message: &str) -> Answer {
    let body = json!({
        "message": message,
        "documentation_url": PAGE,
        "status": status.to_string(),
    });
    Answer::json(status, &body)
}

/// 422, for these reasons.
pub fn invalid(errors: Value) -> Answer {
    let body = json!({
        "message": "Validation Failed",
        "errors": errors,
        "documentation_url": PAGE,
        "status": "422",
    });
    Answer::json(422, &body)
}

/// As it answers for what is not there, and for what the token may not see.
pub fn not_found() -> Answer {
    refusal(404, "Not Found")
}

/// A repository, as lists have it.
pub fn repository(full_name: &str, id: u64, is_private: bool) -> Value {
    let mut body = example("repository-items-default-response")[0].take();
    name_repository(&mut body, full_name, id);
    body["private"] = json!(is_private);
    body
}

/// A repository with all that is said of it alone.
pub fn full_repository(full_name: &str, id: u64) -> Value {
    let mut body = example("full-repository-default-response");
    if body.is_null() {
        body = example("full-repository");
    }
    name_repository(&mut body, full_name, id);
    // GitHub's own example does not keep to GitHub's own schema there.
    if let Some(body) = body.as_object_mut() {
        body.remove("source");
        body.remove("parent");
    }
    body
}

/// The account that a token belongs to.
pub fn user(login: &str, id: u64) -> Value {
    let mut body = example("private-user-response-with-public-and-private-profile-information");
    body["login"] = json!(login);
    body["id"] = json!(id);
    body
}

/// An organisation, as lists have it.
pub fn organization(login: &str, id: u64) -> Value {
    let url = format!("https://api.github.com/orgs/{login}");
    json!({
        "login": login,
        "id": id,
        "node_id": format!("O_{id}"),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": "https://github.com/images/error/octocat_happy.gif",
        "description": null,
    })
}

/// A webhook; its secret is never shown.
pub fn hook(hook: &Hook, api_url: &str) -> Value {
    let mut body = example(match hook.owner {
        Owner::Repository(_) => "hook",
        _ => "org-hook",
    });
    let url = format!("{api_url}{}/hooks/{}", hook.owner.path(), hook.id);
    body["id"] = json!(hook.id);
    body["active"] = json!(hook.active);
    body["events"] = json!(hook.events);
    body["config"] = hook.config.shown();
    body["created_at"] = json!(moment(hook.created_ms));
    body["updated_at"] = json!(moment(hook.updated_ms));
    body["ping_url"] = json!(format!("{url}/pings"));
    body["deliveries_url"] = json!(format!("{url}/deliveries"));
    body["url"] = json!(url);
    if matches!(hook.owner, Owner::Repository(_)) {
        body["test_url"] = json!(format!("{url}/test"));
        body["last_response"] = match hook.last_status {
            None => json!({"code": null, "status": "unused", "message": null}),
            Some(code @ 200..=299) => json!({"code": code, "status": "active", "message": "OK"}),
            Some(code) => json!({
                "code": code,
                "status": "misconfigured",
                "message": format!("Invalid HTTP Response: {code}"),
            }),
        };
    }
    body
}

fn name_repository(body: &mut Value, full_name: &str, id: u64) {
    let (owner, name) = full_name.split_once('/').unwrap_or(("octocat", full_name));
    body["id"] = json!(id);
    body["name"] = json!(name);
    body["full_name"] = json!(full_name);
    body["owner"]["login"] = json!(owner);
    body["language"] = json!("Rust");
    body["permissions"] = json!({"admin": true, "push": true, "pull": true});
}
