//! Nextcloud: files, calendars and tags of a server, by its app Webhook Listeners.
//!
//! What a request says is read by the rules of `provider.yaml` and `events/*.yaml`; code is here
//! only for what they cannot say.
//!
//! | | |
//! |---|---|
//! | [`events`] | which files a trigger wants, by the paths that people see |
//! | [`subscription`] | makes, changes, checks, lists and deletes hooks; offers what can be chosen |
//! | [`event_filter`] | what a hook leaves out, built and checked before it is sent |
//! | [`api`] | OCS and WebDAV: requests, answers, what refusals mean |
//! | [`class`], [`files`] | what an event is, and what is known of a file |

mod api;
mod class;
mod event_filter;
mod events;
mod files;
mod subscription;

use std::sync::Arc;

use trigger_plugin_api::export_provider;
use trigger_plugin_api::prelude::*;

use crate::api::Api;

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

/// Nextcloud cannot be asked for a test delivery, so that `test` stays unsupported.
impl SubscriptionConstructor for Nextcloud {
    async fn validate_credentials(
        &self,
        host: &Host,
        credentials: &Credentials,
    ) -> Result<Account> {
        subscription::account::identify(&Api::new(host, credentials)?).await
    }

    async fn create(&self, host: &Host, new: &NewSubscription) -> Result<CreatedSubscription> {
        subscription::create(&Api::new(host, &new.credentials)?, &self.declared, new).await
    }

    async fn update(
        &self,
        host: &Host,
        change: &SubscriptionChange,
    ) -> Result<CreatedSubscription> {
        let api = Api::new(host, &change.subscription.credentials)?;
        subscription::update(&api, &self.declared, change).await
    }

    async fn delete(&self, host: &Host, held: &ExistingSubscription) -> Result<()> {
        subscription::delete(&Api::new(host, &held.credentials)?, held).await
    }

    async fn check(&self, host: &Host, held: &ExistingSubscription) -> Result<CheckReport> {
        let api = Api::new(host, &held.credentials)?;
        subscription::check::compare(&api, &self.declared, held).await
    }

    async fn list(&self, host: &Host, request: &ListRequest) -> Result<Vec<HeldSubscription>> {
        subscription::list(&Api::new(host, &request.credentials)?, &self.declared).await
    }

    async fn parameter_options(&self, host: &Host, query: &OptionsQuery) -> Result<OptionsPage> {
        if query.parameter == "events" {
            return subscription::options::events(&self.declared, query);
        }
        subscription::options::page(&Api::new(host, &query.credentials)?, query).await
    }
}

export_provider!(Nextcloud);
