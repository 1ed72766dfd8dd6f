//! Who is told of jobs that are given up: at a trigger, a runnable or the workspace as a whole. What a
//! document does not say of it stays as it is, unless prune takes who is told; `null` is nobody.

use serde_json::Value;

use super::difference::Difference;
use super::draft::Draft;
use super::plan::{Action, ObjectKind, PlannedObject, Planner};
use super::{flow, socket};
use crate::id::RunnableId;
use crate::model::{Change, ErrorHandler, HandlerChange, HandlerScope};
use crate::store::StoreError;

/// What a document wants of one object.
struct Wanted {
    scope: HandlerScope,
    object_id: String,
    /// Where it is said.
    pointer: String,
    path: Option<String>,
}

impl Planner<'_> {
    /// Adds the changes of error handlers to the plan.
    pub(super) async fn plan_handlers(&self, draft: &mut Draft<'_>) -> Result<(), StoreError> {
        let mut wanted = self.wanted_handlers(draft);
        if wanted.is_empty() && !draft.prune {
            return Ok(());
        }
        let held = self.store.list_error_handlers(self.workspace_id).await?;
        if draft.prune {
            draft.end_pruned_handlers(&held, &mut wanted);
        }
        for one in wanted {
            let Some(runnable_id) = draft.find_handler(&one) else {
                continue;
            };
            let before = held
                .iter()
                .find(|held| held.scope == one.scope && held.object_id == one.object_id);
            let is_other = before.map(|held| &held.runnable_id) != runnable_id.as_ref();
            if one.scope == HandlerScope::Workspace {
                draft.note_setting(&one, before, is_other);
            }
            if is_other {
                draft.note_handler(&one, before);
                draft
                    .plan
                    .changes
                    .push(Change::SetErrorHandler(HandlerChange {
                        scope: one.scope,
                        object_id: one.object_id,
                        runnable_id,
                    }));
            }
        }
        Ok(())
    }

    fn wanted_handlers(&self, draft: &Draft<'_>) -> Vec<Wanted> {
        let document = draft.document;
        let mut wanted = Vec::new();
        if let Some(path) = &document.on_error {
            wanted.push(Wanted {
                scope: HandlerScope::Workspace,
                object_id: self.workspace_id.to_string(),
                pointer: "/on_error".to_owned(),
                path: path.clone(),
            });
        }
        let runnables = document.runnables.iter().filter_map(|entry| {
            Some(Wanted {
                scope: HandlerScope::Runnable,
                object_id: draft.object_id(ObjectKind::Runnable, &entry.path)?,
                pointer: format!("{}/on_error", entry.pointer),
                path: entry.on_error.clone()?,
            })
        });
        wanted.extend(runnables);
        let triggers = document.triggers.iter().filter_map(|entry| {
            Some(Wanted {
                scope: HandlerScope::Trigger,
                object_id: draft.object_id(ObjectKind::Trigger, &entry.name)?,
                pointer: format!("{}/on_error", entry.pointer),
                path: entry.on_error.clone()?,
            })
        });
        wanted.extend(triggers);
        wanted
    }
}

impl Draft<'_> {
    /// Notes what flows and connections of the document run that is not there.
    pub(super) fn check_named(&mut self) {
        let allowed = self.known_runnables();
        let document = self.document;
        let of_flows = document.runnables.iter().flat_map(flow::runs_of);
        let of_sockets = document.subscriptions.iter().flat_map(socket::runs_of);
        for (pointer, path) in of_flows.chain(of_sockets) {
            if !allowed.contains(&path) {
                self.miss(pointer, "runnable", &path, allowed.clone());
            }
        }
    }

    fn known_runnables(&self) -> Vec<String> {
        let stored = self.stored.runnables.keys().filter(|_| !self.prune);
        let named = self.document.runnables.iter().map(|one| &one.path);
        let mut known: Vec<String> = stored.chain(named).cloned().collect();
        known.sort();
        known.dedup();
        known
    }

    /// A runnable that goes is told of nothing any more by what stays and does not say whom it tells.
    fn end_pruned_handlers(&self, held: &[ErrorHandler], wanted: &mut Vec<Wanted>) {
        for one in held {
            let object_stays = one.scope == HandlerScope::Workspace
                || self
                    .plan
                    .objects
                    .iter()
                    .any(|each| each.id == one.object_id);
            let is_said = |each: &Wanted| each.object_id == one.object_id;
            let runnable_stays = self.runnable_ids.values().any(|id| *id == one.runnable_id);
            if object_stays && !runnable_stays && !wanted.iter().any(is_said) {
                wanted.push(Wanted {
                    scope: one.scope,
                    object_id: one.object_id.clone(),
                    pointer: String::new(),
                    path: None,
                });
            }
        }
    }

    fn object_id(&self, kind: ObjectKind, name: &str) -> Option<String> {
        let mut objects = self.plan.objects.iter();
        let found = objects.find(|object| object.kind == kind && object.name == name);
        found.map(|object| object.id.clone())
    }

    /// The runnable that is to be told, or nobody; `None`: a mistake was noted.
    fn find_handler(&mut self, wanted: &Wanted) -> Option<Option<RunnableId>> {
        let Some(path) = &wanted.path else {
            return Some(None);
        };
        self.runnable_named(path, wanted.pointer.clone()).map(Some)
    }

    fn difference_of(&self, wanted: &Wanted, before: Option<&ErrorHandler>) -> Difference {
        let path_of = |id: &RunnableId| Some(self.path_of(id)).filter(|path| !path.is_null());
        Difference {
            field: "on_error".to_owned(),
            from: before.and_then(|held| path_of(&held.runnable_id)),
            to: wanted.path.as_deref().map(Value::from),
            secret: false,
        }
    }

    /// Who is told of all jobs of the workspace stands in what is told as an object of its own.
    fn note_setting(&mut self, wanted: &Wanted, before: Option<&ErrorHandler>, is_other: bool) {
        let action = match (before, &wanted.path) {
            (None, None) => return,
            _ if !is_other => Action::Unchanged,
            (None, Some(_)) => Action::Created,
            (Some(_), None) => Action::Deleted,
            (Some(_), Some(_)) => Action::Updated,
        };
        let differences = match is_other {
            true => vec![self.difference_of(wanted, before)],
            false => Vec::new(),
        };
        self.plan.objects.push(PlannedObject {
            kind: ObjectKind::Setting,
            name: "on_error".to_owned(),
            id: wanted.object_id.clone(),
            action,
            differences,
            kept_because: None,
        });
    }

    fn note_handler(&mut self, wanted: &Wanted, before: Option<&ErrorHandler>) {
        if wanted.scope == HandlerScope::Workspace {
            return;
        }
        let difference = self.difference_of(wanted, before);
        let mut objects = self.plan.objects.iter_mut();
        let Some(object) = objects.find(|object| object.id == wanted.object_id) else {
            return;
        };
        if object.action == Action::Unchanged {
            object.action = Action::Updated;
        }
        if object.action == Action::Updated {
            object.differences.push(difference);
        }
    }
}
