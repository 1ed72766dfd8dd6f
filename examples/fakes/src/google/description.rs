//! Google's own description of the two services: what a request may be, what an answer is.
//!
//! The files under `data/google` are the published discovery documents, cut down to what is faked,
//! and their schemas as JSON Schema.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::fields::Mask;
use super::refusal::Refusal;
use crate::Exchange;

/// One of the two services.
pub struct Description {
    /// `/drive/v3`
    pub path: String,
    document: Value,
    validators: BTreeMap<String, Validator>,
}

/// A request that the description allows.
#[derive(Debug)]
pub struct Call {
    /// `changes.list`
    pub method: String,
    /// What stood in the places of the path.
    pub path: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
    pub fields: Option<Mask>,
    /// One of these is needed.
    pub scopes: Vec<String>,
    response: Option<String>,
}

pub static DRIVE: LazyLock<Description> = LazyLock::new(|| {
    Description::read(
        include_str!("../../data/google/drive.v3.fragment.json"),
        include_str!("../../data/google/drive.v3.jsonschema.json"),
    )
});

pub static CALENDAR: LazyLock<Description> = LazyLock::new(|| {
    Description::read(
        include_str!("../../data/google/calendar.v3.fragment.json"),
        include_str!("../../data/google/calendar.v3.jsonschema.json"),
    )
});

impl Call {
    /// A flag of the query.
    pub fn is_set(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value == "true")
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A place of the path, which is always there.
    pub fn place(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }
}

impl Description {
    fn read(document: &str, schemas: &str) -> Self {
        let document: Value = serde_json::from_str(document).expect("the published document");
        let mut schemas: Value = serde_json::from_str(schemas).expect("the published schemas");
        close(&mut schemas["$defs"]);
        let named = document["schemas"].as_object().expect("schemas").keys();
        let validators = named.map(|name| {
            let mut schema = schemas.clone();
            schema["$ref"] = json!(format!("#/$defs/{name}"));
            let validator = jsonschema::validator_for(&schema).expect("a schema that can be read");
            (name.clone(), validator)
        });
        let service = document["servicePath"].as_str().expect("a path");
        Self {
            path: format!("/{}", service.trim_end_matches('/')),
            validators: validators.collect(),
            document,
        }
    }

    /// Holds a request against the description.
    ///
    /// # Errors
    /// What the real service answers to a request like this.
    pub fn call(&self, request: &Exchange) -> Result<Call, Refusal> {
        let below = request.path.strip_prefix(&self.path).unwrap_or_default();
        let segments: Vec<String> = Exchange {
            path: below.to_owned(),
            ..Exchange::default()
        }
        .segments();
        let methods = self.document["methods"].as_object().expect("methods");
        let found = methods.iter().find_map(|(name, method)| {
            let same = method["httpMethod"] == request.method.as_str();
            let path = method["path"].as_str().filter(|_| same)?;
            Some((name, method, places(path, &segments)?))
        });
        let Some((name, method, path)) = found else {
            return Err(Refusal {
                is_violation: true,
                ..Refusal::new(404, "notFound", format!("there is no {request:?}"))
            });
        };
        let query = self.query(name, method, request)?;
        let response = method["response"]["$ref"].as_str().map(str::to_owned);
        let fields = match (query.get("fields"), &response) {
            (Some(fields), Some(response)) => {
                let mask = Mask::parse(fields).map_err(Refusal::malformed)?;
                let schema = &self.document["schemas"][response];
                self.assert_known(&mask, schema).map_err(|field| {
                    Refusal::malformed(format!("Invalid field selection {field} of {name}"))
                })?;
                Some(mask)
            }
            _ => None,
        };
        let scopes = method["scopes"].as_array().into_iter().flatten();
        Ok(Call {
            scopes: scopes
                .filter_map(|scope| Some(scope.as_str()?.to_owned()))
                .collect(),
            method: name.clone(),
            body: self.body(name, method, request)?,
            path,
            query,
            fields,
            response,
        })
    }

    /// What is wrong with an answer; the fake itself would be at fault.
    pub fn faults_of(&self, call: &Call, answer: &Value) -> Vec<String> {
        let Some(validator) = call.response.as_ref().map(|name| &self.validators[name]) else {
            return match answer {
                Value::Null => Vec::new(),
                _ => vec![format!("{} answers nothing", call.method)],
            };
        };
        validator
            .iter_errors(answer)
            .map(|error| {
                format!(
                    "the answer to {}{}: {error}",
                    call.method,
                    error.instance_path()
                )
            })
            .collect()
    }

