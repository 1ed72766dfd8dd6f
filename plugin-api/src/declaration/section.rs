//! A mapping of a declaration, read key by key: what nobody asked for is kept and warned of.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::declaration::finding::{Findings, Place};
use crate::declaration::yaml::{Content, Entry, Node};

/// One mapping while it is read.
pub(crate) struct Section<'n> {
    pub findings: &'n Findings,
    pub place: Place,
    path: String,
    entries: &'n [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'n> Section<'n> {
    /// Opens a mapping; anything else is a mistake. An empty one (`oauth_schema:`) is an empty mapping.
    pub fn open(node: &'n Node, path: &str, findings: &'n Findings) -> Option<Self> {
        let entries: &[Entry] = match &node.content {
            Content::Map(entries) => entries,
            Content::Null => &[],
            Content::Scalar { .. } | Content::List(_) => {
                let subject = if path.is_empty() { "this" } else { path };
                findings.mistake(
                    node.place,
                    format!("{subject} is {}; a mapping is expected", node.describe()),
                );
                return None;
            }
        };
        let asked = RefCell::default();
        Some(Self {
            findings,
            place: node.place,
            path: path.to_owned(),
            entries,
            asked,
        })
    }

    /// The node under a key; one that says nothing is absent.
    pub fn node(&self, key: &'static str) -> Option<&'n Node> {
        self.asked.borrow_mut().push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// All entries, for mappings whose keys are names (`credentials_schema`, `variables`).
    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub fn section(&self, key: &'static str) -> Option<Section<'n>> {
        Section::open(self.node(key)?, &self.path(key), self.findings)
    }

    /// A list; a single value is a list of one.
    pub fn list(&self, key: &'static str) -> &'n [Node] {
        match self.node(key) {
            None => &[],
            Some(Node {
                content: Content::List(items),
                ..
            }) => items,
            Some(node) => std::slice::from_ref(node),
        }
    }

    pub fn text(&self, key: &'static str) -> Option<String> {
        self.text_of(self.node(key)?, key)
    }

    pub fn texts(&self, key: &'static str) -> Vec<String> {
        self.list(key)
            .iter()
            .filter_map(|node| self.text_of(node, key))
            .collect()
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &'static str) -> Option<String> {
        let text = self.text(key).filter(|text| !text.is_empty());
        if text.is_none() {
            self.findings
                .mistake(self.place, format!("{} is missing", self.path(key)));
        }
        text
    }

    /// A boolean, also in the words of YAML 1.1 (`yes`, `off`), which Dify's reader takes for one.
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        let word = match &node.content {
            Content::Scalar { text, .. } => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                self.expected(node, key, "true or false");
                None
            }
        }
    }

    pub fn number(&self, key: &'static str) -> Option<f64> {
        let node = self.node(key)?;
        let number = match node.to_value() {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.expected(node, key, "a number");
        }
        number
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.choice_of(self.node(key)?, key, choices)
    }

    pub fn choice_of<T: Copy>(&self, node: &Node, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = match &node.content {
            Content::Scalar { text, .. } => choices.iter().find(|(word, _)| word == text),
            _ => None,
        };
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.findings.mistake(
                node.place,
                format!(
                    "{} is {}; allowed: {}",
                    self.path(key),
                    node.describe(),
                    words.join(", ")
                ),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// What `read` makes of a text; its error says what is expected.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let value = self.text_of(node, key).and_then(|text| read(&text));
        if value.is_none() {
            self.expected(node, key, expected);
        }
        value
    }

    pub fn value(&self, key: &'static str) -> Option<Value> {
        self.node(key).map(Node::to_value)
    }

    /// A text, or a number or boolean as it was written.
    pub fn text_of(&self, node: &Node, key: &str) -> Option<String> {
        match &node.content {
            Content::Scalar { text, .. } => Some(text.clone()),
            Content::Null => None,
            Content::List(_) | Content::Map(_) => {
                self.expected(node, key, "a text");
                None
            }
        }
    }

    pub fn expected(&self, node: &Node, key: &str, expected: &str) {
        self.findings.mistake(
            node.place,
            format!(
                "{} is {}; {expected} is expected",
                self.path(key),
                node.describe()
            ),
        );
    }

    /// The keys that nobody asked for, kept; each is warned of.
    pub fn rest(self) -> Map<String, Value> {
        let asked = self.asked.borrow();
        let unknown = self
            .entries
            .iter()
            .filter(|entry| !asked.contains(&entry.key.as_str()));
        unknown
            .map(|entry| {
                self.findings.warning(
                    entry.place,
                    format!(
                        "{} is unknown here; it is kept and ignored",
                        self.path(&entry.key)
                    ),
                );
                (entry.key.clone(), entry.value.to_value())
            })
            .collect()
    }
}
