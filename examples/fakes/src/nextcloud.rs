//! A Nextcloud server with the app Webhook Listeners: hooks over OCS, OAuth 2, as much of WebDAV as
//! choices are made from, and deliveries.
//!
//! It is held to recordings of real servers of versions 32 and 34, oddities included: what an update
//! of a hook that is gone answers, that any filter is taken and a broken one loses events later, that
//! a refresh kills the access token before it.
//!
//! Controls (`POST /_fake/{action}`): `happen`, `vanish_hook`, `alter_hook`, `hooks`, `deliveries`,
//! `revoke_tokens`, `maintenance`, `app`, `login`, `account`.

mod accounts;
mod controls;
mod dav;
mod filter;
mod happenings;
mod hooks;
mod oauth;
mod ocs;
mod php;

pub use accounts::{ADMIN, APP_PASSWORD};
pub use oauth::{CLIENT_ID, CLIENT_SECRET};

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::{Answer, Delivery, Exchange, Service};
use accounts::Accounts;
use hooks::Hooks;
use oauth::Grants;

/// The server, with an administrator `admin` and a user `alice`.
#[derive(Default)]
pub struct Nextcloud {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: Accounts,
    grants: Grants,
    hooks: Hooks,
    in_maintenance: bool,
    /// `occ app:disable webhook_listeners` was run.
    is_app_disabled: bool,
    outbox: Vec<Delivery>,
    deliveries_made: u64,
    /// How deliveries ended, oldest first.
    delivered: Vec<(u64, Option<u16>)>,
    violations: Vec<String>,
}

impl Nextcloud {
    /// A fresh server.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Nextcloud {
    fn name(&self) -> &'static str {
        "nextcloud"
    }

    fn handle(&self, at_ms: i64, request: &Exchange) -> Answer {
        self.state().answer(at_ms, request)
    }

    fn control(&self, at_ms: i64, action: &str, arguments: &Value) -> Result<Value, String> {
        controls::run(&mut self.state(), at_ms, action, arguments)
    }

    fn outbox(&self, _at_ms: i64) -> Vec<Delivery> {
        std::mem::take(&mut self.state().outbox)
    }

    fn delivered(&self, _at_ms: i64, id: u64, status: Option<u16>) {
        // Whatever comes back, the event is not sent again.
        self.state().delivered.push((id, status));
    }

    fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }
}

impl State {
    fn answer(&mut self, at_ms: i64, request: &Exchange) -> Answer {
        let path = request
            .path
            .strip_prefix("/index.php")
            .unwrap_or(&request.path);
        if let Some(path) = path.strip_prefix("/ocs/v2.php") {
            let path = path.to_owned();
            return ocs::answer(self, at_ms, request, &path);
        }
        if self.in_maintenance {
            return Answer::text(
                503,
                "text/html; charset=UTF-8",
                "<!DOCTYPE html>Maintenance mode",
            )
            .with("x-nextcloud-maintenance-mode", "1");
        }
        match path {
            "/apps/oauth2/authorize" => oauth::authorize(self, at_ms, request),
            "/apps/oauth2/api/v1/token" => oauth::token(self, at_ms, request),
            _ if path.starts_with("/remote.php/dav/") => dav::answer(self, at_ms, request),
            _ => Answer::text(
                404,
                "text/html; charset=UTF-8",
                "<!DOCTYPE html>Page not found",
            ),
        }
    }

    fn violate(&mut self, request: &Exchange, what: impl std::fmt::Display) {
        let line = format!("{} {}: {what}", request.method, request.path);
        self.violations.push(line);
    }
}

/// An answer of OCS with a status in its envelope too, written as PHP writes JSON.
fn ocs_answer(status: u16, statuscode: u16, message: &str, data: Value) -> Answer {
    let outcome = if status < 300 { "ok" } else { "failure" };
    let body = json!({"ocs": {
        "meta": {"status": outcome, "statuscode": statuscode, "message": message},
        "data": data,
    }});
    Answer::text(status, "application/json; charset=utf-8", php::json(&body))
}
