//! An OAuth client at its place: what a provider declares, with the addresses and the identity that
//! one integration gives.

use std::net::IpAddr;

use url::{Host, Url};

use crate::model::Integration;
use crate::outbound::{Class, HostPort, Policy};
use crate::plugins::AuthFacts;
use crate::plugins::auth::OauthFacts;
use crate::secret::Secret;

/// A client, ready to be used.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub id: String,
    pub secret: Option<Secret<String>>,
    pub authorize_url: Url,
    pub token_url: Url,
    pub revoke_url: Option<Url>,
    pub oauth: OauthFacts,
    allow: Vec<String>,
}

impl Client {
    /// The client of an integration with its opened secret, or the one that the instance shares.
    /// The error says what is missing.
    pub fn of(
        auth: &AuthFacts,
        integration: Option<(&Integration, Option<Secret<String>>)>,
    ) -> Result<Client, String> {
        let oauth = auth.oauth.clone().ok_or(
            "the provider does not declare how an account is connected: give a key instead",
        )?;
        let own_base = integration
            .as_ref()
            .and_then(|(integration, _)| integration.base_url.clone());
        let base = own_base.or_else(|| auth.base_url.clone());
        let (id, secret) = match integration {
            Some((integration, secret)) => {
                let id = integration.client_id.clone().ok_or_else(|| {
                    format!(
                        "the integration `{}` has no `client`: give it `client_id` and `client_secret`",
                        integration.name
                    )
                })?;
                (id, secret)
            }
            None => {
                let shared = auth.shared_client.clone().ok_or(
                    "the instance shares no client of this provider: make an integration with one",
                )?;
                (shared.client_id, Some(shared.client_secret))
            }
        };
        let base = base.as_deref();
        let revoke_url = oauth.revoke_url.as_deref();
        let client = Client {
            id,
            secret,
            authorize_url: resolve(&oauth.authorize_url, base)?,
            token_url: resolve(&oauth.token_url, base)?,
            revoke_url: revoke_url.map(|url| resolve(url, base)).transpose()?,
            oauth,
            allow: auth.allow.clone(),
        };
        check_secure(&client.authorize_url)?;
        check_secure(&client.token_url)?;
        client.revoke_url.as_ref().map_or(Ok(()), check_secure)?;
        Ok(client)
    }

    /// What may be reached for a request to this address of the client: its host and no other.
    pub fn policy(&self, url: &Url) -> Policy {
        Policy {
            allow: self
                .allow
                .iter()
                .filter_map(|range| range.parse().ok())
                .collect(),
            hosts: Some(HostPort::of_url(url).into_iter().collect()),
        }
    }
}

/// An address as declared: absolute, or below the base URL.
fn resolve(declared: &str, base: Option<&str>) -> Result<Url, String> {
    let text = if declared.contains("://") {
        declared.to_owned()
    } else {
        let base = base.ok_or(
            "the provider is at a place of its own: make an integration with its `base_url`",
        )?;
        format!("{base}/{}", declared.trim_start_matches('/'))
    };
    Url::parse(&text).map_err(|_| "the service's OAuth addresses are not URLs".to_owned())
}

/// Secrets are sent without TLS only to this machine or to an address that is spelt out and not
/// public, which the operator must have opened.
fn check_secure(url: &Url) -> Result<(), String> {
    let is_closed = |address: IpAddr| Class::of(address) != Class::Public;
    let is_secure = match (url.scheme(), url.host()) {
        ("https", _) => true,
        ("http", Some(Host::Domain(name))) => name == "localhost",
        ("http", Some(Host::Ipv4(address))) => is_closed(address.into()),
        ("http", Some(Host::Ipv6(address))) => is_closed(address.into()),
        _ => false,
    };
    if is_secure {
        return Ok(());
    }
    Err("accounts are not connected without TLS: the address must begin with https://".to_owned())
}

/// A base URL as it is kept: without a slash at its end. The error says what is expected.
pub fn base_url_form(text: &str) -> Result<String, String> {
    let form =
        || "an address like https://cloud.acme.example, without user, query and `#`".to_owned();
    let url = Url::parse(text).map_err(|_| form())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain {
        return Err(form());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_addresses_stand_below_the_base_url_with_its_path() {
        let url = resolve("/apps/oauth2/authorize", Some("https://acme.example/cloud"));
        assert_eq!(
            url.map(String::from).as_deref(),
            Ok("https://acme.example/cloud/apps/oauth2/authorize")
        );
        let url = resolve("https://login.acme.example/token", None);
        assert_eq!(
            url.map(String::from).as_deref(),
            Ok("https://login.acme.example/token")
        );
        assert!(resolve("/token", None).is_err());
    }

    #[test]
    fn tokens_are_not_asked_for_in_clear_over_the_network() {
        let check = |text: &str| check_secure(&Url::parse(text).expect("a URL"));
        for good in [
            "https://acme.example/t",
            "http://127.0.0.1:9/t",
            "http://localhost/t",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://acme.example/t",
            "http://8.8.8.8/t",
            "http://[2606:4700::1111]/t",
            "ftp://127.0.0.1/t",
            "javascript:alert(1)",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn base_urls_are_kept_without_their_slash() {
        assert_eq!(
            base_url_form("https://A.example/x/").as_deref(),
            Ok("https://a.example/x")
        );
        for bad in [
            "acme.example",
            "ftp://a/",
            "https://u:p@a/",
            "https://a/?x",
            "https://a/#x",
        ] {
            assert!(base_url_form(bad).is_err(), "{bad}");
        }
    }
}
