//! The state that is shown, from what is stored.

use serde_json::json;

use super::failing::brief;
use super::run::Run;
use super::times;
use crate::clock::random_fraction;
use crate::model::{OnDrift, OnMissing, SubscriptionState, SyncAction};

/// So many failures in a row that may pass are not worth an alarm.
const TRIES_QUIET: u32 = 2;

/// The field under which a check reports that the service knows nothing of a registration.
pub(super) const MISSING: &str = "registration";

impl Run<'_> {
    /// State and reason. A paused subscription stays paused whatever is said here.
    pub(super) fn health(&self) -> Option<(SubscriptionState, Option<String>)> {
        let upkeep = &self.upkeep;
        let error = upkeep.last_error.clone();
        let is_live = self.view().live().is_some();
        let troubled = match is_live {
            true => SubscriptionState::Degraded,
            false => SubscriptionState::Pending,
        };
        if self.subscription.is_deleting {
            let reason = match &error {
                Some(error) => format!("it cannot be ended at the service: {error}"),
                None => "it is being ended at the service".to_owned(),
            };
            return Some((SubscriptionState::Degraded, Some(reason)));
        }
        if upkeep.retry_action == Some(SyncAction::Reconnect) {
            let reason = error.unwrap_or_else(|| "its credential needs reconnecting".to_owned());
            return Some((SubscriptionState::Degraded, Some(reason)));
        }
        if upkeep.retry_action.is_some() {
            return Some((troubled, error));
        }
        let has_ended = |at| at <= self.now();
        let ended = self.view().live().and_then(|live| live.expires_at);
        if let Some(at) = ended.filter(|at| has_ended(*at)) {
            let why = error.map_or_else(String::new, |error| format!(": {error}"));
            let reason =
                format!("its registration ended at {at} and could not be renewed yet{why}");
            return Some((SubscriptionState::Degraded, Some(reason)));
        }
        if upkeep.tries > TRIES_QUIET || (!is_live && upkeep.tries > 0) {
            return Some((troubled, error));
        }
        if !is_live {
            return Some((SubscriptionState::Pending, None));
        }
        if !upkeep.drift.is_empty() {
            return Some((SubscriptionState::Degraded, Some(self.drift_said())));
        }
        Some((SubscriptionState::Active, None))
    }

    /// Nobody finds out by silence: that it became degraded, or well again, is in the audit log, and
    /// is told to whom the workspace named.
    pub(super) fn tell_health(&mut self, health: Option<&(SubscriptionState, Option<String>)>) {
        let Some((now, reason)) = health else {
            return;
        };
        let before = self.subscription.state;
        if before == SubscriptionState::Paused || self.subscription.is_deleting {
            return;
        }
        let is_trouble = *now == SubscriptionState::Degraded;
        let was_trouble = before == SubscriptionState::Degraded;
        if is_trouble && !was_trouble {
            self.audit("subscription.degraded", json!({ "reason": reason }));
        }
        if was_trouble && *now == SubscriptionState::Active {
            self.audit("subscription.recovered", json!({}));
        }
    }

    fn drift_said(&self) -> String {
        let drift = &self.upkeep.drift;
        let policy = self.subscription.terms.policy;
        if drift.iter().any(|one| one.field == MISSING) {
            let what_to_do = match policy.missing {
                OnMissing::Report => ": make it anew with `policy: {missing: recreate}`",
                OnMissing::Recreate => "",
            };
            return format!("the service does not know it any more{what_to_do}");
        }
        let fields: Vec<&str> = drift.iter().map(|one| one.field.as_str()).collect();
        let what_to_do = match policy.drift {
            OnDrift::Adopt => "cannot be adopted",
            OnDrift::Repair => "is to be repaired",
            OnDrift::Report => "is left as it is",
        };
        format!(
            "the service holds it otherwise ({}), which {what_to_do}",
            brief(&fields.join(", "))
        )
    }

    /// A clock that was put back would leave renewals until too late: they are never later than what
    /// the registration's own end asks for.
    pub(super) fn mind_the_clock(&mut self) {
        let lease = self.service.facts().lease;
        let Some(expires_at) = self.view().live().and_then(|live| live.expires_at) else {
            self.upkeep.renew_at = None;
            return;
        };
        let latest = match lease {
            Some(lease) => {
                let before = i64::try_from(lease.renew_before.as_millis()).unwrap_or(i64::MAX);
                crate::clock::Millis(expires_at.0.saturating_sub(before))
            }
            None => expires_at,
        };
        let at = self
            .upkeep
            .renew_at
            .unwrap_or_else(|| times::renew_at(self.now(), expires_at, lease, random_fraction()));
        // One whose life is shorter than its margin has its own time, which is before its end.
        let is_late = at > latest && at > expires_at;
        self.upkeep.renew_at = Some(if is_late { latest.max(self.now()) } else { at });
    }
}
