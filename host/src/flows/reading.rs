//! Reading a flow: all mistakes at once, each with its place.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::check::{RESULTS, Scope};
use super::notes::{Notes, present};
use super::spec::{Body, Branch, Each, FlowMistake, FlowSpec, OnError, Run, Step};
use super::template::Template;
use crate::model::runnables_of_flow;
use crate::yaml::pointer_join;

/// Steps in one flow, those of branches and loops included.
const STEPS_MAX: usize = 100;
/// Branches and loops in each other.
const NESTED_MAX: usize = 8;
const CONCURRENCY_MAX: u64 = 100;
/// The key of the preprocessor's job, and so no step's name.
pub(super) const PREPROCESSOR: &str = "preprocessor";

const FLOW_KEYS: [&str; 4] = ["preprocessor", "steps", "early_return", "result"];
const RUN_KEYS: [&str; 5] = ["id", "run", "inputs", "retry", "on_error"];
const BRANCH_KEYS: [&str; 4] = ["id", "if", "then", "else"];
const EACH_KEYS: [&str; 4] = ["id", "for_each", "concurrency", "steps"];
const PREPROCESSOR_KEYS: [&str; 4] = ["run", "inputs", "retry", "on_error"];
const HANDLER_KEYS: [&str; 3] = ["run", "inputs", "then"];

/// Reads a whole flow. Wants a deep stack.
pub(super) fn read(spec: &Value) -> Result<FlowSpec, Vec<FlowMistake>> {
    let mut notes = Notes::default();
    let flow = read_flow(spec, &mut notes);
    match flow {
        Some(flow) if notes.mistakes.is_empty() => Ok(flow),
        _ => Err(notes.mistakes),
    }
}

fn read_flow(spec: &Value, notes: &mut Notes) -> Option<FlowSpec> {
    let map = notes.map(spec, "", &FLOW_KEYS)?;
    let mut scope = Scope {
        variables: vec!["args", "trigger", "job"],
        steps: Vec::new(),
    };
    let preprocessor = present(map, "preprocessor").and_then(|value| {
        let map = notes.map(value, "/preprocessor", &PREPROCESSOR_KEYS)?;
        read_run(map, "/preprocessor", &scope, notes)
    });
    scope.variables.push(RESULTS);
    let steps = read_steps(map, "steps", "", &mut scope, (notes, NESTED_MAX));
    let early_return = present(map, "early_return").and_then(|value| {
        let named = value.as_str();
        if named.is_none_or(|id| !notes.answering.iter().any(|known| known == id)) {
            let message = "`early_return`: expected the id of a step outside of loops";
            let allowed = notes.answering.clone();
            notes.push("/early_return".to_owned(), message.to_owned(), allowed);
        }
        named.map(str::to_owned)
    });
    let result =
        present(map, "result").and_then(|value| Template::read(value, "/result", &scope, notes));
    let named = runnables_of_flow(spec).into_iter();
    let paths: BTreeSet<String> = named.map(|(_, path)| path.to_owned()).collect();
    Some(FlowSpec {
        paths: paths.into_iter().collect(),
        preprocessor,
        steps: steps?,
        early_return,
        result,
    })
}

/// The steps under a key; what they give is in the scope afterwards.
fn read_steps(
    map: &Map<String, Value>,
    key: &'static str,
    pointer: &str,
    scope: &mut Scope,
    (notes, depth): (&mut Notes, usize),
) -> Option<Vec<Step>> {
    let at = pointer_join(pointer, key);
    let Some(list) = present(map, key).and_then(Value::as_array) else {
        let message = format!("`{key}`: expected a list of steps");
        let place = if map.contains_key(key) {
            at
        } else {
            pointer.to_owned()
        };
        notes.value(place, message);
        return None;
    };
    if list.is_empty() {
        notes.value(at, format!("`{key}`: expected at least one step"));
        return None;
    }
    if depth == 0 {
        let message = format!("branches and loops may be nested {NESTED_MAX} deep");
        notes.value(at, message);
        return None;
    }
    let mut steps = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let at = format!("{at}/{index}");
        notes.steps += 1;
        if notes.steps > STEPS_MAX {
            let message = format!("a flow has at most {STEPS_MAX} steps; make a flow of some");
            notes.value(at, message);
            return None;
        }
        steps.push(read_step(value, &at, scope, (notes, depth)));
    }
    steps.into_iter().collect()
}

