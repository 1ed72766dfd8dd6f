//! YAML with the line of every node, and forgiving where Dify's loaders are: duplicate keys, anchors
//! and merge keys are read as PyYAML reads them, each with a warning.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

use crate::declaration::finding::{Findings, Place};

const DEPTH_MAX: usize = 64;
/// Anchors can multiply: a file of a kilobyte may stand for a terabyte.
const NODES_MAX: usize = 500_000;

/// One node of a file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    /// `plain` when it was written without quotes, so that it may be a number or a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

/// Reads the first document of a file. `None` after a mistake, which is among the findings.
pub(crate) fn parse(text: &str, findings: &Findings) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        findings,
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let place = Place {
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                };
                findings.mistake(place, format!("this is not YAML: {}", error.info()));
                return None;
            }
        };
        let place = place_of(span);
        if open.len() > DEPTH_MAX {
            findings.mistake(place, format!("nested deeper than {DEPTH_MAX} levels"));
            return None;
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (reader.scalar(&text, style, place), anchor),
            Event::SequenceStart(anchor, _) => {
                open.push(Open {
                    place,
                    anchor,
                    children: Vec::new(),
                    is_map: false,
                });
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open {
                    place,
                    anchor,
                    children: Vec::new(),
                    is_map: true,
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(closed) = open.pop() else { continue };
                let anchor = closed.anchor;
                (reader.close(closed), anchor)
            }
            Event::Alias(anchor) => (reader.alias(anchor, place), 0),
            Event::DocumentStart(_) if root.is_some() => {
                findings.warning(place, "only the first document of a file is read");
                break;
            }
            _ => continue,
        };
        reader.nodes += 1;
        if reader.nodes > NODES_MAX {
            findings.mistake(
                place,
                format!("more than {NODES_MAX} values, aliases expanded"),
            );
            return None;
        }
        if anchor != 0 {
            reader.anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => root = Some(node),
        }
    }
    Some(root.unwrap_or(Node {
        place: Place { line: 1, column: 1 },
        content: Content::Null,
    }))
}

impl Node {
    /// The value by YAML 1.2's core schema.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Scalar { text, plain: true } => plain_value(text),
            Content::Scalar { text, plain: false } => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// What it is, for a message that says what was found.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Scalar { text, .. } if text.len() <= 60 => format!("`{text}`"),
            Content::Scalar { .. } => "a long text".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        }
    }

    fn count(&self) -> usize {
        match &self.content {
            Content::Null | Content::Scalar { .. } => 1,
            Content::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Content::Map(entries) => {
                1 + entries
                    .iter()
                    .map(|entry| entry.value.count())
                    .sum::<usize>()
            }
        }
    }
}

/// A list or mapping that has begun; a mapping's children alternate between key and value.
struct Open {
    place: Place,
    anchor: usize,
    children: Vec<Node>,
    is_map: bool,
}

struct Reader<'f> {
    findings: &'f Findings,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Reader<'_> {
    fn scalar(&self, text: &str, style: ScalarStyle, place: Place) -> Node {
        let plain = style == ScalarStyle::Plain;
        let content = match text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Content::Null,
            _ => Content::Scalar {
                text: text.to_owned(),
                plain,
            },
        };
        Node { place, content }
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Node {
        self.findings.warning(
            place,
            "an alias (`*name`) is expanded; other readers of this file may not do that",
        );
        let Some(node) = self.anchors.get(&anchor) else {
            self.findings
                .mistake(place, "this alias stands within its own anchor");
            return Node {
                place,
                content: Content::Null,
            };
        };
        // Counted before it is copied; the limit itself is checked where every node is.
        let count = node.count();
        self.nodes = self.nodes.saturating_add(count);
        if self.nodes > NODES_MAX {
            return Node {
                place,
                content: Content::Null,
            };
        }
        node.clone()
    }

    fn close(&self, closed: Open) -> Node {
        if !closed.is_map {
            return Node {
                place: closed.place,
                content: Content::List(closed.children),
            };
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut children = closed.children.into_iter();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            let place = key.place;
            let Some(name) = key_text(&key) else {
                self.findings
                    .warning(place, "a key that is no text is left out");
                continue;
            };
            if name == "<<" {
                merged.extend(self.merge(value));
                continue;
            }
            if let Some(earlier) = entries.iter_mut().find(|entry| entry.key == name) {
                let line = earlier.place.line;
                self.findings.warning(
                    place,
                    format!("`{name}` stands in line {line} already; this one counts"),
                );
                *earlier = Entry {
                    key: name,
                    place,
                    value,
                };
            } else {
                entries.push(Entry {
                    key: name,
                    place,
                    value,
                });
            }
        }
        for entry in merged {
            if entries.iter().all(|own| own.key != entry.key) {
                entries.push(entry);
            }
        }
        Node {
            place: closed.place,
            content: Content::Map(entries),
        }
    }

    fn merge(&self, value: Node) -> Vec<Entry> {
        match value.content {
            Content::Map(entries) => entries,
            Content::List(items) => items
                .into_iter()
                .flat_map(|item| self.merge(item))
                .collect(),
            Content::Null | Content::Scalar { .. } => {
                self.findings.warning(
                    value.place,
                    "`<<` merges a mapping; this is none and is left out",
                );
                Vec::new()
            }
        }
    }
}

fn key_text(key: &Node) -> Option<String> {
    match &key.content {
        Content::Scalar { text, .. } => Some(text.clone()),
        Content::Null | Content::List(_) | Content::Map(_) => None,
    }
}

fn place_of(span: Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn plain_value(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = if let Some(digits) = text.strip_prefix("0x") {
        i64::from_str_radix(digits, 16).ok().map(Number::from)
    } else if let Some(digits) = text.strip_prefix("0o") {
        i64::from_str_radix(digits, 8).ok().map(Number::from)
    } else if is_decimal(text) {
        let whole = text
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| text.parse::<u64>().map(Number::from));
        whole.ok().or_else(|| Number::from_f64(text.parse().ok()?))
    } else {
        None
    };
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// `12`, `-1.5`, `1e3`, but neither `inf` nor `1.2.3` nor `0123` (a telephone number, as a rule).
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let octal_like =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    digits
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && !octal_like
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
}
