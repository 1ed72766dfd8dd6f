//! What plugins keep for their subscriptions, kept in the store.

use serde_json::{Map, Value};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;

use crate::id::SubscriptionId;
use crate::plugins::services::{Kept, StateKeeper};
use crate::store::{Store, StoreError};

/// In bytes.
pub(super) const KEY_MAX: usize = 256;
/// In bytes, as JSON.
pub(super) const VALUE_MAX: usize = 16 << 10;

/// State in the store's own table.
pub struct KeptState(pub Store);

impl StateKeeper for KeptState {
    fn read(&self, subscription: &SubscriptionId, keys: Vec<String>) -> Kept<Map<String, Value>> {
        let (store, subscription) = (self.0.clone(), subscription.clone());
        Box::pin(async move {
            let found = store.subscription_state(&subscription, &keys).await;
            found
                .map(|found| found.into_iter().collect())
                .map_err(failed)
        })
    }

    fn write(&self, subscription: &SubscriptionId, key: String, value: Option<Value>) -> Kept<()> {
        let (store, subscription) = (self.0.clone(), subscription.clone());
        Box::pin(async move {
            check(&key, value.as_ref())?;
            let kept = store.put_subscription_state(&subscription, &key, value.as_ref());
            kept.await.map_err(failed)
        })
    }
}

/// State is for small things.
pub(super) fn check(key: &str, value: Option<&Value>) -> Result<(), CallError> {
    let size = value.map_or(0, |value| value.to_string().len());
    if key.len() <= KEY_MAX && size <= VALUE_MAX {
        return Ok(());
    }
    let message = format!(
        "found {size} bytes to keep under a key of {} bytes, expected at most {VALUE_MAX} under {KEY_MAX}",
        key.len()
    );
    Err(CallError::new(codes::INVALID_INPUT, message))
}

fn failed(error: StoreError) -> CallError {
    CallError::new(codes::HOST, format!("the state cannot be reached: {error}"))
}
