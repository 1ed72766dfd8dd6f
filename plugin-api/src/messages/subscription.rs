//! A subscription, opened once for each of its revisions and then used for every request.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Map;
use crate::rules::PreparedSubscription;

/// What the host says of a subscription when it opens it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SubscriptionSpec {
    /// `sub_…`
    #[serde(default)]
    pub id: String,
    /// The address that the service was given.
    #[serde(default)]
    pub endpoint_url: String,
    /// The `key` of its making; empty for one that was set up by hand.
    #[serde(default)]
    pub key: String,
    /// What the operator chose.
    #[serde(default)]
    pub parameters: Map,
    /// What the constructor found out when it made the subscription; empty until it has.
    #[serde(default)]
    pub properties: Map,
    /// By the names of `subscription_schema`; empty text counts as absent.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// Secrets by name only.
impl fmt::Debug for SubscriptionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionSpec")
            .field("id", &self.id)
            .field("endpoint_url", &self.endpoint_url)
            .field("key", &self.key)
            .field("parameters", &self.parameters)
            .field("properties", &self.properties)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A subscription as `dispatch` gets it, with everything that can be prepared once.
pub struct Subscription {
    /// `sub_…`
    pub id: String,
    /// The address that the service was given.
    pub endpoint_url: String,
    /// The `key` of its making; empty for one that was set up by hand.
    pub key: String,
    /// What the operator chose.
    pub parameters: Map,
    /// What the constructor found out when it made the subscription; empty until it has.
    pub properties: Map,
    secrets: BTreeMap<String, String>,
    prepared: PreparedSubscription,
}

impl Subscription {
    /// A subscription with what the rules prepared for it.
    pub(crate) fn prepared(spec: SubscriptionSpec, prepared: PreparedSubscription) -> Self {
        let SubscriptionSpec {
            id,
            endpoint_url,
            key,
            parameters,
            properties,
            secrets,
        } = spec;
        Self {
            id,
            endpoint_url,
            key,
            parameters,
            properties,
            secrets,
            prepared,
        }
    }

    /// A secret by its name in `subscription_schema`. Empty counts as absent, so that a
    /// verification that finds none fails closed.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&str> {
        self.secrets
            .get(name)
            .map(String::as_str)
            .filter(|secret| !secret.is_empty())
    }

    /// What the rules prepared: keys and the like.
    pub(crate) fn rules(&self) -> &PreparedSubscription {
        &self.prepared
    }
}

/// Shows no secret.
impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("endpoint_url", &self.endpoint_url)
            .field("key", &self.key)
            .field("parameters", &self.parameters)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}
