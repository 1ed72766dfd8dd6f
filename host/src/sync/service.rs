//! What the engine asks of others: of plugins, and of the keeper of credentials.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::declaration::FieldKind;
use trigger_plugin_api::messages;

use crate::clock::Millis;
use crate::credentials::CallCredential;
use crate::id::CredentialId;
use crate::plugins::sync_facts::SyncFacts;
use crate::plugins::{CallScope, LiveProvider, Registry};

/// The providers that serve.
pub trait Services: Send + Sync + 'static {
    fn find(&self, provider: &str) -> Option<Arc<dyn Service>>;

    /// The names of all of them.
    fn names(&self) -> Vec<String>;
}

/// One provider's plugin.
pub trait Service: Send + Sync + 'static {
    fn facts(&self) -> &SyncFacts;

    /// The names of the secrets that a registration of it has.
    fn secret_fields(&self) -> Vec<String>;

    /// A cold operation; arguments and answer are JSON.
    fn call<'a>(
        &'a self,
        scope: Arc<CallScope>,
        operation: &'static str,
        arguments: Value,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallError>>;
}

/// Who acts for us.
pub trait Accounts: Send + Sync + 'static {
    /// Prepares a call in the name of an account.
    fn for_call<'a>(
        &'a self,
        id: &'a CredentialId,
    ) -> BoxFuture<'a, Result<CallAccount, AccountRefusal>>;

    /// A plugin answered that the service refuses the credential. Whether it needs reconnecting
    /// now: it may have been renewed since the call was prepared.
    fn mark_refused<'a>(&'a self, account: &'a CallAccount, reason: &'a str)
    -> BoxFuture<'a, bool>;

    /// The service asked us to leave the account alone.
    fn throttle<'a>(&'a self, id: &'a CredentialId, until: Millis) -> BoxFuture<'a, ()>;
}

/// A credential as a call uses it.
#[derive(Clone)]
pub struct CallAccount {
    pub id: CredentialId,
    /// As the plugin sees it.
    pub credentials: messages::Credentials,
    pub base_url: Option<String>,
    /// The service asked us to leave it alone until then.
    pub throttled_until: Option<Millis>,
    /// As the keeper of credentials knows it.
    pub made_of: Option<CallCredential>,
}

/// Why no call can be made in the name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRefusal {
    /// An operator has to do something: reconnect it, give another one.
    Lasting(String),
    /// It may pass.
    Passing(String),
}

impl Services for Registry {
    fn find(&self, provider: &str) -> Option<Arc<dyn Service>> {
        self.live(provider).map(|live| live as Arc<dyn Service>)
    }

    fn names(&self) -> Vec<String> {
        let rows = self.rows().into_iter();
        rows.filter(|row| row.serving).map(|row| row.name).collect()
    }
}

impl Service for LiveProvider {
    fn facts(&self) -> &SyncFacts {
        &self.facts.sync
    }

    fn secret_fields(&self) -> Vec<String> {
        let fields = self.facts.subscription_schema.iter();
        fields
            .filter(|field| field.kind == FieldKind::Secret)
            .map(|field| field.name.clone())
            .collect()
    }

    fn call<'a>(
        &'a self,
        scope: Arc<CallScope>,
        operation: &'static str,
        arguments: Value,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallError>> {
        self.call_in(scope, operation, arguments).boxed()
    }
}
