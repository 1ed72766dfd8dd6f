//! Ids to names and names to ids: people name things, rows name ids.

use std::collections::HashMap;

use super::problem::Problem;
use crate::id::{
    CredentialId, EventId, IntegrationId, RunnableId, ScheduleId, SubscriptionId, TriggerId,
    WorkspaceId,
};
use crate::model::{Credential, Integration, Runnable, Schedule, Subscription, Trigger};
use crate::store::{Store, StoreError};

/// Finds names, each once for a page.
pub struct Names<'a> {
    store: &'a Store,
    workspace: &'a WorkspaceId,
    subscriptions: HashMap<SubscriptionId, Option<String>>,
    runnables: HashMap<RunnableId, Option<String>>,
    triggers: HashMap<TriggerId, Option<String>>,
    events: HashMap<EventId, Option<String>>,
}

macro_rules! name_of {
    ($(#[$doc:meta])* $function:ident $map:ident $id:ty, $find:ident, $field:ident) => {
        $(#[$doc])*
        pub async fn $function(&mut self, id: &$id) -> Result<Option<String>, StoreError> {
            if let Some(name) = self.$map.get(id) {
                return Ok(name.clone());
            }
            let name = self.store.$find(self.workspace, id).await?.map(|found| found.$field);
            self.$map.insert(id.clone(), name.clone());
            Ok(name)
        }
    };
}

impl<'a> Names<'a> {
    pub fn new(store: &'a Store, workspace: &'a WorkspaceId) -> Names<'a> {
        Names {
            store,
            workspace,
            subscriptions: HashMap::new(),
            runnables: HashMap::new(),
            triggers: HashMap::new(),
            events: HashMap::new(),
        }
    }

    name_of! {
        /// None: it is deleted.
        subscription subscriptions SubscriptionId, subscription, name
    }
    name_of! {
        /// The path; none: it is deleted and trimmed.
        runnable runnables RunnableId, runnable, path
    }
    name_of! {
        /// None: it is deleted.
        trigger triggers TriggerId, trigger, name
    }
    name_of! {
        /// None: it is trimmed.
        event events EventId, event, name
    }
}

/// The subscription that a path or a query names, by id or name.
pub async fn find_subscription(
    store: &Store,
    workspace: &WorkspaceId,
    named: &str,
) -> Result<Subscription, Problem> {
    let found = match named.parse::<SubscriptionId>() {
        Ok(id) => store.subscription(workspace, &id).await?,
        Err(_) => store.subscription_by_name(workspace, named).await?,
    };
    found.ok_or_else(|| Problem::not_found(format!("there is no subscription `{named}`")))
}

/// The integration that a path names, by id or name.
pub async fn find_integration(
    store: &Store,
    workspace: &WorkspaceId,
    named: &str,
) -> Result<Integration, Problem> {
    let found = match named.parse::<IntegrationId>() {
        Ok(id) => store.integration(workspace, &id).await?,
        Err(_) => store.integration_by_name(workspace, named).await?,
    };
    found.ok_or_else(|| Problem::not_found(format!("there is no integration `{named}`")))
}

/// The credential that a path names, by id or name.
pub async fn find_credential(
    store: &Store,
    workspace: &WorkspaceId,
    named: &str,
) -> Result<Credential, Problem> {
    let found = match named.parse::<CredentialId>() {
        Ok(id) => store.credential(workspace, &id).await?,
        Err(_) => store.credential_by_name(workspace, named).await?,
    };
    found.ok_or_else(|| Problem::not_found(format!("there is no credential `{named}`")))
}

/// The runnable that a path or a query names, by id or path.
pub async fn find_runnable(
    store: &Store,
    workspace: &WorkspaceId,
    named: &str,
) -> Result<Runnable, Problem> {
    let found = match named.parse::<RunnableId>() {
        Ok(id) => store.runnable(workspace, &id).await?,
        Err(_) => store.runnable_by_path(workspace, named).await?,
    };
    found.ok_or_else(|| Problem::not_found(format!("there is no runnable `{named}`")))
}

/// The trigger that a path or a query names, by id or name.
pub async fn find_trigger(
    store: &Store,
    workspace: &WorkspaceId,
    named: &str,
) -> Result<Trigger, Problem> {
    let found = match named.parse::<TriggerId>() {
        Ok(id) => store.trigger(workspace, &id).await?,
        Err(_) => store.trigger_by_name(workspace, named).await?,
    };
    found.ok_or_else(|| Problem::not_found(format!("there is no trigger `{named}`")))
}

/// The schedule that a path names, by id or name.
pub async fn find_schedule(
    store: &Store,
    workspace: &WorkspaceId,
    named: &str,
) -> Result<Schedule, Problem> {
    let found = match named.parse::<ScheduleId>() {
        Ok(id) => store.schedule(workspace, &id).await?,
        Err(_) => store.schedule_by_name(workspace, named).await?,
    };
    found.ok_or_else(|| Problem::not_found(format!("there is no schedule `{named}`")))
}

/// An id in a path; one that does not read is not there.
pub fn id<T: std::str::FromStr>(kind: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found(format!("there is no {kind} `{text}`")))
}
