//! What a subscription constructor is asked and answers. All of it crosses the boundary as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Map;

/// Proof that we act for one account.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `oauth`, `api-key`, or whatever else the declaration names; empty: none is held.
    #[serde(default)]
    pub kind: String,
    /// By the names of `credentials_schema`. Holds what is not secret too (a base URL).
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl Credentials {
    /// A value by its name; empty counts as absent.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Values by name only.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("kind", &self.kind)
            .field("values", &self.values.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Whom the credential belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The service's own id, stable over renames.
    pub id: String,
    /// As people know it.
    pub name: String,
    /// What the credential may do, in the service's words.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When the credential ends, in milliseconds since 1970.
    #[serde(default)]
    pub expires_at_ms: Option<i64>,
}

/// A subscription to be made at the service.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct NewSubscription {
    /// `sub_…`
    pub id: String,
    /// Where the service shall send.
    pub endpoint_url: String,
    /// By the names of `subscription_constructor.parameters`.
    #[serde(default)]
    pub parameters: Map,
    /// The events that triggers wait for; empty: what the parameters say, or all.
    #[serde(default)]
    pub events: Vec<String>,
    /// The account to act for.
    #[serde(default)]
    pub credentials: Credentials,
    /// `reg_…`, at most 40 characters of `[a-z0-9_]`, fresh for each making: to name by it what is
    /// made, where the service lets us. The host keeps it before the call.
    #[serde(default)]
    pub key: String,
    /// A random text for each secret field of `subscription_schema`. The host keeps and accepts
    /// them before the call, since the service may call back before it answers.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// Secrets by name only.
impl fmt::Debug for NewSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSubscription")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("endpoint_url", &self.endpoint_url)
            .field("parameters", &self.parameters)
            .field("events", &self.events)
            .field("credentials", &self.credentials)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A subscription that the service has accepted.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CreatedSubscription {
    /// The service's own id of it.
    pub external_id: String,
    /// What later calls need to know; not secret.
    #[serde(default)]
    pub properties: Map,
    /// By the names of `subscription_schema`; sealed by the host. Empty: those that were given.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// When it ends by itself, in milliseconds since 1970; absent: never.
    #[serde(default)]
    pub expires_at_ms: Option<i64>,
}

/// Secrets by name only.
impl fmt::Debug for CreatedSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedSubscription")
            .field("external_id", &self.external_id)
            .field("properties", &self.properties)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .field("expires_at_ms", &self.expires_at_ms)
            .finish()
    }
}

/// A subscription that we hold, as `update`, `delete`, `refresh`, `check` and `pull` get it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ExistingSubscription {
    /// `sub_…`
    pub id: String,
    /// Where the service sends.
    pub endpoint_url: String,
    /// The service's own id of it. Empty in a `delete` whose `create` was cut short: it may exist
    /// at the service or not, and has to be found there by `endpoint_url`, `key` or `properties`.
    #[serde(default)]
    pub external_id: String,
    /// The `key` of its making.
    #[serde(default)]
    pub key: String,
    /// By the names of `subscription_constructor.parameters`.
    #[serde(default)]
    pub parameters: Map,
    /// What `create` answered, and what was learned since by the declaration's `learn`.
    #[serde(default)]
    pub properties: Map,
    /// By the names of `subscription_schema`.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The events that triggers wait for.
    #[serde(default)]
    pub events: Vec<String>,
    /// The account to act for.
    #[serde(default)]
    pub credentials: Credentials,
    /// When it ends by itself, in milliseconds since 1970; absent: never.
    #[serde(default)]
    pub expires_at_ms: Option<i64>,
}

/// Secrets by name only.
impl fmt::Debug for ExistingSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExistingSubscription")
            .field("id", &self.id)
            .field("endpoint_url", &self.endpoint_url)
            .field("external_id", &self.external_id)
            .field("key", &self.key)
            .field("parameters", &self.parameters)
            .field("properties", &self.properties)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .field("events", &self.events)
            .field("credentials", &self.credentials)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish()
    }
}

/// What an update shall make of a subscription.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SubscriptionChange {
    /// As it is now.
    pub subscription: ExistingSubscription,
    /// As they shall be.
    #[serde(default)]
    pub parameters: Map,
    /// As they shall be.
    #[serde(default)]
    pub events: Vec<String>,
    /// Where the service shall send from now on.
    pub endpoint_url: String,
}

/// What `list` is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListRequest {
    /// Where to look, by the names of `subscription_constructor.parameters`.
    #[serde(default)]
    pub parameters: Map,
    /// The account to act for.
    #[serde(default)]
    pub credentials: Credentials,
}

/// A subscription that the service holds, ours or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldSubscription {
    /// The service's own id of it.
    pub external_id: String,
    /// Where it sends.
    pub endpoint_url: String,
    /// Which events.
    #[serde(default)]
    pub events: Vec<String>,
    /// Whether the service has it switched on.
    pub active: bool,
    /// What else is worth showing.
    #[serde(default)]
    pub properties: Map,
}

/// A search among the values that a `dynamic-select` parameter may have.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OptionsQuery {
    /// The parameter's name.
    pub parameter: String,
    /// What the user has typed.
    #[serde(default)]
    pub search: String,
    /// Where the page before ended.
    #[serde(default)]
    pub cursor: Option<String>,
    /// What was chosen for the other parameters.
    #[serde(default)]
    pub parameters: Map,
    /// The account to act for.
    #[serde(default)]
    pub credentials: Credentials,
}

/// One page of values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionsPage {
    /// In the order in which they are shown.
    pub options: Vec<ParameterOption>,
    /// Where the next page begins; absent: this was the last.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterOption {
    /// What is kept.
    pub value: String,
    /// What is shown.
    pub label: String,
}

/// A mistake in one field of what an operator wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Its name, with the section before it: `parameters.branches`.
    pub field: String,
    /// What was found, what was expected.
    pub message: String,
}
