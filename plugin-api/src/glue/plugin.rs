//! The functions of the boundary over an author's provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_abi::plugin::{self, BoxedCall, Plugin, Services};
use trigger_plugin_abi::{
    CallError, Dispatched, EventCall as WireEventCall, Outcome as WireOutcome,
};

use super::services::WireHost;
use super::{Export, cold};
use crate::declaration::Declared;
use crate::host::Host;
use crate::messages::{EventCall, Headers, Request, Subscription, SubscriptionSpec, Trigger};
use crate::provider::{Dispatch, Event, Provider, Setup};
use crate::{Error, Result};

/// An author's provider, open.
pub struct ExportedPlugin<E: Export> {
    pub(super) provider: E::Provider,
    pub(super) host: Host,
}

/// What the host says when it opens a provider.
#[derive(Deserialize)]
struct SetupJson {
    #[serde(default)]
    config: Value,
    /// The files of another declaration than the embedded one, by path: how one generic library
    /// serves providers that are a declaration alone.
    #[serde(default)]
    declaration: Option<BTreeMap<String, String>>,
}

impl<E: Export> Plugin for ExportedPlugin<E> {
    type Subscription = Subscription;
    type Trigger = Trigger;

    fn create(services: Services, setup: &str) -> Result<Self, CallError> {
        let setup: SetupJson = read("setup", setup)?;
        let declared = Arc::new(Declared::from_bundle(&bundle::<E>(setup.declaration)?)?);
        let provider = E::Provider::open(Setup {
            config: setup.config,
            declared,
        })?;
        Ok(Self {
            provider,
            host: Host::new(Arc::new(WireHost(services))),
        })
    }

    fn open_subscription(&self, json: &str) -> Result<Subscription, CallError> {
        let spec: SubscriptionSpec = read("subscription", json)?;
        Ok(self.provider.declared().open_subscription(spec)?)
    }

    fn open_trigger(&self, event: &str, parameters: &str) -> Result<Trigger, CallError> {
        let parameters = read("parameters", parameters)?;
        let trigger = self.provider.declared().open_trigger(event, parameters)?;
        self.provider.check_trigger(&trigger)?;
        Ok(trigger)
    }

    fn dispatch(
        &self,
        subscription: &Subscription,
        request: &plugin::Request<'_>,
    ) -> Result<Dispatched, CallError> {
        Ok(self
            .provider
            .dispatch(subscription, &borrowed(request))?
            .into())
    }

    fn route(&self, request: &plugin::Request<'_>) -> Result<Option<String>, CallError> {
        Ok(self.provider.route(&borrowed(request))?)
    }

    fn on_event(
        &self,
        trigger: &Trigger,
        event: &WireEventCall<'_>,
    ) -> Result<WireOutcome, CallError> {
        let WireEventCall {
            event,
            payload,
            occurred_at_ms,
        } = *event;
        let call = EventCall {
            event,
            payload,
            occurred_at_ms,
        };
        Ok(self.provider.on_event(trigger, &call)?.into())
    }

    fn call(self: Arc<Self>, op: String, json: Vec<u8>) -> BoxedCall {
        Box::pin(async move { Ok(cold::answer(&self, &op, &json).await?) })
    }
}

fn bundle<E: Export>(files: Option<BTreeMap<String, String>>) -> Result<Bundle> {
    match files {
        Some(files) => {
            let files = files
                .into_iter()
                .map(|(path, text)| (path, text.into_bytes()));
            Ok(Bundle {
                files: files.collect(),
            })
        }
        None => Bundle::parse(E::BUNDLE).map_err(|error| Error::internal(error.to_string())),
    }
}

fn borrowed<'a>(request: &plugin::Request<'a>) -> Request<'a> {
    Request {
        method: request.method,
        path: request.path,
        query: request.query,
        headers: Headers::from(request.headers),
        body: request.body,
        received_at_ms: request.received_at_ms,
    }
}

/// The text is not quoted in the error: it holds secrets.
fn read<T: for<'de> Deserialize<'de>>(what: &str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Error::invalid_input(format!("the {what} is not the JSON it should be")).with_detail(place)
    })
}
