//! Planning integrations and credentials. A key that is new or changed is shown to its provider
//! before anything is changed, in a dry run too.

use serde_json::Value;

use super::accounts::{CredentialEntry, IntegrationEntry};
use super::catalog::CredentialTerms;
use super::difference::{Difference, compare, compare_maps, compare_secrets};
use super::draft::{Draft, Stored};
use super::mistake::Mistake;
use super::plan::{ObjectKind, Planner, sealed};
use super::wanted::{provider_mistake, split};
use crate::credentials::{CheckError, CredentialDraft, SHARED};
use crate::id::{CredentialId, IntegrationId};
use crate::model::{
    Change, Credential, CredentialKind, CredentialUpdate, IntegrationUpdate, NewCredential,
    NewIntegration, PageQuery, SecretsUpdate,
};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::yaml::pointer_join;

/// The integration that an entry means.
struct Meant {
    id: Option<IntegrationId>,
    base_url: Option<String>,
}

impl Planner<'_> {
    pub(super) async fn load_accounts(&self, stored: &mut Stored) -> Result<(), StoreError> {
        let mut page = PageQuery::first(PageQuery::LIMIT_MAX);
        loop {
            let found = self
                .store
                .list_integrations(self.workspace_id, &page)
                .await?;
            let named = found.items.into_iter().map(|one| (one.name.clone(), one));
            stored.integrations.extend(named);
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        page.cursor = None;
        loop {
            let found = self
                .store
                .list_credentials(self.workspace_id, &page)
                .await?;
            let named = found.items.into_iter().map(|one| (one.name.clone(), one));
            stored.credentials.extend(named);
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        Ok(())
    }

    pub(super) async fn plan_integration(
        &self,
        entry: &IntegrationEntry,
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        let terms = self.terms(&entry.pointer, &entry.provider, draft);
        if let Some(terms) = &terms {
            check_integration(entry, terms, draft);
        }
        let stored = draft.stored.integrations.get(&entry.name).cloned();
        if let Some(stored) = &stored {
            let kind = "an integration";
            check_provider(
                kind,
                &entry.pointer,
                &stored.provider,
                &entry.provider,
                draft,
            );
        }
        let id = match &stored {
            Some(stored) => stored.id.clone(),
            None => IntegrationId::generate(self.clock.now()),
        };
        draft.integration_ids.insert(entry.name.clone(), id.clone());
        let secret = entry.client_secret.clone().map(Secret::new);
        let Some(stored) = stored else {
            let change = Change::CreateIntegration(NewIntegration {
                id: id.clone(),
                workspace_id: self.workspace_id.clone(),
                name: entry.name.clone(),
                provider: entry.provider.clone(),
                base_url: entry.base_url.clone(),
                client_id: entry.client_id.clone(),
                client_secret: secret,
            });
            draft.create(ObjectKind::Integration, &entry.name, id.to_string(), change);
            return Ok(());
        };
        let mut differences = Vec::new();
        let (from, to) = (text(&stored.base_url), text(&entry.base_url));
        compare("base_url", &from, &to, &mut differences);
        let (from, to) = (text(&stored.client_id), text(&entry.client_id));
        compare("client.client_id", &from, &to, &mut differences);
        let held = self.store.integration_secret(&id).await?;
        let is_same = held.as_ref().map(|held| held.expose()) == entry.client_secret.as_ref();
        if !is_same {
            differences.push(Difference::of_secret("client.client_secret"));
        }
        let change = Change::UpdateIntegration(IntegrationUpdate {
            id: id.clone(),
            revision: stored.revision,
            base_url: entry.base_url.clone(),
            client_id: entry.client_id.clone(),
            client_secret: match secret {
                _ if is_same => SecretsUpdate::Keep,
                Some(secret) => SecretsUpdate::Replace(secret),
                None => SecretsUpdate::Remove,
            },
        });
        let changed = (change, differences);
        draft.change(
            ObjectKind::Integration,
            &entry.name,
            id.to_string(),
            changed,
        );
        Ok(())
    }

    pub(super) async fn plan_credential(
        &self,
        entry: &CredentialEntry,
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        let terms = self.terms(&entry.pointer, &entry.provider, draft);
        let stored = draft.stored.credentials.get(&entry.name).cloned();
        if let Some(stored) = &stored {
            let kind = "a credential";
            check_provider(
                kind,
                &entry.pointer,
                &stored.provider,
                &entry.provider,
                draft,
            );
        }
        let id = match &stored {
            Some(stored) => stored.id.clone(),
            None => CredentialId::generate(self.clock.now()),
        };
        let known = (id.clone(), entry.provider.clone());
        draft.credential_ids.insert(entry.name.clone(), known);
        let meant = meant_integration(entry, draft);
        let (Some(terms), Some(meant)) = (terms, meant) else {
            return Ok(());
        };
        match &entry.values {
            None => plan_connected(entry, stored.as_ref(), &terms, draft),
            Some(values) => {
                let fields = (&terms, values);
                self.plan_key(entry, (id, stored), meant, fields, draft)
                    .await?;
            }
        }
        Ok(())
    }

    /// A credential whose fields are filled in.
    async fn plan_key(
        &self,
        entry: &CredentialEntry,
        (id, stored): (CredentialId, Option<Credential>),
        meant: Meant,
        (terms, values): (&CredentialTerms, &serde_json::Map<String, Value>),
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        if stored
            .as_ref()
            .is_some_and(|one| one.kind == CredentialKind::Oauth)
        {
            let message = format!(
                "`{}` is a connected account: leave `values` out, or take another name",
                entry.name
            );
            let at = format!("{}/values", entry.pointer);
            draft.mistakes.push(Mistake::value(at, message));
            return Ok(());
        }
        let before = draft.mistakes.len();
        let pointer = format!("{}/values", entry.pointer);
        let (fields, secrets) = split(&pointer, values, &terms.fields, &mut draft.mistakes);
        if draft.mistakes.len() > before {
            return Ok(());
        }
        let mut differences = Vec::new();
        if let Some(stored) = &stored {
            let held = self.store.credential_held(&stored.id).await?;
            let held = held.map(|held| held.secrets);
            compare_secrets(held.as_ref(), &secrets, &mut differences);
            compare_maps(Some("values"), &stored.fields, &fields, &mut differences);
            let name = |id: &Option<IntegrationId>| draft.integration_name(id.as_ref());
            let (from, to) = (name(&stored.integration_id), name(&meant.id));
            compare("integration", &from, &to, &mut differences);
        }
        let sealed = sealed(&secrets).unwrap_or_else(|| Secret::new("{}".to_owned()));
        let mut account = None;
        if stored.is_none() || !differences.is_empty() {
            let credential = CredentialDraft {
                provider: entry.provider.clone(),
                kind: CredentialKind::ApiKey,
                fields: fields.clone(),
                secrets: sealed.clone(),
                base_url: meant.base_url.clone(),
            };
            match self.catalog.check_credential(&credential).await {
                Ok(checked) => account = checked.account,
                Err(CheckError::Store(error)) => return Err(error),
                Err(error) => {
                    draft.mistakes.push(mistake_of(&error, &pointer));
                    return Ok(());
                }
            }
        }
        let account = account.unwrap_or_default();
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let (account_id, account_name) = (given(account.id), given(account.name));
        let expires_at = account.expires_at_ms.map(crate::clock::Millis);
        let Some(stored) = stored else {
            let change = Change::CreateCredential(NewCredential {
                id: id.clone(),
                workspace_id: self.workspace_id.clone(),
                name: entry.name.clone(),
                provider: entry.provider.clone(),
                integration_id: meant.id,
                kind: CredentialKind::ApiKey,
                fields,
                secrets: sealed,
                account_id,
                account_name,
                scopes: account.scopes,
                expires_at,
                refresh_due_at: None,
            });
            draft.create(ObjectKind::Credential, &entry.name, id.to_string(), change);
            return Ok(());
        };
        let change = Change::UpdateCredential(CredentialUpdate {
            id: id.clone(),
            revision: stored.revision,
            integration_id: meant.id,
            fields,
            secrets: sealed,
            account_id,
            account_name,
            scopes: account.scopes,
            expires_at,
            refresh_due_at: None,
        });
        let changed = (change, differences);
        draft.change(ObjectKind::Credential, &entry.name, id.to_string(), changed);
        Ok(())
    }

    fn terms(
        &self,
        pointer: &str,
        provider: &str,
        draft: &mut Draft<'_>,
    ) -> Option<CredentialTerms> {
        match self.catalog.credential_terms(provider) {
            Ok(terms) => Some(terms),
            Err(error) => {
                draft
                    .mistakes
                    .push(provider_mistake(pointer, provider, &error));
                None
            }
        }
    }
}

/// An account that `triggerd connect` connects.
fn plan_connected(
    entry: &CredentialEntry,
    stored: Option<&Credential>,
    terms: &CredentialTerms,
    draft: &mut Draft<'_>,
) {
    if let Some(stored) = stored.filter(|one| one.kind == CredentialKind::Oauth) {
        let (id, kind) = (stored.id.to_string(), ObjectKind::Credential);
        draft.leave(kind, &entry.name, id);
        return;
    }
    let (provider, name) = (&entry.provider, &entry.name);
    let message = if terms.has_oauth && stored.is_none() {
        format!(
            "`{name}` is not connected yet: run `triggerd connect {provider} --name {name}`, or give its `values`"
        )
    } else {
        "`values` is missing".to_owned()
    };
    draft
        .mistakes
        .push(Mistake::value(entry.pointer.clone(), message));
}

fn check_integration(entry: &IntegrationEntry, terms: &CredentialTerms, draft: &mut Draft<'_>) {
    let provider = &entry.provider;
    if entry.client_id.is_some() && !terms.has_oauth {
        let message = format!("`client`: `{provider}` does not connect accounts by OAuth");
        let at = format!("{}/client", entry.pointer);
        draft.mistakes.push(Mistake::value(at, message));
    }
    if entry.base_url.is_none() && terms.needs_base_url {
        let message = format!("`base_url` is missing: `{provider}` is at a place of its own");
        draft
            .mistakes
            .push(Mistake::value(entry.pointer.clone(), message));
    }
}

fn check_provider(kind: &str, pointer: &str, from: &str, to: &str, draft: &mut Draft<'_>) {
    if from == to {
        return;
    }
    let message = format!(
        "it is {kind} of `{from}`, which cannot change: delete it first or take another name"
    );
    let at = format!("{pointer}/provider");
    draft.mistakes.push(Mistake::value(at, message));
}

/// None: there is no such integration, which was noted.
fn meant_integration(entry: &CredentialEntry, draft: &mut Draft<'_>) -> Option<Meant> {
    let none = Meant {
        id: None,
        base_url: None,
    };
    let Some(named) = entry.integration.as_ref().filter(|named| *named != SHARED) else {
        return Some(none);
    };
    let in_document = draft.document.integrations.iter();
    let of_document = in_document.clone().find(|one| one.name == *named);
    let stored = draft.stored.integrations.get(named);
    let found = match (of_document, stored) {
        (Some(one), _) => {
            let id = draft.integration_ids.get(named).cloned();
            Some((id, one.base_url.clone(), one.provider.clone()))
        }
        (None, Some(one)) => {
            let id = Some(one.id.clone());
            Some((id, one.base_url.clone(), one.provider.clone()))
        }
        (None, None) => None,
    };
    let at = format!("{}/integration", entry.pointer);
    let Some((id, base_url, provider)) = found else {
        let mut known: Vec<String> = in_document.map(|one| one.name.clone()).collect();
        known.extend(draft.stored.integrations.keys().cloned());
        known.sort();
        known.dedup();
        let message = format!("there is no integration `{named}` in the document or stored");
        draft
            .mistakes
            .push(Mistake::value(at, message).allowing(known));
        return None;
    };
    if provider != entry.provider {
        let message = format!("`{named}` is an integration of `{provider}`");
        draft.mistakes.push(Mistake::value(at, message));
        return None;
    }
    Some(Meant { id, base_url })
}

fn mistake_of(error: &CheckError, pointer: &str) -> Mistake {
    match error {
        CheckError::Wrong {
            field: Some(field),
            message,
        } => Mistake::value(pointer_join(pointer, field), message.clone()),
        other => Mistake::value(pointer, other.to_string()),
    }
}

fn text(text: &Option<String>) -> Value {
    text.as_deref().map_or(Value::Null, Value::from)
}
