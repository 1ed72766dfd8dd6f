//! Sources, pointers and conditions: what the other rules are made of.

use serde_json::Value;

use crate::declaration::section::Section;
use crate::declaration::yaml::{Content, Node};
use crate::rules::condition::Condition;
use crate::rules::matcher::{Matcher, Op, Preparation};
use crate::rules::pointer::Pointer;
use crate::rules::scalar::Scalar;
use crate::rules::source::Source;

pub(super) fn pointer(section: &Section<'_>, node: &Node, key: &str) -> Option<Pointer> {
    let Content::Scalar { text, .. } = &node.content else {
        section.expected(node, key, "a pointer such as /issue/title");
        return None;
    };
    match text.parse() {
        Ok(pointer) => Some(pointer),
        Err(error) => {
            section.findings.mistake(
                node.place,
                format!("{} is `{text}`: {error}", section.path(key)),
            );
            None
        }
    }
}

/// The source that a section names by exactly one of `header`, `query`, `json`.
pub(super) fn source(section: &Section<'_>) -> Option<Source> {
    let source = optional_source(section, "json");
    if source.is_none()
        && !["header", "query", "json"]
            .iter()
            .any(|key| section.has(key))
    {
        section.findings.mistake(
            section.place,
            format!(
                "{} needs one of: header, query, json",
                section.path("").trim_end_matches('.')
            ),
        );
    }
    source
}

fn optional_source(section: &Section<'_>, json: &'static str) -> Option<Source> {
    let given = ["header", "query", json]
        .iter()
        .filter(|key| section.has(key))
        .count();
    let header = section.text("header").map(Source::Header);
    let query = section.text("query").map(Source::Query);
    let json = section
        .node(json)
        .and_then(|node| pointer(section, node, json))
        .map(Source::Json);
    if given > 1 {
        section.findings.mistake(
            section.place,
            "only one of header, query, json or at can be given".to_owned(),
        );
        return None;
    }
    header.or(query).or(json)
}

/// A condition; also as part of a section that has keys of its own (`when` with `event`), where
/// `None` means that there is none.
pub(super) fn condition(section: &Section<'_>) -> Option<Condition> {
    let mut conditions: Vec<Condition> = Vec::new();
    for (key, combine) in [
        ("all", Condition::All as fn(_) -> _),
        ("any", Condition::Any),
    ] {
        if section.node(key).is_some() {
            conditions.push(combine(conditions_of(section, key)));
        }
    }
    if let Some(section) = section.section("not") {
        let inner = condition(&section)?;
        section.rest();
        conditions.push(Condition::Not(Box::new(inner)));
    }
    if let Some(source) = optional_source(section, "at") {
        conditions.push(test(section, source)?);
    } else if ["op", "value", "ignore_case"]
        .iter()
        .any(|key| section.has(key))
    {
        section
            .findings
            .mistake(section.place, "a condition needs one of: at, header, query");
    }
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(Condition::All(conditions)),
    }
}

/// A section that must be a condition and nothing else.
pub(super) fn whole_condition(section: Section<'_>) -> Option<Condition> {
    let found = condition(&section);
    if found.is_none() {
        section.findings.mistake(
            section.place,
            "a condition needs one of: at, header, query, all, any, not",
        );
    }
    section.rest();
    found
}

/// Values that are compared: a list, or one.
pub(super) fn scalars(value: &Value) -> Option<Vec<Scalar<'static>>> {
    match value {
        Value::Array(items) => items.iter().map(Scalar::from_value).collect(),
        single => Scalar::from_value(single).map(|scalar| vec![scalar]),
    }
}

pub(super) fn preparation(section: &Section<'_>) -> Preparation {
    Preparation {
        strip: section.texts("strip"),
        ignore_case: section.boolean("ignore_case").unwrap_or_default(),
    }
}

fn conditions_of(section: &Section<'_>, key: &'static str) -> Vec<Condition> {
    let path = section.path(key);
    let sections = section
        .list(key)
        .iter()
        .filter_map(|node| Section::open(node, &path, section.findings));
    sections.filter_map(whole_condition).collect()
}

fn test(section: &Section<'_>, source: Source) -> Option<Condition> {
    let value = section.value("value");
    let at_first = if value.is_some() { Op::Eq } else { Op::Exists };
    let op = section.choice("op", Op::WORDS).unwrap_or(at_first);
    let wanted = match value {
        None if op == Op::Exists => vec![Scalar::Bool(true)],
        None => {
            section.findings.mistake(
                section.place,
                format!("{} is missing", section.path("value")),
            );
            return None;
        }
        Some(value) => {
            let Some(wanted) = scalars(&value) else {
                section.findings.mistake(
                    section.place,
                    format!(
                        "{} must be a text, a number, a boolean or a list of these",
                        section.path("value")
                    ),
                );
                return None;
            };
            wanted
        }
    };
    match Matcher::new(op, wanted, preparation(section)) {
        Ok(matcher) => Some(Condition::Test { source, matcher }),
        Err(error) => {
            section
                .findings
                .mistake(section.place, format!("{}: {error}", section.path("value")));
            None
        }
    }
}
