//! Evaluates an `eventFilter` as the server does: MongoDB's queries as one PHP class reads them.
//!
//! What throws there is an error here; its caller then loses the event. Comparisons follow PHP 8:
//! `===` for equality of a field, `==` within lists, texts of numbers being numbers.

use std::cmp::Ordering;

use regex::bytes::RegexBuilder;
use serde_json::Value;

/// Whether a payload passes.
///
/// # Errors
/// The exception that the server would throw.
pub fn passes(filter: &Value, document: &Value) -> Result<bool, String> {
    match filter {
        Value::Object(map) if !map.is_empty() => query(filter, document, "$and"),
        Value::Array(items) if !items.is_empty() => query(filter, document, "$and"),
        _ => Ok(true),
    }
}

/// Evaluates over a payload that a hook may get, and looks at every expression on the way.
///
/// # Errors
/// An exception, or an expression that PCRE refuses, which never matches.
pub fn probe(filter: &Value, document: &Value) -> Result<(), String> {
    expressions(filter)?;
    passes(filter, document).map(|_| ())
}

fn expressions(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => match expression(text) {
            Some((body, flags)) => compiled(body, flags).map(|_| ()),
            None => Ok(()),
        },
        Value::Array(items) => items.iter().try_for_each(expressions),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| match key.as_str() {
            // Compared as they are.
            "$in" | "$nin" | "$all" => Ok(()),
            _ => expressions(value),
        }),
        _ => Ok(()),
    }
}

fn query(query: &Value, document: &Value, operator: &str) -> Result<bool, String> {
    let is_list = matches!(query, Value::Array(items) if !items.is_empty());
    if operator != "$and" && !is_list {
        return Err(format!("{operator} requires nonempty array"));
    }
    for (key, value) in entries(query)? {
        let passes = match key {
            Some("$not") => !self::query(value, document, "$and")?,
            Some(key) if key.starts_with('$') => self::query(value, document, key)?,
            _ if operator != "$and" || is_list => self::query(value, document, "$and")?,
            Some(field) => on_field(value, field, document)?,
            None => return Err("a list where an object is expected".to_owned()),
        };
        match (operator, passes) {
            ("$and", false) | ("$nor", true) => return Ok(false),
            ("$or", true) => return Ok(true),
            ("$and" | "$or" | "$nor", _) => {}
            _ => return Ok(false),
        }
    }
    Ok(matches!(operator, "$and" | "$nor"))
}

type Entries<'v> = Vec<(Option<&'v str>, &'v Value)>;

fn entries(value: &Value) -> Result<Entries<'_>, String> {
    match value {
        Value::Object(map) => Ok(map
            .iter()
            .map(|(key, value)| (Some(key.as_str()), value))
            .collect()),
        Value::Array(items) => Ok(items.iter().map(|item| (None, item)).collect()),
        other => Err(format!("{other} where an array is expected (TypeError)")),
    }
}

