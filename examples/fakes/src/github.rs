//! GitHub, in memory: its OAuth, and the part of its REST API that webhooks need, with the log of
//! their deliveries.
//!
//! Every request is held against GitHub's own description, and so is every answer. It answers
//! under `/api/v3` as an Enterprise Server does, and at the root as `api.github.com` does.
//!
//! ```text
//!   request ──► published: is it described so? ──► accounts: who asks? ──► limits: too often?
//!                     │ no: a violation, and 422                                 │
//!                     ▼                                                          ▼
//!                                  requests ──► world, hooks, log ──► outbox
//! ```
//! | | |
//! |---|---|
//! | [`published`] | GitHub's description of its API |
//! | [`accounts`], [`app`], [`oauth`] | tokens, the app's own tokens, how tokens are got |
//! | [`limits`] | quota and throttling |
//! | [`requests`] | what each request does |
//! | [`world`], [`hooks`], [`log`] | repositories, webhooks, deliveries |
//! | [`paging`], [`bodies`] | how answers look |
//! | [`controls`] | what users of GitHub do |

mod accounts;
mod app;
mod bodies;
mod controls;
mod hooks;
mod limits;
mod log;
mod oauth;
mod paging;
mod published;
mod requests;
mod world;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

pub use self::accounts::TOKEN;
pub use self::app::{APP_ID, APP_PRIVATE_KEY};
pub use self::oauth::{CLIENT_ID, CLIENT_SECRET};

use self::accounts::Accounts;
use self::bodies::refusal;
use self::hooks::{Config, Hook, Hooks, Owner};
use self::limits::Limits;
use self::log::Log;
use self::oauth::Grants;
use self::world::World;
use crate::{Answer, Delivery, Exchange, Service};

/// Where an Enterprise Server has its API.
const ENTERPRISE: &str = "/api/v3";

/// The fake service.
#[derive(Debug, Default)]
pub struct Github(Mutex<State>);

/// Why GitHub would not take a request, whoever asks, one sentence each.
pub fn problems_of(request: &Exchange) -> Vec<String> {
    let (_, inner) = inner(request);
    match published::operation(&inner.method, &inner.path) {
        Some(operation) => operation.problems_of_request(&inner),
        None => vec![undescribed(&inner)],
    }
}

/// All that it knows.
#[derive(Debug)]
struct State {
    accounts: Accounts,
    grants: Grants,
    limits: Limits,
    world: World,
    hooks: Hooks,
    /// Every app has one from the start, without an address.
    app_hook: Hook,
    log: Log,
    /// Each sentence once, however often it happens.
    violations: BTreeSet<String>,
}

impl Github {
    /// One account, one organisation, a few repositories, and no webhook.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Github {
    fn name(&self) -> &'static str {
        "github"
    }

    fn handle(&self, at_ms: i64, request: &Exchange) -> Answer {
        let mut state = self.state();
        let state = &mut *state;
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/login/oauth/authorize") => state.grants.authorize(at_ms, request),
            ("POST", "/login/oauth/access_token") => {
                state.grants.token(at_ms, &mut state.accounts, request)
            }
            _ => {
                let answer = state.api(at_ms, request);
                state.limits.mark(answer)
            }
        }
    }

    fn control(&self, at_ms: i64, action: &str, arguments: &Value) -> Result<Value, String> {
        controls::act(&mut self.state(), at_ms, action, arguments)
    }

    fn outbox(&self, _at_ms: i64) -> Vec<Delivery> {
        self.state().log.take_outbox()
    }

    fn delivered(&self, _at_ms: i64, id: u64, status: Option<u16>) {
        let mut state = self.state();
        if let Some((hook, status)) = state.log.delivered(id, status) {
            state.hooks.answered(hook, status);
        }
    }

    fn violations(&self) -> Vec<String> {
        self.state().violations.iter().cloned().collect()
    }
}

impl State {
    fn api(&mut self, at_ms: i64, request: &Exchange) -> Answer {
        let (root, inner) = inner(request);
        let api_url = format!("{}{root}", paging::origin(request));
        let Some(operation) = published::operation(&inner.method, &inner.path) else {
            self.violations.insert(undescribed(&inner));
            return bodies::not_found();
        };
        let named = |problem: &String| format!("{}: {problem}", operation.name);
        if request.header("user-agent").is_none_or(str::is_empty) {
            self.violations
                .insert(named(&"it has no User-Agent".to_owned()));
            return refusal(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            );
        }
        let problems = operation.problems_of_request(&inner);
        self.violations.extend(problems.iter().map(named));
        if !problems.is_empty() {
            let reasons = problems
                .iter()
                .map(|problem| json!({"code": "invalid", "message": problem}));
            return bodies::invalid(reasons.collect());
        }
        let answer = requests::answer(self, at_ms, request, &inner.path, &api_url);
        let faults = operation.problems_of_answer(&answer);
        self.violations.extend(
            faults
                .iter()
                .map(|fault| named(&format!("the fake itself is wrong: {fault}"))),
        );
        answer
    }

    fn every_hook(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.all.iter().chain([&self.app_hook])
    }
}

/// The request as `api.github.com` would get it, and what stood before its path.
fn inner(request: &Exchange) -> (&'static str, Exchange) {
    let (root, path) = match request.path.strip_prefix(ENTERPRISE) {
        Some(path) if path.starts_with('/') => (ENTERPRISE, path),
        _ => ("", request.path.as_str()),
    };
    let inner = Exchange {
        path: path.to_owned(),
        ..request.clone()
    };
    (root, inner)
}

fn undescribed(inner: &Exchange) -> String {
    format!(
        "{} {} is nothing that GitHub describes",
        inner.method, inner.path
    )
}

impl Default for State {
    fn default() -> Self {
        Self {
            accounts: Accounts::default(),
            grants: Grants::default(),
            limits: Limits::default(),
            world: World::default(),
            hooks: Hooks::default(),
            app_hook: Hook {
                id: 1,
                owner: Owner::App,
                active: true,
                events: vec!["*".to_owned()],
                config: Config::default(),
                created_ms: 0,
                updated_ms: 0,
                last_status: None,
            },
            log: Log::default(),
            violations: BTreeSet::new(),
        }
    }
}
