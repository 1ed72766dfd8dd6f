//! A trigger's filters and variables, compiled for its parameters.

use serde_json::{Map, Value};

use crate::messages::{EventCall, Outcome, Variables};
use crate::rules::fields::{Fields, Found};
use crate::rules::matcher::{Matcher, Preparation};
use crate::rules::parameters::is_unset;
use crate::rules::pointer::Pointer;
use crate::rules::scalar::Scalar;
use crate::rules::source::Values;
use crate::rules::vocabulary::{EventRules, FilterRule, FilterValue};
use crate::{Error, Result};

/// What the rules compile of a trigger.
#[derive(Debug, Default)]
pub struct PreparedTrigger {
    filters: Vec<(Vec<Pointer>, Matcher)>,
    variables: Option<Vec<(String, Pointer)>>,
    fields: Fields,
}

impl PreparedTrigger {
    /// # Errors
    /// `INVALID_INPUT` naming the parameter that cannot be compiled (a broken glob).
    pub(crate) fn compile(rules: &EventRules, parameters: &Map<String, Value>) -> Result<Self> {
        let mut filters = Vec::new();
        for rule in &rules.filters {
            if let Some(matcher) = matcher(rule, parameters)? {
                filters.push((rule.at.clone(), matcher));
            }
        }
        let of_filters = filters.iter().flat_map(|(at, _)| at);
        let of_variables = rules.variables.iter().flatten().map(|(_, pointer)| pointer);
        let fields = Fields::new(of_filters.chain(of_variables));
        Ok(Self {
            filters,
            variables: rules.variables.clone(),
            fields,
        })
    }

    pub(crate) fn on_event(&self, event: &EventCall<'_>) -> Result<Outcome> {
        let found = self
            .fields
            .read(event.payload)
            .map_err(|error| Error::invalid_input(error.to_string()))?;
        let matches = |(at, matcher): &(Vec<Pointer>, Matcher)| {
            matcher.matches(&Values::of_json(
                at.iter().flat_map(|pointer| found.all(pointer)),
            ))
        };
        if !self.filters.iter().all(matches) {
            return Ok(Outcome::NotForThisTrigger);
        }
        Ok(Outcome::Fires(match &self.variables {
            None => Variables::Payload,
            Some(variables) => Variables::Json(object(variables, &found)),
        }))
    }
}

/// `None` when the parameter is not set: then there is nothing to filter by.
fn matcher(rule: &FilterRule, parameters: &Map<String, Value>) -> Result<Option<Matcher>> {
    let (name, wanted) = match &rule.wanted {
        FilterValue::Fixed(wanted) => ("value", wanted.clone()),
        FilterValue::Parameter(name) => match parameters.get(name).filter(|value| !is_unset(value))
        {
            None => return Ok(None),
            Some(value) => (name.as_str(), wanted(value, rule.split.as_deref())),
        },
    };
    if wanted.is_empty() {
        return Ok(None);
    }
    let preparation: Preparation = rule.preparation.clone();
    Matcher::new(rule.op, wanted, preparation)
        .map(Some)
        .map_err(|error| Error::invalid_input(format!("parameter `{name}`: {error}")))
}

fn wanted(value: &Value, split: Option<&str>) -> Vec<Scalar<'static>> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let scalars = items.iter().filter_map(Scalar::from_value);
    match split {
        None => scalars.filter(|scalar| *scalar != Scalar::Null).collect(),
        Some(separator) => {
            let texts = scalars.filter_map(|scalar| scalar.text().map(str::to_owned));
            let split: Vec<String> = texts
                .flat_map(|text| {
                    text.split(separator)
                        .map(|item| item.trim().to_owned())
                        .collect::<Vec<_>>()
                })
                .collect();
            split
                .into_iter()
                .filter(|item| !item.is_empty())
                .map(|item| Scalar::Text(item.into()))
                .collect()
        }
    }
}

/// The variables as JSON, each the very text of the payload: numbers keep all their digits.
fn object(variables: &[(String, Pointer)], found: &Found<'_, '_>) -> Vec<u8> {
    let mut json = String::from("{");
    for (index, (name, pointer)) in variables.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&Value::from(name.as_str()).to_string());
        json.push(':');
        if pointer.is_many() {
            let items: Vec<&str> = found.all(pointer).collect();
            json.push('[');
            json.push_str(&items.join(","));
            json.push(']');
        } else {
            json.push_str(found.one(pointer).unwrap_or("null"));
        }
    }
    json.push('}');
    json.into_bytes()
}
