//! Typed calls into a plugin, bounded in time.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages;

use super::service::{CallAccount, Service};
use crate::id::SubscriptionId;
use crate::plugins::CallScope;

/// No operation takes longer.
const CALL_MAX: Duration = Duration::from_secs(120);
/// Nobody answers with more, in bytes.
const ANSWER_MAX: usize = 16 << 20;
/// In characters, of each part of an error: services may answer with whole pages.
const ERROR_LEN_MAX: usize = 2000;

/// A plugin, in the name of an account.
pub struct Calls {
    service: Arc<dyn Service>,
    scope: Arc<CallScope>,
    credentials: messages::Credentials,
}

impl Calls {
    /// `subscription`: whose state the calls read and write.
    pub fn of(
        service: Arc<dyn Service>,
        account: Option<&CallAccount>,
        subscription: Option<SubscriptionId>,
    ) -> Calls {
        let scope = CallScope {
            subscription,
            credential: account.map(|account| account.id.clone()),
            base_url: account.and_then(|account| account.base_url.clone()),
        };
        let credentials = account.map(|account| account.credentials.clone());
        Calls {
            service,
            scope: Arc::new(scope),
            credentials: credentials.unwrap_or_default(),
        }
    }

    /// As plugins get it.
    pub fn credentials(&self) -> messages::Credentials {
        self.credentials.clone()
    }

    /// Asks, and reads the answer.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        arguments: &impl Serialize,
    ) -> Result<T, CallError> {
        let arguments = serde_json::to_value(arguments).map_err(|error| {
            let message = format!("the arguments of `{operation}` cannot be written: {error}");
            CallError::new(codes::HOST, message)
        })?;
        let call = self
            .service
            .call(Arc::clone(&self.scope), operation, arguments);
        let answer = tokio::time::timeout(CALL_MAX, call).await.map_err(|_| {
            let seconds = CALL_MAX.as_secs();
            let message = format!("`{operation}` took longer than {seconds} s");
            CallError::new(codes::CANCELLED, message)
        })?;
        let answer = answer.map_err(brief)?;
        if answer.len() > ANSWER_MAX {
            let size = answer.len();
            let message = format!(
                "found an answer of {size} bytes to `{operation}`, expected at most {ANSWER_MAX}"
            );
            return Err(CallError::new(codes::INTERNAL, message));
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let message = format!("the plugin's answer to `{operation}` cannot be read");
            let place = format!("line {}, column {}", error.line(), error.column());
            CallError {
                detail: Some(place),
                ..CallError::new(codes::INTERNAL, message)
            }
        })
    }
}

/// An error in as many words as are kept, shown and told.
fn brief(mut error: CallError) -> CallError {
    for text in [Some(&mut error.message), error.detail.as_mut()]
        .into_iter()
        .flatten()
    {
        if let Some((end, _)) = text.char_indices().nth(ERROR_LEN_MAX) {
            text.truncate(end);
            text.push('…');
        }
    }
    error
}

/// An error as an operator reads it.
pub fn said(error: &CallError) -> String {
    match &error.detail {
        Some(detail) => format!("{} ({detail})", error.message),
        None => error.message.clone(),
    }
}
