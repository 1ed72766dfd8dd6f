//! The inputs of a step: JSON in which every text is an expression.

use serde_json::{Map, Value};

use super::check::Scope;
use super::expression::{EvaluationError, Expression, Variables};
use super::notes::Notes;

/// How deep inputs may be nested.
const DEPTH_MAX: usize = 8;

/// JSON to be made.
#[derive(Debug)]
pub(super) enum Template {
    Expression(Expression),
    /// A number, `true`, `false` or `null`: itself.
    Constant(Value),
    List(Vec<Template>),
    Map(Vec<(String, Template)>),
}

impl Template {
    /// Reads it; every expression is checked.
    pub(super) fn read(
        value: &Value,
        pointer: &str,
        scope: &Scope,
        notes: &mut Notes,
    ) -> Option<Template> {
        Template::read_within(value, pointer, scope, notes, DEPTH_MAX)
    }

    fn read_within(
        value: &Value,
        pointer: &str,
        scope: &Scope,
        notes: &mut Notes,
        depth: usize,
    ) -> Option<Template> {
        if depth == 0 {
            let message =
                format!("inputs may be nested {DEPTH_MAX} deep; make an expression of it");
            notes.value(pointer.to_owned(), message);
            return None;
        }
        match value {
            Value::String(text) => notes
                .expression(text, pointer, scope)
                .map(Template::Expression),
            Value::Array(list) => {
                let items = list.iter().enumerate().map(|(index, item)| {
                    let at = format!("{pointer}/{index}");
                    Template::read_within(item, &at, scope, notes, depth - 1)
                });
                let items: Vec<Option<Template>> = items.collect();
                items
                    .into_iter()
                    .collect::<Option<Vec<Template>>>()
                    .map(Template::List)
            }
            Value::Object(map) => {
                let fields = map.iter().map(|(name, field)| {
                    let at = crate::yaml::pointer_join(pointer, name);
                    let read = Template::read_within(field, &at, scope, notes, depth - 1);
                    read.map(|field| (name.clone(), field))
                });
                let fields: Vec<Option<(String, Template)>> = fields.collect();
                fields
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(Template::Map)
            }
            constant => Some(Template::Constant(constant.clone())),
        }
    }

    /// The JSON that it makes; a failure names the field.
    pub(super) fn fill(&self, variables: &Variables) -> Result<Value, (String, EvaluationError)> {
        let inside = |name: &str, (field, error): (String, EvaluationError)| {
            let field = match field.is_empty() {
                true => name.to_owned(),
                false => format!("{name}.{field}"),
            };
            (field, error)
        };
        match self {
            Template::Expression(expression) => expression
                .evaluate(variables)
                .map_err(|error| (String::new(), error)),
            Template::Constant(value) => Ok(value.clone()),
            Template::List(list) => {
                let items = list.iter().enumerate().map(|(index, item)| {
                    item.fill(variables)
                        .map_err(|failed| inside(&index.to_string(), failed))
                });
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            Template::Map(fields) => {
                let fields = fields.iter().map(|(name, field)| {
                    let filled = field.fill(variables);
                    filled
                        .map(|value| (name.clone(), value))
                        .map_err(|failed| inside(name, failed))
                });
                fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        }
    }
}
