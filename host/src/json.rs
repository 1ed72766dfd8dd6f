//! JSON of strangers: looked through without being built, so that a body costs no more than its size.
//!
//! What passes can be read by everyone: no lone surrogates, no number out of range, no nesting without
//! end. Nor does it hold the name by which the JSON library marks a text as JSON that was read already:
//! with it a text would come apart into members that nobody has looked at.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Deeper nesting is refused. The library reads 127 levels; what the host puts around a value needs some.
const DEPTH_MAX: usize = 120;

/// The library's mark, and others of its kind.
const MARKS: &str = "$serde_json::private::";

/// What was seen of a text that is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many members an object has, or a list elements; of anything else none.
    pub members: usize,
}

/// Looks through a text.
pub fn check(json: &[u8]) -> serde_json::Result<Seen> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let seen = Look { depth: DEPTH_MAX }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(seen)
}

/// Reads a text that may come from a stranger.
pub fn read(json: &[u8]) -> serde_json::Result<Value> {
    check(json)?;
    serde_json::from_slice(json)
}

/// Whether a member may have this name.
pub fn is_name(name: &str) -> bool {
    !name.starts_with(MARKS)
}

/// Looks at one value, which may hold so many levels more.
struct Look {
    depth: usize,
}

impl Look {
    fn deeper<E: de::Error>(&self) -> Result<Look, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth
            .ok_or_else(|| E::custom(format!("it is nested deeper than {DEPTH_MAX} levels")))?;
        Ok(Look { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Look {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

const SCALAR: Seen = Seen { members: 0 };

impl<'de> Visitor<'de> for Look {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(SCALAR)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(SCALAR)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(SCALAR)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(SCALAR)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(SCALAR)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(SCALAR)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen, A::Error> {
        let mut members = 0;
        while list.next_element_seed(self.deeper()?)?.is_some() {
            members += 1;
        }
        Ok(Seen { members })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let mut members = 0;
        while map.next_key_seed(Name)?.is_some() {
            map.next_value_seed(self.deeper()?)?;
            members += 1;
        }
        Ok(Seen { members })
    }
}

/// The name of a member.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<(), E> {
        match is_name(name) {
            true => Ok(()),
            false => Err(E::custom(format!("no name may begin with `{MARKS}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted_at_the_top() {
        let members = |json: &str| check(json.as_bytes()).map(|seen| seen.members).ok();
        assert_eq!(members("null"), Some(0));
        assert_eq!(members("-1.5e3"), Some(0));
        assert_eq!(members(" [1,[2,3],{}] "), Some(3));
        assert_eq!(members(r#"{"a":{"b":1,"c":2},"d":[]}"#), Some(2));
    }

    #[test]
    fn what_others_could_not_read_is_refused() {
        for json in [
            "",
            "{",
            "1 2",
            r#""\ud800""#,
            "[1e999]",
            "nul",
            "{1:2}",
            "\"\u{1}\"",
        ] {
            assert!(check(json.as_bytes()).is_err(), "{json:?}");
        }
        assert!(check(b"\"\xff\"").is_err());
    }

    #[test]
    fn nesting_ends_before_the_host_could_not_put_anything_around_it() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(check(nested(DEPTH_MAX + 1).as_bytes()).is_err());
        let around = format!(r#"{{"args":{{"body":{}}}}}"#, nested(DEPTH_MAX));
        assert!(serde_json::from_str::<Value>(&around).is_ok());
    }

    /// With the mark, the library would read the text as the members that it spells.
    #[test]
    fn a_text_does_not_come_apart_into_members() {
        let mark = "$serde_json::private::RawValue";
        let forged = format!(r#"{{"{mark}":"{{\"a\":1}}"}}"#);
        let built: Value = serde_json::from_str(&forged).expect("JSON");
        assert_eq!(
            built,
            serde_json::json!({"a": 1}),
            "then this module needs no mark"
        );
        for json in [
            forged.clone(),
            format!(r#"{{"deep":[{forged}]}}"#),
            format!(r#"{{"b":1,"{mark}":"2"}}"#),
            forged.replace('$', "\\u0024"),
        ] {
            assert!(read(json.as_bytes()).is_err(), "{json}");
        }
        // As a text it is a text.
        assert!(read(format!(r#"{{"a":"{mark}"}}"#).as_bytes()).is_ok());
    }
}
