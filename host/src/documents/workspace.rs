//! What a document says of the workspace itself: who is told of every change in it (`webhook`). Absent
//! is as it was, unless what is not named is to go; `null` is nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::difference::{Difference, compare};
use super::document::note;
use super::draft::Draft;
use super::fields::Fields;
use super::mistake::Mistake;
use super::plan::{Action, ObjectKind, PlannedObject, Planner};
use super::words;
use crate::clock::random;
use crate::model::{Change, HookOrder, WorkspaceHook};
use crate::secret::Secret;
use crate::store::StoreError;

/// How the setting is called, in a document and in what is told of it.
const WEBHOOK: &str = "webhook";

/// Who is to be told of every change in the workspace.
#[derive(Clone, PartialEq)]
pub struct HookEntry {
    /// http or https.
    pub url: String,
    /// Absent: the one that is there, or else a new one.
    pub secret: Option<String>,
    /// Ranges of addresses to open beyond public ones.
    pub allow: Vec<String>,
}

impl std::fmt::Debug for HookEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("HookEntry");
        shown.field("url", &without_query(&self.url));
        shown.field("allow", &self.allow).finish_non_exhaustive()
    }
}

/// An address may carry a secret in its query.
pub fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => format!("{address}?[masked]"),
        None => url.to_owned(),
    }
}

/// A secret to sign with, `whsec_…`.
pub fn new_signing_secret() -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// Reads the section; the inner none is nobody.
pub(super) fn read(
    document: &mut Fields<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Option<HookEntry>> {
    if document.is_null(WEBHOOK) {
        return Some(None);
    }
    let value = document.value(WEBHOOK)?;
    let pointer = document.pointer_of(WEBHOOK);
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let url = fields.text("url", mistakes);
    if let Some(url) = url {
        note(words::target(url), &fields, "url", mistakes);
    }
    let secret = fields.text_if_any("secret", mistakes);
    if let Some(secret) = secret {
        note(words::signing_secret(secret), &fields, "secret", mistakes);
    }
    let allow = fields.texts("allow", mistakes).unwrap_or_default();
    for (index, range) in allow.iter().enumerate() {
        if let Err(expected) = words::network(range) {
            let at = format!("{pointer}/allow/{index}");
            mistakes.push(Mistake::value(at, format!("`allow`: expected {expected}")));
        }
    }
    fields.finish(mistakes);
    Some(Some(HookEntry {
        url: url?.to_owned(),
        secret: secret.map(str::to_owned),
        allow: allow.into_iter().map(str::to_owned).collect(),
    }))
}

impl Planner<'_> {
    /// Plans who is told of the changes; before everything else, so that they hear of it.
    pub(super) async fn plan_webhook(&self, draft: &mut Draft<'_>) -> Result<(), StoreError> {
        let wanted = match (&draft.document.webhook, draft.prune) {
            (None, false) => return Ok(()),
            (None, true) => None,
            (Some(wanted), _) => wanted.as_ref(),
        };
        let held = self.store.workspace_hook(self.workspace_id).await?;
        let (action, differences, order) = match (held, wanted) {
            (None, None) => return Ok(()),
            (Some(_), None) => (Action::Deleted, Vec::new(), None),
            (held, Some(wanted)) => {
                let (order, made) = order(wanted, held.as_ref());
                draft.plan.signing_secret = made;
                let differences = held.as_ref().map(|held| differences(held, &order));
                let action = match &differences {
                    None => Action::Created,
                    Some(differences) if differences.is_empty() => Action::Unchanged,
                    Some(_) => Action::Updated,
                };
                (action, differences.unwrap_or_default(), Some(order))
            }
        };
        if action != Action::Unchanged {
            draft.plan.changes.push(match order {
                Some(order) => Change::SetWorkspaceHook(order),
                None => Change::RemoveWorkspaceHook,
            });
        }
        draft.plan.objects.push(PlannedObject {
            kind: ObjectKind::Setting,
            name: WEBHOOK.to_owned(),
            id: self.workspace_id.to_string(),
            action,
            differences,
            kept_because: None,
        });
        Ok(())
    }
}

/// What is wanted with the secret that it shall have, and that secret if it is made here.
fn order(wanted: &HookEntry, held: Option<&WorkspaceHook>) -> (HookOrder, Option<Secret<String>>) {
    let (secret, made) = match (&wanted.secret, held) {
        (Some(secret), _) => (Secret::new(secret.clone()), None),
        (None, Some(held)) => (held.secret.clone(), None),
        (None, None) => {
            let secret = Secret::new(new_signing_secret());
            (secret.clone(), Some(secret))
        }
    };
    let order = HookOrder {
        url: wanted.url.clone(),
        secret,
        allow: wanted.allow.clone(),
    };
    (order, made)
}

fn differences(held: &WorkspaceHook, order: &HookOrder) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (from, to) = (without_query(&held.url), without_query(&order.url));
    compare("url", &from.into(), &to.into(), &mut differences);
    if differences.is_empty() && held.url != order.url {
        differences.push(Difference::of_secret("url"));
    }
    let ranges = |ranges: &[String]| Value::from(ranges);
    let (from, to) = (ranges(&held.allow), ranges(&order.allow));
    compare("allow", &from, &to, &mut differences);
    if held.secret.expose() != order.secret.expose() {
        differences.push(Difference::of_secret("secret"));
    }
    differences
}
