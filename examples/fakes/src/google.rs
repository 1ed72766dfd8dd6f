//! Google: Drive, Calendar and OAuth for one account, as Google describes them.
//!
//! | | |
//! |---|---|
//! | `description` | the published description that requests and answers are held against |
//! | `drive`, `calendar` | files and their log of changes; events, sync tokens, series |
//! | `channels` | watch, stop, and the pushes that follow |
//! | `oauth` | consent, tokens and their end |
//! | `controls` | what people do: `POST /_fake/create_file`, `cancel_event`, `expire_cursor`, … |
//!
//! The account is `ada@acme.test`, with a Drive, the shared drive `0ATEAM`, and the calendars
//! `ada@acme.test` (primary, Europe/Berlin) and `team@group.calendar.google.com`.

mod calendar;
mod channels;
mod clock;
mod controls;
mod description;
mod drive;
mod fields;
mod oauth;
mod recurrence;
mod refusal;
mod search;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use self::calendar::Calendars;
use self::channels::Channels;
use self::description::{CALENDAR, Call, DRIVE, Description};
use self::drive::Drive;
use self::oauth::Grants;
use self::refusal::Refusal;
use crate::{Answer, Delivery, Exchange, Service};

/// The account of the fake.
pub const ACCOUNT: &str = "ada@acme.test";
/// An access token that is good until `revoke_tokens`, for those who do not go through the consent.
pub const STANDING_TOKEN: &str = "ya29.standing";

/// The whole service.
#[derive(Default)]
pub struct Google {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grants: Grants,
    channels: Channels,
    drive: Drive,
    calendars: Calendars,
    violations: Vec<String>,
    /// What is answered next instead of what was asked.
    refusals: VecDeque<(Refusal, Option<String>)>,
    /// Smaller pages than asked for, which Google may always give.
    page_max: Option<usize>,
}

impl Google {
    /// Everything empty but for the account, its drives and its calendars.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Google {
    fn name(&self) -> &'static str {
        "google"
    }

    fn handle(&self, at_ms: i64, request: &Exchange) -> Answer {
        let mut state = self.state();
        let answer = match request.path.as_str() {
            "/o/oauth2/v2/auth" => state.grants.authorize(request),
            "/token" => state.grants.token(at_ms, request),
            "/revoke" => state.grants.revoke(request),
            path if path.starts_with(DRIVE.path.as_str()) => state.api(at_ms, request, &DRIVE),
            path if path.starts_with(CALENDAR.path.as_str()) => {
                state.api(at_ms, request, &CALENDAR)
            }
            _ => Answer::status(404),
        };
        answer.with("date", clock::http_date(at_ms))
    }

    fn control(&self, at_ms: i64, action: &str, arguments: &Value) -> Result<Value, String> {
        self.state().act(at_ms, action, arguments)
    }

    fn outbox(&self, at_ms: i64) -> Vec<Delivery> {
        self.state().channels.outbox(at_ms)
    }

    fn delivered(&self, at_ms: i64, id: u64, status: Option<u16>) {
        self.state().channels.delivered(at_ms, id, status);
    }

    fn violations(&self) -> Vec<String> {
        let state = self.state();
        let consent = state.grants.violations.iter();
        consent.chain(&state.violations).cloned().collect()
    }
}

impl State {
    fn api(&mut self, at_ms: i64, request: &Exchange, service: &Description) -> Answer {
        if let Some((refusal, retry_after)) = self.refusals.pop_front() {
            let answer = refusal.into_answer();
            return match retry_after {
                Some(seconds) => answer.with("retry-after", seconds),
                None => answer,
            };
        }
        match self.answer(at_ms, request, service) {
            Ok((_, Value::Null)) => Answer::status(204),
            Ok((call, mut value)) => {
                self.violations.extend(service.faults_of(&call, &value));
                // Not as described, and seen all the same.
                let expires_at_ms: Option<i64> =
                    value["expiration"].as_str().and_then(|ms| ms.parse().ok());
                if let (true, Some(ms)) = (self.channels.expiration_as_number, expires_at_ms) {
                    value["expiration"] = Value::from(ms);
                }
                let value = match &call.fields {
                    Some(fields) => fields.apply(value),
                    None => value,
                };
                Answer::json(200, &value)
            }
            Err(refusal) => {
                if refusal.is_violation {
                    self.violations
                        .push(format!("{request:?}: {}", refusal.message));
                }
                refusal.into_answer()
            }
        }
    }

    fn answer(
        &mut self,
        at_ms: i64,
        request: &Exchange,
        service: &Description,
    ) -> Result<(Call, Value), Refusal> {
        let token = request.bearer().ok_or_else(Refusal::unauthorized)?;
        let scopes = self
            .grants
            .scopes_of(token, at_ms)
            .ok_or_else(Refusal::unauthorized)?
            .to_vec();
        let call = service.call(request)?;
        if !call.scopes.iter().any(|scope| scopes.contains(scope)) {
            return Err(Refusal::insufficient_scopes());
        }
        let value = match service.path == DRIVE.path {
            true => self.drive_answer(at_ms, &call)?,
            false => self.calendar_answer(at_ms, &call)?,
        };
        Ok((call, value))
    }

    fn drive_answer(&mut self, at_ms: i64, call: &Call) -> Result<Value, Refusal> {
        let Self {
            drive, channels, ..
        } = self;
        let page_max = self.page_max;
        match call.method.as_str() {
            "about.get" => drive::about(call),
            "files.get" => drive.get(call),
            "files.list" => drive.list(call, page_max),
            "drives.list" => drive.drives(call, page_max),
            "changes.getStartPageToken" => drive.start_page_token(call),
            "changes.list" => drive.changes(call, page_max),
            "files.watch" => channels.open(at_ms, call, drive.watched_file(call)?),
            "changes.watch" => channels.open(at_ms, call, drive.watched_changes(call)?),
            "channels.stop" => channels.stop(call),
            other => Err(Refusal::malformed(format!("{other} is not faked"))),
        }
    }

    fn calendar_answer(&mut self, at_ms: i64, call: &Call) -> Result<Value, Refusal> {
        let Self {
            calendars,
            channels,
            ..
        } = self;
        let page_max = self.page_max;
        match call.method.as_str() {
            "calendars.get" => calendars.get(call),
            "calendarList.list" => calendars.list(call, page_max),
            "events.get" => calendars.event(call),
            "events.list" => calendars.events(call, page_max),
            "events.watch" => channels.open(at_ms, call, calendars.watched(call)?),
            "channels.stop" => channels.stop(call),
            other => Err(Refusal::malformed(format!("{other} is not faked"))),
        }
    }
}

/// How many items a page has, and where it begins.
fn page_of(
    call: &Call,
    size: (&str, usize),
    page_max: Option<usize>,
    begin: usize,
) -> std::ops::Range<usize> {
    let asked = call.query.get(size.0).and_then(|size| size.parse().ok());
    let size = asked.unwrap_or(size.1).min(page_max.unwrap_or(usize::MAX));
    begin..begin + size
}