fn on_field(condition: &Value, field: &str, document: &Value) -> Result<bool, String> {
    match condition {
        Value::Object(_) | Value::Array(_) => {
            for (operator, value) in entries(condition)? {
                if !apply(operator.unwrap_or("0"), value, field, document)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        value => apply("$e", value, field, document),
    }
}

fn apply(operator: &str, wanted: &Value, field: &str, document: &Value) -> Result<bool, String> {
    if operator == "$not" {
        return on_field(wanted, field, document).map(|passes| !passes);
    }
    let mut found = Some(document);
    let steps: Vec<&str> = field.split('.').collect();
    for (index, step) in steps.iter().enumerate() {
        let Some(value) = found.filter(|value| !is_empty(value)) else {
            found = None;
            break;
        };
        if let Value::Array(items) = value {
            let rest = steps[index..].join(".");
            for item in items {
                if apply(operator, wanted, &rest, item)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        if matches!(value, Value::String(text) if !text.is_empty()) {
            // PHP walks over the letters of nothing, with a warning.
            return Ok(false);
        }
        found = value.get(step).filter(|value| !value.is_null());
    }
    compare(operator, wanted, found)
}

fn compare(operator: &str, wanted: &Value, found: Option<&Value>) -> Result<bool, String> {
    let list = || match wanted {
        Value::Array(items) => Ok(items),
        _ => Err(format!("{operator} requires array")),
    };
    let ordered = |holds: fn(Ordering) -> bool| {
        Ok(found
            .and_then(|found| order(found, wanted))
            .is_some_and(holds))
    };
    match operator {
        "$e" => Ok(found.is_some_and(|found| equals(found, wanted))),
        "$ne" => Ok(match found {
            Some(found) => !equals(found, wanted),
            None => !wanted.is_null(),
        }),
        "$lt" => ordered(Ordering::is_lt),
        "$lte" => ordered(Ordering::is_le),
        "$gt" => ordered(Ordering::is_gt),
        "$gte" => ordered(Ordering::is_ge),
        "$exists" => Ok(is_empty(wanted) != found.is_some()),
        "$in" => match found {
            None => Ok(false),
            Some(found) => Ok(is_in(found, list()?)),
        },
        "$nin" => match found {
            None => Ok(true),
            Some(found) => Ok(!is_in(found, list()?)),
        },
        "$all" => match found {
            None => Ok(false),
            Some(Value::Array(items)) => {
                let wanted = list()?;
                let shared = items
                    .iter()
                    .filter(|item| wanted.iter().any(|each| text(each) == text(item)));
                Ok(!wanted.is_empty() && shared.count() == wanted.len())
            }
            Some(found) => Ok(matches!(list()?.as_slice(), [only] if only == found)),
        },
        "$mod" => match (found, list()) {
            (None, _) => Ok(false),
            (Some(_), Err(error)) => Err(error),
            (Some(found), Ok(pair)) => match pair.as_slice() {
                [divisor, remainder] => match (found.as_i64(), divisor.as_i64()) {
                    (_, Some(0)) => Err("Modulo by zero".to_owned()),
                    (Some(found), Some(divisor)) => Ok(Some(found % divisor) == remainder.as_i64()),
                    _ => Ok(false),
                },
                _ => Err("$mod requires two parameters in array: divisor and remainder".to_owned()),
            },
        },
        other => Err(format!("Operator {other} is unknown")),
    }
}

/// Within a list each item counts; texts between slashes are expressions; else `===`.
fn equals(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(_) | Value::Object(_), Value::Array(_) | Value::Object(_)) => found == wanted,
        (Value::Array(items), wanted) => items.iter().any(|item| loosely_equal(item, wanted)),
        (Value::Object(map), wanted) => map.values().any(|item| loosely_equal(item, wanted)),
        (found, Value::String(wanted)) => match expression(wanted) {
            Some((body, flags)) => {
                let subject = text(found);
                compiled(body, flags).is_ok_and(|regex| regex.is_match(subject.as_bytes()))
            }
            None => found.as_str() == Some(wanted),
        },
        _ => found == wanted,
    }
}

fn is_in(found: &Value, wanted: &[Value]) -> bool {
    match found {
        Value::Array(items) => items
            .iter()
            .any(|item| wanted.iter().any(|each| text(each) == text(item))),
        found => wanted.iter().any(|each| loosely_equal(found, each)),
    }
}

fn loosely_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Bool(a), b) | (b, Value::Bool(a)) => *a != is_empty(b),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => text(a) == text(b),
        },
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => Some(text(a).cmp(&text(b))),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(false) => String::new(),
        Value::Bool(true) => "1".to_owned(),
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// A text is an expression if `/^\/(.*?)\/([a-z]*)$/i` matches it.
fn expression(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_suffix('\n').unwrap_or(text).strip_prefix('/')?;
    let (body, flags) = rest.rsplit_once('/')?;
    let is_one = !body.contains('\n') && flags.bytes().all(|flag| flag.is_ascii_alphabetic());
    is_one.then_some((body, flags))
}

