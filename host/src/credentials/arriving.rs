//! A browser that comes back from the service: its state is used up, the code becomes tokens, the
//! tokens a credential.

use std::time::Duration;

use futures_util::TryFutureExt as _;
use serde_json::Map;

use super::checking::CredentialDraft;
use super::client::Client;
use super::connecting::{check_name, hash, redirect};
use super::departing::Cookie;
use super::failure::{CheckError, ConnectError};
use super::refreshing::first_times;
use super::secrets::{Secrets, shown};
use super::state::Credentials;
use super::token_set::TokenSet;
use crate::id::{CredentialId, TokenId};
use crate::model::{
    Actor, Change, Connect, Credential, CredentialKind, CredentialUpdate, NewCredential,
    TakenConnect,
};
use crate::secret::Secret;

/// A store that is away is asked so often, after such a pause.
const STORE_TRIES: u32 = 15;
const STORE_PAUSE: Duration = Duration::from_secs(1);
const BROKEN_OFF: &str = "it broke off: begin again with `triggerd connect`";
/// The longest code or state that is looked at.
const PARAMETER_MAX: usize = 4096;

/// What a browser brings back.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    pub state: Option<Secret<String>>,
    pub code: Option<Secret<String>>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// Its cookies, by name.
    pub cookies: Vec<(String, Secret<String>)>,
}

/// An account that is connected now.
#[derive(Clone, Debug)]
pub struct Connected {
    pub provider: String,
    /// Of the credential.
    pub name: String,
    pub account_name: Option<String>,
}

impl Credentials {
    /// The cookie that a browser which came back needs no more.
    pub fn cookie_of(&self, arrival: &Arrival) -> Option<Cookie> {
        let state = arrival.state.as_ref().filter(|state| is_sane(state));
        let cookie = self.cookie(state?);
        let mut sent = arrival.cookies.iter();
        sent.any(|(name, _)| *name == cookie.name).then_some(cookie)
    }

    /// A browser came back.
    pub async fn arrive(&self, arrival: Arrival) -> Result<Connected, ConnectError> {
        let state = arrival.state.as_ref().filter(|state| is_sane(state));
        let state = state.ok_or(ConnectError::NoState)?;
        let named = self.cookie(state).name;
        let mut cookies = arrival.cookies.iter();
        let session = cookies.find(|(name, _)| *name == named);
        let (_, session) = session.ok_or(ConnectError::NoState)?;
        let (state, session) = (hash(state), hash(session));
        // A browser that is closed does not end it: the code would be spent and the tokens lost.
        let this = self.clone();
        let arriving = async move { this.take_and_end(state, session, arrival).await };
        let ended = self.0.tasks.spawn(arriving).await;
        ended.unwrap_or_else(|_| Err(ConnectError::Refused(BROKEN_OFF.to_owned())))
    }

    async fn take_and_end(
        &self,
        state: [u8; 32],
        session: [u8; 32],
        arrival: Arrival,
    ) -> Result<Connected, ConnectError> {
        let taking = || {
            self.0
                .store
                .take_connect(&state, &session)
                .map_err(Into::into)
        };
        let taken = patiently(taking).await?;
        let taken = taken.ok_or(ConnectError::NoState)?;
        let id = taken.connect.id.clone();
        let ended = self.end(taken, &arrival).await;
        let reason = ended.as_ref().err().map(ToString::to_string);
        if let Some(reason) = &reason {
            tracing::info!(connect = %id, reason, "an account was not connected");
        }
        let end = match (&ended, &reason) {
            (Ok((credential, _)), _) => Ok(credential),
            (Err(_), reason) => Err(reason.as_deref().unwrap_or_default()),
        };
        let telling = || self.0.store.finish_connect(&id, end).map_err(Into::into);
        if let Err(error) = patiently(telling).await {
            tracing::warn!(connect = %id, %error, "how the connecting of an account ended is not kept");
        }
        self.0.connected.notify_waiters();
        ended.map(|(_, connected)| connected)
    }

    async fn end(
        &self,
        taken: TakenConnect,
        arrival: &Arrival,
    ) -> Result<(CredentialId, Connected), ConnectError> {
        let connect = taken.connect;
        if let Some(error) = &arrival.error {
            let said = arrival.error_description.as_deref().unwrap_or_default();
            let said = shown(&format!("{error} {said}"), &[]);
            return Err(ConnectError::Refused(format!(
                "the service sent the browser back with `{}`",
                said.trim()
            )));
        }
        let code = arrival.code.as_ref().filter(|code| is_sane(code));
        let code = code.ok_or_else(|| {
            ConnectError::Refused("the service sent the browser back without a code".to_owned())
        })?;
        if !patiently(|| self.is_still_good(&connect.token_id)).await? {
            return Err(ConnectError::Refused(
                "the API token that asked for it is not good any more".to_owned(),
            ));
        }
        let client = patiently(|| self.client_of(&connect)).await?;
        let given = client
            .exchange(&self.0.outbound, code, &redirect(&connect)?, taken.verifier)
            .await;
        let tokens = given.map_err(|error| ConnectError::Refused(error.to_string()))?;
        self.keep_connected(&connect, &client, &tokens).await
    }

