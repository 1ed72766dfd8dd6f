//! GitHub's own description of its REST API (OpenAPI 3.0), and what it says of a request or an answer.
//!
//! The document is GitHub's; `github-more.openapi.json` describes, after GitHub's pages, the three
//! operations that it leaves out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{Answer, Exchange};

/// The whole description.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let read = |text| serde_json::from_str(text).expect("invariant: the description is JSON");
    let mut document: Value = read(include_str!("../../data/github.openapi.json"));
    let more: Value = read(include_str!("../../data/github-more.openapi.json"));
    for part in ["/paths", "/components/schemas"] {
        let (Some(Value::Object(all)), Some(Value::Object(some))) =
            (document.pointer_mut(part), more.pointer(part))
        else {
            continue;
        };
        all.extend(some.clone());
    }
    document
});

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let paths = DOCUMENT["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, described)| Operation::of(method, path, described))
    });
    operations.collect()
});

/// One thing that can be asked of the API.
pub struct Operation {
    /// `GET /repos/{owner}/{repo}/hooks`
    pub name: String,
    method: String,
    template: Vec<&'static str>,
    described: &'static Value,
    /// Compiled when they are first needed, by what they describe.
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// The operation that a request asks for.
pub fn operation(method: &str, path: &str) -> Option<&'static Operation> {
    let segments: Vec<&str> = path.split('/').collect();
    let mut fitting: Vec<&Operation> = OPERATIONS
        .iter()
        .filter(|each| each.method == method && each.fits(&segments))
        .collect();
    // Of two that fit, the one that says more of the path.
    fitting.sort_by_key(|each| {
        let is_open = |segment: &&&str| segment.starts_with('{');
        each.template.iter().filter(is_open).count()
    });
    fitting.first().copied()
}

/// A body that GitHub gives as an example, to be filled in.
pub fn example(name: &str) -> Value {
    DOCUMENT["components"]["examples"][name]["value"].clone()
}

impl Operation {
    fn of(method: &str, path: &'static str, described: &'static Value) -> Self {
        Self {
            name: format!("{} {path}", method.to_uppercase()),
            method: method.to_uppercase(),
            template: path.split('/').collect(),
            described,
            validators: Mutex::default(),
        }
    }

    fn fits(&self, path: &[&str]) -> bool {
        self.template.len() == path.len()
            && self.template.iter().zip(path).all(|(wanted, found)| {
                wanted == found || wanted.starts_with('{') && !found.is_empty()
            })
    }

    /// Why GitHub would not take the request, one sentence each.
    pub fn problems_of_request(&self, request: &Exchange) -> Vec<String> {
        let mut problems = self.problems_of_parameters(request);
        let Some(body) = self.described.get("requestBody") else {
            if !request.body.is_empty() {
                problems.push("there is a body, and none is described".to_owned());
            }
            return problems;
        };
        match request.json() {
            Some(found) => {
                let schema = &resolved(body)["content"]["application/json"]["schema"];
                problems.extend(self.problems("the body", schema, &found));
            }
            None if request.body.is_empty() && body["required"] != true => {}
            None => problems.push("the body is not JSON".to_owned()),
        }
        problems
    }

    /// Why GitHub would not answer so, one sentence each: a fault of the fake's.
    pub fn problems_of_answer(&self, answer: &Answer) -> Vec<String> {
        let status = answer.status.to_string();
        let Some(described) = self.described["responses"].get(&status) else {
            // These may come of any request, and are described for some.
            return match answer.status {
                301 | 307 | 401 | 403 | 404 | 422 | 429 => Vec::new(),
                _ => vec![format!("the status {status} is not described")],
            };
        };
        let schema = &resolved(described)["content"]["application/json"]["schema"];
        if schema.is_null() {
            return match answer.body.is_empty() {
                true => Vec::new(),
                false => vec![format!("the answer {status} has a body")],
            };
        }
        match serde_json::from_slice(&answer.body) {
            Ok(found) => self.problems(&format!("the answer {status}"), schema, &found),
            Err(error) => vec![format!("the answer {status} is not JSON: {error}")],
        }
    }

    fn problems_of_parameters(&self, request: &Exchange) -> Vec<String> {
        let parameters = self.described["parameters"].as_array();
        let described: Vec<&Value> = parameters.into_iter().flatten().map(resolved).collect();
        let of = |place: &str, name: &str| {
            let mut described = described.iter();
            described.find(|each| each["in"] == place && each["name"] == name)
        };
        let mut problems = Vec::new();
        let segments = self.template.iter().zip(request.path.split('/'));
        for (segment, found) in segments {
            let name = segment.trim_matches(['{', '}']);
            if let Some(parameter) = of("path", name).filter(|_| segment.starts_with('{')) {
                problems.extend(self.problems(
                    name,
                    &parameter["schema"],
                    &typed(parameter, found),
                ));
            }
        }
        for (name, found) in request.query_pairs() {
            let Some(parameter) = of("query", &name) else {
                problems.push(format!("there is no query parameter {name}"));
                continue;
            };
            problems.extend(self.problems(&name, &parameter["schema"], &typed(parameter, &found)));
            if name == "per_page" && found.parse::<u32>().is_ok_and(|count| count > 100) {
                problems.push("per_page is over 100".to_owned());
            }
        }
        problems
    }

    fn problems(&self, what: &str, schema: &Value, found: &Value) -> Vec<String> {
        let validator = {
            let mut held = self
                .validators
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let compiled = held.entry(what.to_owned());
            Arc::clone(compiled.or_insert_with(|| Arc::new(compile(schema))))
        };
        validator
            .iter_errors(found)
            .map(|error| format!("{what}{}: {error}", error.instance_path()))
            .collect()
    }
}

/// With the components that it refers to and no others, of which there are many.
fn compile(schema: &Value) -> Validator {
    let mut needed = BTreeMap::new();
    let mut names: Vec<String> = references(schema).into_iter().collect();
    while let Some(name) = names.pop() {
        if needed.contains_key(&name) {
            continue;
        }
        let component = &DOCUMENT["components"]["schemas"][&name];
        names.extend(references(component));
        needed.insert(name, plain(component));
    }
    let whole = json!({"allOf": [plain(schema)], "components": {"schemas": needed}});
    jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .expect("invariant: GitHub's schemas can be read")
}

fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(object) => {
            let own = object.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|path| path.strip_prefix("#/components/schemas/"));
            let mut all: BTreeSet<String> = object.values().flat_map(references).collect();
            all.extend(own.map(str::to_owned));
            all
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// OpenAPI 3.0's `nullable` as JSON Schema says it.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(object) => {
            let is_nullable = object.get("nullable") == Some(&Value::Bool(true));
            let kept = object
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "nullable" | "example" | "examples"))
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect::<Map<_, _>>();
            match is_nullable {
                true => json!({"anyOf": [{"type": "null"}, kept]}),
                false => Value::Object(kept),
            }
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or(value),
        None => value,
    }
}

fn typed(parameter: &Value, found: &str) -> Value {
    match parameter["schema"]["type"].as_str() {
        Some("integer") => found
            .parse::<i64>()
            .map_or_else(|_| json!(found), Value::from),
        Some("boolean") => found
            .parse::<bool>()
            .map_or_else(|_| json!(found), Value::from),
        _ => json!(found),
    }
}
