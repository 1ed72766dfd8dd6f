//! A provider that is open.

use std::future::Future;
use std::sync::Arc;

use abi_stable::std_types::{RStr, RVec};

use super::call::Call;
use super::handle::{HeaderBuffer, Request, SubscriptionHandle, TriggerHandle};
use crate::layout::WireProvider;
use crate::{CallError, Level};

/// An open provider. Clones are the same one; it is let go with the last clone, handle or call.
#[derive(Clone)]
pub struct Provider(pub(super) Arc<Opened>);

pub(super) struct Opened {
    pub(super) wire: WireProvider,
    abi: (u16, u16),
}

impl Provider {
    pub(super) fn new(wire: WireProvider, abi: (u16, u16)) -> Self {
        Self(Arc::new(Opened { wire, abi }))
    }

    /// Major and minor version of the interface in its library.
    #[must_use]
    pub fn abi(&self) -> (u16, u16) {
        self.0.abi
    }

    /// From here on the provider sends no line of log that is quieter than this.
    pub fn set_log_level(&self, level: Level) {
        self.0.wire.vtable.set_log_level()(self.0.wire.context, level.as_u32());
    }

    /// Prepares a subscription, once for each of its revisions:
    /// `{"id","endpoint_url","parameters":{},"properties":{},"secrets":{}}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_subscription(&self, json: &str) -> Result<SubscriptionHandle, CallError> {
        let open = self.0.wire.vtable.open_subscription();
        let handle = open(self.0.wire.context, RStr::from_str(json)).into_result()?;
        Ok(SubscriptionHandle::new(self.clone(), handle))
    }

    /// Compiles a trigger, once for each of its revisions.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a mistake in the parameters.
    pub fn open_trigger(
        &self,
        event: &str,
        parameters_json: &str,
    ) -> Result<TriggerHandle, CallError> {
        let open = self.0.wire.vtable.open_trigger();
        let (event, parameters) = (RStr::from_str(event), RStr::from_str(parameters_json));
        let handle = open(self.0.wire.context, event, parameters).into_result()?;
        Ok(TriggerHandle::new(self.clone(), handle))
    }

    /// For a service that posts everything to one address: the key that finds the subscription.
    ///
    /// # Errors
    /// What the sender is answered with.
    pub fn route(&self, request: &Request<'_>) -> Result<Option<String>, CallError> {
        let headers = HeaderBuffer::of(request);
        let route = self.0.wire.vtable.route();
        let key = route(self.0.wire.context, &headers.request(request)).into_result()?;
        Ok(key.into_option().map(String::from))
    }

    /// Everything that is not a hot path: an operation by name, JSON in and out. Nothing happens
    /// until the future is polled; dropping it gives the operation up.
    pub fn call(
        &self,
        op: &str,
        json: String,
    ) -> impl Future<Output = Result<Vec<u8>, CallError>> + Send + use<> {
        let provider = self.clone();
        let op = op.to_owned();
        async move {
            let call = provider.0.wire.vtable.call();
            let json = RVec::from(json.into_bytes());
            let future = call(provider.0.wire.context, RStr::from_str(&op), json);
            Call::new(provider, future).await
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.wire.vtable.release()(self.wire.context);
    }
}
