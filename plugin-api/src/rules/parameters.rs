//! Checks values against declared fields: parameters of triggers and of subscriptions.

use serde_json::{Map, Value};

use crate::declaration::{Field, FieldKind};
use crate::messages::FieldError;

/// Values that fit their fields, defaults filled in; or every mistake, by field.
pub fn check_parameters(
    fields: &[Field],
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<FieldError>> {
    let mut mistakes: Vec<FieldError> = Vec::new();
    for name in given.keys() {
        if fields.iter().all(|field| field.name != *name) {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            let message = match names.is_empty() {
                true => "is not a parameter here; there are none".to_owned(),
                false => format!("is not a parameter here; allowed: {}", names.join(", ")),
            };
            mistakes.push(FieldError {
                field: name.clone(),
                message,
            });
        }
    }
    let mut checked = Map::new();
    for field in fields {
        let value = match given.get(&field.name) {
            Some(value) if !is_unset(value) => value,
            unset => match &field.default {
                Some(default) if !is_unset(default) => default,
                _ if field.required => {
                    mistakes.push(FieldError {
                        field: field.name.clone(),
                        message: format!("is missing; {} is expected", expected(field)),
                    });
                    continue;
                }
                _ => {
                    checked.extend(unset.map(|value| (field.name.clone(), value.clone())));
                    continue;
                }
            },
        };
        match check_value(field, value) {
            Ok(()) => {
                checked.insert(field.name.clone(), value.clone());
            }
            Err(message) => mistakes.push(FieldError {
                field: field.name.clone(),
                message,
            }),
        }
    }
    if mistakes.is_empty() {
        Ok(checked)
    } else {
        Err(mistakes)
    }
}

/// Whether a value fits its field; the error says what was found and what is expected.
pub fn check_value(field: &Field, value: &Value) -> Result<(), String> {
    if !is_list(field) {
        return check_one(field, value);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_one(field, item)),
        // A single value is a list of one.
        single => check_one(field, single),
    }
}

/// Null, an empty text and an empty list say nothing; `false` and `0` do.
pub fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn is_list(field: &Field) -> bool {
    field.multiple || (field.kind == FieldKind::Checkbox && !field.options.is_empty())
}

fn check_one(field: &Field, value: &Value) -> Result<(), String> {
    let fits = match field.kind {
        FieldKind::Text | FieldKind::Secret | FieldKind::TextInput | FieldKind::DynamicSelect => {
            value.is_string() || value.is_number()
        }
        FieldKind::Number => return check_number(field, value),
        FieldKind::Boolean => value.is_boolean(),
        FieldKind::Checkbox if field.options.is_empty() => value.is_boolean(),
        FieldKind::Select | FieldKind::Checkbox => return check_option(field, value),
        FieldKind::Array | FieldKind::Files | FieldKind::Tools => value.is_array(),
        FieldKind::Object | FieldKind::Model | FieldKind::App => value.is_object(),
        FieldKind::File => value.is_object() || value.is_string(),
    };
    if fits {
        Ok(())
    } else {
        Err(format!(
            "is {}; {} is expected",
            found(value),
            expected(field)
        ))
    }
}

fn check_number(field: &Field, value: &Value) -> Result<(), String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    let Some(number) = number else {
        return Err(format!(
            "is {}; {} is expected",
            found(value),
            expected(field)
        ));
    };
    match (field.min, field.max) {
        (Some(min), _) if number < min => Err(format!("is {number}; at least {min} is expected")),
        (_, Some(max)) if number > max => Err(format!("is {number}; at most {max} is expected")),
        _ => Ok(()),
    }
}

fn check_option(field: &Field, value: &Value) -> Result<(), String> {
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let known = text.is_some_and(|text| {
        field.options.is_empty() || field.options.iter().any(|option| option.value == text)
    });
    if known {
        Ok(())
    } else {
        Err(format!(
            "is {}; {} is expected",
            found(value),
            expected(field)
        ))
    }
}

fn expected(field: &Field) -> String {
    let options: Vec<&str> = field
        .options
        .iter()
        .map(|option| option.value.as_str())
        .collect();
    let one = match field.kind {
        FieldKind::Select | FieldKind::Checkbox if !options.is_empty() => {
            format!("one of {}", options.join(", "))
        }
        FieldKind::Number => "a number".to_owned(),
        FieldKind::Boolean | FieldKind::Checkbox => "true or false".to_owned(),
        FieldKind::Array | FieldKind::Files | FieldKind::Tools => "a list".to_owned(),
        FieldKind::Object | FieldKind::Model | FieldKind::App => "an object".to_owned(),
        FieldKind::File => "a file".to_owned(),
        FieldKind::Text
        | FieldKind::Secret
        | FieldKind::TextInput
        | FieldKind::Select
        | FieldKind::DynamicSelect => "a text".to_owned(),
    };
    match is_list(field) {
        true => format!("a list in which each is {one}"),
        false => one,
    }
}

/// What was found, short; a secret is never shown, because a mistake in one is reported by its kind alone.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > 60 => "a long text".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
    }
}
