//! Triggers opened at their provider, kept for as long as trigger and provider stay the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use trigger_plugin_abi::host::{CallError, TriggerHandle};

use crate::id::TriggerId;
use crate::model::Trigger;
use crate::plugins::LiveProvider;

/// More than these are not kept; the next batch opens them again.
const KEPT_MAX: usize = 10_000;

/// Opened triggers by id.
#[derive(Default)]
pub struct TriggerHandles(Mutex<HashMap<TriggerId, Kept>>);

struct Kept {
    revision: i64,
    generation: u64,
    handle: Arc<TriggerHandle>,
}

impl TriggerHandles {
    /// The trigger as its provider prepared it; opens it if trigger or provider changed.
    pub fn open(
        &self,
        live: &LiveProvider,
        trigger: &Trigger,
    ) -> Result<Arc<TriggerHandle>, CallError> {
        let kept = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&trigger.id)
            .and_then(|kept| {
                let same = kept.revision == trigger.revision && kept.generation == live.generation;
                same.then(|| Arc::clone(&kept.handle))
            });
        if let Some(handle) = kept {
            return Ok(handle);
        }
        // No lock is held across a call into the provider.
        let parameters = serde_json::Value::Object(trigger.parameters.clone()).to_string();
        let handle = Arc::new(live.open_trigger(&trigger.event, &parameters)?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        let kept = Kept {
            revision: trigger.revision,
            generation: live.generation,
            handle: Arc::clone(&handle),
        };
        all.insert(trigger.id.clone(), kept);
        Ok(handle)
    }
}
