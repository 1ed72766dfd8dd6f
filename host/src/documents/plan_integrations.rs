//! Planning integrations, and which of them a credential means.

use url::Url;

use super::accounts::{CredentialEntry, IntegrationEntry};
use super::catalog::CredentialTerms;
use super::difference::{Difference, compare};
use super::draft::Draft;
use super::mistake::Mistake;
use super::plan::{ObjectKind, Planner};
use super::plan_accounts::{check_provider, text};
use crate::credentials::SHARED;
use crate::id::IntegrationId;
use crate::model::{Change, Integration, IntegrationUpdate, NewIntegration, SecretsUpdate};
use crate::secret::Secret;
use crate::store::StoreError;

/// The integration that an entry means.
pub(super) struct Meant {
    pub id: Option<IntegrationId>,
    pub base_url: Option<String>,
    /// The document makes it.
    pub is_new: bool,
}

impl Planner<'_> {
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
            is_moved: is_moved(&stored, entry),
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
}

/// None: there is no such integration, which was noted.
pub(super) fn meant_integration(entry: &CredentialEntry, draft: &mut Draft<'_>) -> Option<Meant> {
    let none = Meant {
        id: None,
        base_url: None,
        is_new: false,
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
    Some(Meant {
        id,
        base_url,
        is_new: stored.is_none(),
    })
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

/// Whether secrets for the integration as it is would reach another server than before.
fn is_moved(stored: &Integration, entry: &IntegrationEntry) -> bool {
    let server = |url: &Option<String>| {
        let url = url.as_deref().and_then(|url| Url::parse(url).ok());
        url.map(|url| url.origin())
    };
    server(&stored.base_url) != server(&entry.base_url)
}