fn read_step(
    value: &Value,
    pointer: &str,
    scope: &mut Scope,
    (notes, depth): (&mut Notes, usize),
) -> Option<Step> {
    let Value::Object(map) = value else {
        notes.value(
            pointer.to_owned(),
            "expected a step: a map of fields".to_owned(),
        );
        return None;
    };
    let kinds: Vec<&str> = ["run", "if", "for_each"]
        .into_iter()
        .filter(|key| present(map, key).is_some())
        .collect();
    let id = notes.id(map, pointer);
    let body = match kinds.as_slice() {
        ["run"] => {
            notes.keys(map, pointer, &RUN_KEYS);
            read_run(map, pointer, scope, notes).map(Body::Run)
        }
        ["if"] => {
            notes.keys(map, pointer, &BRANCH_KEYS);
            let condition = notes.expression_at(map, "if", pointer, scope);
            let then = read_steps(map, "then", pointer, scope, (notes, depth - 1));
            let otherwise = match present(map, "else") {
                Some(_) => read_steps(map, "else", pointer, scope, (notes, depth - 1)),
                None => Some(Vec::new()),
            };
            condition
                .zip(then.zip(otherwise))
                .map(|(condition, (then, otherwise))| {
                    Body::Branch(Branch {
                        condition,
                        then,
                        otherwise,
                    })
                })
        }
        ["for_each"] => read_each(map, pointer, scope, (notes, depth)),
        found => {
            let message = match found {
                [] => "what the step does is missing".to_owned(),
                several => format!(
                    "`{}` stand together, expected one of them",
                    several.join("`, `")
                ),
            };
            let allowed = ["run", "if", "for_each"].map(str::to_owned).to_vec();
            notes.push(pointer.to_owned(), message, allowed);
            None
        }
    };
    let id = id?;
    scope.steps.push(id.clone());
    if !notes.in_loop {
        notes.answering.push(id.clone());
    }
    body.map(|body| Step { id, body })
}

fn read_each(
    map: &Map<String, Value>,
    pointer: &str,
    scope: &Scope,
    (notes, depth): (&mut Notes, usize),
) -> Option<Body> {
    notes.keys(map, pointer, &EACH_KEYS);
    if notes.in_loop {
        let message = "a loop in a loop: make a flow of the inner one, and run that";
        notes.value(pointer_join(pointer, "for_each"), message.to_owned());
        return None;
    }
    let items = notes.expression_at(map, "for_each", pointer, scope);
    let concurrency = match present(map, "concurrency").map(Value::as_u64) {
        None => Some(1),
        Some(Some(count @ 1..=CONCURRENCY_MAX)) => Some(count as usize),
        Some(_) => {
            let message =
                format!("`concurrency`: expected a whole number from 1 to {CONCURRENCY_MAX}");
            notes.value(pointer_join(pointer, "concurrency"), message);
            None
        }
    };
    let mut inner = scope.clone();
    inner.variables.extend(["item", "index"]);
    notes.in_loop = true;
    let steps = read_steps(map, "steps", pointer, &mut inner, (notes, depth - 1));
    notes.in_loop = false;
    Some(Body::Each(Each {
        items: items?,
        concurrency: concurrency?,
        steps: steps?,
    }))
}

fn read_run(
    map: &Map<String, Value>,
    pointer: &str,
    scope: &Scope,
    notes: &mut Notes,
) -> Option<Run> {
    let path = notes.path(map, pointer);
    let inputs = match present(map, "inputs") {
        Some(value) => {
            let at = pointer_join(pointer, "inputs");
            Some(Template::read(value, &at, scope, notes)?)
        }
        None => None,
    };
    let retry = present(map, "retry").and_then(|value| notes.retry(value, pointer));
    let on_error = match present(map, "on_error") {
        Some(value) => {
            let at = pointer_join(pointer, "on_error");
            Some(read_handler(value, &at, scope, notes)?)
        }
        None => None,
    };
    Some(Run {
        path: path?,
        inputs,
        retry,
        on_error,
    })
}

fn read_handler(value: &Value, pointer: &str, scope: &Scope, notes: &mut Notes) -> Option<OnError> {
    let map = notes.map(value, pointer, &HANDLER_KEYS)?;
    let goes_on = match present(map, "then").map(|then| then.as_str()) {
        None | Some(Some("fail")) => false,
        Some(Some("go_on")) => true,
        Some(_) => {
            let at = pointer_join(pointer, "then");
            let message = "`then`: expected what follows the handler".to_owned();
            notes.push(at, message, vec!["fail".to_owned(), "go_on".to_owned()]);
            return None;
        }
    };
    let mut inner = scope.clone();
    inner.variables.push("error");
    let inputs = match present(map, "inputs") {
        Some(value) => {
            let at = pointer_join(pointer, "inputs");
            Some(Template::read(value, &at, &inner, notes)?)
        }
        None => None,
    };
    let path = match present(map, "run") {
        Some(_) => Some(notes.path(map, pointer)?),
        None if goes_on => None,
        None => {
            let message =
                "`run` is missing: the runnable that is told of the error, or `then: go_on`";
            notes.value(pointer.to_owned(), message.to_owned());
            return None;
        }
    };
    Some(OnError {
        path,
        inputs,
        goes_on,
    })
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