/// As PCRE would compile it between slashes.
fn compiled(body: &str, flags: &str) -> Result<regex::bytes::Regex, String> {
    let mut is_escaped = false;
    for letter in body.chars() {
        if letter == '/' && !is_escaped {
            return Err(format!(
                "/{body}/{flags}: Unknown modifier behind the first bare slash"
            ));
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    if let Some(flag) = flags.chars().find(|flag| !"imsxADSUXJun".contains(*flag)) {
        return Err(format!("/{body}/{flags}: Unknown modifier '{flag}'"));
    }
    let has = |flag: char| flags.contains(flag);
    let anchored = match has('A') {
        true => format!(r"\A(?:{body})"),
        false => body.to_owned(),
    };
    RegexBuilder::new(&anchored)
        .unicode(has('u'))
        .case_insensitive(has('i'))
        .multi_line(has('m'))
        .dot_matches_new_line(has('s'))
        .ignore_whitespace(has('x'))
        .swap_greed(has('U'))
        .build()
        .map_err(|error| format!("/{body}/{flags}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(filter: Value, outcome: Result<bool, &str>) {
        let document = json!({
            "event": {
                "node": {"id": 189, "path": "/alice/files/inbox/a.pdf"},
                "tagIds": [1, 4],
                "objectIds": ["226"],
                "class": "OCP\\X",
            },
            "user": {"uid": "alice"},
            "time": 1_795_213_567,
        });
        let found = passes(&filter, &document);
        match (found, outcome) {
            (Ok(found), Ok(outcome)) => assert_eq!(found, outcome, "{filter}"),
            (Err(found), Err(outcome)) => assert!(found.contains(outcome), "{filter}: {found}"),
            (found, _) => panic!("{filter}: {found:?}"),
        }
    }

    #[test]
    fn documented_queries_are_read_as_documented() {
        check(json!([]), Ok(true));
        check(json!({"user.uid": "alice"}), Ok(true));
        check(
            json!({"user.uid": "/al.*/", "time": {"$gt": 5, "$lt": 6}}),
            Ok(false),
        );
        check(json!({"time": {"$not": {"$lt": 1_711_971_024}}}), Ok(true));
        check(
            json!({"event.node.path": r"/^\/.*\/files\/inbox\//"}),
            Ok(true),
        );
        check(json!({"event.node.id": {"$exists": true}}), Ok(true));
        check(json!({"event.node.name": {"$exists": false}}), Ok(true));
        check(
            json!({"$or": [{"user.uid": "bob"}, {"event.class": "OCP\\X"}]}),
            Ok(true),
        );
        check(
            json!({"$nor": [{"user.uid": "bob"}, {"event.class": "OCP\\X"}]}),
            Ok(false),
        );
        check(json!({"$not": {"user.uid": "bob"}}), Ok(true));
        check(json!({"event.tagIds": {"$in": [4, 9]}}), Ok(true));
        check(json!({"event.tagIds": {"$all": ["1", 4]}}), Ok(true));
        check(json!({"event.objectIds": 226}), Ok(true));
        check(json!({"time": {"$mod": [2, 1]}}), Ok(true));
    }

    #[test]
    fn what_surprises_is_as_surprising() {
        // An id of another type is another id.
        check(json!({"event.node.id": "189"}), Ok(false));
        check(json!({"event.node.id": {"$in": ["189"]}}), Ok(true));
        // A path that ends in letters is an expression that PCRE refuses.
        check(json!({"event.node.path": "/alice/files/inbox"}), Ok(false));
        check(
            json!({"event.node.path": "/alice/files/inbox/a.pdf"}),
            Ok(true),
        );
        check(json!({"event.node.path.x": "y"}), Ok(false));
    }

    #[test]
    fn what_is_none_of_it_throws() {
        check(
            json!({"user.uid": {"$regex": "a"}}),
            Err("Operator $regex is unknown"),
        );
        check(
            json!({"user.uid": {"$in": "alice"}}),
            Err("$in requires array"),
        );
        check(
            json!({"$or": {"user.uid": "alice"}}),
            Err("$or requires nonempty array"),
        );
        check(json!({"$xor": [{"user.uid": "alice"}]}), Ok(false));
        check(json!({"user.uid": ["alice"]}), Err("Operator 0 is unknown"));
        check(json!({"time": {"$mod": [0, 1]}}), Err("Modulo by zero"));
    }
}
