//! Asking for one subscription.

use std::sync::Arc;
use std::time::Duration;

use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::ExistingSubscription;

use super::failure::OperationError;
use crate::clock::Clock;
use crate::id::{CredentialId, SubscriptionId};
use crate::model::{
    Actor, Change, Poke, Registration, RegistrationState, Subscription, SubscriptionMode,
};
use crate::secret::Secret;
use crate::store::Store;
use crate::sync::{Accounts, CallAccount, Calls, Engine, Service, Services};

/// Who waits for a subscription looks at it so often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What [`Subscriptions`] is made of.
pub struct SubscriptionsParts {
    pub store: Store,
    pub engine: Engine,
    pub services: Arc<dyn Services>,
    pub accounts: Arc<dyn Accounts>,
    pub clock: Clock,
    /// How services reach this host, without a slash at its end.
    pub public_url: String,
}

/// Answers what operators ask. Cheap to clone.
#[derive(Clone)]
pub struct Subscriptions(pub(super) Arc<SubscriptionsParts>);

/// What became of a subscription that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is gone, at the service and here.
    Gone,
    /// It is being ended; for this reason it could not be yet.
    Kept { reason: String },
}

impl Subscriptions {
    pub fn new(parts: SubscriptionsParts) -> Subscriptions {
        Subscriptions(Arc::new(parts))
    }

    /// Ends it at the service and here; with `force` only here.
    pub async fn delete(
        &self,
        actor: &Actor,
        subscription: &Subscription,
        force: bool,
    ) -> Result<Ended, OperationError> {
        let id = subscription.id.clone();
        if force {
            let change = Change::ForceDeleteSubscription(id);
            self.0.store.apply(actor, vec![change]).await?;
            return Ok(Ended::Gone);
        }
        let change = Change::DeleteSubscription(id.clone());
        self.0.store.apply(actor, vec![change]).await?;
        if self.0.store.subscription_upkeep(&id).await?.is_some() {
            self.0.engine.run_apart(&id).await?;
        }
        match self.0.store.subscription_upkeep(&id).await? {
            None => Ok(Ended::Gone),
            Some(row) => Ok(Ended::Kept {
                reason: row.subscription.state_reason.unwrap_or_default(),
            }),
        }
    }

    /// Returns when nothing is to be done now for these, or when the time is over.
    pub async fn until_settled(
        &self,
        ids: &[SubscriptionId],
        within: Duration,
    ) -> Result<(), OperationError> {
        let begun = tokio::time::Instant::now();
        for id in ids {
            loop {
                let now = self.0.clock.now();
                if self.0.store.is_subscription_settled(id, now).await? {
                    break;
                }
                if begun.elapsed() >= within {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Compares it with the service now, and does what follows.
    pub async fn check(&self, subscription: &Subscription) -> Result<(), OperationError> {
        self.poke(subscription, Poke::Check).await
    }

    /// Checks it, reads changes, and tries again what failed.
    pub async fn sync(&self, subscription: &Subscription) -> Result<(), OperationError> {
        self.poke(subscription, Poke::Everything).await
    }

    /// Asks the service to send something harmless.
    pub async fn test(&self, subscription: &Subscription) -> Result<(), OperationError> {
        self.check_managed(subscription)?;
        let live = self.live(subscription).await?;
        let credential = subscription.terms.credential_id.as_ref();
        let account = self.account(credential).await?;
        let calls = Calls::of(
            self.service(&subscription.provider)?,
            account.as_ref(),
            Some(subscription.id.clone()),
        );
        let held = ExistingSubscription {
            id: subscription.id.to_string(),
            endpoint_url: live.endpoint_url.clone(),
            external_id: live.external_id.clone(),
            key: live.id.to_string(),
            properties: live.all_properties(),
            secrets: texts(&live.secrets),
            parameters: live.parameters,
            events: live.events,
            credentials: calls.credentials(),
            expires_at_ms: live.expires_at.map(|at| at.0),
        };
        let answer: Result<(), CallError> = calls.ask("test", &held).await;
        self.answered(answer, account.as_ref()).await
    }

    async fn poke(&self, subscription: &Subscription, poke: Poke) -> Result<(), OperationError> {
        self.check_managed(subscription)?;
        let now = self.0.clock.now();
        self.0
            .store
            .poke_subscription(&subscription.id, poke, now)
            .await?;
        self.0.engine.run_apart(&subscription.id).await?;
        Ok(())
    }

    async fn live(&self, subscription: &Subscription) -> Result<Registration, OperationError> {
        let held = self.0.store.registrations(&subscription.id).await?;
        let live = held
            .into_iter()
            .find(|one| one.state == RegistrationState::Live);
        live.ok_or_else(|| {
            let reason = subscription.state_reason.as_ref();
            OperationError::NotMade(reason.map_or_else(String::new, |reason| format!(": {reason}")))
        })
    }

    fn check_managed(&self, subscription: &Subscription) -> Result<(), OperationError> {
        match subscription.mode {
            SubscriptionMode::Managed => Ok(()),
            SubscriptionMode::Manual => Err(OperationError::Manual(subscription.name.clone())),
        }
    }

    pub(super) fn service(&self, provider: &str) -> Result<Arc<dyn Service>, OperationError> {
        let found = self.0.services.find(provider);
        found.ok_or_else(|| OperationError::NotLoaded(provider.to_owned()))
    }

    pub(super) async fn account(
        &self,
        id: Option<&CredentialId>,
    ) -> Result<Option<CallAccount>, OperationError> {
        match id {
            Some(id) => Ok(Some(self.0.accounts.for_call(id).await?)),
            None => Ok(None),
        }
    }

    /// A refusal of the credential is noted at the credential.
    pub(super) async fn answered<T>(
        &self,
        answer: Result<T, CallError>,
        account: Option<&CallAccount>,
    ) -> Result<T, OperationError> {
        if let (Err(error), Some(account)) = (&answer, account)
            && error.code == codes::CREDENTIALS
        {
            self.0.accounts.mark_refused(account, &error.message).await;
        }
        answer.map_err(OperationError::Call)
    }
}

fn texts(secrets: &Secret<String>) -> std::collections::BTreeMap<String, String> {
    serde_json::from_str(secrets.expose()).unwrap_or_default()
}
