//! The API's requests: who asks, may they, and what is done.

use serde_json::{Value, json};

use super::State;
use super::accounts::{Caller, LOGIN};
use super::bodies::{self, not_found, refusal};
use super::hooks::{Hook, Owner};
use super::paging;
use super::world::Repository;
use crate::{Answer, Exchange};

const USER_ID: u64 = 583_231;
const NOT_BY_INTEGRATION: &str = "Resource not accessible by integration";

/// Answers a request that is in order. `path` is without `/api/v3`, `api_url` with it.
pub fn answer(
    state: &mut State,
    at_ms: i64,
    request: &Exchange,
    path: &str,
    api_url: &str,
) -> Answer {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let method = request.method.as_str();
    match (method, segments.as_slice()) {
        ("GET", ["rate_limit"]) => return state.limits.overview(),
        ("DELETE", ["applications", _, "grant" | "token"]) => {
            return state.grants.revoke(&mut state.accounts, request);
        }
        _ => {}
    }
    let caller = match state.accounts.caller(at_ms, request) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    if let Some(refused) = state.limits.count(at_ms, path) {
        return refused;
    }
    let asked = Asked {
        at_ms,
        request,
        api_url,
        caller: &caller,
    };
    let answer = match (method, segments.as_slice()) {
        ("GET", ["user"]) => of_user(&caller, || Answer::json(200, &bodies::user(LOGIN, USER_ID))),
        ("GET", ["user", "repos"]) => of_user(&caller, || {
            paging::numbered(request, &state.world.repositories())
        }),
        ("GET", ["user", "orgs"]) => of_user(&caller, || {
            match caller.has_scope(&["read:org", "admin:org", "user"]) {
                true => paging::numbered(request, &state.world.organizations()),
                false => refusal(
                    403,
                    "You need at least read:org scope or user scope to list your organizations.",
                ),
            }
        }),
        ("GET", ["installation", "repositories"]) => match caller {
            Caller::Installation => installed(request, &state.world.repositories()),
            _ => refusal(
                403,
                "You must authenticate with an installation access token in order to list repositories for an installation.",
            ),
        },
        ("GET", ["orgs", login]) => match state.world.organization(login) {
            Some(body) => Answer::json(200, &body),
            None => not_found(),
        },
        ("GET", ["repos", owner, name]) => match state.world.repository(&format!("{owner}/{name}"))
        {
            Some(found) => Answer::json(200, &bodies::full_repository(&found.full_name, found.id)),
            None => not_found(),
        },
        (_, ["repos", owner, name, "hooks", rest @ ..]) => {
            let full_name = format!("{owner}/{name}");
            match state.world.repository(&full_name).cloned() {
                Some(repository) => of_repository(state, &asked, repository, rest),
                None => not_found(),
            }
        }
        (_, ["orgs", login, "hooks", rest @ ..]) => {
            let may = caller.has_scope(&["admin:org_hook"]) && caller != Caller::App;
            match state.world.organization(login) {
                Some(_) if may => hooks(
                    state,
                    &asked,
                    &Owner::Organization((*login).to_owned()),
                    rest,
                ),
                _ => not_found(),
            }
        }
        (_, ["app", "hook", rest @ ..]) => match caller {
            Caller::App => of_app(state, &asked, rest),
            _ => refusal(401, "A JSON web token could not be decoded"),
        },
        _ => not_found(),
    };
    let Caller::User {
        scopes: Some(scopes),
    } = &caller
    else {
        return answer;
    };
    answer.with("x-oauth-scopes", scopes.join(", "))
}

/// What most functions here need.
struct Asked<'a> {
    at_ms: i64,
    request: &'a Exchange,
    api_url: &'a str,
    caller: &'a Caller,
}

fn of_user(caller: &Caller, answer: impl FnOnce() -> Answer) -> Answer {
    match caller {
        Caller::User { .. } => answer(),
        Caller::Installation => refusal(403, NOT_BY_INTEGRATION),
        Caller::App => refusal(403, NOT_BY_INTEGRATION),
    }
}

fn installed(request: &Exchange, repositories: &[Value]) -> Answer {
    let (page, link) = paging::cut(request, repositories);
    let body = json!({"total_count": repositories.len(), "repositories": page});
    let answer = Answer::json(200, &body);
    match link {
        Some(link) => answer.with("link", link),
        None => answer,
    }
}

