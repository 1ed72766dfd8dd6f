//! Connecting an account: from the address that a person opens to the credential that is kept.
//!
//! ```text
//! order ──► waiting ──open──► started ──comes back──► exchanging ──► done
//!           (ticket)          (state, cookie, PKCE)              └──► failed
//! ```
//! The ticket is in the printed address, the state goes to the service and back, the cookie stays in
//! the browser: only who has state and cookie ends what the ticket began. Of all three only hashes
//! are kept. Opening the address again begins anew and makes the older state worthless.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::RedirectUrl;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::SHARED;
use super::client::Client;
use super::failure::ConnectError;
use super::state::Credentials;
use crate::clock::random;
use crate::id::{ConnectId, IntegrationId, TokenId, WorkspaceId};
use crate::model::{Connect, ConnectStart, Credential, CredentialKind, NewConnect, PageQuery};
use crate::secret::Secret;

/// A ticket and its state are good for so long.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// The cookie of a browser that set out is this and the beginning of its state's hash.
const COOKIE: &str = "triggerd_connect_";
/// Which account is wanted.
#[derive(Clone, Debug)]
pub struct ConnectOrder {
    pub workspace_id: WorkspaceId,
    /// Who asks.
    pub token_id: TokenId,
    pub provider: String,
    /// Its name; `shared` for the client of the instance; none: the only one there is.
    pub integration: Option<String>,
    /// Of the credential; none: the provider's name.
    pub name: Option<String>,
}

/// An address for a person to open.
#[derive(Clone, Debug)]
pub struct Ordered {
    pub id: ConnectId,
    pub url: Secret<String>,
    pub expires_at: crate::clock::Millis,
}

/// Where the browser goes, and what it keeps.
#[derive(Clone, Debug)]
pub struct Departure {
    pub location: Url,
    pub cookie_name: String,
    pub cookie_value: Secret<String>,
    /// Whether the cookie may travel over TLS only.
    pub is_secure: bool,
}

impl Credentials {
    /// Prepares the connecting of an account.
    pub async fn order(&self, order: ConnectOrder) -> Result<Ordered, ConnectError> {
        let auth = self.0.providers.auth(&order.provider);
        let auth = auth.map_err(|message| wrong("provider", message))?;
        if auth.oauth.is_none() {
            let message = format!(
                "`{}` does not declare how an account is connected: give a key, as a credential in a document",
                order.provider
            );
            return Err(wrong("provider", message));
        }
        let integration = self.choose(&order, auth.shared_client.is_some()).await?;
        let client = self.client(&auth, &order.workspace_id, integration.as_ref());
        client
            .await?
            .map_err(|message| wrong("integration", message))?;
        let name = order.name.unwrap_or_else(|| order.provider.clone());
        let taken = self
            .0
            .store
            .credential_by_name(&order.workspace_id, &name)
            .await?;
        check_name(taken.as_ref(), &name, &order.provider)?;
        let ticket = random_text();
        let expires_at = self.0.clock.now().plus(LIFETIME);
        let connect = NewConnect {
            id: ConnectId::generate(self.0.clock.now()),
            workspace_id: order.workspace_id,
            token_id: order.token_id,
            provider: order.provider,
            integration_id: integration,
            name,
            ticket_hash: hash(&ticket),
            redirect_url: format!("{}/oauth/callback", self.0.public_base),
            expires_at,
        };
        self.0.store.insert_connect(&connect).await?;
        let url = format!("{}/oauth/start/{}", self.0.public_base, ticket.expose());
        Ok(Ordered {
            id: connect.id,
            url: Secret::new(url),
            expires_at,
        })
    }

