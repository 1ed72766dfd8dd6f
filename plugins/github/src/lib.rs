//! GitHub: webhooks of repositories and organisations, on github.com and on GitHub Enterprise Server.
//!
//! What a request says is read by the rules of `provider.yaml` and `events/*.yaml`; code is here
//! only for what they cannot say.
//!
//! | | |
//! |---|---|
//! | [`events`] | pushes to branches or tags |
//! | [`subscription`] | makes, changes, checks, lists and deletes webhooks |
//! | [`catch_up`] | has sent again what failed while we were down |
//! | [`api`] | GitHub's REST API: requests, pages, what its refusals mean |

mod api;
mod catch_up;
mod events;
mod subscription;

use std::sync::Arc;

use trigger_plugin_api::export_provider;
use trigger_plugin_api::prelude::*;

use crate::api::{Api, BaseUrl};

/// The provider, as the host opens it.
pub struct Github {
    declared: Arc<Declared>,
    /// The manifest's, which counts for every account.
    base_url: Option<BaseUrl>,
}

impl Github {
    /// The API as one account sees it: at the manifest's address, else at that of the server which
    /// the account's integration names.
    fn api<'a>(&self, host: &'a Host, credentials: &Credentials) -> Result<Api<'a>> {
        let base_url = match &self.base_url {
            Some(base_url) => base_url.clone(),
            None => BaseUrl::of_server(credentials.value("base_url"))?,
        };
        Api::new(host, base_url, credentials)
    }
}

impl Provider for Github {
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

impl Dispatch for Github {}

impl Event for Github {
    fn on_event(&self, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
        match trigger.event.as_str() {
            events::push::NAME => events::push::on_event(self.declared(), trigger, event),
            _ => self.declared().on_event(trigger, event),
        }
    }
}

impl SubscriptionConstructor for Github {
    async fn validate_credentials(
        &self,
        host: &Host,
        credentials: &Credentials,
    ) -> Result<Account> {
        subscription::account::identify(&self.api(host, credentials)?, credentials).await
    }

    async fn create(&self, host: &Host, new: &NewSubscription) -> Result<CreatedSubscription> {
        subscription::create(&self.api(host, &new.credentials)?, new).await
    }

    async fn update(
        &self,
        host: &Host,
        change: &SubscriptionChange,
    ) -> Result<CreatedSubscription> {
        subscription::update(&self.api(host, &change.subscription.credentials)?, change).await
    }

    async fn delete(&self, host: &Host, held: &ExistingSubscription) -> Result<()> {
        subscription::delete(&self.api(host, &held.credentials)?, held).await
    }

    async fn check(&self, host: &Host, held: &ExistingSubscription) -> Result<CheckReport> {
        subscription::check::compare(&self.api(host, &held.credentials)?, held).await
    }

    async fn list(&self, host: &Host, request: &ListRequest) -> Result<Vec<HeldSubscription>> {
        subscription::list(&self.api(host, &request.credentials)?, request).await
    }

    async fn test(&self, host: &Host, held: &ExistingSubscription) -> Result<()> {
        subscription::test(&self.api(host, &held.credentials)?, held).await
    }

    async fn parameter_options(&self, host: &Host, query: &OptionsQuery) -> Result<OptionsPage> {
        let api = self.api(host, &query.credentials)?;
        subscription::options::page(&api, self.declared(), query).await
    }
}

impl Pull for Github {
    async fn pull(&self, host: &Host, request: &PullRequest) -> Result<Pulled> {
        catch_up::pull(&self.api(host, &request.subscription.credentials)?, request).await
    }
}

export_provider!(Github, pull);
