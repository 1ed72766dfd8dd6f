//! One expression of the Common Expression Language: read and checked when it is saved, evaluated
//! within bounds. Both want a deep stack ([`super::own_stack`]).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cel::common::ast::SourceInfo;
use cel::parser::Parser;
use cel::{Context, Env, IdedExpr};
use serde_json::Value;

use super::check::{RESULTS, Scope, Uses, check};
use super::guard::{self, Budget};
use super::value::{of_json, to_json};

/// The longest expression, in bytes.
pub(super) const TEXT_MAX: usize = 1_000;
/// Levels that the parser goes down.
const RECURSION_MAX: u16 = 60;
/// The most JSON that one expression is given.
const GIVEN_MAX: usize = 4 << 20;
/// The longest message about a failed evaluation, in characters: it may quote values.
const MESSAGE_MAX: usize = 300;

/// An expression that reads and names only what is there.
pub struct Expression {
    text: String,
    ast: IdedExpr,
    uses: Uses,
}

/// What is wrong with an expression, and where in it; both count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EvaluationError {
    #[error("it is too slow: it wanted more than {} turns, {} bytes or {} ms",
        guard::TURNS_MAX, guard::BYTES_MAX, guard::TIME_MAX.as_millis())]
    TooSlow,
    #[error("it is given {0} bytes, more than {GIVEN_MAX}")]
    TooMuch(usize),
    #[error("{0}")]
    Failed(String),
}

/// What an expression can see.
#[derive(Clone, Default)]
pub(super) struct Variables {
    pub(super) named: BTreeMap<&'static str, Given>,
    pub(super) results: BTreeMap<String, Given>,
}

/// A value and about how many bytes it has.
#[derive(Clone, Debug)]
pub struct Given {
    /// The value.
    pub value: Arc<Value>,
    /// Of its JSON.
    pub size: usize,
}

impl Given {
    /// A value whose size is found out.
    pub fn of(value: Value) -> Given {
        let size = json_size(&value);
        Given {
            value: Arc::new(value),
            size,
        }
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    /// Reads and checks it.
    pub(super) fn compile(text: &str, scope: &Scope) -> Result<Expression, Mistake> {
        let at_start = |message: String| Mistake {
            line: 1,
            column: 1,
            message,
        };
        if text.len() > TEXT_MAX {
            let message = format!(
                "it is too big: it has {} bytes, at most {TEXT_MAX} are allowed",
                text.len()
            );
            return Err(at_start(message));
        }
        if text.trim().is_empty() {
            return Err(at_start("it is empty".to_owned()));
        }
        let parser = Parser::new().max_recursion_depth(RECURSION_MAX);
        let parsed = parser.error_recovery_limit(1).parse_with_source_info(text);
        let (mut ast, source) =
            parsed.map_err(|errors| match errors.errors.into_iter().next() {
                Some(error) => Mistake {
                    line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
                    column: usize::try_from(error.pos.1).unwrap_or(1).max(1),
                    message: readable(&error.msg),
                },
                None => at_start("it cannot be read".to_owned()),
            })?;
        let uses = check(&ast, scope).map_err(|wrong| {
            let (line, column) = place(text, &source, wrong.node);
            Mistake {
                line,
                column,
                message: wrong.message,
            }
        })?;
        guard::weave(&mut ast);
        Ok(Expression {
            text: text.to_owned(),
            ast,
            uses,
        })
    }

    /// Its value, within bounds. Of what can be seen only that is given to it which it names.
    pub(super) fn evaluate(&self, variables: &Variables) -> Result<Value, EvaluationError> {
        let named = variables
            .named
            .iter()
            .filter(|(name, _)| self.uses.variables.contains(**name));
        let results: Vec<(&String, &Given)> = variables
            .results
            .iter()
            .filter(|(step, _)| self.uses.all_results || self.uses.steps.contains(*step))
            .collect();
        let given: usize = named
            .clone()
            .map(|(_, given)| given.size)
            .chain(results.iter().map(|(_, given)| given.size))
            .sum();
        if given > GIVEN_MAX {
            return Err(EvaluationError::TooMuch(given));
        }
        static LANGUAGE: OnceLock<Arc<Env>> = OnceLock::new();
        let language = LANGUAGE.get_or_init(|| Arc::new(Env::stdlib()));
        let mut context = Context::with_env(Arc::clone(language));
        for (name, given) in named {
            context.add_variable_from_value(*name, of_json(&given.value));
        }
        if self.uses.variables.contains(RESULTS) {
            let results = results
                .into_iter()
                .map(|(step, given)| (step.clone(), of_json(&given.value)));
            let results: std::collections::HashMap<String, cel::Value> = results.collect();
            context.add_variable_from_value(RESULTS, results);
        }
        let budget = Budget::new();
        budget.serve(&mut context);
        let value = context.resolve(&self.ast);
        if budget.is_spent() {
            return Err(EvaluationError::TooSlow);
        }
        let value =
            value.map_err(|error| EvaluationError::Failed(shortened(&error.to_string())))?;
        to_json(&value).map_err(|found| {
            EvaluationError::Failed(format!("it gives {found}, which JSON cannot hold"))
        })
    }
}

/// Where a node begins, as line and column.
fn place(text: &str, source: &SourceInfo, node: u64) -> (usize, usize) {
    let start = source.offset_for(node).map_or(0, |(start, _)| start);
    let before = text.chars().take(start as usize);
    before.fold((1, 1), |(line, column), c| match c {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    })
}

/// The parser's words, but where it speaks of itself.
fn readable(message: &str) -> String {
    match message.contains("Recursion limit") {
        true => "it is too big: it is nested too deeply".to_owned(),
        false => shortened(message),
    }
}

fn shortened(message: &str) -> String {
    let mut short: String = message.chars().take(MESSAGE_MAX).collect();
    if short.len() < message.len() {
        short.push('…');
    }
    short
}

fn json_size(value: &Value) -> usize {
    const EACH: usize = 4;
    EACH + match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(json_size).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| key.len() + EACH + json_size(value))
            .sum(),
        _ => 4,
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
