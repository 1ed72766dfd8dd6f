//! Whether Nextcloud can evaluate a filter, and whether it can ever let anything through.
//!
//! Follows `PHPMongoQuery` of the app Webhook Listeners: what throws there is refused here, and so
//! is what silently never matches. <https://docs.nextcloud.com/server/latest/admin_manual/webhook_listeners/index.html#filters>

use serde_json::{Map, Value};
use trigger_plugin_api::prelude::*;

use super::pattern;
use crate::class::EventClass;

const DEPTH_MAX: usize = 16;
const BYTES_MAX: usize = 32 * 1024;
const OPERATORS: [&str; 12] = [
    "$e", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$all", "$exists", "$mod", "$not",
];
const LOGICAL: [&str; 4] = ["$and", "$or", "$nor", "$not"];
/// What a filter sees of a delivery. `authentication` is added after it.
const ROOTS: [&str; 3] = ["event", "user", "time"];

/// Checks a whole filter for hooks of these classes.
///
/// # Errors
/// `INVALID_INPUT` with the place, what was found and what is expected.
pub fn check(filter: &Map<String, Value>, classes: &[EventClass]) -> Result<()> {
    let bytes = Value::Object(filter.clone()).to_string().len();
    let whole = Place {
        path: "event_filter".to_owned(),
        depth: 0,
        classes,
    };
    if bytes > BYTES_MAX {
        return whole.wrong(format!("has {bytes} bytes; at most {BYTES_MAX} are taken"));
    }
    query(filter, &whole)
}

/// Where in the filter we are.
struct Place<'c> {
    path: String,
    depth: usize,
    classes: &'c [EventClass],
}

impl Place<'_> {
    fn at(&self, step: impl std::fmt::Display) -> Self {
        Self {
            path: format!("{}{step}", self.path),
            depth: self.depth + 1,
            classes: self.classes,
        }
    }

    fn wrong<T>(&self, what: impl std::fmt::Display) -> Result<T> {
        Err(Error::invalid_input(format!("{} {what}", self.path)))
    }
}

/// An object of fields and logical operators, all of which must hold.
fn query(query: &Map<String, Value>, place: &Place<'_>) -> Result<()> {
    if place.depth > DEPTH_MAX {
        return place.wrong(format!("lies deeper than {DEPTH_MAX} levels"));
    }
    if query.is_empty() {
        return place.wrong("is empty; a condition is expected");
    }
    for (key, value) in query {
        let inner = place.at(format_args!(".{key}"));
        match (key.as_str(), value) {
            ("$not", Value::Object(negated)) => self::query(negated, &inner)?,
            ("$not", _) => {
                return inner.wrong(format!("is {value}; an object of conditions is expected"));
            }
            ("$and" | "$or" | "$nor", Value::Array(items)) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    let inner = inner.at(format_args!("[{index}]"));
                    match item {
                        Value::Object(item) => self::query(item, &inner)?,
                        other => {
                            return inner
                                .wrong(format!("is {other}; an object of conditions is expected"));
                        }
                    }
                }
            }
            ("$and" | "$or" | "$nor", _) => {
                return inner.wrong(format!("is {value}; a list of conditions is expected"));
            }
            (operator, _) if operator.starts_with('$') => {
                return inner.wrong(match OPERATORS.contains(&operator) {
                    true => format!("stands before a field; it is expected behind one: {{\"user.uid\": {{\"{operator}\": …}}}}"),
                    false => format!("is no operator; there are {}", LOGICAL.join(" ")),
                });
            }
            (field, value) => {
                known_field(field, &inner)?;
                condition(value, &inner)?;
            }
        }
    }
    Ok(())
}

/// A field that no event has never matches, and nobody would find out.
fn known_field(field: &str, place: &Place<'_>) -> Result<()> {
    let root = field.split('.').next().unwrap_or_default();
    if field.split('.').any(str::is_empty) || !ROOTS.contains(&root) {
        return place.wrong(format!(
            "is no field of an event; fields begin with {}, as in `event.node.path` and `user.uid`",
            ROOTS.map(|root| format!("`{root}`")).join(", ")
        ));
    }
    if !place.classes.iter().any(|class| class.may_have(field)) {
        let events: Vec<&str> = place
            .classes
            .iter()
            .map(|class| class.name.as_str())
            .collect();
        return place.wrong(format!(
            "is a field that none of the events has ({}), so that nothing would ever match",
            events.join(", ")
        ));
    }
    Ok(())
}

