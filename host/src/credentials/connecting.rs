//! Connecting an account: from the address that a person opens to the credential that is kept.
//!
//! ```text
//! order ──► waiting ──agreed─► started ──comes back──► exchanging ──► done
//!           (ticket)          (state, cookie, PKCE)              └──► failed
//! ```
//! The ticket is in the printed address, the state goes to the service and back, the cookie stays in
//! the browser: only who has state and cookie ends what the ticket began. Of all three only hashes
//! are kept. Agreeing again begins anew and makes the older state worthless.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::RedirectUrl;
use sha2::{Digest as _, Sha256};

use super::SHARED;
use super::failure::ConnectError;
use super::state::Credentials;
use crate::clock::random;
use crate::id::{ConnectId, IntegrationId, TokenId, WorkspaceId};
use crate::model::{Connect, Credential, CredentialKind, Integration, NewConnect, PageQuery};
use crate::plugins::AuthFacts;
use crate::secret::Secret;

/// A ticket and its state are good for so long.
pub const LIFETIME: Duration = Duration::from_secs(600);

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
    /// What must be registered at the service.
    pub redirect_url: String,
    pub expires_at: crate::clock::Millis,
}

impl Credentials {
    /// Prepares the connecting of an account.
    pub async fn order(&self, order: ConnectOrder) -> Result<Ordered, ConnectError> {
        let auth = self.0.providers.auth(&order.provider);
        let auth = auth.map_err(|message| wrong("provider", message))?;
        if auth.oauth.is_none() {
            let message = format!(
                "accounts of `{}` are not connected in a browser: {}",
                order.provider,
                key_form(&order.provider, &auth),
            );
            return Err(wrong("provider", message));
        }
        let name = order.name.clone();
        let name = name.unwrap_or_else(|| order.provider.clone());
        let taken = self
            .0
            .store
            .credential_by_name(&order.workspace_id, &name)
            .await?;
        check_name(taken.as_ref(), &name, &order.provider)?;
        let integration = match &taken {
            // Connected anew by what it was connected by.
            Some(taken) if order.integration.is_none() => taken.integration_id.clone(),
            _ => self.choose(&order, auth.shared_client.is_some()).await?,
        };
        if let Some(taken) = &taken {
            let checked = self.check_place(taken, integration.as_ref()).await;
            checked.map_err(|error| match error {
                ConnectError::Refused(message) => wrong("integration", message),
                other => other,
            })?;
        }
        let client = self.client(&auth, &order.workspace_id, integration.as_ref());
        client
            .await?
            .map_err(|message| wrong("integration", message))?;
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
            redirect_url: self.redirect_url(),
            expires_at,
        };
        self.0.store.insert_connect(&connect).await?;
        let url = format!("{}/oauth/start/{}", self.0.public_base, ticket.expose());
        Ok(Ordered {
            redirect_url: connect.redirect_url,
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
        let mut page = PageQuery::first(PageQuery::LIMIT_MAX);
        let mut own = Vec::new();
        loop {
            let store = &self.0.store;
            let found = store.list_integrations(&order.workspace_id, &page).await?;
            let is_of_provider = |one: &Integration| one.provider == order.provider;
            own.extend(found.items.into_iter().filter(is_of_provider));
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
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
                [] if !is_shared => Err(wrong("integration", self.client_form(&order.provider))),
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

    /// How a client is made known.
    fn client_form(&self, provider: &str) -> String {
        let redirect_url = self.redirect_url();
        let base_url = match self.0.providers.auth(provider) {
            Ok(auth) if auth.needs_base_url() => ", base_url: \"https://…\"",
            _ => "",
        };
        format!(
            "`{provider}` knows no client of this host yet: register one there with the redirect \
             address {redirect_url} and apply it, as in `integrations: [{{name: my-{provider}, \
             provider: {provider}{base_url}, client: {{client_id: \"…\", client_secret: \"…\"}}}}]`"
        )
    }

    /// Where services send browsers back to, to the letter.
    fn redirect_url(&self) -> String {
        format!("{}/oauth/callback", self.0.public_base)
    }

    /// What hangs on a credential belongs to its server: an account of the same id at another one
    /// is another account.
    pub(super) async fn check_place(
        &self,
        before: &Credential,
        integration: Option<&IntegrationId>,
    ) -> Result<(), ConnectError> {
        if before.integration_id.as_ref() == integration {
            return Ok(());
        }
        let auth = self.0.providers.auth(&before.provider);
        let auth = auth.map_err(ConnectError::Refused)?;
        let workspace = &before.workspace_id;
        let was = before.integration_id.as_ref();
        let was = self.base_url(&auth, workspace, was).await?;
        let is = self.base_url(&auth, workspace, integration).await?;
        if was == is {
            return Ok(());
        }
        let shown = |url: Option<String>| url.unwrap_or_else(|| "the provider's".to_owned());
        Err(ConnectError::Refused(format!(
            "`{}` is an account at {}, not at {}: take another name with --name",
            before.name,
            shown(was),
            shown(is),
        )))
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
    let kind = match taken.kind {
        CredentialKind::Oauth => "an account",
        CredentialKind::ApiKey => "a key",
    };
    let message = format!(
        "`{name}` is {kind} of `{}` already: take another name with --name",
        taken.provider
    );
    Err(wrong("name", message))
}

/// How a key is given.
fn key_form(provider: &str, auth: &AuthFacts) -> String {
    let required = auth
        .credentials_schema
        .iter()
        .filter(|field| field.required);
    let values: Vec<String> = required
        .map(|field| format!("{}: \"…\"", field.name))
        .collect();
    format!(
        "apply a key, as in `credentials: [{{name: my-{provider}, provider: {provider}, \
         values: {{{}}}}}]`",
        values.join(", ")
    )
}

pub(super) fn redirect(connect: &Connect) -> Result<RedirectUrl, ConnectError> {
    RedirectUrl::new(connect.redirect_url.clone())
        .map_err(|_| ConnectError::Refused("`public_url` is not a URL".to_owned()))
}

/// 32 random bytes in base64url: a ticket, a state, a cookie, a verifier (RFC 7636 wants 43
/// characters or more).
pub(super) fn random_text() -> Secret<String> {
    let mut bytes = [0u8; 32];
    random(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn hash(text: &Secret<String>) -> [u8; 32] {
    Sha256::digest(text.expose().as_bytes()).into()
}
