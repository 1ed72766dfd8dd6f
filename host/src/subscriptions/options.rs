//! The values that a parameter may have, searched and paged at the service.

use serde_json::{Map, Value};
use trigger_plugin_api::messages::{OptionsPage, OptionsQuery};

use super::failure::OperationError;
use super::operator::Subscriptions;
use crate::id::CredentialId;
use crate::sync::Calls;

/// Where to look.
#[derive(Clone, Debug)]
pub struct OptionsPlace {
    pub provider: String,
    pub credential_id: Option<CredentialId>,
    /// What was chosen for the other parameters.
    pub parameters: Map<String, Value>,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct OptionsOrder {
    pub parameter: String,
    /// What the user has typed.
    pub search: String,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl Subscriptions {
    pub async fn options(
        &self,
        place: &OptionsPlace,
        order: OptionsOrder,
    ) -> Result<OptionsPage, OperationError> {
        let service = self.service(&place.provider)?;
        let account = self.account(place.credential_id.as_ref()).await?;
        let calls = Calls::of(service, account.as_ref(), None);
        let query = OptionsQuery {
            parameter: order.parameter,
            search: order.search,
            cursor: order.cursor,
            parameters: place.parameters.clone(),
            credentials: calls.credentials(),
        };
        let answer = calls.ask("parameter_options", &query).await;
        self.answered(answer, account.as_ref()).await
    }
}
