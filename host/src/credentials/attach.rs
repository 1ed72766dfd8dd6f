//! Signing a request: the declaration's rule with the credential's fields filled in.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::failure::CallRefusal;
use super::refreshing::Renewal;
use super::secrets::{Secrets, plain_texts};
use super::state::Credentials;
use crate::id::CredentialId;
use crate::model::{Credential, CredentialKind, CredentialState};
use crate::plugins::AuthFacts;
use crate::plugins::auth::AttachRule;

/// What is added to a request.
#[derive(Clone)]
pub struct Attachment {
    /// Absent: the declaration has no rule for this kind; the plugin signs by itself.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// Where the service of this credential is; without a slash at its end.
    pub base_url: Option<String>,
    /// Of the credential's secrets.
    pub generation: i64,
    /// Whether a 401 may be mended by a renewal.
    pub is_renewable: bool,
}

/// A credential that is tried before it is kept.
pub(super) struct Unsaved {
    pub provider: String,
    pub kind: CredentialKind,
    pub fields: Map<String, Value>,
    pub secrets: Secrets,
    pub base_url: Option<String>,
}

impl Credentials {
    /// What a request in the name of this credential carries; renewed first if that is due.
    pub async fn attachment(&self, id: &CredentialId) -> Result<Attachment, CallRefusal> {
        if let Some(unsaved) = self.unsaved(id) {
            return self.attach_unsaved(&unsaved);
        }
        let (credential, secrets) = self.fresh(id).await?;
        let auth = self.auth(&credential.provider)?;
        let integration = credential.integration_id.as_ref();
        let base_url = self
            .base_url(&auth, &credential.workspace_id, integration)
            .await?;
        let header = header(&auth, credential.kind, &credential.fields, &secrets);
        Ok(Attachment {
            header: header.map_err(|reason| CallRefusal::Unusable {
                name: credential.name.clone(),
                reason,
            })?,
            base_url,
            generation: credential.generation,
            is_renewable: credential.kind == CredentialKind::Oauth,
        })
    }

    /// The credential as it is to be used now: renewed if it is due, as it is if that fails for now
    /// and it is not over yet.
    pub(super) async fn fresh(
        &self,
        id: &CredentialId,
    ) -> Result<(Credential, Secrets), CallRefusal> {
        let (credential, secrets) = self.usable(id).await?;
        let now = self.0.clock.now();
        let is_over = credential.expires_at.is_some_and(|end| end <= now);
        let is_due = credential.refresh_due_at.is_some_and(|due| due <= now);
        if !is_due && !is_over {
            return Ok((credential, secrets));
        }
        match self.renew(id, credential.generation).await {
            Renewal::Failed(reason) if is_over => Err(CallRefusal::NotNow {
                name: credential.name,
                reason,
            }),
            Renewal::Failed(_) | Renewal::Impossible => Ok((credential, secrets)),
            // Also when it was refused: the row says why.
            _ => self.usable(id).await,
        }
    }

    async fn usable(&self, id: &CredentialId) -> Result<(Credential, Secrets), CallRefusal> {
        let held = self.0.store.credential_held(id).await?;
        let held = held.ok_or(CallRefusal::Gone)?;
        if held.credential.state == CredentialState::NeedsReconnect {
            return Err(CallRefusal::NeedsReconnect {
                name: held.credential.name,
                reason: held.credential.state_reason.unwrap_or_default(),
            });
        }
        Ok((held.credential, Secrets::parse(&held.secrets)))
    }

    pub(super) fn auth(&self, provider: &str) -> Result<Arc<AuthFacts>, CallRefusal> {
        self.0
            .providers
            .auth(provider)
            .map_err(CallRefusal::NotLoaded)
    }

