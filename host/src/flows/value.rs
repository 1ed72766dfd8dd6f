//! From JSON to the values of expressions and back.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value as Cel;
use cel::objects::Key;
use serde_json::{Map, Number, Value};

use crate::json;

/// A whole number is an `int`, so that it can be reckoned with; one too large for that is a `uint`.
pub(super) fn of_json(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => of_number(number),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(of_json).collect())),
        Value::Object(map) => {
            let entries: HashMap<Key, Cel> = map
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), of_json(value)))
                .collect();
            Cel::Map(cel::objects::Map {
                map: Arc::new(entries),
            })
        }
    }
}

fn of_number(number: &Number) -> Cel {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Cel::Int(int),
        (None, Some(uint)) => Cel::UInt(uint),
        (None, None) => Cel::Float(number.as_f64().unwrap_or_default()),
    }
}

/// Keys in the order of the alphabet: a map of the language has none. `Err` names what JSON cannot
/// hold.
pub(super) fn to_json(value: &Cel) -> Result<Value, &'static str> {
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(flag) => Value::Bool(*flag),
        Cel::Int(int) => Value::from(*int),
        Cel::UInt(uint) => Value::from(*uint),
        Cel::Float(float) => Number::from_f64(*float)
            .map(Value::Number)
            .ok_or("a number that is not finite")?,
        Cel::String(text) => Value::String(text.as_ref().clone()),
        Cel::List(list) => Value::Array(list.iter().map(to_json).collect::<Result<_, _>>()?),
        Cel::Map(map) => {
            let mut entries: Vec<(String, Value)> = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                let name = name_of(key);
                if !json::is_name(&name) {
                    return Err("a name that the JSON library keeps for itself");
                }
                entries.push((name, to_json(value)?));
            }
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Map::from_iter(entries))
        }
        Cel::Bytes(_) => return Err("bytes"),
        _ => return Err("a type or a function"),
    })
}

fn name_of(key: &Key) -> String {
    match key {
        Key::Int(int) => int.to_string(),
        Key::Uint(uint) => uint.to_string(),
        Key::Bool(flag) => flag.to_string(),
        Key::String(text) => text.as_ref().clone(),
    }
}

/// About how many bytes it has as JSON.
pub(super) fn size_of(value: &Cel) -> usize {
    const EACH: usize = 8;
    EACH + match value {
        Cel::String(text) => text.len(),
        Cel::Bytes(bytes) => bytes.len(),
        Cel::List(list) => list.iter().map(size_of).sum(),
        Cel::Map(map) => map
            .map
            .values()
            .map(|value| EACH + size_of(value))
            .sum::<usize>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_was() {
        let value =
            json!({"a": [1, -2, 1.5, "x", null, true], "b": {"c": 18446744073709551615u64}});
        assert_eq!(to_json(&of_json(&value)), Ok(value));
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        assert!(to_json(&Cel::Float(f64::NAN)).is_err());
        assert!(to_json(&Cel::Bytes(Arc::new(vec![1]))).is_err());
    }
}
