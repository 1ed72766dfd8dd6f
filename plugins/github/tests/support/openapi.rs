//! Holds requests against GitHub's own description of its REST API.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use trigger_plugin_api::prelude::*;

use super::json_fixture;

/// What we call that the fragment leaves out.
const NOT_DESCRIBED: [(&str, &str); 2] = [("GET", "/user/orgs"), ("GET", "/orgs/{org}")];

static API: LazyLock<Value> = LazyLock::new(|| json_fixture("hooks-fragment.openapi.json"));

/// Panics, with the reason, on a request that GitHub does not describe so.
pub fn assert_described(base_url: &str, request: &HttpRequest) {
    let address = request
        .url
        .strip_prefix(base_url)
        .unwrap_or_else(|| panic!("{} is not under {base_url}", request.url));
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    if NOT_DESCRIBED
        .iter()
        .any(|(method, template)| *method == request.method && fits(template, path))
    {
        return;
    }
    let operation = operation(&request.method, path)
        .unwrap_or_else(|| panic!("GitHub has no {} {path}", request.method));
    assert_query(operation, query);
    assert_body(operation, &request.body);
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = API["paths"].as_object().expect("paths");
    let mut fitting = paths.iter().filter(|(template, _)| fits(template, path));
    fitting.find_map(|(_, operations)| operations.get(method.to_lowercase()))
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(wanted, found)| wanted == found || wanted.starts_with('{') && !found.is_empty())
}

fn assert_query(operation: &Value, query: &str) {
    let parameters: Map<String, Value> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(resolve)
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| {
            let name = parameter["name"].as_str().expect("name").to_owned();
            (name, parameter["schema"].clone())
        })
        .collect();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let schema = parameters
            .get(name)
            .unwrap_or_else(|| panic!("GitHub knows no query parameter {name} there"));
        let value = match schema["type"].as_str() {
            Some("integer") => json!(value.parse::<i64>().expect("an integer")),
            _ => json!(value),
        };
        assert_valid(schema.clone(), &value, name);
        assert!(
            name != "per_page" || value.as_i64() <= Some(100),
            "GitHub gives at most 100 a page"
        );
    }
}

fn assert_body(operation: &Value, body: &[u8]) {
    let Some(described) = operation.get("requestBody") else {
        assert!(body.is_empty(), "GitHub expects no body there");
        return;
    };
    let body: Value = serde_json::from_slice(body).expect("the body is JSON");
    assert_valid(
        described["content"]["application/json"]["schema"].clone(),
        &body,
        "the body",
    );
}

fn assert_valid(mut schema: Value, value: &Value, what: &str) {
    if let Some(reference) = schema.get("$ref") {
        schema = json!({"allOf": [{"$ref": reference}]});
    }
    schema["components"] = API["components"].clone();
    let validator = jsonschema::validator_for(&schema).expect("GitHub's schema can be read");
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:?}");
}

fn resolve(value: &Value) -> Value {
    match value["$ref"].as_str() {
        Some(reference) => API
            .pointer(reference.trim_start_matches('#'))
            .expect("a reference that leads somewhere")
            .clone(),
        None => value.clone(),
    }
}
