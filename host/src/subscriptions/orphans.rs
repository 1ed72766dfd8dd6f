//! Orphans: what a service holds that sends to this host and belongs to nothing here.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::{ExistingSubscription, HeldSubscription, ListRequest};

use super::failure::OperationError;
use super::operator::Subscriptions;
use crate::id::{CredentialId, EndpointId, WorkspaceId};
use crate::model::{PageQuery, SubscriptionMode};
use crate::sync::Calls;

/// Where to look.
#[derive(Clone, Debug)]
pub struct OrphanSearch {
    pub provider: String,
    pub credential_id: Option<CredentialId>,
    /// One place, by the provider's parameters; none: wherever subscriptions of this workspace are.
    pub parameters: Option<Map<String, Value>>,
}

/// One that belongs to nothing here.
#[derive(Clone, Debug)]
pub struct Orphan {
    pub held: HeldSubscription,
    /// Where it was found.
    pub parameters: Map<String, Value>,
}

impl Subscriptions {
    /// Finds them. Each place is asked once.
    pub async fn orphans(
        &self,
        workspace: &WorkspaceId,
        search: &OrphanSearch,
    ) -> Result<Vec<Orphan>, OperationError> {
        let places = match &search.parameters {
            Some(parameters) => vec![parameters.clone()],
            None => self.places(workspace, search).await?,
        };
        let service = self.service(&search.provider)?;
        let account = self.account(search.credential_id.as_ref()).await?;
        let calls = Calls::of(service, account.as_ref(), None);
        let mut seen = BTreeSet::new();
        let mut orphans = Vec::new();
        for parameters in places {
            let request = ListRequest {
                parameters: parameters.clone(),
                credentials: calls.credentials(),
            };
            let answer = calls.ask("list", &request).await;
            let held: Vec<HeldSubscription> = self.answered(answer, account.as_ref()).await?;
            for held in held {
                let is_new = seen.insert(held.external_id.clone());
                if is_new && self.is_orphan(&search.provider, &held).await? {
                    orphans.push(Orphan {
                        held,
                        parameters: parameters.clone(),
                    });
                }
            }
        }
        Ok(orphans)
    }

    /// Ends one at the service.
    pub async fn delete_orphan(
        &self,
        search: &OrphanSearch,
        orphan: &Orphan,
    ) -> Result<(), OperationError> {
        let service = self.service(&search.provider)?;
        let account = self.account(search.credential_id.as_ref()).await?;
        let calls = Calls::of(service, account.as_ref(), None);
        let held = ExistingSubscription {
            endpoint_url: orphan.held.endpoint_url.clone(),
            external_id: orphan.held.external_id.clone(),
            parameters: orphan.parameters.clone(),
            properties: orphan.held.properties.clone(),
            events: orphan.held.events.clone(),
            credentials: calls.credentials(),
            ..ExistingSubscription::default()
        };
        let answer: Result<(), CallError> = calls.ask("delete", &held).await;
        match answer {
            Err(error) if error.code == codes::NOT_FOUND => Ok(()),
            answer => self.answered(answer, account.as_ref()).await,
        }
    }

    /// It sends to this host, and neither its address nor its id is of something here.
    async fn is_orphan(
        &self,
        provider: &str,
        held: &HeldSubscription,
    ) -> Result<bool, OperationError> {
        let ours = format!("{}/webhooks/{provider}/", self.0.public_url);
        let Some(endpoint) = held.endpoint_url.strip_prefix(&ours) else {
            return Ok(false);
        };
        let Ok(endpoint) = endpoint.parse::<EndpointId>() else {
            return Ok(true);
        };
        let Some(row) = self.0.store.subscription_by_endpoint(&endpoint).await? else {
            return Ok(true);
        };
        if row.mode == SubscriptionMode::Manual {
            return Ok(false);
        }
        let registrations = self.0.store.registrations(&row.id).await?;
        // One without an id may be any of those that the service holds.
        let is_known = registrations
            .iter()
            .any(|one| one.external_id.is_empty() || one.external_id == held.external_id);
        Ok(!is_known)
    }

    /// Where subscriptions of this workspace are, with this credential.
    async fn places(
        &self,
        workspace: &WorkspaceId,
        search: &OrphanSearch,
    ) -> Result<Vec<Map<String, Value>>, OperationError> {
        let mut places = Vec::new();
        let mut page = PageQuery::first(PageQuery::LIMIT_MAX);
        loop {
            let found = self.0.store.list_subscriptions(workspace, &page).await?;
            for row in found.items {
                let is_there = row.mode == SubscriptionMode::Managed
                    && row.provider == search.provider
                    && row.terms.credential_id == search.credential_id;
                if is_there && !places.contains(&row.parameters) {
                    places.push(row.parameters);
                }
            }
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        if places.is_empty() {
            places.push(Map::new());
        }
        Ok(places)
    }
}
