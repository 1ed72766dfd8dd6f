//! How a provider's service is signed in to and how requests to it are signed, as the declaration
//! says it and the manifest changes it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::declaration::{Declaration, Field};

use super::manifest::{Manifest, OauthEndpoints};
use crate::secret::Secret;

/// What the host needs to know of one provider to hold credentials for it.
#[derive(Clone, Debug, Default)]
pub struct AuthFacts {
    /// Where the service is, unless an integration says otherwise; without a slash at its end.
    pub base_url: Option<String>,
    /// What is filled in who gives a key instead of connecting an account.
    pub credentials_schema: Vec<Field>,
    /// How an account is connected.
    pub oauth: Option<OauthFacts>,
    /// How requests are signed, by kind of credential.
    pub attach: BTreeMap<String, AttachRule>,
    /// Secrets that the provider gets itself although a rule signs its requests: keys that it
    /// proves with what no rule can say.
    pub lend: Vec<String>,
    /// The client that the instance shares with its workspaces.
    pub shared_client: Option<SharedClient>,
    /// Address ranges (CIDR) beyond public ones that the operator opened.
    pub allow: Vec<String>,
}

/// The provider's OAuth 2.0, as declared: addresses are absolute, or relative to the base URL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthFacts {
    /// Where a browser is sent.
    pub authorize_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// Where tokens are given back (RFC 7009).
    #[serde(default)]
    pub revoke_url: Option<String>,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Between scopes.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// Whether codes are bound to us (RFC 7636).
    #[serde(default)]
    pub pkce: Pkce,
    /// Beside those of the standard, for `authorize_url`.
    #[serde(default)]
    pub extra_authorize_params: BTreeMap<String, String>,
    /// Codes of errors that say: this grant is over.
    #[serde(default = "invalid_grant")]
    pub refused: Vec<String>,
    /// Where the client's secret is sent.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// Proof keys for codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Pkce {
    #[serde(rename = "S256")]
    Sha256,
    #[default]
    #[serde(rename = "none")]
    None,
}

/// Where the client's secret is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    #[default]
    Body,
    Basic,
}

/// How a request is signed: texts with `{field}` for the credential's fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum AttachRule {
    /// A header with this value.
    Header { header: String, value: String },
    /// Basic authentication (RFC 7617) of `user:password`.
    Basic { basic: String },
}

/// The client that the instance shares.
#[derive(Clone, Debug)]
pub struct SharedClient {
    pub client_id: String,
    pub client_secret: Secret<String>,
}

/// The kinds of credentials as declarations name them.
const KINDS: [&str; 2] = ["oauth", "api-key"];

impl AuthFacts {
    /// What the declaration says, changed by the manifest; the error names the key. `expand` follows
    /// a reference in a text of the manifest.
    pub fn of<E: From<String>>(
        declaration: &Declaration,
        manifest: &Manifest,
        expand: impl Fn(&'static str, &str) -> Result<String, E>,
    ) -> Result<AuthFacts, E> {
        let native = &declaration.native;
        let configured = manifest.config.get("base_url").and_then(Value::as_str);
        let declared = native.get("base_url").and_then(Value::as_str);
        let base_url = match configured.or(declared) {
            Some(text) => Some(expand("config.base_url", text)?),
            None => None,
        };
        let constructor = declaration.subscription_constructor.as_ref();
        let shared = manifest.oauth_client.as_ref().filter(|one| one.shared);
        let shared_client = match shared {
            Some(client) => Some(SharedClient {
                client_id: expand("oauth_client.client_id", &client.client_id)?,
                client_secret: Secret::new(expand(
                    "oauth_client.client_secret",
                    &client.client_secret,
                )?),
            }),
            None => None,
        };
        Ok(AuthFacts {
            base_url: base_url.map(|url| url.trim_end_matches('/').to_owned()),
            credentials_schema: constructor
                .map(|constructor| constructor.credentials_schema.clone())
                .unwrap_or_default(),
            oauth: oauth(native.get("oauth"), manifest.oauth.as_ref())?,
            attach: attach(native.get("attach"))?,
            lend: lend(native.get("lend"))?,
            shared_client,
            allow: manifest
                .permissions
                .as_ref()
                .map(|permissions| permissions.allow.clone())
                .unwrap_or_default(),
        })
    }

    /// Whether something of it stands relative to a base URL that only an integration can give.
    pub fn needs_base_url(&self) -> bool {
        let relative = |url: &String| !url.contains("://");
        let oauth = self
            .oauth
            .as_ref()
            .is_some_and(|oauth| relative(&oauth.authorize_url) || relative(&oauth.token_url));
        oauth && self.base_url.is_none()
    }

    /// Whether the provider is told a secret of a credential of this kind.
    pub fn tells(&self, kind: &str, secret: &str) -> bool {
        !self.attach.contains_key(kind) || self.lend.iter().any(|one| one == secret)
    }
}

fn oauth(
    declared: Option<&Value>,
    manifest: Option<&OauthEndpoints>,
) -> Result<Option<OauthFacts>, String> {
    let Some(declared) = declared else {
        return Ok(None);
    };
    let mut facts: OauthFacts = serde_json::from_value(declared.clone())
        .map_err(|error| format!("`extra.native.oauth` of the declaration: {error}"))?;
    if let Some(manifest) = manifest {
        let set = |text: &mut String, other: &Option<String>| {
            if let Some(other) = other {
                text.clone_from(other);
            }
        };
        set(&mut facts.authorize_url, &manifest.authorize_url);
        set(&mut facts.token_url, &manifest.token_url);
        if manifest.revoke_url.is_some() {
            facts.revoke_url.clone_from(&manifest.revoke_url);
        }
    }
    Ok(Some(facts))
}

fn attach(declared: Option<&Value>) -> Result<BTreeMap<String, AttachRule>, String> {
    let mut rules: BTreeMap<String, AttachRule> = match declared {
        Some(declared) => serde_json::from_value(declared.clone()).map_err(|_| {
            "`extra.native.attach` of the declaration: expected, by kind, `{header: NAME, value: \
             \"… {field} …\"}` or `{basic: \"{user}:{password}\"}`"
                .to_owned()
        })?,
        None => BTreeMap::new(),
    };
    if let Some(kind) = rules.keys().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(format!(
            "`extra.native.attach.{kind}` of the declaration: expected `oauth` or `api-key`"
        ));
    }
    rules
        .entry("oauth".to_owned())
        .or_insert_with(|| AttachRule::Header {
            header: "Authorization".to_owned(),
            value: "Bearer {access_token}".to_owned(),
        });
    Ok(rules)
}

