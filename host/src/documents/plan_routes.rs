//! Planning routes: what they run, whom they let in, and that no other takes their requests.

use serde_json::{Map, Value};

use super::difference::{Difference, compare, compare_secrets};
use super::draft::Draft;
use super::mistake::Mistake;
use super::plan::{ObjectKind, Planner, sealed};
use super::route::{AuthEntry, RouteEntry};
use super::subscription::{ManagedFields, SubscriptionEntry};
use super::wanted;
use crate::id::{RouteId, RunnableId};
use crate::model::{
    Change, NewRoute, Route, RouteAuth, RouteContent, RouteSpec, RouteUpdate, SecretsUpdate,
};
use crate::store::StoreError;

impl Planner<'_> {
    /// Plans the routes of the document, after its runnables.
    pub(super) async fn plan_routes(&self, draft: &mut Draft<'_>) -> Result<(), StoreError> {
        let document = draft.document;
        if document.routes.is_empty() {
            return Ok(());
        }
        let all = self.store.all_routes().await?;
        let mut planned: Vec<(&RouteEntry, RouteContent)> = Vec::new();
        for entry in &document.routes {
            let Some((content, secrets)) = self.wanted_route(entry, draft).await else {
                continue;
            };
            self.refuse_clashes((entry, &content), &planned, &all, draft);
            self.plan_route(entry, content.clone(), &secrets, draft)
                .await?;
            planned.push((entry, content));
        }
        Ok(())
    }

    async fn wanted_route(
        &self,
        entry: &RouteEntry,
        draft: &mut Draft<'_>,
    ) -> Option<(RouteContent, Map<String, Value>)> {
        let before = draft.mistakes.len();
        let mut find = |key: &str, named: &Option<String>| -> Option<RunnableId> {
            let at = format!("{}/{key}", entry.pointer);
            draft.runnable_named(named.as_deref()?, at)
        };
        let runnable_id = find("runnable", &entry.runnable);
        let preprocessor_id = find("preprocessor", &entry.preprocessor);
        let mut secrets = Map::new();
        let auth = match &entry.auth {
            AuthEntry::None => RouteAuth::None,
            AuthEntry::Token => RouteAuth::Token,
            AuthEntry::Basic { username, password } => {
                secrets.insert("password".to_owned(), password.as_str().into());
                RouteAuth::Basic {
                    username: username.clone(),
                }
            }
            AuthEntry::Verify {
                rules,
                secrets: given,
            } => {
                let given = given.iter();
                secrets.extend(given.map(|(name, text)| (name.clone(), text.as_str().into())));
                RouteAuth::Verify {
                    rules: rules.clone(),
                }
            }
            AuthEntry::Provider { provider, manual } => {
                let fields = SubscriptionEntry {
                    socket: None,
                    pointer: format!("{}/auth", entry.pointer),
                    name: entry.name.clone(),
                    provider: provider.clone(),
                    manual: Some(manual.clone()),
                    managed: ManagedFields::default(),
                    paused: None,
                };
                let wanted = wanted::read(&fields, self.catalog, draft).await?;
                secrets = wanted.secrets;
                RouteAuth::Provider {
                    provider: provider.clone(),
                    parameters: wanted.parameters,
                    properties: wanted.properties,
                }
            }
        };
        if draft.mistakes.len() > before {
            return None;
        }
        let content = RouteContent {
            path: entry.path.clone(),
            methods: entry.methods.clone(),
            runnable_id,
            preprocessor_id,
            spec: RouteSpec {
                mode: entry.mode,
                auth,
                origins: entry.origins.clone(),
                include_headers: entry.include_headers.clone(),
                include_query: entry.include_query.clone(),
                wrap_body: entry.wrap_body,
                raw: entry.raw,
                timeout_ms: entry.timeout_ms,
                error_status: entry.error_status,
                answer: entry.answer.clone(),
            },
            enabled: entry.enabled,
        };
        Some((content, secrets))
    }

    /// Refuses a route whose requests another one takes: of the document, or one that stays.
    fn refuse_clashes(
        &self,
        (entry, content): (&RouteEntry, &RouteContent),
        planned: &[(&RouteEntry, RouteContent)],
        all: &[Route],
        draft: &mut Draft<'_>,
    ) {
        let names: Vec<&String> = draft.document.routes.iter().map(|one| &one.name).collect();
        let stays = |other: &&Route| {
            let is_ours = other.workspace_id == *self.workspace_id;
            !is_ours || !(draft.prune || names.contains(&&other.name))
        };
        let of_document = planned
            .iter()
            .find(|(_, other)| other.overlaps(content))
            .map(|(other, held)| held.clash_as(&other.name, content));
        let of_stored = || {
            let mut staying = all.iter().filter(stays);
            let other = staying.find(|other| other.content.overlaps(content))?;
            Some(other.clash_with(content, self.workspace_id))
        };
        if let Some(message) = of_document.or_else(of_stored) {
            let pointer = format!("{}/path", entry.pointer);
            draft.mistakes.push(Mistake::value(pointer, message));
        }
    }

    async fn plan_route(
        &self,
        entry: &RouteEntry,
        content: RouteContent,
        secrets: &Map<String, Value>,
        draft: &mut Draft<'_>,
    ) -> Result<(), StoreError> {
        let Some(stored) = draft.stored.routes.get(&entry.name) else {
            let id = RouteId::generate(self.clock.now());
            let change = Change::CreateRoute(NewRoute {
                id: id.clone(),
                workspace_id: self.workspace_id.clone(),
                name: entry.name.clone(),
                content,
                secrets: sealed(secrets),
            });
            draft.create(ObjectKind::Route, &entry.name, id.to_string(), change);
            return Ok(());
        };
        let (id, revision) = (stored.id.clone(), stored.revision);
        let held = self.store.route_secrets(&id).await?;
        let mut differences = Vec::new();
        compare_secrets(held.as_ref(), secrets, &mut differences);
        let secrets = match sealed(secrets) {
            _ if differences.is_empty() => SecretsUpdate::Keep,
            Some(secrets) => SecretsUpdate::Replace(secrets),
            None => SecretsUpdate::Remove,
        };
        let name_of = |id: &Option<RunnableId>| {
            let runnables = draft.stored.runnables.values();
            let found = runnables
                .filter(|one| id.as_ref() == Some(&one.id))
                .map(|one| Value::from(one.path.as_str()));
            found.last().unwrap_or_default()
        };
        let named = |name: &Option<String>| name.as_deref().map_or(Value::Null, Value::from);
        let before = &stored.content;
        compare_content(before, &content, &mut differences);
        for (field, from, to) in [
            (
                "runnable",
                name_of(&before.runnable_id),
                named(&entry.runnable),
            ),
            (
                "preprocessor",
                name_of(&before.preprocessor_id),
                named(&entry.preprocessor),
            ),
        ] {
            compare(field, &from, &to, &mut differences);
        }
        let change = Change::UpdateRoute(RouteUpdate {
            id: id.clone(),
            revision,
            content,
            secrets,
        });
        let changed = (change, differences);
        draft.change(ObjectKind::Route, &entry.name, id.to_string(), changed);
        Ok(())
    }
}

/// Everything but what is run.
fn compare_content(from: &RouteContent, to: &RouteContent, differences: &mut Vec<Difference>) {
    let shown = |content: &RouteContent| {
        let mut shown = serde_json::to_value(&content.spec).unwrap_or_default();
        shown["path"] = content.path.as_str().into();
        shown["methods"] = content.methods.clone().into();
        shown["enabled"] = content.enabled.into();
        shown
    };
    if let (Value::Object(from), Value::Object(to)) = (shown(from), shown(to)) {
        super::difference::compare_maps(None, &from, &to, differences);
    }
}
