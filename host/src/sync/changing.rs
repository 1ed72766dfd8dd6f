//! Giving the service what is wanted by now.

use serde_json::json;
use trigger_plugin_abi::codes;
use trigger_plugin_api::messages::SubscriptionChange;

use super::calls::said;
use super::run::{Run, StepError};
use crate::model::Registration;

impl Run<'_> {
    /// Other parameters, events, or another address of ours.
    pub(super) async fn update(&mut self) -> Result<(), StepError> {
        let Some(live) = self.view().live().cloned() else {
            return Ok(());
        };
        self.send_update(&live).await?;
        self.audit("subscription.changed", json!({ "registration": live.id }));
        Ok(())
    }

    /// Changes one in place; where that cannot be, a second one is made and the first one ended.
    pub(super) async fn send_update(&mut self, live: &Registration) -> Result<(), StepError> {
        let change = SubscriptionChange {
            subscription: self.existing(live),
            parameters: self.wanted.parameters.clone(),
            events: self.wanted.events.clone(),
            endpoint_url: self.wanted.endpoint_url.clone(),
        };
        match self.calls().ask("update", &change).await {
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
}
