//! A browser that opens the printed address: what it is told, and where it goes.

use std::time::Duration;

use url::{Position, Url};

use super::client::Client;
use super::connecting::{LIFETIME, hash, random_text, redirect};
use super::failure::ConnectError;
use super::state::Credentials;
use crate::model::{Connect, ConnectPhase, ConnectStart};
use crate::secret::Secret;

/// The cookie of a browser that set out is this and the beginning of its state's hash.
const COOKIE: &str = "triggerd_connect_";
/// Before it where there is TLS: browsers take it from this very host only, and for all its paths.
const HOST_ONLY: &str = "__Host-";

/// What a person is asked for.
#[derive(Clone, Debug)]
pub struct Errand {
    pub provider: String,
    /// Its name.
    pub workspace: String,
    /// The name of the API token that asked.
    pub asked_by: String,
    /// Of the credential.
    pub name: String,
    /// The service's host.
    pub place: String,
    pub scopes: Vec<String>,
}

/// Where the browser goes, and what it keeps.
#[derive(Clone, Debug)]
pub struct Departure {
    pub location: Url,
    pub cookie: Cookie,
    pub cookie_value: Secret<String>,
    /// Of the cookie.
    pub lifetime: Duration,
}

/// What binds a state to a browser, but for its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub path: String,
    /// Whether it may travel over TLS only.
    pub is_secure: bool,
}

impl Credentials {
    /// What a ticket is for. Nothing begins by asking.
    pub async fn errand(&self, ticket: &str) -> Result<Errand, ConnectError> {
        let connect = self.open_connect(ticket).await?;
        let client = self.client_of(&connect).await?;
        let store = &self.0.store;
        let workspace = store.workspace(&connect.workspace_id).await?;
        let token = store.token(&connect.token_id).await?;
        let (Some(workspace), Some(token)) = (workspace, token) else {
            return Err(ConnectError::NoTicket);
        };
        let authorize_url = &client.authorize_url;
        Ok(Errand {
            provider: connect.provider,
            workspace: workspace.name,
            asked_by: token.name,
            name: connect.name,
            place: authorize_url[Position::BeforeHost..Position::AfterPort].to_owned(),
            scopes: client.oauth.scopes.clone(),
        })
    }

    /// A person agreed to set out: where the browser goes.
    pub async fn depart(&self, ticket: &str) -> Result<Departure, ConnectError> {
        let connect = self.open_connect(ticket).await?;
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
            cookie: self.cookie(&state),
            cookie_value: session,
            lifetime: LIFETIME,
        })
    }

    async fn open_connect(&self, ticket: &str) -> Result<Connect, ConnectError> {
        let ticket = Secret::new(ticket.to_owned());
        let found = self.0.store.connect_by_ticket(&hash(&ticket)).await?;
        let now = self.0.clock.now();
        let is_open = |connect: &Connect| {
            connect.expires_at > now
                && matches!(connect.phase, ConnectPhase::Waiting | ConnectPhase::Started)
        };
        found.filter(is_open).ok_or(ConnectError::NoTicket)
    }

    pub(super) async fn client_of(&self, connect: &Connect) -> Result<Client, ConnectError> {
        let auth = self.0.providers.auth(&connect.provider);
        let auth = auth.map_err(ConnectError::Refused)?;
        let integration = connect.integration_id.as_ref();
        let client = self.client(&auth, &connect.workspace_id, integration);
        client.await?.map_err(ConnectError::Refused)
    }

    /// The cookie of the browser that set out with this state.
    pub(super) fn cookie(&self, state: &Secret<String>) -> Cookie {
        let base = &self.0.public_base;
        let is_secure = base.starts_with("https://");
        let name = format!("{COOKIE}{}", hex::encode(&hash(state)[..8]));
        if is_secure {
            return Cookie {
                name: format!("{HOST_ONLY}{name}"),
                path: "/".to_owned(),
                is_secure,
            };
        }
        // The host may stand below a path of a proxy.
        let base = Url::parse(base);
        let below = base.as_ref().map_or("", |base| base.path());
        Cookie {
            name,
            path: format!("{}/oauth", below.trim_end_matches('/')),
            is_secure,
        }
    }
}
