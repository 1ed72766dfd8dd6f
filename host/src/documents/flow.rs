//! A flow in a document: its durations as they are stored, everything else as it is written, checked
//! with its expressions.

use serde_json::{Map, Value};

use super::document::RunnableEntry;
use super::fields::Fields;
use super::mistake::Mistake;
use super::runnable::read_retry;
use crate::flows::FlowSpec;
use crate::model::{RunnableKind, runnables_of_flow};
use crate::yaml::pointer_join;

/// Reads the value of `flow`; none if there were mistakes.
pub(super) fn read(
    value: &Value,
    pointer: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<Map<String, Value>> {
    let before = mistakes.len();
    let mut flow = value.clone();
    if let Some(run) = flow.get_mut("preprocessor") {
        store_retry(run, &format!("{pointer}/preprocessor"), mistakes);
    }
    store_retries(&mut flow, "steps", pointer, mistakes);
    if let Err(found) = FlowSpec::parse(&flow) {
        mistakes.extend(found.into_iter().map(|mistake| Mistake {
            pointer: format!("{pointer}{}", mistake.pointer),
            message: mistake.message,
            allowed: mistake.allowed,
            is_key: mistake.is_key,
        }));
    }
    let is_well = mistakes.len() == before;
    is_well.then(|| Map::from_iter([("flow".to_owned(), flow)]))
}

/// What is said of the jobs of programs and requests has no meaning for a flow.
pub(super) fn refuse_policy(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) {
    for (key, instead) in [
        (
            "retry",
            "its steps are tried again each by itself: put it at the step",
        ),
        (
            "concurrency",
            "the runnables of its steps have limits of their own",
        ),
    ] {
        if fields.value(key).is_some() {
            let message = format!("`{key}` is nothing for a flow: {instead}");
            mistakes.push(Mistake::value(fields.pointer_of(key), message));
        }
    }
}

/// Every runnable that a flow of a document names, with where in the document; of others none.
pub(super) fn runs_of(entry: &RunnableEntry) -> Vec<(String, String)> {
    if entry.kind != RunnableKind::Flow {
        return Vec::new();
    }
    let flow = entry.spec.get("flow");
    let runs = flow.map(runnables_of_flow).unwrap_or_default().into_iter();
    runs.map(|(pointer, path)| (format!("{}/flow{pointer}", entry.pointer), path.to_owned()))
        .collect()
}

fn store_retries(value: &mut Value, key: &str, pointer: &str, mistakes: &mut Vec<Mistake>) {
    let at = pointer_join(pointer, key);
    let Some(Value::Array(steps)) = value.get_mut(key) else {
        return;
    };
    for (index, step) in steps.iter_mut().enumerate() {
        let at = format!("{at}/{index}");
        store_retry(step, &at, mistakes);
        for inner in ["then", "else", "steps"] {
            store_retries(step, inner, &at, mistakes);
        }
    }
}

/// `retry: {first: 1s}` becomes `retry: {first_ms: 1000}`.
fn store_retry(run: &mut Value, pointer: &str, mistakes: &mut Vec<Mistake>) {
    if let Some(retry) = run.get_mut("retry").filter(|retry| !retry.is_null()) {
        let read = read_retry(retry, &pointer_join(pointer, "retry"), mistakes);
        *retry = read.unwrap_or_default();
    }
}