    fn attach_unsaved(&self, unsaved: &Unsaved) -> Result<Attachment, CallRefusal> {
        let auth = self.auth(&unsaved.provider)?;
        let header = header(&auth, unsaved.kind, &unsaved.fields, &unsaved.secrets);
        Ok(Attachment {
            header: header.map_err(|reason| CallRefusal::Unusable {
                name: "(new)".to_owned(),
                reason,
            })?,
            base_url: unsaved.base_url.clone(),
            generation: 0,
            is_renewable: false,
        })
    }

    /// Lets calls use a credential that is not kept yet, for as long as the guard lives.
    pub(super) fn lend(&self, id: &CredentialId, unsaved: Unsaved) -> Lent {
        self.0
            .unsaved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), Arc::new(unsaved));
        Lent {
            credentials: self.clone(),
            id: id.clone(),
        }
    }
}

/// A credential that is lent to calls before it is kept.
pub(super) struct Lent {
    credentials: Credentials,
    id: CredentialId,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let unsaved = &self.credentials.0.unsaved;
        unsaved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

/// The header that signs a request. The error names what is missing and holds no value.
fn header(
    auth: &AuthFacts,
    kind: CredentialKind,
    fields: &Map<String, Value>,
    secrets: &Secrets,
) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let Some(rule) = auth.attach.get(kind.as_str()) else {
        return Ok(None);
    };
    let plain = plain_texts(fields);
    let mut values: BTreeMap<&str, &str> = plain
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    values.extend(secrets.iter());
    let (name, text) = match rule {
        AttachRule::Header { header, value } => {
            let name = HeaderName::from_bytes(header.as_bytes());
            let name = name.map_err(|_| format!("`{header}` is not the name of a header"))?;
            (name, fill(value, &values)?)
        }
        AttachRule::Basic { basic } => {
            let encoded = STANDARD.encode(fill(basic, &values)?);
            (http::header::AUTHORIZATION, format!("Basic {encoded}"))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "its fields hold characters that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

fn fill(template: &str, values: &BTreeMap<&str, &str>) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        filled.push_str(&rest[..start]);
        let name = &rest[start + 1..start + length];
        let value = values.get(name).filter(|value| !value.is_empty());
        filled.push_str(value.ok_or_else(|| format!("its field `{name}` is missing"))?);
        rest = &rest[start + length + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    fn signed(rule: AttachRule, secrets: &str) -> Result<Option<String>, String> {
        let auth = AuthFacts {
            attach: BTreeMap::from([("api-key".to_owned(), rule)]),
            ..AuthFacts::default()
        };
        let fields = json!({"username": "ada"});
        let fields = fields.as_object().expect("a map");
        let secrets = Secrets::parse(&Secret::new(secrets.to_owned()));
        let found = header(&auth, CredentialKind::ApiKey, fields, &secrets)?;
        Ok(found.map(|(name, value)| {
            assert!(value.is_sensitive());
            format!("{name}: {}", value.to_str().expect("text"))
        }))
    }

    #[test]
    fn rules_are_filled_in_with_fields() {
        let rule = AttachRule::Header {
            header: "X-Key".to_owned(),
            value: "key {k}".to_owned(),
        };
        assert_eq!(
            signed(rule, r#"{"k":"s"}"#),
            Ok(Some("x-key: key s".to_owned()))
        );
        let rule = AttachRule::Basic {
            basic: "{username}:{app_password}".to_owned(),
        };
        let expected = "authorization: Basic YWRhOnB3".to_owned();
        assert_eq!(signed(rule, r#"{"app_password":"pw"}"#), Ok(Some(expected)));
    }

    #[test]
    fn what_is_missing_or_breaks_out_of_its_line_is_refused_by_name() {
        let rule = || AttachRule::Header {
            header: "X-Key".to_owned(),
            value: "{k}".to_owned(),
        };
        let missing = signed(rule(), "{}").expect_err("missing");
        assert_eq!(missing, "its field `k` is missing");
        let broken = signed(rule(), r#"{"k":"canary\r\nX: y"}"#).expect_err("two lines");
        assert!(!broken.contains("canary"), "{broken}");
    }
}
