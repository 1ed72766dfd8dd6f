//! What all of it works with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, broadcast, watch};
use tokio_util::task::TaskTracker;

use super::attach::Unsaved;
use super::client::Client;
use super::refreshing::Renewal;
use crate::clock::Clock;
use crate::id::{CredentialId, HostId, IntegrationId, WorkspaceId};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::plugins::AuthFacts;
use crate::store::{Store, StoreError};

use super::providers::Providers;

/// How many changes a slow listener may be behind.
const CHANGES_KEPT: usize = 256;

/// What [`Credentials`] is made of.
pub struct CredentialsParts {
    pub store: Store,
    pub providers: Arc<dyn Providers>,
    pub outbound: Outbound,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// Of this host, for leases.
    pub owner: HostId,
    /// What addresses of this host start with, without a slash at the end.
    pub public_base: String,
}

/// Holds credentials. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Credentials(pub(super) Arc<Inner>);

/// The generation that is replaced, and what will have become of it.
pub(super) type UnderWay = (i64, watch::Receiver<Option<Renewal>>);

pub(super) struct Inner {
    pub store: Store,
    pub providers: Arc<dyn Providers>,
    pub outbound: Outbound,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub owner: HostId,
    pub public_base: String,
    /// Renewals under way here.
    pub renewals: Mutex<HashMap<CredentialId, UnderWay>>,
    /// Those that go on when whoever asked for them is gone.
    pub tasks: TaskTracker,
    /// Credentials that are tried before they are kept.
    pub unsaved: Mutex<HashMap<CredentialId, Arc<Unsaved>>>,
    /// Told when an account was connected, or was not.
    pub connected: Notify,
    /// Told when the time of the next renewal may have changed.
    pub due: Arc<Notify>,
    pub changes: broadcast::Sender<CredentialId>,
}

impl Credentials {
    pub fn new(parts: CredentialsParts) -> Credentials {
        Credentials(Arc::new(Inner {
            store: parts.store,
            providers: parts.providers,
            outbound: parts.outbound,
            clock: parts.clock,
            metrics: parts.metrics,
            owner: parts.owner,
            public_base: parts.public_base,
            renewals: Mutex::default(),
            tasks: TaskTracker::new(),
            unsaved: Mutex::default(),
            connected: Notify::new(),
            due: Arc::new(Notify::new()),
            changes: broadcast::channel(CHANGES_KEPT).0,
        }))
    }

    /// Told whenever [`Credentials::tick`] should look again.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.0.due)
    }

    /// Hears of credentials that became good, or no good, on this host.
    pub fn changes(&self) -> broadcast::Receiver<CredentialId> {
        self.0.changes.subscribe()
    }

    /// Says that a credential was changed or deleted.
    pub fn announce(&self, id: &CredentialId) {
        // Nobody may listen.
        let _ = self.0.changes.send(id.clone());
        self.0.due.notify_one();
    }

    /// Waits for renewals under way, whose tokens would else be lost. No new one may begin.
    pub async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// The client that a credential came from, or is to come from. The inner error says what is
    /// missing.
    pub(super) async fn client(
        &self,
        auth: &AuthFacts,
        workspace: &WorkspaceId,
        integration: Option<&IntegrationId>,
    ) -> Result<Result<Client, String>, StoreError> {
        let Some(id) = integration else {
            return Ok(Client::of(auth, None));
        };
        let Some(integration) = self.0.store.integration(workspace, id).await? else {
            return Ok(Err("its integration is gone".to_owned()));
        };
        let secret = self.0.store.integration_secret(id).await?;
        Ok(Client::of(auth, Some((&integration, secret))))
    }

    /// Where the service of a credential is.
    pub(super) async fn base_url(
        &self,
        auth: &AuthFacts,
        workspace: &WorkspaceId,
        integration: Option<&IntegrationId>,
    ) -> Result<Option<String>, StoreError> {
        let own = match integration {
            Some(id) => self.0.store.integration(workspace, id).await?,
            None => None,
        };
        let own = own.and_then(|integration| integration.base_url);
        Ok(own.or_else(|| auth.base_url.clone()))
    }

    pub(super) fn unsaved(&self, id: &CredentialId) -> Option<Arc<Unsaved>> {
        let unsaved = self.0.unsaved.lock();
        let unsaved = unsaved.unwrap_or_else(PoisonError::into_inner);
        unsaved.get(id).cloned()
    }
}
