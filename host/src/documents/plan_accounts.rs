//! Planning credentials. A key that is new or changed is shown to its provider before anything is
//! changed, in a dry run too.

use serde_json::Value;

use super::accounts::CredentialEntry;
use super::catalog::CredentialTerms;
use super::difference::{compare, compare_maps, compare_secrets};
use super::draft::{Draft, Stored};
use super::mistake::Mistake;
use super::plan::{ObjectKind, Planner, sealed};
use super::plan_integrations::{Meant, meant_integration};
use super::wanted::{provider_mistake, split};
use crate::credentials::{CheckError, CredentialDraft};
use crate::id::{CredentialId, IntegrationId};
use crate::model::{
    Change, Credential, CredentialKind, CredentialUpdate, NewCredential, PageQuery,
};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::yaml::pointer_join;

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
            None => plan_connected(entry, stored.as_ref(), (&terms, &meant), draft),
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
            // What was there before is forgotten with the move, and asked about anew.
            let before = meant.id.as_ref().and_then(|id| {
                let mut all = draft.stored.integrations.values();
                all.find(|one| one.id == *id)
            });
            if let Some(before) = before.filter(|one| one.base_url != meant.base_url) {
                let (from, to) = (text(&before.base_url), text(&meant.base_url));
                compare("integration.base_url", &from, &to, &mut differences);
            }
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

    pub(super) fn terms(
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
    (terms, meant): (&CredentialTerms, &Meant),
    draft: &mut Draft<'_>,
) {
    let (provider, name) = (&entry.provider, &entry.name);
    if let Some(stored) = stored.filter(|one| one.kind == CredentialKind::Oauth) {
        if let Some(named) = &entry.integration
            && stored.integration_id != meant.id
        {
            let message = format!(
                "`{name}` was connected by another integration: run `triggerd connect {provider} --integration {named} --name {name}`"
            );
            let at = format!("{}/integration", entry.pointer);
            draft.mistakes.push(Mistake::value(at, message));
        }
        let (id, kind) = (stored.id.to_string(), ObjectKind::Credential);
        draft.leave(kind, &entry.name, id);
        return;
    }
    let message = if terms.has_oauth && stored.is_none() {
        let by = match &entry.integration {
            Some(named) => format!(" --integration {named}"),
            None => String::new(),
        };
        // What it is connected by must be there, and nothing of this document is.
        let first = match meant.is_new {
            true => "apply its integration by itself, then ",
            false => "",
        };
        format!(
            "`{name}` is not connected yet: {first}run `triggerd connect {provider}{by} --name {name}`, or give its `values`"
        )
    } else {
        "`values` is missing".to_owned()
    };
    draft
        .mistakes
        .push(Mistake::value(entry.pointer.clone(), message));
}

pub(super) fn check_provider(
    kind: &str,
    pointer: &str,
    from: &str,
    to: &str,
    draft: &mut Draft<'_>,
) {
    if from == to {
        return;
    }
    let message = format!(
        "it is {kind} of `{from}`, which cannot change: delete it first or take another name"
    );
    let at = format!("{pointer}/provider");
    draft.mistakes.push(Mistake::value(at, message));
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

pub(super) fn text(text: &Option<String>) -> Value {
    text.as_deref().map_or(Value::Null, Value::from)
}
