//! Whose credential is it? Asked of the provider before a credential is kept, and when an operator
//! wants to know.

use std::sync::Arc;

use serde_json::{Map, Value};
use trigger_plugin_api::messages::{Account, Credentials as PluginCredentials};

use super::attach::Unsaved;
use super::calls::CallCredential;
use super::failure::{CallRefusal, CheckError};
use super::providers::ValidateError;
use super::secrets::{Secrets, plain_texts};
use super::state::Credentials;
use crate::id::CredentialId;
use crate::model::{CredentialKind, CredentialState};
use crate::plugins::CallScope;
use crate::secret::Secret;

/// A credential that is not kept yet.
#[derive(Clone, Debug)]
pub struct CredentialDraft {
    pub provider: String,
    pub kind: CredentialKind,
    /// What is not secret, by field.
    pub fields: Map<String, Value>,
    /// A JSON object of texts by field.
    pub secrets: Secret<String>,
    /// The integration's; none: what the provider declares.
    pub base_url: Option<String>,
}

/// What the provider said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// None: the provider cannot tell.
    pub account: Option<Account>,
}

impl Credentials {
    /// Asks the provider about a credential before it is kept.
    pub async fn check(&self, draft: &CredentialDraft) -> Result<Checked, CheckError> {
        let auth = self.0.providers.auth(&draft.provider);
        let auth = auth.map_err(CheckError::Unavailable)?;
        let secrets = Secrets::parse(&draft.secrets);
        let base_url = draft.base_url.clone().or_else(|| auth.base_url.clone());
        let mut values = plain_texts(&draft.fields);
        let told = secrets
            .iter()
            .filter(|(name, _)| auth.tells(draft.kind.as_str(), name));
        values.extend(told.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if let Some(base_url) = &base_url {
            values.insert("base_url".to_owned(), base_url.clone());
        }
        // The name is good for this one call only.
        let id = CredentialId::generate(self.0.clock.now());
        let scope = CallScope {
            subscription: None,
            credential: Some(id.clone()),
            base_url: base_url.clone(),
        };
        let lent = self.lend(
            &id,
            Unsaved {
                provider: draft.provider.clone(),
                kind: draft.kind,
                fields: draft.fields.clone(),
                secrets,
                base_url,
            },
        );
        let credentials = PluginCredentials {
            kind: draft.kind.as_str().to_owned(),
            values,
        };
        let asked = self.0.providers.validate(
            &draft.provider,
            Arc::new(scope),
            serde_json::to_value(&credentials).unwrap_or_default(),
        );
        let asked = asked.await;
        drop(lent);
        let secrets = Secrets::parse(&draft.secrets);
        let account = asked.map_err(|error| CheckError::of(error.without(&secrets)))?;
        Ok(Checked { account })
    }

    /// Asks the provider about a credential that is kept. One that the service refuses needs
    /// reconnecting from now on.
    pub async fn check_kept(&self, id: &CredentialId) -> Result<Checked, CheckError> {
        if let Some(checked) = self.check_refused(id).await? {
            return Ok(checked);
        }
        let call = self.for_call(id).await.map_err(of_call)?;
        let credentials = serde_json::to_value(call.for_plugin()).unwrap_or_default();
        let scope = call.scope(None);
        let asked = self
            .0
            .providers
            .validate(&call.provider, scope, credentials);
        let account = match asked.await {
            Ok(account) => account,
            Err(error) => {
                let held = self.0.store.credential_held(id).await?;
                let held = held.map(|held| Secrets::parse(&held.secrets));
                let error = error.without(&held.unwrap_or_default());
                if let ValidateError::Refused(reason) = &error {
                    self.mark_refused(&call, reason).await?;
                }
                return Err(CheckError::of(error));
            }
        };
        self.note_account(&call, account.as_ref()).await?;
        Ok(Checked { account })
    }

    /// One that needs reconnecting is active again if the service takes it after all: what was
    /// wrong may have been put right there. None: it is active.
    async fn check_refused(&self, id: &CredentialId) -> Result<Option<Checked>, CheckError> {
        let store = &self.0.store;
        let Some(held) = store.credential_held(id).await? else {
            return Ok(None);
        };
        let credential = held.credential;
        if credential.state == CredentialState::Active {
            return Ok(None);
        }
        let integration = match &credential.integration_id {
            Some(id) => store.integration(&credential.workspace_id, id).await?,
            None => None,
        };
        let draft = CredentialDraft {
            provider: credential.provider,
            kind: credential.kind,
            fields: credential.fields,
            secrets: held.secrets,
            base_url: integration.and_then(|integration| integration.base_url),
        };
        let checked = self.check(&draft).await?;
        // A provider that cannot tell proves nothing.
        if checked.account.is_some() {
            store
                .reactivate_credential(id, credential.generation)
                .await?;
            self.announce(id);
        }
        Ok(Some(checked))
    }

    /// What was not known when it was kept, or changed its name at the service.
    async fn note_account(
        &self,
        call: &CallCredential,
        account: Option<&Account>,
    ) -> Result<(), CheckError> {
        let Some(account) = account.filter(|now| {
            call.account
                .as_ref()
                .is_none_or(|before| (&before.id, &before.name) != (&now.id, &now.name))
        }) else {
            return Ok(());
        };
        let store = &self.0.store;
        store
            .note_account(&call.id, &account.id, &account.name)
            .await?;
        Ok(())
    }
}

fn of_call(refusal: CallRefusal) -> CheckError {
    match refusal {
        CallRefusal::Store(error) => CheckError::Store(error),
        refusal if refusal.is_transient() => CheckError::Unavailable(refusal.to_string()),
        refusal => CheckError::Wrong {
            field: None,
            message: refusal.to_string(),
        },
    }
}
