//! What credentials need to know of providers, asked of the registry.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::Account;

use super::secrets::Secrets;
use crate::plugins::{AuthFacts, CallScope, Found, Registry};

/// The providers, as far as credentials concern them.
pub trait Providers: Send + Sync + 'static {
    /// How the service is signed in to; the error says why the provider cannot be asked.
    fn auth(&self, provider: &str) -> Result<Arc<AuthFacts>, String>;

    /// Whose credential is it? `Ok(None)`: the provider cannot tell.
    fn validate<'a>(
        &'a self,
        provider: &'a str,
        scope: Arc<CallScope>,
        credentials: Value,
    ) -> BoxFuture<'a, Result<Option<Account>, ValidateError>>;
}

/// Why a provider did not say whose credential it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// It is no good.
    #[error("{0}")]
    Refused(String),
    /// The service did not answer as it should; later it may.
    #[error("{0}")]
    Unavailable(String),
    /// The provider is not there.
    #[error("{0}")]
    NotLoaded(String),
}

impl ValidateError {
    /// Without the secrets that the service was shown.
    pub(super) fn without(self, secrets: &Secrets) -> ValidateError {
        match self {
            ValidateError::Refused(text) => ValidateError::Refused(secrets.hide_in(&text)),
            ValidateError::Unavailable(text) => ValidateError::Unavailable(secrets.hide_in(&text)),
            ValidateError::NotLoaded(text) => ValidateError::NotLoaded(text),
        }
    }
}

impl Providers for Registry {
    fn auth(&self, provider: &str) -> Result<Arc<AuthFacts>, String> {
        match self.find(provider) {
            Found::Live(live) => Ok(Arc::clone(&live.facts.auth)),
            Found::Down => Err(format!("the provider `{provider}` is not loaded now")),
            Found::Unknown => Err(format!("there is no provider `{provider}`")),
        }
    }

    fn validate<'a>(
        &'a self,
        provider: &'a str,
        scope: Arc<CallScope>,
        credentials: Value,
    ) -> BoxFuture<'a, Result<Option<Account>, ValidateError>> {
        async move {
            let Found::Live(live) = self.find(provider) else {
                let message = format!("the provider `{provider}` is not loaded now");
                return Err(ValidateError::NotLoaded(message));
            };
            match live
                .call_in(scope, "validate_credentials", credentials)
                .await
            {
                Ok(answer) => serde_json::from_slice(&answer).map(Some).map_err(|error| {
                    let message = format!("the provider's answer cannot be read: {error}");
                    ValidateError::Unavailable(message)
                }),
                Err(error) => unable(error),
            }
        }
        .boxed()
    }
}

fn unable(error: CallError) -> Result<Option<Account>, ValidateError> {
    let message = match &error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message,
    };
    match error.code {
        codes::UNSUPPORTED => Ok(None),
        codes::CREDENTIALS | codes::INVALID_INPUT | codes::NOT_FOUND => {
            Err(ValidateError::Refused(message))
        }
        _ => Err(ValidateError::Unavailable(message)),
    }
}