    /// The integration that is meant; none: the client of the instance.
    async fn choose(
        &self,
        order: &ConnectOrder,
        is_shared: bool,
    ) -> Result<Option<IntegrationId>, ConnectError> {
        let page = PageQuery::first(PageQuery::LIMIT_MAX);
        let store = &self.0.store;
        let all = store.list_integrations(&order.workspace_id, &page).await?;
        let of_provider = all
            .items
            .into_iter()
            .filter(|one| one.provider == order.provider);
        let own: Vec<_> = of_provider.collect();
        let shared = is_shared.then(|| SHARED.to_owned());
        let allowed = || own.iter().map(|one| one.name.clone()).chain(shared.clone());
        match &order.integration {
            Some(named) if named == SHARED && is_shared => Ok(None),
            Some(named) => match own.iter().find(|one| one.name == *named) {
                Some(found) => Ok(Some(found.id.clone())),
                None => Err(ConnectError::Wrong {
                    field: "integration",
                    message: format!("there is no integration `{named}` of `{}`", order.provider),
                    allowed: allowed().collect(),
                }),
            },
            None => match own.as_slice() {
                [] => Ok(None),
                [only] if !is_shared => Ok(Some(only.id.clone())),
                _ => Err(ConnectError::Wrong {
                    field: "integration",
                    message: format!("`{}` has several integrations: name one", order.provider),
                    allowed: allowed().collect(),
                }),
            },
        }
    }

    /// A browser opened the address: where it goes.
    pub async fn depart(&self, ticket: &str) -> Result<Departure, ConnectError> {
        let ticket = Secret::new(ticket.to_owned());
        let found = self.0.store.connect_by_ticket(&hash(&ticket)).await?;
        let connect = found.ok_or(ConnectError::NoTicket)?;
        let client = self.client_of(&connect).await?;
        let (state, session) = (random_text(), random_text());
        let verifier = client.wants_verifier().then(random_text);
        let start = ConnectStart {
            id: connect.id.clone(),
            state_hash: hash(&state),
            session_hash: hash(&session),
            verifier: verifier.clone(),
        };
        if !self.0.store.start_connect(&start).await? {
            return Err(ConnectError::NoTicket);
        }
        let redirect = redirect(&connect)?;
        Ok(Departure {
            location: client.departure(&redirect, &state, verifier.as_ref()),
            cookie_name: cookie_name(&state),
            cookie_value: session,
            is_secure: self.0.public_base.starts_with("https://"),
        })
    }

    pub(super) async fn client_of(&self, connect: &Connect) -> Result<Client, ConnectError> {
        let auth = self.0.providers.auth(&connect.provider);
        let auth = auth.map_err(ConnectError::Refused)?;
        let integration = connect.integration_id.as_ref();
        let client = self.client(&auth, &connect.workspace_id, integration);
        client.await?.map_err(ConnectError::Refused)
    }
}

fn wrong(field: &'static str, message: String) -> ConnectError {
    ConnectError::Wrong {
        field,
        message,
        allowed: Vec::new(),
    }
}

/// A name that is taken by something else is not taken over.
pub(super) fn check_name(
    taken: Option<&Credential>,
    name: &str,
    provider: &str,
) -> Result<(), ConnectError> {
    let Some(taken) = taken else { return Ok(()) };
    if taken.provider == provider && taken.kind == CredentialKind::Oauth {
        return Ok(());
    }
    let message = format!(
        "`{name}` is a credential of `{}` with a key already: take another name",
        taken.provider
    );
    Err(wrong("name", message))
}

pub(super) fn redirect(connect: &Connect) -> Result<RedirectUrl, ConnectError> {
    RedirectUrl::new(connect.redirect_url.clone())
        .map_err(|_| ConnectError::Refused("`public_url` is not a URL".to_owned()))
}

/// 32 random bytes in base64url: a ticket, a state, a cookie, a verifier (RFC 7636 wants 43
/// characters or more).
fn random_text() -> Secret<String> {
    let mut bytes = [0u8; 32];
    random(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn hash(text: &Secret<String>) -> [u8; 32] {
    Sha256::digest(text.expose().as_bytes()).into()
}

pub(super) fn cookie_name(state: &Secret<String>) -> String {
    format!("{COOKIE}{}", hex::encode(&hash(state)[..8]))
}
