//! Nextcloud: files, calendars and tags, by its app Webhook Listeners.
mod events;
mod files;

use std::sync::Arc;

use trigger_plugin_api::export_provider;
use trigger_plugin_api::prelude::*;

/// The provider, as the host opens it.
pub struct Nextcloud {
    declared: Arc<Declared>,
}

impl Provider for Nextcloud {
    fn open(setup: Setup) -> Result<Self> {
        Ok(Self {
            declared: setup.declared,
        })
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

impl Dispatch for Nextcloud {}

impl Event for Nextcloud {
    fn on_event(&self, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
        events::node::on_event(self.declared(), trigger, event)
    }
}
impl SubscriptionConstructor for Nextcloud {}

export_provider!(Nextcloud);