/// What stands behind a field: a value that it equals, or operators that must all hold.
fn condition(value: &Value, place: &Place<'_>) -> Result<()> {
    match value {
        Value::Object(operators) if operators.is_empty() => {
            place.wrong("is empty; a value or an operator is expected")
        }
        Value::Object(operators) => operators.iter().try_for_each(|(operator, value)| {
            let inner = place.at(format_args!(".{operator}"));
            if inner.depth > DEPTH_MAX {
                return inner.wrong(format!("lies deeper than {DEPTH_MAX} levels"));
            }
            operation(operator, value, &inner)
        }),
        Value::Array(_) => place.wrong(format!(
            "is {value}; for one of several values write {{\"$in\": {value}}}"
        )),
        scalar => equal(scalar, place),
    }
}

fn operation(operator: &str, value: &Value, place: &Place<'_>) -> Result<()> {
    match (operator, value) {
        ("$not", Value::Object(_)) => condition(value, place),
        ("$not", _) => place.wrong(format!("is {value}; an object of operators is expected")),
        ("$e" | "$ne", Value::Array(items)) => scalars(items, place),
        ("$e" | "$ne", Value::Object(_)) => place.wrong(format!("is {value}; a value is expected")),
        ("$e" | "$ne", scalar) => equal(scalar, place),
        ("$gt" | "$gte" | "$lt" | "$lte", Value::Number(_) | Value::String(_)) => Ok(()),
        ("$gt" | "$gte" | "$lt" | "$lte", _) => {
            place.wrong(format!("is {value}; a number or a text is expected"))
        }
        ("$in" | "$nin" | "$all", Value::Array(items)) if !items.is_empty() => {
            scalars(items, place)
        }
        ("$in" | "$nin" | "$all", _) => {
            place.wrong(format!("is {value}; a list of values is expected"))
        }
        ("$exists", Value::Bool(_)) => Ok(()),
        ("$exists", _) => place.wrong(format!("is {value}; true or false is expected")),
        ("$mod", Value::Array(items)) => match items.as_slice() {
            [divisor, remainder]
                if divisor.as_i64().is_some_and(|d| d != 0) && remainder.is_i64() =>
            {
                Ok(())
            }
            _ => place.wrong(format!(
                "is {value}; [divisor, remainder] is expected, both whole and the first not 0"
            )),
        },
        ("$mod", _) => place.wrong(format!("is {value}; [divisor, remainder] is expected")),
        (other, _) if LOGICAL.contains(&other) => {
            place.wrong("stands behind a field; it is expected before fields")
        }
        (other, _) if other.starts_with('$') => {
            place.wrong(format!("is no operator; there are {}", OPERATORS.join(" ")))
        }
        (other, _) => place.wrong(format!(
            "is no operator; a field within a field is written with a dot: `….{other}`"
        )),
    }
}

/// A value that a field is compared with for equality, where a text may be an expression.
fn equal(value: &Value, place: &Place<'_>) -> Result<()> {
    match value {
        Value::Null => place.wrong("is null, which nothing equals; {\"$exists\": false} is meant"),
        Value::String(text) => match pattern::parts(text) {
            None => Ok(()),
            Some((body, flags)) => match pattern::check(body, flags) {
                Ok(()) => Ok(()),
                Err(why) => place.wrong(format!("{value} {why}")),
            },
        },
        _ => Ok(()),
    }
}

fn scalars(items: &[Value], place: &Place<'_>) -> Result<()> {
    for (index, item) in items.iter().enumerate() {
        if item.is_null() || item.is_array() || item.is_object() {
            let inner = place.at(format_args!("[{index}]"));
            return inner.wrong(format!(
                "is {item}; a text, a number, true or false is expected"
            ));
        }
    }
    Ok(())
}
