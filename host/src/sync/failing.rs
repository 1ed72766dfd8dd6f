//! What follows from a failure: when it is tried again, and what is left alone until then.

use std::time::Duration;

use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;

use super::calls::said;
use super::next::Step;
use super::run::Run;
use super::times;
use crate::clock::{Millis, random_fraction};
use crate::model::{RegistrationState, SyncAction};

/// A refusal for good is tried again so rarely: somebody may have changed something at the service.
const REFUSED_RETRY: Duration = Duration::from_secs(3600);
/// A credential that needs reconnecting is looked at so rarely, if nobody says that it is good again.
const RECONNECT_RETRY: Duration = Duration::from_secs(6 * 3600);
/// A throttled lane stands still so long if the service does not say.
const THROTTLED: Duration = Duration::from_secs(30);

/// A service that asks for more time than this is asked again all the same.
const WAIT_MAX_MS: u64 = 24 * 3_600_000;
/// In characters; services may answer with whole pages.
const ERROR_LEN_MAX: usize = 600;

impl Run<'_> {
    /// Whether it says that the service is well again. To clear away what a failed making may have
    /// left does not: making would be tried again and again without a pause.
    pub(super) fn clears_failures(&self, step: &Step) -> bool {
        match step {
            Step::Lose(_) => false,
            Step::Retire(id) => {
                let one = self.registrations.iter().find(|one| one.id == *id);
                let is_lost = one.is_some_and(|one| one.state == RegistrationState::Lost);
                self.subscription.is_deleting || !is_lost
            }
            _ => true,
        }
    }

    /// A step worked: what held it up is over.
    pub(super) fn succeeded(&mut self, action: SyncAction) {
        let held_up = self.upkeep.retry_action;
        if held_up.is_none_or(|held_up| held_up == action || held_up == SyncAction::Reconnect) {
            self.upkeep.retry_at = None;
            self.upkeep.retry_action = None;
            self.upkeep.tries = 0;
            self.upkeep.last_error = None;
            self.upkeep.last_error_at = None;
        }
    }

    pub(super) async fn failed(&mut self, action: SyncAction, error: &CallError) {
        let word = codes::name(error.code);
        self.engine.metrics.sync_failures.increment(word);
        let told = brief(&said(error));
        let wait = error.retry_after_ms.map(|ms| ms.min(WAIT_MAX_MS));
        tracing::warn!(
            subscription = %self.subscription.id,
            provider = self.subscription.provider,
            code = word,
            tries = self.upkeep.tries + 1,
            "could not {action}: {told}"
        );
        let now = self.now();
        self.upkeep.last_error = Some(format!("could not {action}: {told}"));
        self.upkeep.last_error_at = Some(now);
        match error.code {
            codes::CREDENTIALS => self.credential_refused(&told).await,
            codes::INVALID_INPUT
            | codes::UNSUPPORTED
            | codes::NOT_FOUND
            | codes::UNAUTHENTICATED => self.refused(action, now),
            codes::RATE_LIMITED => self.throttled(wait, now).await,
            _ => {
                self.upkeep.tries += 1;
                let tries = self.upkeep.tries;
                self.upkeep.retry_action = None;
                self.upkeep.retry_at = Some(times::retry_at(now, tries, wait, random_fraction()));
            }
        }
    }

    /// Nothing more is tried until the credential is good again, which pokes us.
    pub(super) fn wait_for_reconnect(&mut self, reason: String) {
        let now = self.now();
        self.upkeep.last_error = Some(brief(&reason));
        self.upkeep.last_error_at = Some(now);
        self.upkeep.retry_action = Some(SyncAction::Reconnect);
        self.upkeep.retry_at = Some(times::next(now, RECONNECT_RETRY, random_fraction()));
    }

    async fn credential_refused(&mut self, told: &str) {
        let Some(account) = self.account() else {
            self.wait_for_reconnect(format!("the service wants a credential: {told}"));
            return;
        };
        if self.engine.accounts.mark_refused(account, told).await {
            self.wait_for_reconnect(format!("its credential needs reconnecting: {told}"));
            return;
        }
        // It was renewed meanwhile: once more with the new one.
        self.upkeep.tries += 1;
        let (now, tries) = (self.now(), self.upkeep.tries);
        self.upkeep.retry_action = None;
        self.upkeep.retry_at = Some(times::retry_at(now, tries, None, random_fraction()));
    }

    /// It is not tried again soon; all else goes on.
    fn refused(&mut self, action: SyncAction, now: Millis) {
        let again = times::next(now, REFUSED_RETRY, random_fraction());
        match action {
            SyncAction::Renew => self.upkeep.renew_at = Some(again),
            SyncAction::Check => self.upkeep.check_at = Some(again),
            SyncAction::Pull => self.upkeep.pull_at = Some(again),
            _ => {}
        }
        self.upkeep.tries += 1;
        self.upkeep.retry_action = Some(action);
        self.upkeep.retry_at = Some(again);
    }

    /// Everything that goes the same way stands still.
    async fn throttled(&mut self, retry_after_ms: Option<u64>, now: Millis) {
        let wait = retry_after_ms.map_or(THROTTLED, Duration::from_millis);
        let until = now.plus(wait);
        self.lane.block(until);
        if let Some(id) = &self.subscription.terms.credential_id {
            self.engine.accounts.throttle(id, until).await;
        }
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.upkeep.retry_action = None;
        self.upkeep.retry_at = Some(times::retry_at(now, 1, Some(wait), random_fraction()));
    }
}

/// What a service said, as long as a reader has patience.
pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(ERROR_LEN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
