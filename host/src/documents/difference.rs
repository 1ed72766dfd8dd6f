//! What a change would change, field by field. A secret is only ever said to differ.

use serde_json::{Map, Value};

use crate::secret::Secret;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// The field, with its parts separated by dots.
    pub field: String,
    /// What is stored; absent: nothing, or a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What is wanted; absent: nothing, or a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// The values are not shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl Difference {
    /// A secret that differs.
    pub fn of_secret(field: &str) -> Difference {
        Difference {
            field: field.to_owned(),
            from: None,
            to: None,
            secret: true,
        }
    }
}

/// Notes a field if its values differ.
pub fn compare(field: &str, from: &Value, to: &Value, differences: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    if let (Value::Object(from), Value::Object(to)) = (from, to) {
        compare_maps(Some(field), from, to, differences);
        return;
    }
    let present = |value: &Value| (!value.is_null()).then(|| value.clone());
    differences.push(Difference {
        field: field.to_owned(),
        from: present(from),
        to: present(to),
        secret: false,
    });
}

/// Notes every field of two maps that differs.
pub fn compare_maps(
    field: Option<&str>,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    differences: &mut Vec<Difference>,
) {
    for key in keys(from, to) {
        let name = field.map_or_else(|| key.clone(), |field| format!("{field}.{key}"));
        let before = from.get(key).unwrap_or(&Value::Null);
        compare(
            &name,
            before,
            to.get(key).unwrap_or(&Value::Null),
            differences,
        );
    }
}

/// Notes by name the secrets that differ; what is stored may be absent.
pub fn compare_secrets(
    stored: Option<&Secret<String>>,
    wanted: &Map<String, Value>,
    differences: &mut Vec<Difference>,
) {
    let stored = stored.and_then(|text| serde_json::from_str(text.expose()).ok());
    let stored: Map<String, Value> = stored.unwrap_or_default();
    for key in keys(&stored, wanted) {
        if stored.get(key) != wanted.get(key) {
            differences.push(Difference::of_secret(key));
        }
    }
}

fn keys<'a>(
    from: &'a Map<String, Value>,
    to: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a String> {
    from.keys()
        .chain(to.keys().filter(|key| !from.contains_key(*key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let mut differences = Vec::new();
        let from = json!({"a": 1, "b": {"c": [1], "d": 2}, "gone": true});
        let to = json!({"a": 1, "b": {"c": [2], "d": 2}, "new": "x"});
        compare("spec", &from, &to, &mut differences);
        let fields: Vec<&str> = differences.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["spec.b.c", "spec.gone", "spec.new"]);
    }

    #[test]
    fn a_secret_is_named_and_not_shown() {
        let mut differences = Vec::new();
        let stored = Secret::new(json!({"same": "s1", "other": "s2"}).to_string());
        let wanted = json!({"same": "s1", "other": "s3"});
        let wanted = wanted.as_object().expect("a map");
        compare_secrets(Some(&stored), wanted, &mut differences);
        let shown = serde_json::to_string(&differences).expect("JSON");
        assert_eq!(shown, r#"[{"field":"other","secret":true}]"#);
    }
}
