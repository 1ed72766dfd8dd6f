//! Subscriptions opened at their provider, by endpoint.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{CallError, Dispatched, Request, SubscriptionHandle};

use crate::id::EndpointId;
use crate::model::{Registration, Subscription, SubscriptionMode};
use crate::plugins::LiveProvider;
use crate::store::{Store, StoreError};

/// For so long a subscription is used without a look at its row. Another host may have changed it.
const FRESH: Duration = Duration::from_secs(2);
/// More are not kept; those that were not used lately go first.
const KEPT_MAX: usize = 10_000;

/// A subscription and what its provider prepared for it.
pub struct Opened {
    /// As it is in the store.
    pub subscription: Subscription,
    /// One for each registration that is not gone, newest first: a request is genuine if one of
    /// them verifies it. One alone where the subscription was set up by hand.
    pub readers: Vec<Reader>,
    generation: u64,
}

/// What the provider prepared to read requests with.
pub struct Reader {
    /// For [`LiveProvider::dispatch`].
    pub handle: SubscriptionHandle,
    /// None: the subscription was set up by hand.
    pub registration: Option<Registration>,
}

impl Opened {
    /// Reads a request with the first that verifies it.
    pub fn dispatch(
        &self,
        live: &LiveProvider,
        request: &Request<'_>,
    ) -> Result<(Dispatched, &Reader), CallError> {
        let mut refusal = None;
        for reader in &self.readers {
            match live.dispatch(&reader.handle, request) {
                Ok(dispatched) => return Ok((dispatched, reader)),
                Err(error) if error.code == codes::UNAUTHENTICATED => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            live.dispatch_decoy(request);
            let message = "nothing was made at the service yet that could send this";
            CallError::new(codes::UNAUTHENTICATED, message.to_owned())
        }))
    }
}

/// Why a subscription could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The row cannot be read.
    #[error("the subscription cannot be read")]
    Store(#[from] StoreError),
    /// The provider does not take it.
    #[error("the provider refused the subscription: {}", .0.message)]
    Provider(CallError),
}

/// Opened subscriptions. Memory only: each is read again from its row after a moment.
pub struct OpenedSubscriptions {
    store: Store,
    public_url: String,
    kept: RwLock<HashMap<EndpointId, (Instant, Arc<Opened>)>>,
}

impl OpenedSubscriptions {
    /// `public_url` is how services reach this host, without a slash at its end.
    pub fn new(store: Store, public_url: String) -> OpenedSubscriptions {
        OpenedSubscriptions {
            store,
            public_url,
            kept: RwLock::default(),
        }
    }

    /// The subscription of an endpoint, if it is one of this provider's.
    pub async fn find(
        &self,
        live: &LiveProvider,
        endpoint: &EndpointId,
    ) -> Result<Option<Arc<Opened>>, OpenError> {
        let kept = self
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(endpoint)
            .cloned();
        match kept {
            Some((read_at, opened))
                if read_at.elapsed() < FRESH && opened.generation == live.generation =>
            {
                Ok(Some(opened))
            }
            kept => {
                self.read(live, endpoint, kept.map(|(_, opened)| opened))
                    .await
            }
        }
    }

    /// The same with a look at the row, for a request that failed against what was kept: its
    /// secret may have been changed a moment ago.
    pub async fn find_again(
        &self,
        live: &LiveProvider,
        endpoint: &EndpointId,
        before: Arc<Opened>,
    ) -> Result<Option<Arc<Opened>>, OpenError> {
        self.read(live, endpoint, Some(before)).await
    }

    /// Something changed: every subscription is read again from its row.
    pub fn forget(&self) {
        self.kept
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    async fn read(
        &self,
        live: &LiveProvider,
        endpoint: &EndpointId,
        before: Option<Arc<Opened>>,
    ) -> Result<Option<Arc<Opened>>, OpenError> {
        let row = self.store.subscription_by_endpoint(endpoint).await?;
        let Some(subscription) = row.filter(|row| row.provider == *live.name) else {
            self.kept
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(endpoint);
            return Ok(None);
        };
        let same = |opened: &Arc<Opened>| {
            opened.generation == live.generation
                && opened.subscription.id == subscription.id
                && opened.subscription.revision == subscription.revision
                && opened.subscription.state == subscription.state
        };
        let opened = match before.filter(same) {
            Some(opened) => opened,
            None => Arc::new(self.open(live, subscription).await?),
        };
        self.keep(endpoint, &opened);
        Ok(Some(opened))
    }

    async fn open(
        &self,
        live: &LiveProvider,
        subscription: Subscription,
    ) -> Result<Opened, OpenError> {
        let secrets_of_row = self.store.subscription_secrets(&subscription.id).await?;
        let address = format!(
            "{}/webhooks/{}/{}",
            self.public_url, subscription.provider, subscription.endpoint
        );
        let open = |registration: Option<Registration>| {
            let secrets = registration.as_ref().map(|one| &one.secrets);
            let secrets = secrets.or(secrets_of_row.as_ref());
            let secrets = match secrets {
                Some(secrets) => serde_json::from_str(secrets.expose()).unwrap_or(Value::Null),
                None => Value::Object(serde_json::Map::new()),
            };
            let properties = match &registration {
                Some(registration) => registration.all_properties(),
                None => subscription.properties.clone(),
            };
            let spec = serde_json::json!({
                "id": subscription.id,
                "key": registration.as_ref().map_or("", |one| one.id.as_str()),
                "endpoint_url": address,
                "parameters": subscription.parameters,
                "properties": properties,
                "secrets": secrets,
            });
            let handle = live
                .open_subscription(&spec.to_string())
                .map_err(OpenError::Provider)?;
            Ok::<_, OpenError>(Reader {
                handle,
                registration,
            })
        };
        let readers = match subscription.mode {
            SubscriptionMode::Manual => vec![open(None)?],
            SubscriptionMode::Managed => {
                let registrations = self.store.registrations(&subscription.id).await?;
                registrations
                    .into_iter()
                    .map(|one| open(Some(one)))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(Opened {
            readers,
            generation: live.generation,
            subscription,
        })
    }

    fn keep(&self, endpoint: &EndpointId, opened: &Arc<Opened>) {
        let now = Instant::now();
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (read_at, _)| now.duration_since(*read_at) < FRESH);
        }
        kept.insert(endpoint.clone(), (now, Arc::clone(opened)));
    }
}