fn lend(declared: Option<&Value>) -> Result<Vec<String>, String> {
    let declared = declared
        .cloned()
        .unwrap_or_else(|| Value::Array(Vec::new()));
    serde_json::from_value(declared).map_err(|_| {
        "`extra.native.lend` of the declaration: expected a list of fields of credentials_schema"
            .to_owned()
    })
}

fn space() -> String {
    " ".to_owned()
}

fn invalid_grant() -> Vec<String> {
    vec!["invalid_grant".to_owned()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_signed_with_the_access_token_unless_declared_otherwise() {
        let bearer = AttachRule::Header {
            header: "Authorization".to_owned(),
            value: "Bearer {access_token}".to_owned(),
        };
        assert_eq!(
            attach(None),
            Ok(BTreeMap::from([("oauth".to_owned(), bearer)]))
        );
        let declared = json!({"api-key": {"basic": "{username}:{app_password}"}});
        let rules = attach(Some(&declared)).expect("rules");
        assert_eq!(rules.len(), 2);
        assert!(attach(Some(&json!({"token": {"basic": "x"}}))).is_err());
        assert!(attach(Some(&json!({"oauth": {"header": "X"}}))).is_err());
    }

    #[test]
    fn secrets_are_told_where_no_rule_signs_and_where_they_are_lent() {
        let rule = json!({"api-key": {"header": "X-Key", "value": "{key}"}});
        let facts = AuthFacts {
            attach: attach(Some(&rule)).expect("rules"),
            lend: lend(Some(&json!(["private_key"]))).expect("a list"),
            ..AuthFacts::default()
        };
        assert!(facts.tells("api-key", "private_key"));
        assert!(!facts.tells("api-key", "key"));
        assert!(facts.tells("basic", "key"));
        assert_eq!(lend(None), Ok(Vec::new()));
        assert!(lend(Some(&json!("private_key"))).is_err());
    }

    #[test]
    fn the_manifest_moves_the_endpoints() {
        let text = "provider: acme\nlibrary: a.so\n\
                    oauth: {token_url: 'http://127.0.0.1:9/token'}\n";
        let manifest = Manifest::parse(Path::new("acme.yaml"), text).expect("a manifest");
        let declared = json!({"authorize_url": "/authorize", "token_url": "/token"});
        let facts = oauth(Some(&declared), manifest.oauth.as_ref());
        let facts = facts.expect("it reads").expect("some");
        assert_eq!(facts.authorize_url, "/authorize");
        assert_eq!(facts.token_url, "http://127.0.0.1:9/token");
        assert_eq!(facts.refused, ["invalid_grant"]);
        assert_eq!(
            (facts.pkce, facts.client_auth),
            (Pkce::None, ClientAuth::Body)
        );
        let misspelt = json!({"authorize": "/authorize", "token_url": "/token"});
        let error = oauth(Some(&misspelt), None).expect_err("unknown key");
        assert!(error.contains("authorize"), "{error}");
    }
}
