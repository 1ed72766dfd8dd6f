//! YAML read into a JSON value that remembers where each part stood, so that a mistake can be
//! shown with its line and column.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Deeper nesting than this is refused: nothing that people write is that deep.
const DEPTH_MAX: usize = 64;

/// A place in a text: line and column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl From<Marker> for Place {
    fn from(marker: Marker) -> Place {
        Place {
            line: marker.line().max(1),
            column: marker.col() + 1,
        }
    }
}

/// What is wrong with the text, and where.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {message}")]
pub struct YamlError {
    pub place: Place,
    pub message: String,
}

/// A document and the places of its parts, by JSON pointer (RFC 6901).
#[derive(Debug)]
pub struct Located {
    pub value: Value,
    keys: HashMap<String, Place>,
    values: HashMap<String, Place>,
}

impl Located {
    /// Reads one document. Plain scalars follow the core schema of YAML 1.2: `yes` is a text.
    /// Doubled keys, anchors and tags are refused, because what they do is easily misread.
    pub fn parse(text: &str) -> Result<Located, YamlError> {
        let mut builder = Builder::default();
        for item in Parser::new_from_str(text) {
            let (event, span) =
                item.map_err(|error| at(*error.marker(), format!("not YAML: {}", error.info())))?;
            builder.take(event, span.start)?;
        }
        Ok(Located {
            value: builder.root.unwrap_or(Value::Null),
            keys: builder.keys,
            values: builder.values,
        })
    }

    /// Where the value at `pointer` stands; that of the nearest part around it if it is absent.
    pub fn value_place(&self, pointer: &str) -> Place {
        self.nearest(pointer, &self.values)
    }

    /// Where the key of the value at `pointer` stands; in a list, where the item stands.
    pub fn key_place(&self, pointer: &str) -> Place {
        match self.keys.get(pointer) {
            Some(place) => *place,
            None => self.value_place(pointer),
        }
    }

    fn nearest(&self, pointer: &str, places: &HashMap<String, Place>) -> Place {
        let mut rest = pointer;
        loop {
            if let Some(place) = places.get(rest) {
                return *place;
            }
            match rest.rfind('/') {
                Some(cut) => rest = &rest[..cut],
                None => return Place { line: 1, column: 1 },
            }
        }
    }
}

/// One more step of a JSON pointer.
pub fn pointer_join(pointer: &str, segment: &str) -> String {
    format!(
        "{pointer}/{}",
        segment.replace('~', "~0").replace('/', "~1")
    )
}

enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    root: Option<Value>,
    open: Vec<(Open, String)>,
    keys: HashMap<String, Place>,
    values: HashMap<String, Place>,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, marker: Marker) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(at(marker, "a second document; one file holds one document"));
                }
            }
            Event::Alias(_) => {
                return Err(at(marker, "an alias is not supported: write the value out"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_anchor(anchor, marker)?;
                let is_text_tag = match &tag {
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
                    Some(_) => return Err(at(marker, "a tag is not supported here")),
                    None => false,
                };
                if self.takes_key(&text, marker)? {
                    return Ok(());
                }
                let value = if style == ScalarStyle::Plain && !is_text_tag {
                    scalar(&text)
                } else {
                    Value::String(text.into_owned())
                };
                let pointer = self.pointer();
                self.values.insert(pointer, marker.into());
                self.close(value);
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(Open::List(Vec::new()), (anchor, tag.is_some()), marker)?;
            }
            Event::MappingStart(anchor, tag) => {
                let map = Open::Map(Map::new(), None);
                self.start(map, (anchor, tag.is_some()), marker)?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(items), _)) => self.close(Value::Array(items)),
                Some((Open::Map(map, _), _)) => self.close(Value::Object(map)),
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn start(&mut self, open: Open, marks: (usize, bool), marker: Marker) -> Result<(), YamlError> {
        refuse_anchor(marks.0, marker)?;
        if marks.1 {
            return Err(at(marker, "a tag is not supported here"));
        }
        if let Some((Open::Map(_, None), _)) = self.open.last() {
            return Err(at(marker, "a key must be a text"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(at(marker, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let pointer = self.pointer();
        self.values.insert(pointer.clone(), marker.into());
        self.open.push((open, pointer));
        Ok(())
    }

    /// In a map that waits for its next key, this text is the key.
    fn takes_key(&mut self, text: &str, marker: Marker) -> Result<bool, YamlError> {
        let Some((Open::Map(map, key @ None), pointer)) = self.open.last_mut() else {
            return Ok(false);
        };
        let joined = pointer_join(pointer, text);
        if map.contains_key(text) {
            let first = self.keys.get(&joined).map_or(0, |place| place.line);
            return Err(at(
                marker,
                format!("`{text}` stands twice (first in line {first})"),
            ));
        }
        self.keys.insert(joined, marker.into());
        *key = Some(text.to_owned());
        Ok(true)
    }

    /// The pointer of the value that comes next.
    fn pointer(&self) -> String {
        match self.open.last() {
            None => String::new(),
            Some((Open::List(items), pointer)) => format!("{pointer}/{}", items.len()),
            Some((Open::Map(_, key), pointer)) => {
                pointer_join(pointer, key.as_deref().unwrap_or_default())
            }
        }
    }

    fn close(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map(map, key), _)) => {
                map.insert(key.take().unwrap_or_default(), value);
            }
        }
    }
}

fn refuse_anchor(anchor: usize, marker: Marker) -> Result<(), YamlError> {
    if anchor == 0 {
        return Ok(());
    }
    Err(at(
        marker,
        "an anchor is not supported: write the value out",
    ))
}

fn at(marker: Marker, message: impl Into<String>) -> YamlError {
    YamlError {
        place: marker.into(),
        message: message.into(),
    }
}

/// A plain scalar by the core schema (YAML 1.2.2, 10.3.2).
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = if let Some(digits) = text.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok().map(Number::from)
    } else if let Some(digits) = text.strip_prefix("0o") {
        u64::from_str_radix(digits, 8).ok().map(Number::from)
    } else if is_integer(text) {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let signed = unsigned.parse::<i64>().map(Number::from);
        signed
            .or_else(|_| unsigned.parse::<u64>().map(Number::from))
            .ok()
    } else if is_decimal(text) {
        text.parse::<f64>().ok().and_then(Number::from_f64)
    } else {
        None
    };
    // What is no number of ours (also an integer beyond 64 bits) stays the text that was written.
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let shown = match Located::parse(text) {
            Ok(located) => located.value.to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        check(
            "[yes, true, 12, -3, 1.5, 0x1f, ~, '12', \"a b\", 30s, 1e3, 99999999999999999999]",
            expect![[
                r#"["yes",true,12,-3,1.5,31,null,"12","a b","30s",1000.0,"99999999999999999999"]"#
            ]],
        );
    }

    #[test]
    fn what_is_easily_misread_is_refused_with_its_place() {
        check(
            "a: 1\nb: 2\na: 3\n",
            expect!["3:1: `a` stands twice (first in line 1)"],
        );
        check(
            "a: &x 1\n",
            expect!["1:4: an anchor is not supported: write the value out"],
        );
        check(
            "a: !!binary aGk=\n",
            expect!["1:4: a tag is not supported here"],
        );
        check("{[1]: 2}", expect!["1:2: a key must be a text"]);
        for tagged in ["a: !x [1]", "a: !x {b: 1}", "!x {a: 1}"] {
            let error = Located::parse(tagged).map(|_| ()).expect_err(tagged);
            assert_eq!(error.message, "a tag is not supported here", "{tagged}");
        }
        check(
            "a: 1\n---\nb: 2\n",
            expect!["2:1: a second document; one file holds one document"],
        );
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let error = Located::parse(&"[".repeat(100))
            .map(|_| ())
            .expect_err("too deep");
        assert!(error.message.contains("nested deeper"), "{error}");
    }

    #[test]
    fn keys_and_values_know_their_place() {
        let located = Located::parse("a:\n- b/c: 1\n  d: [x]\n").expect("it is YAML");
        assert_eq!(located.key_place("/a/0/b~1c").to_string(), "2:3");
        assert_eq!(located.value_place("/a/0/d/0").to_string(), "3:7");
        assert_eq!(located.value_place("/a/0/missing").to_string(), "2:3");
    }
}
