//! Planning subscriptions: those registered by hand, and those that this host makes and keeps.

use serde_json::Value;

use super::difference::{Difference, compare, compare_maps, compare_secrets};
use super::draft::Draft;
use super::mistake::Mistake;
use super::plan::{ObjectKind, Planner, sealed};
use super::poll;
use super::subscription::{SubscriptionEntry, pointer_of};
use super::wanted::{self, WantedSubscription};
use crate::id::{EndpointId, SubscriptionId};
use crate::model::{
    Change, NewSubscription, SecretsUpdate, Subscription, SubscriptionMode, SubscriptionState,
    SubscriptionUpdate,
};
use crate::store::StoreError;

impl Planner<'_> {
    pub(super) async fn plan_subscription(
        &self,
        entry: &SubscriptionEntry,
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        let wanted = wanted::read(entry, self.catalog, draft).await;
        let stored = draft.stored.subscriptions.get(&entry.name).cloned();
        let id = match &stored {
            Some(stored) => stored.id.clone(),
            None => SubscriptionId::generate(self.clock.now()),
        };
        draft
            .subscription_ids
            .insert(entry.name.clone(), (id.clone(), entry.provider.clone()));
        if let Some(stored) = &stored {
            check_stored(entry, stored, wanted.as_ref(), &mut draft.mistakes);
        }
        let Some(wanted) = wanted else { return Ok(()) };
        match stored {
            None => self.create_subscription(entry, id, wanted, draft),
            Some(stored) => {
                self.change_subscription(entry, &stored, wanted, draft)
                    .await?
            }
        }
        Ok(())
    }

    fn create_subscription(
        &self,
        entry: &SubscriptionEntry,
        id: SubscriptionId,
        wanted: WantedSubscription,
        draft: &mut Draft<'_>,
    ) {
        let state = match wanted.mode {
            _ if entry.paused == Some(true) => SubscriptionState::Paused,
            SubscriptionMode::Manual => SubscriptionState::Active,
            SubscriptionMode::Managed => SubscriptionState::Pending,
        };
        let change = Change::CreateSubscription(NewSubscription {
            id: id.clone(),
            workspace_id: self.workspace_id.clone(),
            name: entry.name.clone(),
            provider: entry.provider.clone(),
            endpoint: EndpointId::generate(self.clock.now()),
            mode: wanted.mode,
            parameters: wanted.parameters,
            properties: wanted.properties,
            secrets: sealed(&wanted.secrets),
            state,
            state_reason: None,
            terms: wanted.terms,
        });
        let kind = ObjectKind::Subscription;
        draft.create(kind, &entry.name, id.to_string(), change);
    }

    async fn change_subscription(
        &self,
        entry: &SubscriptionEntry,
        stored: &Subscription,
        wanted: WantedSubscription,
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        let id = stored.id.clone();
        let mut differences = Vec::new();
        // The secrets of a managed one are its registrations' own.
        let secrets = match wanted.mode {
            SubscriptionMode::Managed => SecretsUpdate::Keep,
            SubscriptionMode::Manual => {
                let held = self.store.subscription_secrets(&id).await?;
                compare_secrets(held.as_ref(), &wanted.secrets, &mut differences);
                match sealed(&wanted.secrets) {
                    _ if differences.is_empty() => SecretsUpdate::Keep,
                    Some(secrets) => SecretsUpdate::Replace(secrets),
                    None => SecretsUpdate::Remove,
                }
            }
        };
        compare_plain(stored, &wanted, draft, &mut differences);
        let mut changes = Vec::new();
        if !differences.is_empty() {
            changes.push(Change::UpdateSubscription(SubscriptionUpdate {
                id: id.clone(),
                revision: stored.revision,
                parameters: wanted.parameters,
                properties: wanted.properties,
                secrets,
                terms: wanted.terms,
            }));
        }
        let is_paused = stored.state == SubscriptionState::Paused;
        if let Some(paused) = entry.paused.filter(|paused| *paused != is_paused) {
            compare(
                "paused",
                &is_paused.into(),
                &paused.into(),
                &mut differences,
            );
            changes.push(Change::SetSubscriptionState {
                id: id.clone(),
                state: match paused {
                    true => SubscriptionState::Paused,
                    false => SubscriptionState::Active,
                },
                reason: None,
            });
        }
        let kind = ObjectKind::Subscription;
        draft.change_all(kind, &entry.name, id.to_string(), (changes, differences));
        Ok(())
    }
}

/// What cannot be changed about one that is there.
fn check_stored(
    entry: &SubscriptionEntry,
    stored: &Subscription,
    wanted: Option<&WantedSubscription>,
    mistakes: &mut Vec<Mistake>,
) {
    let name = &entry.name;
    if stored.provider != entry.provider {
        let message = format!(
            "`{name}` is a subscription of `{}`, which cannot change: delete it first or take another name",
            stored.provider
        );
        mistakes.push(Mistake::value(pointer_of(entry, "provider"), message));
        return;
    }
    if let Some(wanted) = wanted.filter(|wanted| wanted.mode != stored.mode) {
        let (is, key) = match wanted.mode {
            SubscriptionMode::Managed => ("registered by hand", "credential"),
            SubscriptionMode::Manual => ("made by this host", "manual"),
        };
        let message =
            format!("`{name}` is {is}, which cannot change: delete it first or take another name");
        let at = match wanted.mode {
            SubscriptionMode::Managed if entry.managed.credential.is_none() => {
                entry.pointer.clone()
            }
            _ if key == "manual" && entry.manual.is_none() => entry.pointer.clone(),
            _ => pointer_of(entry, key),
        };
        mistakes.push(Mistake::value(at, message));
    }
    if stored.is_deleting {
        let reason = stored.state_reason.as_deref();
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        let message = format!(
            "`{name}` is being ended at its service{reason}: wait for that, or end it here alone \
             with `triggerd subscriptions delete {name} --force`"
        );
        mistakes.push(Mistake::value(pointer_of(entry, "name"), message));
    }
}

fn compare_plain(
    stored: &Subscription,
    wanted: &WantedSubscription,
    draft: &Draft<'_>,
    differences: &mut Vec<Difference>,
) {
    let (from, to) = (&stored.terms, &wanted.terms);
    let name = |id: &Option<crate::id::CredentialId>| draft.credential_name(id.as_ref());
    compare(
        "credential",
        &name(&from.credential_id),
        &name(&to.credential_id),
        differences,
    );
    let field = Some("parameters");
    compare_maps(field, &stored.parameters, &wanted.parameters, differences);
    let field = Some("properties");
    compare_maps(field, &stored.properties, &wanted.properties, differences);
    let events = |events: &Option<Vec<String>>| match events {
        Some(events) => Value::from(events.clone()),
        None => Value::Null,
    };
    compare(
        "events",
        &events(&from.events),
        &events(&to.events),
        differences,
    );
    let (before, after) = (from.poll.as_ref(), to.poll.as_ref());
    if before != after {
        let (before, after) = (poll::shown(before), poll::shown(after));
        compare("poll", &before, &after, differences);
    }
    let (from, to) = (from.policy, to.policy);
    for (field, from, to) in [
        (
            "policy.missing",
            from.missing.to_string(),
            to.missing.to_string(),
        ),
        ("policy.drift", from.drift.to_string(), to.drift.to_string()),
    ] {
        compare(field, &from.into(), &to.into(), differences);
    }
}
