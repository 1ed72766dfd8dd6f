//! Subscriptions.

use super::{Store, StoreError};
use crate::id::{EndpointId, SubscriptionId, WorkspaceId};
use crate::model::{Page, PageQuery, Subscription};
use crate::secret::Secret;

impl Store {
    /// A subscription of this workspace.
    pub async fn subscription(
        &self,
        workspace: &WorkspaceId,
        id: &SubscriptionId,
    ) -> Result<Option<Subscription>, StoreError> {
        todo!()
    }

    /// The subscription that listens at an endpoint.
    pub async fn subscription_by_endpoint(
        &self,
        endpoint: &EndpointId,
    ) -> Result<Option<Subscription>, StoreError> {
        todo!()
    }

    /// By its name.
    pub async fn subscription_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Subscription>, StoreError> {
        todo!()
    }

    /// Its secrets opened: a JSON object, value by field name.
    pub async fn subscription_secrets(
        &self,
        id: &SubscriptionId,
    ) -> Result<Option<Secret<String>>, StoreError> {
        todo!()
    }

    /// All of the instance, whatever the workspace, for routing.
    pub async fn all_subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        todo!()
    }

    /// Newest first.
    pub async fn list_subscriptions(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Subscription>, StoreError> {
        todo!()
    }
}
