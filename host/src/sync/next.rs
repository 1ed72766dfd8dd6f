//! What is to be done next for a subscription, and when: a pure function of what is stored, so that
//! a run that was cut off anywhere is taken up again by the next.

use serde_json::{Map, Value};

use crate::clock::Millis;
use crate::id::RegistrationId;
use crate::model::{
    Registration, RegistrationState, Subscription, SubscriptionState, SyncAction, Upkeep,
};

/// What a registration should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub parameters: Map<String, Value>,
    pub events: Vec<String>,
    pub endpoint_url: String,
}

/// One step. Each leaves everything so that the next one can be found in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An earlier run was cut off while it made this one: nobody knows whether it exists.
    Lose(RegistrationId),
    /// End one at the service.
    Retire(RegistrationId),
    /// Nothing is at the service any more: the row goes.
    Remove,
    Make,
    Update,
    Renew,
    Check,
    Pull,
}

/// Everything that decides.
pub(super) struct View<'a> {
    pub subscription: &'a Subscription,
    pub upkeep: &'a Upkeep,
    /// Newest first.
    pub registrations: &'a [Registration],
    pub wanted: &'a Wanted,
}

impl View<'_> {
    /// The step to take now.
    pub fn step(&self, now: Millis) -> Option<Step> {
        if self.gate(now).is_some() {
            return None;
        }
        let structural = self.structural();
        let structural = structural.filter(|step| self.shut(self.action(step), now).is_none());
        structural.or_else(|| {
            self.timed()
                .find(|(at, _)| *at <= now)
                .map(|(_, step)| step)
        })
    }

    /// When the next step is due, and what it does.
    pub fn due(&self, now: Millis) -> (Option<Millis>, Option<SyncAction>) {
        let structural = self.structural();
        if let Some(at) = self.gate(now) {
            let timed = || self.timed().min_by_key(|(at, _)| *at).map(|(_, step)| step);
            let action = match self.upkeep.retry_action {
                Some(action) => Some(action),
                None => structural.or_else(timed).map(|step| self.action(&step)),
            };
            return (Some(at), action);
        }
        let structural = structural.map(|step| {
            let action = self.action(&step);
            (self.shut(action, now).unwrap_or(now), action)
        });
        let timed = self.timed().map(|(at, step)| (at, self.action(&step)));
        let first = structural
            .into_iter()
            .chain(timed)
            .min_by_key(|(at, _)| *at);
        (first.map(|(at, _)| at), first.map(|(_, action)| action))
    }

    /// The one that is the one.
    pub fn live(&self) -> Option<&Registration> {
        self.in_state(RegistrationState::Live)
    }

    /// In the words of an operator.
    pub fn action(&self, step: &Step) -> SyncAction {
        match step {
            Step::Remove => SyncAction::Delete,
            Step::Lose(_) | Step::Retire(_) if self.subscription.is_deleting => SyncAction::Delete,
            Step::Lose(_) | Step::Retire(_) => SyncAction::Retire,
            Step::Make => SyncAction::Make,
            Step::Update => SyncAction::Update,
            Step::Renew => SyncAction::Renew,
            Step::Check => SyncAction::Check,
            Step::Pull => SyncAction::Pull,
        }
    }

    /// Whether it was made in another name than the subscription has now. Only what is to become of
    /// it is asked of the service then: its id may mean something else where the new name leads.
    pub fn is_of_another(&self, live: &Registration) -> bool {
        let wanted = self.subscription.terms.credential_id.as_ref();
        let made_by = live.credential_id.as_ref();
        wanted.is_some() && made_by.is_some() && made_by != wanted
    }

    /// Until when nothing is done at all, after a failure.
    fn gate(&self, now: Millis) -> Option<Millis> {
        let shuts_all = matches!(self.upkeep.retry_action, None | Some(SyncAction::Reconnect));
        self.upkeep.retry_at.filter(|at| shuts_all && *at > now)
    }

    /// Until when this is not done.
    fn shut(&self, action: SyncAction, now: Millis) -> Option<Millis> {
        let is_shut = self.upkeep.retry_action == Some(action);
        self.upkeep.retry_at.filter(|at| is_shut && *at > now)
    }

    /// What the rows themselves ask for, whatever the time.
    fn structural(&self) -> Option<Step> {
        let id = |one: &Registration| one.id.clone();
        if let Some(cut_off) = self.in_state(RegistrationState::Making) {
            return Some(Step::Lose(id(cut_off)));
        }
        if self.subscription.is_deleting {
            let first = self.registrations.first();
            return Some(first.map_or(Step::Remove, |one| Step::Retire(id(one))));
        }
        if let Some(lost) = self.in_state(RegistrationState::Lost) {
            return Some(Step::Retire(id(lost)));
        }
        let Some(live) = self.live() else {
            return Some(Step::Make);
        };
        if live.parameters != self.wanted.parameters
            || live.events != self.wanted.events
            || live.endpoint_url != self.wanted.endpoint_url
            || self.is_of_another(live)
        {
            // It may be refused for good; what has a successor is ended all the same.
            let old = self.in_state(RegistrationState::Old);
            let is_refused = self.upkeep.retry_action == Some(SyncAction::Update);
            return match old.filter(|_| is_refused) {
                Some(old) => Some(Step::Retire(id(old))),
                None => Some(Step::Update),
            };
        }
        self.in_state(RegistrationState::Old)
            .map(|old| Step::Retire(id(old)))
    }

    /// What has its time, in the order in which it is done if all of it is due.
    fn timed(&self) -> impl Iterator<Item = (Millis, Step)> {
        let live = self.live().filter(|live| !self.is_of_another(live));
        let is_there = live.is_some() && !self.subscription.is_deleting;
        let is_paused = self.subscription.state == SubscriptionState::Paused;
        let times = [
            (self.upkeep.renew_at, Step::Renew),
            (self.upkeep.check_at, Step::Check),
            (self.upkeep.pull_at.filter(|_| !is_paused), Step::Pull),
        ];
        times
            .into_iter()
            .filter(move |_| is_there)
            .filter_map(|(at, step)| Some((at?, step)))
    }

    fn in_state(&self, state: RegistrationState) -> Option<&Registration> {
        self.registrations.iter().find(|one| one.state == state)
    }
}

#[cfg(test)]
mod tests;