    fn query(
        &self,
        name: &str,
        method: &Value,
        request: &Exchange,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let mut query = BTreeMap::new();
        for (key, value) in request.query_pairs() {
            let described = [
                &method["parameters"][&key],
                &self.document["globalParameters"][&key],
            ];
            let Some(described) = described.into_iter().find(|found| found.is_object()) else {
                return Err(Refusal::malformed(format!(
                    "{name} knows no parameter {key}"
                )));
            };
            if described["location"] != "query" {
                return Err(Refusal::malformed(format!(
                    "{key} of {name} stands in the path"
                )));
            }
            if let Some(wrong) = wrong_value(described, &value) {
                return Err(Refusal {
                    location: Some(key.clone()),
                    ..Refusal::malformed(format!("{key} of {name} is `{value}`, {wrong}"))
                });
            }
            let repeated = described["repeated"] == true;
            if query.insert(key.clone(), value).is_some() && !repeated {
                return Err(Refusal::malformed(format!("{name} takes one {key}")));
            }
        }
        let parameters = method["parameters"].as_object();
        for (key, described) in parameters.into_iter().flatten() {
            let missing = described["required"] == true
                && described["location"] == "query"
                && !query.contains_key(key);
            if missing {
                return Err(Refusal::malformed(format!(
                    "Required parameter: {key} of {name}"
                )));
            }
        }
        Ok(query)
    }

    fn body(&self, name: &str, method: &Value, request: &Exchange) -> Result<Value, Refusal> {
        let Some(schema) = method["request"]["$ref"].as_str() else {
            return match request.body.is_empty() {
                true => Ok(Value::Null),
                false => Err(Refusal::malformed(format!("{name} takes no body"))),
            };
        };
        let is_json = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        let body = request.json().filter(|_| is_json).ok_or_else(|| {
            Refusal::malformed(format!("{name} takes a body of JSON, and one that says so"))
        })?;
        let wrong = self.validators[schema]
            .iter_errors(&body)
            .next()
            .map(|error| format!("the body of {name}{}: {error}", error.instance_path()));
        match wrong {
            None => Ok(body),
            Some(wrong) => Err(Refusal::malformed(wrong)),
        }
    }

    /// The field that the schema does not have.
    fn assert_known(&self, mask: &Mask, schema: &Value) -> Result<(), String> {
        let schema = match schema["$ref"].as_str() {
            Some(name) => &self.document["schemas"][name],
            None => schema,
        };
        if schema["type"] == "array" {
            return self.assert_known(mask, &schema["items"]);
        }
        for (field, parts) in mask.0.iter().filter(|(field, _)| *field != "*") {
            let inner = &schema["properties"][field];
            if !inner.is_object() {
                return Err(field.clone());
            }
            if !parts.0.is_empty() {
                self.assert_known(parts, inner)?;
            }
        }
        Ok(())
    }
}

/// What stands in the places of a path, if it is of this form.
fn places(template: &str, segments: &[String]) -> Option<BTreeMap<String, String>> {
    let template: Vec<&str> = template.split('/').collect();
    if template.len() != segments.len() {
        return None;
    }
    let mut places = BTreeMap::new();
    for (wanted, found) in template.iter().zip(segments) {
        match wanted
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) if !found.is_empty() => {
                places.insert(name.to_owned(), found.clone());
            }
            None if wanted == found => {}
            _ => return None,
        }
    }
    Some(places)
}

fn wrong_value(described: &Value, value: &str) -> Option<String> {
    let bound = |name: &str| described[name].as_str()?.parse::<i64>().ok();
    match described["type"].as_str() {
        Some("boolean") if !matches!(value, "true" | "false") => {
            Some("but is a boolean".to_owned())
        }
        Some("integer") => {
            let number = value.parse::<i64>().ok();
            let inside = number.is_some_and(|number| {
                bound("minimum").is_none_or(|least| number >= least)
                    && bound("maximum").is_none_or(|most| number <= most)
            });
            (!inside).then(|| "which is no number of the range".to_owned())
        }
        _ => {
            let allowed = described["enum"].as_array()?;
            (!allowed.iter().any(|each| each == value))
                .then(|| format!("but must be one of {}", described["enum"]))
        }
    }
}

/// The published schemas allow any other field; we do not send any.
fn close(schemas: &mut Value) {
    match schemas {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
