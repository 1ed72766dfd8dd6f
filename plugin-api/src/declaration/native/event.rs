//! The rules of one event.

use crate::declaration::model::Field;
use crate::declaration::native::condition::{condition, pointer, whole_condition};
use crate::declaration::native::filter::filter;
use crate::declaration::section::Section;
use crate::declaration::yaml::{Content, Node};
use crate::rules::pointer::Pointer;
use crate::rules::vocabulary::{EventRules, IgnoreRule, ProviderRules, WhenRule};

/// Reads `extra.native` of an event; `section` is absent when the file has none.
pub(crate) fn read_event_rules(
    section: Option<Section<'_>>,
    name: &str,
    parameters: &[Field],
    provider: &ProviderRules,
) -> EventRules {
    let by_name = || WhenRule {
        names: provider.event.iter().map(|_| name.to_owned()).collect(),
        condition: None,
    };
    let Some(section) = section else {
        return EventRules {
            when: by_name(),
            ..EventRules::default()
        };
    };
    let path = section.path("filters");
    let filters = section
        .list("filters")
        .iter()
        .filter_map(|node| Section::open(node, &path, section.findings));
    let rules = EventRules {
        when: section
            .node("when")
            .map_or_else(by_name, |node| when(&section, node, provider)),
        ignore: section
            .node("ignore")
            .map_or(IgnoreRule::Never, |node| ignore(&section, node)),
        filters: filters
            .filter_map(|section| filter(section, parameters))
            .collect(),
        variables: section.section("variables").map(variables),
    };
    section.rest();
    rules
}

fn when(section: &Section<'_>, node: &Node, provider: &ProviderRules) -> WhenRule {
    let rule = match &node.content {
        Content::Map(_) => {
            let Some(inner) = Section::open(node, &section.path("when"), section.findings) else {
                return WhenRule::default();
            };
            let rule = WhenRule {
                names: inner.texts("event"),
                condition: condition(&inner),
            };
            inner.rest();
            rule
        }
        _ => WhenRule {
            names: section.texts("when"),
            condition: None,
        },
    };
    if !rule.names.is_empty() && provider.event.is_none() {
        section.findings.mistake(
            node.place,
            format!("{} names an event, but extra.native.event of the provider does not say where its name is", section.path("when")),
        );
    }
    if rule.names.is_empty() && rule.condition.is_none() {
        section.findings.mistake(
            node.place,
            format!(
                "{} says nothing: it needs the event's name or a condition",
                section.path("when")
            ),
        );
    }
    rule
}

fn ignore(section: &Section<'_>, node: &Node) -> IgnoreRule {
    if let Content::Map(_) = node.content {
        let inner = Section::open(node, &section.path("ignore"), section.findings);
        return inner
            .and_then(whole_condition)
            .map_or(IgnoreRule::Never, IgnoreRule::When);
    }
    match section.boolean("ignore") {
        Some(true) => IgnoreRule::Always,
        Some(false) | None => IgnoreRule::Never,
    }
}

fn variables(section: Section<'_>) -> Vec<(String, Pointer)> {
    let entries = section.entries().iter();
    entries
        .filter_map(|entry| {
            Some((
                entry.key.clone(),
                pointer(&section, &entry.value, &entry.key)?,
            ))
        })
        .collect()
}
