//! Giving the service what is wanted by now.

use serde_json::json;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::{CreatedSubscription, SubscriptionChange};

use super::calls::said;
use super::making::check_size;
use super::run::{Cut, Run, StepError};
use crate::model::{Credential, Registration};

impl Run<'_> {
    /// Other parameters, events, or another address of ours.
    pub(super) async fn update(&mut self) -> Result<(), StepError> {
        let Some(live) = self.view().live().cloned() else {
            return Ok(());
        };
        if self.view().is_of_another(&live) {
            self.hand_over(&live).await?;
        } else {
            self.send_update(&live).await?;
        }
        self.audit("subscription.changed", json!({ "registration": live.id }));
        Ok(())
    }

    /// It was made in another name. At the same place the new name may do with it what it likes, if
    /// the service lets it; else a second one is made, and the first ended in the name it has.
    async fn hand_over(&mut self, live: &Registration) -> Result<(), StepError> {
        if !self.is_same_place(live).await? {
            return self.make().await;
        }
        match self.ask_update(live).await {
            Ok(answer) => {
                self.keep_answer(&live.id, answer);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.code,
                    codes::UNSUPPORTED | codes::NOT_FOUND | codes::INVALID_INPUT
                ) =>
            {
                self.make().await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the credential it was made with leads to the same service as that of now.
    pub(super) async fn is_same_place(&self, live: &Registration) -> Result<bool, StepError> {
        let (Some(before), Some(now)) =
            (&live.credential_id, &self.subscription.terms.credential_id)
        else {
            return Ok(true);
        };
        let store = &self.engine.store;
        let workspace = &self.subscription.workspace_id;
        let before = store
            .credential(workspace, before)
            .await
            .map_err(Cut::Store)?;
        let now = store.credential(workspace, now).await.map_err(Cut::Store)?;
        let integration = |one: Option<Credential>| one.map(|one| one.integration_id);
        Ok(integration(before) == integration(now))
    }

    /// Changes one in place; where that cannot be, a second one is made and the first one ended.
    pub(super) async fn send_update(&mut self, live: &Registration) -> Result<(), StepError> {
        match self.ask_update(live).await {
            Ok(answer) => {
                self.keep_answer(&live.id, answer);
                if live.expires_at.is_some() {
                    self.schedule_renewal();
                }
                Ok(())
            }
            Err(error) if error.code == codes::UNSUPPORTED => self.make().await,
            Err(error) if error.code == codes::NOT_FOUND => {
                self.found_missing(&said(&error));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn ask_update(&self, live: &Registration) -> Result<CreatedSubscription, CallError> {
        let change = SubscriptionChange {
            subscription: self.existing(live),
            parameters: self.wanted.parameters.clone(),
            events: self.wanted.events.clone(),
            endpoint_url: self.wanted.endpoint_url.clone(),
        };
        self.calls()
            .ask("update", &change)
            .await
            .and_then(check_size)
    }
}
