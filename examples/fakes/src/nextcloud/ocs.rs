//! The OCS interfaces: who one is, who else there is, and the way to the hooks.

use serde_json::{Value, json};

use super::accounts::Account;
use super::{State, hooks, ocs_answer};
use crate::{Answer, Exchange};

const HOOKS: &str = "/apps/webhook_listeners/api/v1/webhooks";

/// Answers what follows `/ocs/v2.php`.
pub fn answer(state: &mut State, at_ms: i64, request: &Exchange, path: &str) -> Answer {
    if state.in_maintenance {
        return ocs_answer(503, 503, "Service unavailable", json!([]))
            .with("x-nextcloud-maintenance-mode", "1");
    }
    if request.header("ocs-apirequest") != Some("true") {
        state.violate(request, "there is no `OCS-APIRequest: true`");
        return ocs_answer(412, 412, "CSRF check failed", json!([]));
    }
    if request.header("accept") != Some("application/json") {
        state.violate(
            request,
            "without `Accept: application/json` the answer is XML",
        );
        return Answer::text(
            200,
            "application/xml; charset=utf-8",
            "<?xml version=\"1.0\"?><ocs/>",
        );
    }
    let Some(account) = state.who_asks(at_ms, request) else {
        return ocs_answer(401, 997, "Current user is not logged in", json!([]));
    };
    let answer = match path {
        "/cloud/user" => ocs_answer(200, 200, "OK", account.described()),
        "/cloud/users" => users(state, request, &account),
        _ if path == HOOKS || path.starts_with(&format!("{HOOKS}/")) => {
            if state.is_app_disabled {
                return no_such_route();
            }
            hooks::answer(
                state,
                request,
                &account,
                path[HOOKS.len()..].trim_matches('/'),
            )
        }
        _ => return no_such_route(),
    };
    answer.with("x-user-id", account.uid)
}

fn users(state: &State, request: &Exchange, account: &Account) -> Answer {
    if !account.is_admin {
        let message = "Logged in account must be at least a sub admin";
        return ocs_answer(403, 403, message, json!([]));
    }
    let number = |name: &str| request.query_value(name)?.parse::<usize>().ok();
    let searched = request
        .query_value("search")
        .unwrap_or_default()
        .to_lowercase();
    let found: Vec<Value> = state
        .accounts
        .all
        .iter()
        .filter(|each| {
            each.uid.to_lowercase().contains(&searched)
                || each.display_name.to_lowercase().contains(&searched)
        })
        .skip(number("offset").unwrap_or(0))
        .take(number("limit").unwrap_or(usize::MAX))
        .map(|each| json!(each.uid))
        .collect();
    ocs_answer(200, 200, "OK", json!({ "users": found }))
}

fn no_such_route() -> Answer {
    let message = "Invalid query, please check the syntax. API specifications are here: http://www.freedesktop.org/wiki/Specifications/open-collaboration-services. \n";
    ocs_answer(404, 998, message, json!([]))
}