/// Who does not administer a repository is told that its webhooks are not there.
fn of_repository(
    state: &mut State,
    asked: &Asked<'_>,
    repository: Repository,
    rest: &[&str],
) -> Answer {
    const SCOPES: [&str; 3] = ["admin:repo_hook", "write:repo_hook", "repo"];
    if !asked.caller.has_scope(&SCOPES) {
        return not_found().with(
            "x-accepted-oauth-scopes",
            "admin:repo_hook, public_repo, read:repo_hook, repo, write:repo_hook",
        );
    }
    if !repository.is_admin || *asked.caller == Caller::App {
        return not_found();
    }
    if repository.is_archived && asked.request.method != "GET" {
        return refusal(403, "Repository was archived so is read-only.");
    }
    hooks(state, asked, &Owner::Repository(repository.full_name), rest)
}

fn hooks(state: &mut State, asked: &Asked<'_>, owner: &Owner, rest: &[&str]) -> Answer {
    let method = asked.request.method.as_str();
    let body = asked.request.json().unwrap_or_default();
    let at_ms = asked.at_ms;
    let shown = |hook: &Hook| bodies::hook(hook, asked.api_url);
    let (id, rest) = match (method, rest) {
        ("GET", []) => {
            let all: Vec<Value> = state.hooks.of(owner).map(shown).collect();
            return paging::numbered(asked.request, &all);
        }
        (_, []) => {
            return match state.hooks.create(at_ms, owner, &body) {
                Ok(hook) => {
                    let hook = hook.clone();
                    ping(state, asked, &hook);
                    Answer::json(201, &shown(&hook))
                }
                Err(refused) => refused,
            };
        }
        (_, [id, rest @ ..]) => (id.parse().unwrap_or_default(), rest),
    };
    let Some(hook) = state.hooks.find(owner, id).cloned() else {
        return not_found();
    };
    let answered = |changed: Result<&Hook, Answer>, show: &dyn Fn(&Hook) -> Value| match changed {
        Ok(hook) => Answer::json(200, &show(hook)),
        Err(refused) => refused,
    };
    let config = |hook: &Hook| hook.config.shown();
    match (method, rest) {
        ("GET", []) => Answer::json(200, &shown(&hook)),
        ("PATCH", []) => answered(state.hooks.change(at_ms, owner, id, &body), &shown),
        ("DELETE", []) => state.hooks.delete(owner, id),
        ("GET", ["config"]) => Answer::json(200, &config(&hook)),
        ("PATCH", ["config"]) => {
            answered(state.hooks.change_config(at_ms, owner, id, &body), &config)
        }
        ("POST", ["pings"]) => {
            ping(state, asked, &hook);
            Answer::status(204)
        }
        (_, ["deliveries", rest @ ..]) => deliveries(state, asked, &hook, rest),
        _ => not_found(),
    }
}

fn of_app(state: &mut State, asked: &Asked<'_>, rest: &[&str]) -> Answer {
    let body = asked.request.json().unwrap_or_default();
    match (asked.request.method.as_str(), rest) {
        ("GET", ["config"]) => Answer::json(200, &state.app_hook.config.shown()),
        ("PATCH", ["config"]) => {
            state.app_hook.config.merge(&body);
            state.app_hook.updated_ms = asked.at_ms;
            Answer::json(200, &state.app_hook.config.shown())
        }
        (_, ["deliveries", rest @ ..]) => {
            let hook = state.app_hook.clone();
            deliveries(state, asked, &hook, rest)
        }
        _ => not_found(),
    }
}

fn deliveries(state: &mut State, asked: &Asked<'_>, hook: &Hook, rest: &[&str]) -> Answer {
    let number = |id: &str| id.parse().unwrap_or_default();
    match (asked.request.method.as_str(), rest) {
        ("GET", []) => state.log.page(asked.at_ms, hook, asked.request),
        ("GET", [id]) => state.log.one(asked.at_ms, hook, number(id)),
        ("POST", [id, "attempts"]) => state.log.redeliver(asked.at_ms, hook, number(id)),
        _ => not_found(),
    }
}

fn ping(state: &mut State, asked: &Asked<'_>, hook: &Hook) {
    let payload = json!({
        "zen": "Approachable is better than simple.",
        "hook_id": hook.id,
        "hook": bodies::hook(hook, asked.api_url),
    });
    let guid = state.log.next_guid();
    state.log.send(asked.at_ms, hook, &guid, "ping", payload);
}
