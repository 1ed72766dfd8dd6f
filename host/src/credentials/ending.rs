//! The end of a credential: what hangs on it, and giving its tokens back.

use super::secrets::Secrets;
use super::state::Credentials;
use crate::id::CredentialId;
use crate::model::CredentialKind;
use crate::store::StoreError;

/// What became of the tokens of a credential that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenBack {
    /// The service took them back.
    Done,
    /// There is nothing to give back, or the service does not offer it.
    NotOffered,
    /// Another credential acts for the same account: services that end a whole grant would end it
    /// too.
    Shared,
    /// It did not work; the tokens may be good until they end by themselves.
    Failed(String),
}

impl Credentials {
    /// Gives the tokens of a credential back to the service, before it is deleted.
    pub async fn give_back(&self, id: &CredentialId) -> Result<GivenBack, StoreError> {
        let Some(held) = self.0.store.credential_held(id).await? else {
            return Ok(GivenBack::NotOffered);
        };
        let credential = held.credential;
        let auth = self.0.providers.auth(&credential.provider);
        let (CredentialKind::Oauth, Ok(auth)) = (credential.kind, auth) else {
            return Ok(GivenBack::NotOffered);
        };
        let integration = credential.integration_id.as_ref();
        let client = self.client(&auth, &credential.workspace_id, integration);
        let Ok(client) = client.await? else {
            return Ok(GivenBack::NotOffered);
        };
        let others = self.0.store.count_same_grants(&credential).await?;
        if credential.account_id.is_some() && others > 0 {
            return Ok(GivenBack::Shared);
        }
        let secrets = Secrets::parse(&held.secrets);
        Ok(match client.revoke(&self.0.outbound, &secrets).await {
            Ok(true) => GivenBack::Done,
            Ok(false) => GivenBack::NotOffered,
            Err(error) => {
                tracing::warn!(credential = %id, %error, "tokens were not given back");
                GivenBack::Failed(error.to_string())
            }
        })
    }
}
