//! What an operator makes: workspaces, tokens, subscriptions, runnables with their versions, triggers.

use std::time::Duration;

use serde_json::{Map, Value};

use super::calls::Runs;
use super::words::{
    OnDrift, OnMissing, RunnableKind, RunnableState, Scope, SubscriptionMode, SubscriptionState,
};
use crate::clock::Millis;
use crate::id::{
    CredentialId, EndpointId, HostId, RunnableId, SubscriptionId, TokenId, TriggerId, VersionId,
    WorkspaceId,
};
use crate::secret::Secret;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub name: String,
    pub created_at: Millis,
}

/// A host that works or worked on this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub id: HostId,
    pub started_at: Millis,
    pub seen_at: Millis,
}

/// An API token; the token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    /// None: it is good for the whole instance.
    pub workspace_id: Option<WorkspaceId>,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub created_at: Millis,
    pub expires_at: Option<Millis>,
    pub last_used_at: Option<Millis>,
    pub revoked_at: Option<Millis>,
    /// It runs this and nothing else; it has no scopes then.
    pub runs: Option<Runs>,
}

/// A token to be kept.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub id: TokenId,
    pub workspace_id: Option<WorkspaceId>,
    pub name: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Millis>,
    pub runs: Option<Runs>,
}

/// A standing agreement that a service tells us about one thing. Its secrets are asked for apart
/// (`Store::subscription_secrets`).
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    pub endpoint: EndpointId,
    pub mode: SubscriptionMode,
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    pub has_secrets: bool,
    pub state: SubscriptionState,
    pub state_reason: Option<String>,
    pub state_since: Millis,
    pub terms: Terms,
    /// It is being ended at the service.
    pub is_deleting: bool,
    /// Rises with every change.
    pub revision: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// What an operator wants of a managed subscription besides its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Who acts for us at the service.
    pub credential_id: Option<CredentialId>,
    /// The events to ask for; none: those that enabled triggers wait for.
    pub events: Option<Vec<String>>,
    pub policy: Policy,
    /// None: as its provider says.
    pub poll: Option<Poll>,
}

/// When a subscription is pulled, where that is not left to its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// So long after the last time.
    Every(Duration),
    At {
        cron: String,
        timezone: String,
    },
}

/// What a check does about what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub missing: OnMissing,
    pub drift: OnDrift,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            missing: OnMissing::Recreate,
            drift: OnDrift::Repair,
        }
    }
}

/// A subscription to be made.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    pub id: SubscriptionId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    pub endpoint: EndpointId,
    pub mode: SubscriptionMode,
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    /// A JSON object, value by field name; sealed by the store.
    pub secrets: Option<Secret<String>>,
    pub state: SubscriptionState,
    pub state_reason: Option<String>,
    pub terms: Terms,
}

/// A subscription's new content; its name, provider, endpoint and mode stay.
#[derive(Clone, Debug)]
pub struct SubscriptionUpdate {
    pub id: SubscriptionId,
    /// The revision that was read; another one by now is a conflict.
    pub revision: i64,
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    pub secrets: SecretsUpdate,
    pub terms: Terms,
}

/// What becomes of an object's secrets when it changes.
#[derive(Clone, Debug)]
pub enum SecretsUpdate {
    Keep,
    /// A JSON object, value by field name.
    Replace(Secret<String>),
    Remove,
}

/// What is run, by its path, over all its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runnable {
    pub id: RunnableId,
    pub workspace_id: WorkspaceId,
    pub path: String,
    /// The version that new jobs name.
    pub version_id: VersionId,
    pub state: RunnableState,
    pub state_reason: Option<String>,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub deleted_at: Option<Millis>,
}

/// One version of a runnable with its secrets opened; never changed, so it may be kept in memory.
#[derive(Clone, Debug)]
pub struct RunnableVersion {
    pub id: VersionId,
    pub runnable_id: RunnableId,
    /// Counts from 1 within its runnable.
    pub number: i64,
    /// Names the content: the same spec and secrets again are the same version.
    pub hash: String,
    pub kind: RunnableKind,
    /// How to run it; which keys depends on the kind.
    pub spec: Value,
    /// A JSON object.
    pub secrets: Option<Secret<String>>,
    pub created_at: Millis,
}

/// The content of a version to be made.
#[derive(Clone, Debug)]
pub struct NewVersion {
    pub kind: RunnableKind,
    pub spec: Value,
    /// A JSON object; sealed by the store.
    pub secrets: Option<Secret<String>>,
}

/// A runnable to be made, with its first version.
#[derive(Clone, Debug)]
pub struct NewRunnable {
    pub id: RunnableId,
    pub workspace_id: WorkspaceId,
    pub path: String,
    pub version: NewVersion,
}

/// A runnable's new content. The content it already has makes no new version.
#[derive(Clone, Debug)]
pub struct RunnableUpdate {
    pub id: RunnableId,
    pub version: NewVersion,
}

/// The rule: this event of this subscription, with these parameters, runs that runnable.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    pub id: TriggerId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub subscription_id: SubscriptionId,
    pub event: String,
    pub parameters: Map<String, Value>,
    pub runnable_id: RunnableId,
    pub enabled: bool,
    /// Rises with every change.
    pub revision: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// A trigger to be made.
#[derive(Clone, Debug)]
pub struct NewTrigger {
    pub id: TriggerId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub subscription_id: SubscriptionId,
    pub event: String,
    pub parameters: Map<String, Value>,
    pub runnable_id: RunnableId,
    pub enabled: bool,
}

/// A trigger's new content; its name stays.
#[derive(Clone, Debug)]
pub struct TriggerUpdate {
    pub id: TriggerId,
    /// The revision that was read; another one by now is a conflict.
    pub revision: i64,
    pub subscription_id: SubscriptionId,
    pub event: String,
    pub parameters: Map<String, Value>,
    pub runnable_id: RunnableId,
    pub enabled: bool,
}

/// Which triggers are wanted; an absent field does not matter.
#[derive(Clone, Debug, Default)]
pub struct TriggerFilter {
    pub name: Option<String>,
    pub subscription_id: Option<SubscriptionId>,
    pub runnable_id: Option<RunnableId>,
    pub event: Option<String>,
}
