//! What is found while a flow is read: its mistakes, and what is bounded over all of it.

use std::collections::HashSet;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::check::Scope;
use super::expression::Expression;
use super::reading::PREPROCESSOR;
use super::spec::FlowMistake;
use crate::backoff::RetryPolicy;
use crate::yaml::pointer_join;

/// Expressions in one flow.
const EXPRESSIONS_MAX: usize = 200;
const ID_MAX: usize = 60;
/// Words of the language, which `results.WORD` cannot be written with.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// The mistakes so far, and what is bounded over the whole flow.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) mistakes: Vec<FlowMistake>,
    expressions: usize,
    pub(super) steps: usize,
    ids: HashSet<String>,
    pub(super) in_loop: bool,
    /// Steps that may answer who waits: those outside of loops.
    pub(super) answering: Vec<String>,
}

impl Notes {
    /// A wrong or missing value.
    pub(super) fn value(&mut self, pointer: String, message: String) {
        self.push(pointer, message, Vec::new());
    }

    /// Reads an expression; a mistake in it says where in it.
    pub(super) fn expression(
        &mut self,
        text: &str,
        pointer: &str,
        scope: &Scope,
    ) -> Option<Expression> {
        self.expressions += 1;
        if self.expressions > EXPRESSIONS_MAX {
            let message = format!("a flow has at most {EXPRESSIONS_MAX} expressions");
            self.value(pointer.to_owned(), message);
            return None;
        }
        let compiled = Expression::compile(text, scope);
        compiled
            .map_err(|mistake| {
                let message = format!(
                    "the expression is refused at its line {}, column {}: {}",
                    mistake.line, mistake.column, mistake.message
                );
                self.value(pointer.to_owned(), message);
            })
            .ok()
    }

    pub(super) fn expression_at(
        &mut self,
        map: &Map<String, Value>,
        key: &str,
        pointer: &str,
        scope: &Scope,
    ) -> Option<Expression> {
        let at = pointer_join(pointer, key);
        match present(map, key) {
            Some(Value::String(text)) => self.expression(text, &at, scope),
            _ => {
                self.value(
                    at,
                    format!("`{key}`: expected an expression; put it in quotes"),
                );
                None
            }
        }
    }

    pub(super) fn push(&mut self, pointer: String, message: String, allowed: Vec<String>) {
        self.mistakes.push(FlowMistake {
            pointer,
            message,
            allowed,
            is_key: false,
        });
    }

    pub(super) fn map<'a>(
        &mut self,
        value: &'a Value,
        pointer: &str,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Value::Object(map) = value else {
            self.value(pointer.to_owned(), "expected a map of fields".to_owned());
            return None;
        };
        self.keys(map, pointer, known);
        Some(map)
    }

    pub(super) fn keys(&mut self, map: &Map<String, Value>, pointer: &str, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.mistakes.push(FlowMistake {
                pointer: pointer_join(pointer, key),
                message: format!("`{key}` is not known here"),
                allowed: known.iter().map(|key| (*key).to_owned()).collect(),
                is_key: true,
            });
        }
    }

    pub(super) fn id(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<String> {
        let at = pointer_join(pointer, "id");
        let Some(id) = present(map, "id") else {
            self.value(
                pointer.to_owned(),
                "`id` is missing: the name of the step".to_owned(),
            );
            return None;
        };
        let is_name = |id: &&str| {
            id.len() <= ID_MAX
                && id.starts_with(|c: char| c.is_ascii_alphabetic())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && *id != PREPROCESSOR
                && !RESERVED.contains(id)
        };
        let Some(id) = id.as_str().filter(is_name) else {
            let message = format!(
                "`id`: expected letters, digits and `_`, a letter first, at most {ID_MAX} long, \
                 and neither `{PREPROCESSOR}` nor a word of the language of expressions"
            );
            self.value(at, message);
            return None;
        };
        if !self.ids.insert(id.to_owned()) {
            self.value(at, format!("`{id}` names two steps"));
            return None;
        }
        Some(id.to_owned())
    }

    pub(super) fn path(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<String> {
        let path = present(map, "run").and_then(Value::as_str);
        if path.is_none_or(|path| !path.contains('/')) {
            let place = match map.contains_key("run") {
                true => pointer_join(pointer, "run"),
                false => pointer.to_owned(),
            };
            self.value(
                place,
                "`run`: expected the path of a runnable, like f/ops/deploy".to_owned(),
            );
            return None;
        }
        path.map(str::to_owned)
    }

    pub(super) fn retry(&mut self, value: &Value, pointer: &str) -> Option<RetryPolicy> {
        let at = pointer_join(pointer, "retry");
        let policy = RetryPolicy::deserialize(value)
            .map_err(|error| error.to_string())
            .and_then(|policy| match policy.validate() {
                Ok(()) => Ok(policy),
                Err(error) => Err(error.to_string()),
            });
        policy.map_err(|message| self.value(at, message)).ok()
    }
}

/// The value of a field; `null` is absent.
pub(super) fn present<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}
