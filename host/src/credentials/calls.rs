//! Calls into plugins in the name of an account: what they are told, and what they report back.

use std::collections::BTreeMap;
use std::sync::Arc;

use trigger_plugin_api::messages::Account;

use super::failure::CallRefusal;
use super::secrets::{Secrets, plain_texts};
use super::state::Credentials;
use crate::clock::Millis;
use crate::id::{CredentialId, SubscriptionId, WorkspaceId};
use crate::model::{CredentialKind, CredentialState};
use crate::plugins::CallScope;
use crate::store::StoreError;

/// A credential as a call uses it.
#[derive(Clone)]
pub struct CallCredential {
    pub id: CredentialId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub provider: String,
    pub kind: CredentialKind,
    /// What the plugin may see: everything that is not secret, and the base URL; the secrets too if
    /// the declaration leaves signing to the plugin.
    pub values: BTreeMap<String, String>,
    /// Where the service is; without a slash at its end.
    pub base_url: Option<String>,
    /// If the provider told.
    pub account: Option<Account>,
    /// The service asked us to leave it alone until then.
    pub throttled_until: Option<Millis>,
    generation: i64,
}

impl CallCredential {
    /// As the contract's `Credentials`.
    pub fn for_plugin(&self) -> trigger_plugin_api::messages::Credentials {
        trigger_plugin_api::messages::Credentials {
            kind: self.kind.as_str().to_owned(),
            values: self.values.clone(),
        }
    }

    /// What the call may use.
    pub fn scope(&self, subscription: Option<SubscriptionId>) -> Arc<CallScope> {
        Arc::new(CallScope {
            subscription,
            credential: Some(self.id.clone()),
            base_url: self.base_url.clone(),
        })
    }
}

/// Only names and ids.
impl std::fmt::Debug for CallCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallCredential")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("values", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Prepares a call; a credential that is due is renewed first.
    pub async fn for_call(&self, id: &CredentialId) -> Result<CallCredential, CallRefusal> {
        let (credential, secrets) = self.fresh(id).await?;
        let auth = self.auth(&credential.provider)?;
        let base_url = self
            .base_url(
                &auth,
                &credential.workspace_id,
                credential.integration_id.as_ref(),
            )
            .await?;
        let mut values = plain_texts(&credential.fields);
        let told = secrets
            .iter()
            .filter(|(name, _)| auth.tells(credential.kind.as_str(), name));
        values.extend(told.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if let Some(base_url) = &base_url {
            values.insert("base_url".to_owned(), base_url.clone());
        }
        let account = credential.account_id.as_ref().map(|id| Account {
            id: id.clone(),
            name: credential.account_name.clone().unwrap_or_default(),
            scopes: credential.scopes.clone(),
            expires_at_ms: credential.expires_at.map(|at| at.0),
        });
        Ok(CallCredential {
            id: credential.id,
            workspace_id: credential.workspace_id,
            name: credential.name,
            provider: credential.provider,
            kind: credential.kind,
            values,
            base_url,
            account,
            throttled_until: credential.throttled_until,
            generation: credential.generation,
        })
    }

    /// The plugin answered that the service refuses the credential. It needs reconnecting, unless
    /// it was renewed or changed since the call was prepared. Whether it needs reconnecting now.
    pub async fn mark_refused(
        &self,
        call: &CallCredential,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let store = &self.0.store;
        // Plugins pass on what services say, and services like to repeat what they were sent.
        let held = store.credential_held(&call.id).await?;
        let held = held.map(|held| Secrets::parse(&held.secrets));
        let reason = held.unwrap_or_default().hide_in(reason);
        let refused = store.refuse_credential(&call.id, call.generation, &reason);
        let refused = refused.await?;
        if refused {
            self.note_refused(&call.id, &reason);
            return Ok(true);
        }
        // Somebody was faster: a refresh on the 401 of this very call, as a rule.
        let stored = store.credential(&call.workspace_id, &call.id).await?;
        Ok(stored.is_none_or(|stored| stored.state == CredentialState::NeedsReconnect))
    }

    /// The service asked us to leave it alone.
    pub async fn throttle(&self, id: &CredentialId, until: Millis) -> Result<(), StoreError> {
        self.0.store.throttle_credential(id, until).await
    }

    /// Says that a credential needs reconnecting, which is kept already.
    pub(super) fn note_refused(&self, id: &CredentialId, reason: &str) {
        tracing::warn!(credential = %id, reason, "the credential needs reconnecting");
        self.announce(id);
    }
}
