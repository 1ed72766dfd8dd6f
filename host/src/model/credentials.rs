//! For whom we act at outside services: integrations, credentials, accounts being connected.

use serde_json::{Map, Value};

use super::objects::SecretsUpdate;
use super::words::{ConnectPhase, CredentialKind, CredentialState};
use crate::clock::Millis;
use crate::id::{ConnectId, CredentialId, HostId, IntegrationId, TokenId, WorkspaceId};
use crate::secret::Secret;

/// A provider's OAuth client and base URL in one workspace. Its client secret is asked for apart
/// (`Store::integration_secret`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    pub id: IntegrationId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    /// Without a slash at its end. None: what the provider declares.
    pub base_url: Option<String>,
    pub client_id: Option<String>,
    pub has_client_secret: bool,
    /// Rises with every change.
    pub revision: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// An integration to be made.
#[derive(Clone, Debug)]
pub struct NewIntegration {
    pub id: IntegrationId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    pub base_url: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret<String>>,
}

/// An integration's new content; its name and provider stay.
#[derive(Clone, Debug)]
pub struct IntegrationUpdate {
    pub id: IntegrationId,
    /// The revision that was read; another one by now is a conflict.
    pub revision: i64,
    pub base_url: Option<String>,
    /// Whether that is at another server than before, which is shown nothing that was given to the
    /// former.
    pub is_moved: bool,
    pub client_id: Option<String>,
    pub client_secret: SecretsUpdate,
}

/// Proof that we act for one account. Its secrets are asked for apart (`Store::credential_held`).
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    pub id: CredentialId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    /// None: the client that the instance shares, or no client at all.
    pub integration_id: Option<IntegrationId>,
    pub kind: CredentialKind,
    /// What is not secret, by field; texts.
    pub fields: Map<String, Value>,
    /// The service's own id of the account, if it was asked.
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    /// In the service's words.
    pub scopes: Vec<String>,
    pub state: CredentialState,
    pub state_reason: Option<String>,
    pub state_since: Millis,
    /// Rises with every new content of the secrets.
    pub generation: i64,
    pub expires_at: Option<Millis>,
    /// When it is renewed ahead of its end.
    pub refresh_due_at: Option<Millis>,
    /// Renewals that failed in a row.
    pub refresh_failures: u32,
    pub lease_expires_at: Option<Millis>,
    pub throttled_until: Option<Millis>,
    /// Rises with every change by an operator.
    pub revision: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// A credential with its secrets opened: a JSON object of texts by field.
#[derive(Clone, Debug)]
pub struct Holding {
    pub credential: Credential,
    pub secrets: Secret<String>,
}

/// A credential to be made.
#[derive(Clone, Debug)]
pub struct NewCredential {
    pub id: CredentialId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    pub integration_id: Option<IntegrationId>,
    pub kind: CredentialKind,
    pub fields: Map<String, Value>,
    /// A JSON object of texts by field; sealed by the store.
    pub secrets: Secret<String>,
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    pub scopes: Vec<String>,
    pub expires_at: Option<Millis>,
    pub refresh_due_at: Option<Millis>,
}

/// A credential's new content: other fields, or the account connected anew. Its name, provider and
/// kind stay; it is active again, and whoever renews the older content is fenced off.
#[derive(Clone, Debug)]
pub struct CredentialUpdate {
    pub id: CredentialId,
    /// The revision that was read; another one by now is a conflict.
    pub revision: i64,
    pub integration_id: Option<IntegrationId>,
    pub fields: Map<String, Value>,
    pub secrets: Secret<String>,
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    pub scopes: Vec<String>,
    pub expires_at: Option<Millis>,
    pub refresh_due_at: Option<Millis>,
}

/// A wish to renew a credential.
#[derive(Clone, Debug)]
pub struct RefreshClaim {
    pub id: CredentialId,
    /// The generation that is to be replaced.
    pub generation: i64,
    pub owner: HostId,
    pub now: Millis,
    pub lease_until: Millis,
}

/// The right to renew a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshLease {
    /// Counts against who had it before.
    pub fence: i64,
    /// When it was noticed that a host ended in the middle of an earlier renewal, if one did.
    pub cut_off_at: Option<Millis>,
}

/// What the service gave for a renewal.
#[derive(Clone, Debug)]
pub struct TokenUpdate {
    pub id: CredentialId,
    /// The generation that is replaced.
    pub generation: i64,
    /// A JSON object of texts by field.
    pub secrets: Secret<String>,
    /// None: as before.
    pub scopes: Option<Vec<String>>,
    pub expires_at: Option<Millis>,
    pub refresh_due_at: Option<Millis>,
}

/// An account that is to be connected.
#[derive(Clone, Debug)]
pub struct NewConnect {
    pub id: ConnectId,
    pub workspace_id: WorkspaceId,
    pub token_id: TokenId,
    pub provider: String,
    pub integration_id: Option<IntegrationId>,
    /// Of the credential.
    pub name: String,
    pub ticket_hash: [u8; 32],
    pub redirect_url: String,
    pub expires_at: Millis,
}

/// An account that is being connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    pub id: ConnectId,
    pub workspace_id: WorkspaceId,
    pub token_id: TokenId,
    pub provider: String,
    pub integration_id: Option<IntegrationId>,
    pub name: String,
    pub redirect_url: String,
    pub phase: ConnectPhase,
    pub reason: Option<String>,
    pub credential_id: Option<CredentialId>,
    pub created_at: Millis,
    pub expires_at: Millis,
}

/// A browser that sets out for the service.
#[derive(Clone, Debug)]
pub struct ConnectStart {
    pub id: ConnectId,
    pub state_hash: [u8; 32],
    pub session_hash: [u8; 32],
    /// The PKCE verifier; sealed by the store.
    pub verifier: Option<Secret<String>>,
}

/// A browser that came back; its state was good this once.
#[derive(Clone, Debug)]
pub struct TakenConnect {
    pub connect: Connect,
    pub verifier: Option<Secret<String>>,
}
