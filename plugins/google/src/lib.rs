//! Google Drive and Calendar: push channels, and the changes that a push only hints at.
//!
//! | | |
//! |---|---|
//! | [`dispatch`] | is a push ours, and does it say that there is something to read? |
//! | [`subscription`] | opens, checks and stops channels; the files, drives and calendars to choose from |
//! | [`pull`] | reads what changed since a cursor, and when events of a calendar begin |
//! | [`api`] | Google's REST APIs: requests, and what their refusals mean |
//!
//! Which events fire a trigger is said by the filters of `events/*.yaml`.

mod api;
mod dispatch;
mod pull;
mod subscription;

use std::sync::Arc;

use trigger_plugin_api::export_provider;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, BaseUrl};

/// The provider, as the host opens it.
pub struct Google {
    declared: Arc<Declared>,
    base_url: BaseUrl,
}

impl Google {
    /// The APIs as the account of this call sees them: the host attaches its token.
    fn api<'a>(&'a self, host: &'a Host) -> Api<'a> {
        Api::new(host, &self.base_url)
    }
}

impl Provider for Google {
    fn open(setup: Setup) -> Result<Self> {
        Ok(Self {
            base_url: BaseUrl::of_config(&setup.config)?,
            declared: setup.declared,
        })
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

impl Dispatch for Google {
    fn dispatch(
        &self,
        subscription: &Subscription,
        request: &Request<'_>,
    ) -> Result<EventDispatch> {
        dispatch::dispatch(self.declared(), subscription, request)
    }
}

impl Event for Google {}

impl SubscriptionConstructor for Google {
    async fn validate_credentials(
        &self,
        host: &Host,
        _credentials: &Credentials,
    ) -> Result<Account> {
        subscription::account::identify(&self.api(host)).await
    }

    async fn create(&self, host: &Host, new: &NewSubscription) -> Result<CreatedSubscription> {
        subscription::create(&self.api(host), new).await
    }

    async fn update(
        &self,
        _host: &Host,
        change: &SubscriptionChange,
    ) -> Result<CreatedSubscription> {
        subscription::update(change)
    }

    async fn delete(&self, host: &Host, held: &ExistingSubscription) -> Result<()> {
        subscription::delete(&self.api(host), held).await
    }

    async fn check(&self, host: &Host, held: &ExistingSubscription) -> Result<CheckReport> {
        subscription::check::look(&self.api(host), held).await
    }

    async fn list(&self, _host: &Host, _request: &ListRequest) -> Result<Vec<HeldSubscription>> {
        Err(Error::unsupported(
            "Google has no list of an account's channels: one that nobody stops ends by itself, after a week at most",
        ))
    }

    async fn parameter_options(&self, host: &Host, query: &OptionsQuery) -> Result<OptionsPage> {
        subscription::options::page(&self.api(host), query).await
    }
}

impl Pull for Google {
    async fn pull(&self, host: &Host, request: &PullRequest) -> Result<Pulled> {
        pull::pull(&self.api(host), request).await
    }
}

export_provider!(Google, pull);
