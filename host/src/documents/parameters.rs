//! The parameters of a managed subscription, checked against what its provider declares.

use serde_json::{Map, Value};

use super::catalog::{Parameter, ParameterKind};
use super::fields::found;
use super::mistake::Mistake;
use crate::reference;
use crate::yaml::pointer_join;

/// Notes every mistake; returns what is to be stored: what was given, and what is needed and has a
/// default.
pub(super) fn check(
    pointer: &str,
    given: &Map<String, Value>,
    declared: &[Parameter],
    mistakes: &mut Vec<Mistake>,
) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, value) in given {
        let at = pointer_join(pointer, name);
        let Some(parameter) = declared.iter().find(|one| one.name == *name) else {
            let allowed = declared.iter().map(|one| one.name.clone()).collect();
            mistakes.push(Mistake::unknown_key(at, name, allowed));
            continue;
        };
        if !value.is_null() {
            check_value(parameter, value, &at, mistakes);
            kept.insert(name.clone(), value.clone());
        }
    }
    for parameter in declared.iter().filter(|one| one.is_required) {
        let name = &parameter.name;
        let is_empty = |value: &Value| value == "" || *value == Value::Array(Vec::new());
        match (kept.get(name), &parameter.default) {
            (Some(value), _) if !is_empty(value) => {}
            (None, Some(default)) => {
                kept.insert(name.clone(), default.clone());
            }
            (found, _) => {
                let at = match found {
                    Some(_) => pointer_join(pointer, name),
                    None => pointer.to_owned(),
                };
                let message = format!("`parameters.{name}` is missing or empty");
                mistakes.push(Mistake::value(at, message).allowing(&parameter.options));
            }
        }
    }
    kept
}

fn check_value(parameter: &Parameter, value: &Value, at: &str, mistakes: &mut Vec<Mistake>) {
    let name = &parameter.name;
    let mut expect = |is_met: bool, form: &str| {
        if !is_met {
            let message = format!("`{name}`: found {}, expected {form}", found(value));
            mistakes.push(Mistake::value(at, message));
        }
    };
    match parameter.kind {
        ParameterKind::Text => match value.as_str() {
            Some(text) => check_text(parameter, text, at, mistakes),
            None => expect(false, "a text; put it in quotes"),
        },
        ParameterKind::Texts => match value.as_array() {
            Some(list) => {
                for (index, item) in list.iter().enumerate() {
                    let at = format!("{at}/{index}");
                    match item.as_str() {
                        Some(text) => check_text(parameter, text, &at, mistakes),
                        None => {
                            let found = found(item);
                            let message =
                                format!("found {found}, expected a text; put it in quotes");
                            mistakes.push(Mistake::value(at, message));
                        }
                    }
                }
            }
            None => expect(false, "a list of texts"),
        },
        ParameterKind::Number { min, max } => {
            let is_within = |number: f64| {
                min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
            };
            let bound = |word: &str, bound: Option<f64>| {
                bound.map_or_else(String::new, |bound| format!(", {word} {bound}"))
            };
            let form = format!(
                "a number{}{}",
                bound("at least", min),
                bound("at most", max)
            );
            expect(value.as_f64().is_some_and(is_within), &form);
        }
        ParameterKind::Switch => expect(value.is_boolean(), "true or false"),
        ParameterKind::Map => expect(value.is_object(), "a map of fields"),
        ParameterKind::List => expect(value.is_array(), "a list"),
        ParameterKind::Secret => {
            let message =
                format!("`{name}` is secret, which parameters are not: it belongs to a credential");
            mistakes.push(Mistake::value(at, message));
        }
        ParameterKind::Whatever => {}
    }
}

fn check_text(parameter: &Parameter, text: &str, at: &str, mistakes: &mut Vec<Mistake>) {
    let name = &parameter.name;
    if reference::is_reference(text) {
        let message = format!(
            "`{name}`: found a reference (`${{NAME}}` or `file:PATH`), which is not followed here: \
             parameters are not secret"
        );
        mistakes.push(Mistake::value(at, message));
    } else if !parameter.options.is_empty() && !parameter.options.iter().any(|one| one == text) {
        let message = format!("`{name}`: expected one of the allowed values");
        mistakes.push(Mistake::value(at, message).allowing(&parameter.options));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(name: &str, kind: ParameterKind) -> Parameter {
        Parameter {
            name: name.to_owned(),
            kind,
            is_required: false,
            default: None,
            options: Vec::new(),
        }
    }

    fn declared() -> Vec<Parameter> {
        let number = ParameterKind::Number {
            min: Some(1.0),
            max: None,
        };
        vec![
            Parameter {
                is_required: true,
                ..parameter("repository", ParameterKind::Text)
            },
            Parameter {
                is_required: true,
                default: Some(json!("everything")),
                options: vec!["file".to_owned(), "everything".to_owned()],
                ..parameter("watch", ParameterKind::Text)
            },
            parameter("folders", ParameterKind::Texts),
            parameter("depth", number),
            parameter("deep", ParameterKind::Switch),
            parameter("filter", ParameterKind::Map),
            parameter("token", ParameterKind::Secret),
        ]
    }

    fn told(given: Value) -> Vec<String> {
        let mut mistakes = Vec::new();
        let given = given.as_object().expect("a map").clone();
        check("/p", &given, &declared(), &mut mistakes);
        let mistakes = mistakes.into_iter();
        mistakes
            .map(|one| format!("{}: {}", one.pointer, one.message))
            .collect()
    }

    #[test]
    fn what_fits_is_kept_and_a_needed_default_filled_in() {
        let given = json!({"repository": "o/r", "folders": ["a"], "depth": 2, "deep": true,
            "filter": {"a": 1}});
        assert_eq!(told(given), Vec::<String>::new());
        let given = json!({"repository": "o/r"})
            .as_object()
            .expect("a map")
            .clone();
        let kept = check("/p", &given, &declared(), &mut Vec::new());
        assert_eq!(
            Value::Object(kept),
            json!({"repository": "o/r", "watch": "everything"})
        );
    }

    #[test]
    fn each_mistake_is_told_at_its_place() {
        for (given, expected) in [
            (json!({}), "/p: `parameters.repository` is missing or empty"),
            (
                json!({"repository": ""}),
                "/p/repository: `parameters.repository` is missing or empty",
            ),
            (
                json!({"repository": 7}),
                "/p/repository: `repository`: found the number 7, expected a text; put it in quotes",
            ),
            (
                json!({"repository": "r", "repo": "r"}),
                "/p/repo: `repo` is not known here",
            ),
            (
                json!({"repository": "r", "watch": "all"}),
                "/p/watch: `watch`: expected one of the allowed values",
            ),
            (
                json!({"repository": "r", "folders": "a"}),
                "/p/folders: `folders`: found a text, expected a list of texts",
            ),
            (
                json!({"repository": "r", "folders": [1]}),
                "/p/folders/0: found the number 1, expected a text; put it in quotes",
            ),
            (
                json!({"repository": "r", "depth": 0}),
                "/p/depth: `depth`: found the number 0, expected a number, at least 1",
            ),
            (
                json!({"repository": "r", "deep": "yes"}),
                "/p/deep: `deep`: found a text, expected true or false",
            ),
        ] {
            assert_eq!(told(given.clone()), [expected], "{given}");
        }
        let secrets = told(json!({"repository": "${X}", "token": "x"}));
        assert!(
            secrets[0].contains("not followed here") && secrets[1].contains("credential"),
            "{secrets:?}"
        );
    }
}
