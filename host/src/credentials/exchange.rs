//! Asking a service for tokens: for a code, for a refresh token; and giving tokens back.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, TokenResponse, TokenUrl,
};
use url::{Url, form_urlencoded};

use super::answer::normalise;
use super::client::Client;
use super::failure::GrantError;
use super::secrets::{Secrets, shown};
use super::token_set::{ACCESS_TOKEN, REFRESH_TOKEN, TokenSet};
use crate::outbound::{BodyLimit, Outbound, OutboundRequest, OutboundResponse};
use crate::plugins::auth::{ClientAuth, Pkce};
use crate::secret::Secret;

/// A service has this long for an answer, as a whole. Shorter than the lease of a renewal.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_MAX: usize = 1 << 20;

type Endpoints =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;
type Said = RequestTokenError<GrantError, BasicErrorResponse>;

impl Client {
    /// Where a browser is sent, and back to `redirect`. `state` comes back with it.
    pub fn departure(
        &self,
        redirect: &RedirectUrl,
        state: &Secret<String>,
        verifier: Option<&Secret<String>>,
    ) -> Url {
        let endpoints = self.endpoints();
        let state = state.expose().clone();
        let mut request = endpoints
            .authorize_url(|| CsrfToken::new(state))
            .set_redirect_uri(Cow::Borrowed(redirect));
        if let Some(verifier) = verifier {
            let verifier = PkceCodeVerifier::new(verifier.expose().clone());
            let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
            request = request.set_pkce_challenge(challenge);
        }
        if !self.oauth.scopes.is_empty() {
            let scopes = self.oauth.scopes.join(&self.oauth.scope_separator);
            request = request.add_extra_param("scope", scopes);
        }
        for (name, value) in &self.oauth.extra_authorize_params {
            request = request.add_extra_param(name, value);
        }
        request.url().0
    }

    /// Whether codes are bound to a verifier.
    pub fn wants_verifier(&self) -> bool {
        self.oauth.pkce == Pkce::Sha256
    }

    /// The tokens for a code that a browser brought back.
    pub async fn exchange(
        &self,
        outbound: &Outbound,
        code: &Secret<String>,
        redirect: &RedirectUrl,
        verifier: Option<Secret<String>>,
    ) -> Result<TokenSet, GrantError> {
        let endpoints = self.endpoints();
        let mut request = endpoints
            .exchange_code(AuthorizationCode::new(code.expose().clone()))
            .set_redirect_uri(Cow::Borrowed(redirect));
        if let Some(verifier) = &verifier {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()));
        }
        let wire = self.wire(outbound);
        let answer = request.request_async(&wire).await;
        let secrets: Vec<&str> = [Some(code.expose().as_str())]
            .into_iter()
            .chain([verifier.as_ref().map(|secret| secret.expose().as_str())])
            .flatten()
            .collect();
        answer
            .map(|given| token_set(&given))
            .map_err(|error| self.failure(error, &secrets))
    }

    /// New tokens for a refresh token.
    pub async fn refresh(
        &self,
        outbound: &Outbound,
        refresh_token: &str,
    ) -> Result<TokenSet, GrantError> {
        let endpoints = self.endpoints();
        let token = RefreshToken::new(refresh_token.to_owned());
        let request = endpoints.exchange_refresh_token(&token);
        let wire = self.wire(outbound);
        let answer = request.request_async(&wire).await;
        answer
            .map(|given| token_set(&given))
            .map_err(|error| self.failure(error, &[refresh_token]))
    }

    /// Gives the tokens back, if the service takes them (RFC 7009). Whether it did.
    pub async fn revoke(&self, outbound: &Outbound, secrets: &Secrets) -> Result<bool, GrantError> {
        let held = [REFRESH_TOKEN, ACCESS_TOKEN]
            .iter()
            .find_map(|name| Some((*name, secrets.get(name)?)));
        let (Some(url), Some((hint, token))) = (&self.revoke_url, held) else {
            return Ok(false);
        };
        // By hand, since the library refuses plain http, which we permit to this machine.
        let own = self.secret.as_ref().map(|secret| secret.expose().as_str());
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", hint)
            .append_pair("client_id", &self.id)
            .extend_pairs(own.map(|secret| ("client_secret", secret)))
            .finish();
        let mut request = HttpRequest::new(body.into_bytes());
        *request.method_mut() = http::Method::POST;
        let kind = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        request
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, kind);
        let response = self.answered(outbound, url, request).await?;
        if response.status.is_success() {
            return Ok(true);
        }
        Err(GrantError::Unavailable {
            reason: format!("the service answered {}", response.status.as_u16()),
            retry_after: None,
        })
    }

    fn endpoints(&self) -> Endpoints {
        let mut client = BasicClient::new(ClientId::new(self.id.clone()))
            .set_auth_uri(AuthUrl::from_url(self.authorize_url.clone()))
            .set_token_uri(TokenUrl::from_url(self.token_url.clone()))
            .set_auth_type(match self.oauth.client_auth {
                ClientAuth::Body => AuthType::RequestBody,
                ClientAuth::Basic => AuthType::BasicAuth,
            });
        if let Some(secret) = &self.secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().clone()));
        }
        client
    }

    fn wire(&self, outbound: &Outbound) -> Wire {
        Wire {
            client: self.clone(),
            outbound: outbound.clone(),
        }
    }

    async fn answered(
        &self,
        outbound: &Outbound,
        url: &Url,
        request: HttpRequest,
    ) -> Result<OutboundResponse, GrantError> {
        let (head, body) = request.into_parts();
        let request = OutboundRequest {
            method: head.method,
            url: url.clone(),
            headers: head.headers,
            body: body.into(),
            timeout: TIMEOUT,
            body_limit: BodyLimit::Refuse(ANSWER_MAX),
        };
        let sent = outbound.send(&self.policy(url), request).await;
        sent.map_err(|error| GrantError::Unavailable {
            reason: error.chain(),
            retry_after: None,
        })
    }

    /// What went wrong, without what was sent: services like to repeat it.
    fn failure(&self, error: Said, sent: &[&str]) -> GrantError {
        match error {
            RequestTokenError::ServerResponse(said) => {
                let own = self.secret.as_ref().map(|secret| secret.expose().as_str());
                let secrets: Vec<&str> = sent.iter().copied().chain(own).collect();
                GrantError::Said {
                    code: shown(said.error().as_ref(), &secrets),
                    description: said.error_description().map(|text| shown(text, &secrets)),
                }
            }
            RequestTokenError::Request(error) => error,
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => GrantError::Unavailable {
                reason: "the service's answer is not in the words of OAuth".to_owned(),
                retry_after: None,
            },
        }
    }
}

/// The guarded way to a token endpoint, as the library asks for it.
struct Wire {
    client: Client,
    outbound: Outbound,
}

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = GrantError;
    type Future = BoxFuture<'c, Result<HttpResponse, GrantError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        async move {
            let (client, outbound) = (&self.client, &self.outbound);
            let response = client
                .answered(outbound, &client.token_url, request)
                .await?;
            normalise(&response)
        }
        .boxed()
    }
}

fn token_set(given: &BasicTokenResponse) -> TokenSet {
    let scopes = given.scopes().map(|scopes| {
        let unique: HashSet<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let mut scopes: Vec<String> = unique.into_iter().map(str::to_owned).collect();
        scopes.sort();
        scopes
    });
    TokenSet {
        access_token: Secret::new(given.access_token().secret().clone()),
        refresh_token: given
            .refresh_token()
            .map(|token| Secret::new(token.secret().clone())),
        lifetime: given.expires_in(),
        scopes,
    }
}
