//! Which messages a trigger wants.

use serde_json::Value;
use trigger_plugin_api::prelude::*;

/// Groups stand in groups at most so deep.
const DEPTH_MAX: usize = 8;
/// So many conditions at most.
const CONDITIONS_MAX: usize = 100;

/// A condition, or a group of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    None(Vec<Filter>),
    At { path: Vec<String>, value: Value },
}

impl Filter {
    /// What a trigger says; none if it wants every message.
    pub fn of(trigger: &Trigger) -> Result<Option<Self>> {
        let Some(said) = trigger.parameters.get("filters") else {
            return Ok(None);
        };
        let mut left = CONDITIONS_MAX;
        let read = read(said, DEPTH_MAX, &mut left);
        read.map(Some).map_err(|expected| {
            Error::invalid_input(format!("parameter `filters`: expected {expected}"))
        })
    }

    /// Whether a message is one of those that are wanted.
    pub fn matches(&self, message: &Value) -> bool {
        let fits = |filter: &Self| filter.matches(message);
        match self {
            Self::All(filters) => filters.iter().all(fits),
            Self::Any(filters) => filters.iter().any(fits),
            Self::None(filters) => !filters.iter().any(fits),
            Self::At { path, value } => {
                find(message, path).is_some_and(|found| contains(found, value))
            }
        }
    }
}

fn read(said: &Value, depth: usize, left: &mut usize) -> Result<Filter, String> {
    let Value::Object(map) = said else {
        return Err("a map: {key, value}, {path, value} or any_of, all_of, none_of".to_owned());
    };
    if depth == 0 {
        return Err(format!("groups at most {DEPTH_MAX} deep"));
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| format!("at most {CONDITIONS_MAX} conditions"))?;
    if let Some(value) = map.get("value") {
        return at(map, value);
    }
    let mut groups = Vec::new();
    for (word, members) in map {
        let group = match word.as_str() {
            "all_of" => Filter::All,
            "any_of" => Filter::Any,
            "none_of" => Filter::None,
            other => {
                return Err(format!(
                    "`value` beside `key` or `path`, or any_of, all_of, none_of; found `{other}`"
                ));
            }
        };
        let Value::Array(members) = members else {
            return Err(format!("a list under `{word}`"));
        };
        let members: Result<Vec<Filter>, String> = members
            .iter()
            .map(|member| read(member, depth - 1, left))
            .collect();
        groups.push(group(members?));
    }
    match groups.len() {
        0 => Err("any_of, all_of or none_of".to_owned()),
        _ => Ok(Filter::All(groups)),
    }
}

fn at(map: &serde_json::Map<String, Value>, value: &Value) -> Result<Filter, String> {
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let path = match (text("key"), text("path")) {
        (Some(key), None) => vec![key.to_owned()],
        (None, Some(path)) => steps(path),
        _ => return Err("either `key` or `path`, a text, beside `value`".to_owned()),
    };
    match map.len() {
        2 => Ok(Filter::At {
            path,
            value: value.clone(),
        }),
        _ => Err("nothing but `key` or `path` beside `value`".to_owned()),
    }
}

/// `/a/0/b` as of RFC 6901, or `a.0.b`.
fn steps(path: &str) -> Vec<String> {
    match path.strip_prefix('/') {
        Some(rest) => rest
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect(),
        None => path.split('.').map(str::to_owned).collect(),
    }
}

fn find<'a>(message: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(message, |at, step| match at {
        Value::Object(map) => map.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Whether what was found is, or contains, what is wanted.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| contains(found, value))),
        (Value::Array(found), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| found.iter().any(|found| contains(found, wanted))),
        (Value::Number(found), Value::Number(wanted)) => {
            found == wanted || found.as_f64() == wanted.as_f64()
        }
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(said: &Value) -> Result<Filter, String> {
        read(said, DEPTH_MAX, &mut { CONDITIONS_MAX })
    }

    fn check(said: &Value, messages: &[(Value, bool)]) {
        let filter = filter(said).expect("a filter");
        for (message, expected) in messages {
            assert_eq!(filter.matches(message), *expected, "{said} {message}");
        }
    }

    #[test]
    fn a_value_at_a_key_or_path_is_contained_in_what_is_there() {
        check(
            &json!({"key": "type", "value": "trade"}),
            &[
                (json!({"type": "trade", "more": 1}), true),
                (json!({"type": "quote"}), false),
                (json!({}), false),
                (json!(["type"]), false),
                (json!("trade"), false),
            ],
        );
        let nested = [
            (
                json!({"data": {"tags": [{"id": 1, "x": 0}, {"id": 2}]}}),
                true,
            ),
            (json!({"data": {"tags": [{"id": 1}]}}), false),
            (json!({"data": {"tags": []}}), false),
        ];
        let wanted = json!([{"id": 2}, {"id": 1}]);
        check(&json!({"path": "/data/tags", "value": wanted}), &nested);
        check(&json!({"path": "data.tags", "value": wanted}), &nested);
        check(
            &json!({"path": "/a~1b/1", "value": null}),
            &[
                (json!({"a/b": [0, null]}), true),
                (json!({"a/b": [0]}), false),
            ],
        );
        check(
            &json!({"key": "n", "value": 1}),
            &[(json!({"n": 1.0}), true)],
        );
    }

    #[test]
    fn groups_combine() {
        let said = json!({
            "all_of": [{"key": "type", "value": "trade"}],
            "any_of": [{"key": "s", "value": "A"}, {"key": "s", "value": "B"}],
            "none_of": [{"all_of": [{"key": "test", "value": true}, {"key": "s", "value": "B"}]}],
        });
        check(
            &said,
            &[
                (json!({"type": "trade", "s": "A", "test": true}), true),
                (json!({"type": "trade", "s": "B"}), true),
                (json!({"type": "trade", "s": "B", "test": true}), false),
                (json!({"type": "trade", "s": "C"}), false),
                (json!({"s": "A"}), false),
            ],
        );
        check(&json!({"any_of": []}), &[(json!({}), false)]);
        check(&json!({"none_of": []}), &[(json!({}), true)]);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let mut deep = json!({"key": "a", "value": 1});
        for _ in 0..DEPTH_MAX {
            deep = json!({"all_of": [deep]});
        }
        let many = json!({"any_of": vec![json!({"key": "a", "value": 1}); CONDITIONS_MAX]});
        for said in [
            json!("x"),
            json!({}),
            json!([]),
            json!({"key": "a"}),
            json!({"value": 1}),
            json!({"key": "a", "path": "/a", "value": 1}),
            json!({"key": 7, "value": 1}),
            json!({"key": "a", "value": 1, "op": "gt"}),
            json!({"any_of": {"key": "a", "value": 1}}),
            json!({"some_of": []}),
            deep,
            many,
        ] {
            assert!(filter(&said).is_err(), "{said}");
        }
    }
}
