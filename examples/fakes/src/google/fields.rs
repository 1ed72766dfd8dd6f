//! The parameter `fields`: which parts of an answer are wanted.
//! <https://developers.google.com/workspace/drive/api/guides/fields-parameter>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is wanted; without parts: the whole of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask(pub BTreeMap<String, Mask>);

impl Mask {
    /// Reads `a,b/c,d(e,f)`.
    ///
    /// # Errors
    /// A sentence that says where it is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mask = list(&mut rest)?;
        match rest {
            "" => Ok(mask),
            rest => Err(format!("Invalid field selection at {rest}")),
        }
    }

    /// Leaves of a value what is wanted.
    pub fn apply(&self, value: Value) -> Value {
        if self.0.is_empty() || self.0.contains_key("*") {
            return value;
        }
        match value {
            Value::Array(items) => items.into_iter().map(|item| self.apply(item)).collect(),
            Value::Object(object) => {
                let wanted = object.into_iter().filter_map(|(name, value)| {
                    let mask = self.0.get(&name)?;
                    Some((name, mask.apply(value)))
                });
                Value::Object(wanted.collect::<Map<_, _>>())
            }
            other => other,
        }
    }
}

fn list(rest: &mut &str) -> Result<Mask, String> {
    let mut mask = Mask::default();
    loop {
        let (name, parts) = item(rest)?;
        mask.0.insert(name, parts);
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Ok(mask),
        }
    }
}

fn item(rest: &mut &str) -> Result<(String, Mask), String> {
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '*' && c != '_')
        .unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return Err(format!("Invalid field selection at {rest}"));
    }
    *rest = after;
    if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
        let (inner, parts) = item(rest)?;
        return Ok((name.to_owned(), Mask([(inner, parts)].into())));
    }
    if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        let parts = list(rest)?;
        *rest = rest
            .strip_prefix(')')
            .ok_or_else(|| "Invalid field selection: a bracket is not closed".to_owned())?;
        return Ok((name.to_owned(), parts));
    }
    Ok((name.to_owned(), Mask::default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mask_leaves_what_is_wanted() {
        let mask = Mask::parse("next,files(id,owners/name)").unwrap();
        let value = json!({
            "next": "n", "kind": "k",
            "files": [{"id": 1, "name": "a", "owners": [{"name": "o", "mail": "m"}]}],
        });
        assert_eq!(
            mask.apply(value),
            json!({"next": "n", "files": [{"id": 1, "owners": [{"name": "o"}]}]})
        );
        for wrong in ["", "a,", "a(b", "a b", "a)"] {
            assert!(Mask::parse(wrong).is_err(), "{wrong}");
        }
    }
}
