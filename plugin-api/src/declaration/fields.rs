//! Reads identities and fields: the parts of a declaration that Dify's shape repeats.

use serde_json::Value;

use crate::declaration::finding::Findings;
use crate::declaration::model::{Choice, Field, FieldKind, Identity};
use crate::declaration::section::Section;
use crate::declaration::text::Text;
use crate::declaration::yaml::{Content, Node};

pub(super) fn identity(section: &Section<'_>) -> Identity {
    let Some(identity) = section.section("identity") else {
        if !section.has("identity") {
            section
                .findings
                .mistake(section.place, "identity is missing");
        }
        return Identity::default();
    };
    let mut read = Identity {
        name: identity.required_text("name").unwrap_or_default(),
        author: identity.text("author").unwrap_or_default(),
        label: text(&identity, "label"),
        description: text(&identity, "description"),
        icon: identity.text("icon"),
        icon_dark: identity.text("icon_dark"),
        tags: identity.texts("tags"),
        ..Identity::default()
    };
    if read.label.is_empty() {
        read.label = Text::plain(read.name.clone());
    }
    read.unknown = identity.rest();
    read
}

/// A text, plain or by language.
pub(super) fn text(section: &Section<'_>, key: &'static str) -> Text {
    let Some(node) = section.node(key) else {
        return Text::default();
    };
    match &node.content {
        Content::Map(entries) => {
            let pairs = entries.iter().filter_map(|entry| {
                let text = section.text_of(&entry.value, key)?;
                Some((entry.key.replace('-', "_"), text))
            });
            Text(pairs.collect())
        }
        _ => section
            .text_of(node, key)
            .map(Text::plain)
            .unwrap_or_default(),
    }
}

/// Fields as a list, or as a mapping by name.
pub(super) fn fields(section: &Section<'_>, key: &'static str) -> Vec<Field> {
    let path = section.path(key);
    let Some(node) = section.node(key) else {
        return Vec::new();
    };
    let mut fields: Vec<Field> = Vec::new();
    let mut add = |node: &Node, name: Option<&str>| {
        let Some(field) = field(node, name, &path, section.findings) else {
            return;
        };
        if fields.iter().any(|other| other.name == field.name) {
            section
                .findings
                .mistake(node.place, format!("{path} has `{}` twice", field.name));
        } else {
            fields.push(field);
        }
    };
    match &node.content {
        Content::Null => {}
        Content::List(items) => items.iter().for_each(|item| add(item, None)),
        Content::Map(entries) => entries
            .iter()
            .for_each(|entry| add(&entry.value, Some(&entry.key))),
        Content::Scalar { .. } => {
            section.expected(node, key, "a list of fields or a mapping by name")
        }
    }
    fields
}

fn field(node: &Node, name: Option<&str>, path: &str, findings: &Findings) -> Option<Field> {
    let section = Section::open(node, path, findings)?;
    let own_name = section.text("name");
    let name = match own_name
        .or_else(|| name.map(str::to_owned))
        .filter(|name| !name.is_empty())
    {
        Some(name) => name,
        None => {
            findings.mistake(node.place, format!("{path} has a field without a name"));
            return None;
        }
    };
    if !section.has("type") {
        findings.warning(
            node.place,
            format!("{path} says no type for `{name}`; it is taken for a text"),
        );
    }
    let kind = section
        .choice("type", FieldKind::WORDS)
        .unwrap_or(FieldKind::Text);
    let mut field = Field {
        kind,
        required: section.boolean("required").unwrap_or_default(),
        multiple: section.boolean("multiple").unwrap_or_default(),
        default: section.value("default"),
        options: options(&section),
        min: section.number("min"),
        max: section.number("max"),
        precision: section.number("precision"),
        label: text(&section, "label"),
        help: text(&section, "help"),
        placeholder: text(&section, "placeholder"),
        description: text(&section, "description"),
        url: section.text("url"),
        unknown: serde_json::Map::new(),
        name,
    };
    if field.label.is_empty() {
        field.label = Text::plain(field.name.clone());
    }
    // Keys of Dify's parameters that say something to its console only.
    for (key, value) in [
        "scope",
        "auto_generate",
        "template",
        "form",
        "llm_description",
    ]
    .map(|key| (key, section.value(key)))
    {
        field
            .unknown
            .extend(value.map(|value| (key.to_owned(), value)));
    }
    check_default(&section, &field);
    field.unknown.extend(section.rest());
    Some(field)
}

fn options(section: &Section<'_>) -> Vec<Choice> {
    let path = section.path("options");
    let read = |node: &Node| match &node.content {
        Content::Scalar { text, .. } => Some(Choice {
            value: text.clone(),
            label: Text::plain(text.clone()),
            unknown: serde_json::Map::new(),
        }),
        _ => {
            let option = Section::open(node, &path, section.findings)?;
            let value = option.required_text("value")?;
            let mut label = text(&option, "label");
            if label.is_empty() {
                label = Text::plain(value.clone());
            }
            let icon = option.value("icon").map(|icon| ("icon".to_owned(), icon));
            Some(Choice {
                value,
                label,
                unknown: icon.into_iter().chain(option.rest()).collect(),
            })
        }
    };
    section.list("options").iter().filter_map(read).collect()
}

fn check_default(section: &Section<'_>, field: &Field) {
    let Some(default) = &field.default else {
        return;
    };
    if matches!(default, Value::String(text) if text.is_empty()) {
        return;
    }
    if let Err(error) = crate::rules::parameters::check_value(field, default) {
        let place = section
            .node("default")
            .map_or(section.place, |node| node.place);
        section
            .findings
            .warning(place, format!("the default of `{}`: {error}", field.name));
    }
}