    /// The credential is made, or made anew if it is the same account's.
    async fn keep_connected(
        &self,
        connect: &Connect,
        client: &Client,
        tokens: &TokenSet,
    ) -> Result<(CredentialId, Connected), ConnectError> {
        let secrets = tokens.secrets(Secrets::default());
        let account = patiently(|| self.whose(connect, &secrets)).await?;
        patiently(|| self.keep_as(connect, client, tokens, account.clone())).await
    }

    async fn keep_as(
        &self,
        connect: &Connect,
        client: &Client,
        tokens: &TokenSet,
        account: Option<(String, String)>,
    ) -> Result<(CredentialId, Connected), ConnectError> {
        let store = &self.0.store;
        let secrets = tokens.secrets(Secrets::default());
        let before = store
            .credential_by_name(&connect.workspace_id, &connect.name)
            .await?;
        check_name(before.as_ref(), &connect.name, &connect.provider)?;
        if let Some(before) = &before {
            let integration = connect.integration_id.as_ref();
            self.check_place(before, integration).await?;
        }
        let (account_id, account_name) = account.unzip();
        let scopes = tokens.scopes.clone();
        let scopes = scopes.unwrap_or_else(|| client.oauth.scopes.clone());
        let (expires_at, refresh_due_at, secrets) =
            first_times(tokens, &secrets, self.0.clock.now());
        let (id, change) = match before {
            Some(before) => {
                check_account(&before, account_id.as_deref(), account_name.as_deref())?;
                let update = CredentialUpdate {
                    id: before.id.clone(),
                    revision: before.revision,
                    integration_id: connect.integration_id.clone(),
                    fields: before.fields,
                    secrets,
                    account_id,
                    account_name: account_name.clone(),
                    scopes,
                    expires_at,
                    refresh_due_at,
                };
                (before.id, Change::UpdateCredential(update))
            }
            None => {
                let id = CredentialId::generate(self.0.clock.now());
                let new = NewCredential {
                    id: id.clone(),
                    workspace_id: connect.workspace_id.clone(),
                    name: connect.name.clone(),
                    provider: connect.provider.clone(),
                    integration_id: connect.integration_id.clone(),
                    kind: CredentialKind::Oauth,
                    fields: Map::new(),
                    secrets,
                    account_id,
                    account_name: account_name.clone(),
                    scopes,
                    expires_at,
                    refresh_due_at,
                };
                (id, Change::CreateCredential(new))
            }
        };
        let actor = Actor {
            workspace_id: connect.workspace_id.clone(),
            token_id: Some(connect.token_id.clone()),
        };
        store.apply(&actor, vec![change]).await?;
        self.announce(&id);
        let connected = Connected {
            provider: connect.provider.clone(),
            name: connect.name.clone(),
            account_name,
        };
        Ok((id, connected))
    }

    /// Id and name of the account. A service that cannot be asked now is no reason to throw its
    /// tokens away.
    async fn whose(
        &self,
        connect: &Connect,
        secrets: &Secrets,
    ) -> Result<Option<(String, String)>, ConnectError> {
        let integration = match &connect.integration_id {
            Some(id) => self.0.store.integration(&connect.workspace_id, id).await?,
            None => None,
        };
        let draft = CredentialDraft {
            provider: connect.provider.clone(),
            kind: CredentialKind::Oauth,
            fields: Map::new(),
            secrets: secrets.to_text(),
            base_url: integration.and_then(|integration| integration.base_url),
        };
        match self.check(&draft).await {
            Ok(checked) => Ok(checked.account.map(|account| (account.id, account.name))),
            Err(CheckError::Wrong { message, .. }) => Err(ConnectError::Refused(message)),
            Err(CheckError::Unavailable(reason)) => {
                tracing::warn!(reason, "whose account was connected is not known yet");
                Ok(None)
            }
            Err(CheckError::Store(error)) => Err(error.into()),
        }
    }

    async fn is_still_good(&self, token: &TokenId) -> Result<bool, ConnectError> {
        let now = self.0.clock.now();
        let found = self.0.store.token(token).await?;
        Ok(found.is_some_and(|token| {
            token.revoked_at.is_none() && token.expires_at.is_none_or(|end| end > now)
        }))
    }
}

/// What a service gives is given once: a store that is away, or that someone else changed at the
/// same moment, is asked again.
async fn patiently<T, Asked>(ask: impl Fn() -> Asked) -> Result<T, ConnectError>
where
    Asked: Future<Output = Result<T, ConnectError>>,
{
    let mut tries = 0;
    loop {
        let asked = ask().await;
        match &asked {
            Err(ConnectError::Store(error)) if tries < STORE_TRIES && error.is_conflict() => {}
            Err(ConnectError::Store(error)) if tries < STORE_TRIES && error.is_unavailable() => {
                tokio::time::sleep(STORE_PAUSE).await;
            }
            _ => return asked,
        }
        tries += 1;
    }
}

/// What hangs on a credential belongs to its account.
fn check_account(
    before: &Credential,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<(), ConnectError> {
    match (&before.account_id, id) {
        (Some(before_id), Some(id)) if before_id != id => Err(ConnectError::Refused(format!(
            "`{}` belongs to the account `{}`, but `{}` was connected: sign in as the former, or take another name",
            before.name,
            before.account_name.as_deref().unwrap_or(before_id),
            name.unwrap_or(id),
        ))),
        _ => Ok(()),
    }
}

fn is_sane(text: &Secret<String>) -> bool {
    !text.expose().is_empty() && text.expose().len() <= PARAMETER_MAX
}
