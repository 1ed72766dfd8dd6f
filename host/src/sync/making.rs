//! Making registrations, renewing them, ending them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::{CreatedSubscription, NewSubscription};

use super::calls::said;
use super::next::Wanted;
use super::run::{Cut, Run, StepError, texts};
use super::service::AccountRefusal;
use super::times;
use crate::clock::{random, random_fraction};
use crate::id::{CredentialId, RegistrationId};
use crate::model::{
    NewRegistration, Registration, RegistrationAnswer, RegistrationChange, RegistrationState,
};
use crate::plugins::sync_facts::Renewal;
use crate::secret::Secret;

/// As many random bytes as a secret has.
const SECRET_LEN: usize = 32;
/// More is not kept of what a service says of a registration, in bytes as JSON.
const ANSWER_MAX: usize = 64 << 10;

impl Run<'_> {
    /// Makes one at the service, beside the one that lives, if one does. Row and secrets are
    /// committed before the service is called: it may call back before it answers.
    pub(super) async fn make(&mut self) -> Result<(), StepError> {
        let id = RegistrationId::generate(self.now());
        let secrets = self.new_secrets();
        self.change(RegistrationChange::Insert(NewRegistration {
            id: id.clone(),
            credential_id: self.subscription.terms.credential_id.clone(),
            endpoint_url: self.wanted.endpoint_url.clone(),
            parameters: self.wanted.parameters.clone(),
            events: self.wanted.events.clone(),
            secrets: sealed(&secrets),
        }));
        self.flush().await?;
        let calls = self.calls();
        let new = NewSubscription {
            id: self.subscription.id.to_string(),
            endpoint_url: self.wanted.endpoint_url.clone(),
            parameters: self.wanted.parameters.clone(),
            events: self.wanted.events.clone(),
            credentials: calls.credentials(),
            key: id.to_string(),
            secrets,
        };
        let created = calls.ask("create", &new).await;
        let created = match created.and_then(check_size) {
            Ok(created) => created,
            Err(error) => {
                // Whatever went wrong may have gone wrong after it was made.
                let state = RegistrationState::Lost;
                self.change(RegistrationChange::State { id, state });
                return Err(error.into());
            }
        };
        let before = self.view().live().cloned();
        let was_heard = before
            .as_ref()
            .is_some_and(|before| !self.has_ended(before));
        let is_first = before.is_none();
        if let Some(before) = before {
            self.change(RegistrationChange::State {
                id: before.id,
                state: RegistrationState::Old,
            });
        }
        self.keep_answer(&id, created);
        self.change(RegistrationChange::State {
            id: id.clone(),
            state: RegistrationState::Live,
        });
        self.upkeep.drift.clear();
        self.schedule_after_making(was_heard);
        if is_first {
            self.audit("subscription.made", json!({ "registration": id }));
        }
        self.keep_made(&id).await
    }

    /// Who lost the lease while the service was asked ends what only he knows of.
    async fn keep_made(&mut self, id: &RegistrationId) -> Result<(), StepError> {
        let made = self.registrations.iter().find(|one| one.id == *id).cloned();
        let kept = self.flush().await;
        if let (Err(Cut::LeaseLost), Some(made)) = (&kept, made) {
            let ended: Result<(), CallError> =
                self.calls().ask("delete", &self.existing(&made)).await;
            if let Err(error) = ended
                && error.code != codes::NOT_FOUND
            {
                let subscription = &self.subscription.id;
                tracing::warn!(
                    %subscription,
                    "what was made too late could not be ended at the service: {}",
                    said(&error)
                );
            }
        }
        Ok(kept?)
    }

    /// Renews the lease of the one that lives.
    pub(super) async fn renew(&mut self) -> Result<(), StepError> {
        let lease = self.service.facts().lease;
        let Some(live) = self.view().live().cloned() else {
            self.upkeep.renew_at = None;
            return Ok(());
        };
        if lease.is_some_and(|lease| lease.renew == Renewal::Recreate) {
            return self.make().await;
        }
        match self.calls().ask("refresh", &self.existing(&live)).await {
            Ok(answer) => {
                if self.has_ended(&live) {
                    self.pull_what_was_missed();
                }
                self.keep_renewed(&live, check_size(answer)?);
                self.schedule_renewal();
                Ok(())
            }
            Err(error) if error.code == codes::UNSUPPORTED => self.make().await,
            Err(error) if error.code == codes::NOT_FOUND => {
                self.upkeep.renew_at = None;
                self.found_missing(&said(&error));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends one at the service; one that is gone there already is fine.
    pub(super) async fn retire(&mut self, id: &RegistrationId) -> Result<(), StepError> {
        let Some(registration) = self.registrations.iter().find(|one| one.id == *id).cloned()
        else {
            return Ok(());
        };
        let ended = self.end_at_service(&registration).await;
        match ended {
            Ok(()) => {}
            Err(StepError::Call(error)) if error.code == codes::NOT_FOUND => {}
            Err(StepError::Call(error)) if self.may_be_dropped(&registration, error.code) => {
                let what = match registration.state {
                    RegistrationState::Lost => "what a making that was cut short may have left",
                    _ => "a registration that has ended",
                };
                self.note(format!(
                    "{what} could not be ended at the service: {}",
                    said(&error)
                ));
            }
            Err(error) => return Err(error),
        }
        self.change(RegistrationChange::Delete(id.clone()));
        if self.subscription.is_deleting {
            self.audit("subscription.ended", json!({ "registration": id }));
        }
        Ok(())
    }

    /// In the name in which it was made.
    async fn end_at_service(&self, registration: &Registration) -> Result<(), StepError> {
        let own = &self.subscription.terms.credential_id;
        let other = registration.credential_id.as_ref();
        let other = other.filter(|other| own.as_ref() != Some(*other));
        let is_others = other.is_some();
        let ended = match other {
            Some(other) => self.end_in_name_of(other, registration).await,
            None => {
                self.calls()
                    .ask("delete", &self.existing(registration))
                    .await
            }
        };
        match ended {
            Err(error)
                if error.code == codes::CREDENTIALS && self.may_end(registration).await? =>
            {
                let held = self.existing(registration);
                Ok(self.calls().ask("delete", &held).await?)
            }
            // All else goes on with the credential that the subscription has now.
            Err(error) if error.code == codes::CREDENTIALS && is_others => {
                let told = said(&error);
                let message = format!("the credential it was made with is refused: {told}");
                Err(CallError::new(codes::INVALID_INPUT, message).into())
            }
            ended => Ok(ended?),
        }
    }

    /// Whether the credential of now may end what was made with another one that is refused.
    async fn may_end(&self, registration: &Registration) -> Result<bool, StepError> {
        let own = self.subscription.terms.credential_id.as_ref();
        let other = registration.credential_id.as_ref();
        Ok(own.is_some()
            && other.is_some()
            && own != other
            && self.is_same_place(registration).await?)
    }

    async fn end_in_name_of(
        &self,
        credential: &CredentialId,
        registration: &Registration,
    ) -> Result<(), CallError> {
        let account = match self.engine.accounts.for_call(credential).await {
            Ok(account) => account,
            Err(AccountRefusal::Lasting(reason)) => {
                return Err(CallError::new(codes::CREDENTIALS, reason));
            }
            Err(AccountRefusal::Passing(reason)) => {
                return Err(CallError::new(codes::UPSTREAM, reason));
            }
        };
        let calls = self.calls_of(Some(&account));
        let ended = calls
            .ask("delete", &self.existing_for(registration, &calls))
            .await;
        if let Err(error) = &ended
            && error.code == codes::CREDENTIALS
        {
            self.engine
                .accounts
                .mark_refused(&account, &said(error))
                .await;
        }
        ended
    }

    /// A refusal for good holds nothing up where most likely nothing is there.
    fn may_be_dropped(&self, registration: &Registration, code: u32) -> bool {
        let is_final = matches!(code, codes::INVALID_INPUT | codes::UNSUPPORTED);
        let is_over = registration.expires_at.is_some_and(|at| at <= self.now());
        is_final && (registration.state == RegistrationState::Lost || is_over)
    }

    /// What the service answered about one that is now as it is wanted; what it leaves out stays.
    pub(super) fn keep_answer(&mut self, id: &RegistrationId, answer: CreatedSubscription) {
        let wanted = self.wanted.clone();
        self.keep_answer_as(id, answer, wanted);
    }

    /// What it answered about one that is otherwise as it was.
    fn keep_renewed(&mut self, live: &Registration, answer: CreatedSubscription) {
        let held = Wanted {
            parameters: live.parameters.clone(),
            events: live.events.clone(),
            endpoint_url: live.endpoint_url.clone(),
        };
        self.keep_answer_as(&live.id, answer, held);
    }

    fn keep_answer_as(&mut self, id: &RegistrationId, answer: CreatedSubscription, now_is: Wanted) {
        let now = self.now();
        let Some(held) = self.registrations.iter().find(|one| one.id == *id) else {
            return;
        };
        let mut secrets = texts(&held.secrets);
        let is_new = answer
            .secrets
            .iter()
            .any(|(name, value)| secrets.get(name) != Some(value));
        secrets.extend(answer.secrets);
        let lifetime = self.service.facts().lease.map(|lease| lease.lifetime);
        let told = answer.expires_at_ms.map(crate::clock::Millis);
        let answer = RegistrationAnswer {
            credential_id: self.subscription.terms.credential_id.clone(),
            external_id: match answer.external_id.is_empty() {
                true => held.external_id.clone(),
                false => answer.external_id,
            },
            endpoint_url: now_is.endpoint_url,
            parameters: now_is.parameters,
            events: now_is.events,
            properties: match answer.properties.is_empty() {
                true => held.properties.clone(),
                false => answer.properties,
            },
            secrets: is_new.then(|| sealed(&secrets)),
            expires_at: told.or_else(|| lifetime.map(|lifetime| now.plus(lifetime))),
        };
        let id = id.clone();
        self.change(RegistrationChange::Answered { id, answer });
    }

    pub(super) fn schedule_renewal(&mut self) {
        let lease = self.service.facts().lease;
        let expires_at = self.view().live().and_then(|live| live.expires_at);
        self.upkeep.renew_at =
            expires_at.map(|at| times::renew_at(self.now(), at, lease, random_fraction()));
    }

    /// Nothing is heard of one that has ended.
    fn has_ended(&self, registration: &Registration) -> bool {
        registration.expires_at.is_some_and(|at| at <= self.now())
    }

    /// What happened while nothing was there is read, and a first cursor is fetched.
    pub(super) fn pull_what_was_missed(&mut self) {
        if self.service.facts().pull.is_some() || self.upkeep.pulled_at.is_some() {
            self.upkeep.pull_at = Some(self.now());
        }
    }

    fn schedule_after_making(&mut self, was_heard: bool) {
        self.schedule_renewal();
        let check_every = self.service.facts().check_every;
        self.upkeep.check_at =
            check_every.map(|every| times::next(self.now(), every, random_fraction()));
        if !was_heard {
            self.pull_what_was_missed();
        }
    }

    fn new_secrets(&self) -> BTreeMap<String, String> {
        let fields = self.service.secret_fields().into_iter();
        fields
            .map(|field| {
                let mut bytes = [0u8; SECRET_LEN];
                random(&mut bytes);
                (field, URL_SAFE_NO_PAD.encode(bytes))
            })
            .collect()
    }
}

fn sealed(secrets: &BTreeMap<String, String>) -> Secret<String> {
    Secret::new(json!(secrets).to_string())
}

/// What is too large to be kept is refused as a whole.
pub(super) fn check_size(answer: CreatedSubscription) -> Result<CreatedSubscription, CallError> {
    let size = json!(answer).to_string().len();
    if size <= ANSWER_MAX {
        return Ok(answer);
    }
    let message = format!("found an answer of {size} bytes, expected at most {ANSWER_MAX}");
    Err(CallError::new(codes::INTERNAL, message))
}
