//! One filter of an event.

use crate::declaration::model::{Field, FieldKind};
use crate::declaration::native::condition::{pointer, preparation, scalars};
use crate::declaration::section::Section;
use crate::rules::matcher::{Matcher, Op};
use crate::rules::vocabulary::{FilterRule, FilterValue};

pub(super) fn filter(section: Section<'_>, parameters: &[Field]) -> Option<FilterRule> {
    let at: Vec<_> = section
        .list("at")
        .iter()
        .filter_map(|node| pointer(&section, node, "at"))
        .collect();
    if at.is_empty() && !section.has("at") {
        section
            .findings
            .mistake(section.place, format!("{} is missing", section.path("at")));
    }
    let op = section.choice("op", Op::WORDS).unwrap_or(Op::In);
    let preparation = preparation(&section);
    let split = section.text("split").filter(|split| !split.is_empty());
    let wanted = match (section.text("parameter"), section.value("value")) {
        (Some(name), None) => {
            check_parameter(&section, &name, op, parameters);
            Some(FilterValue::Parameter(name))
        }
        (None, Some(value)) => {
            let wanted = scalars(&value);
            let compiled = wanted
                .as_ref()
                .map(|wanted| Matcher::new(op, wanted.clone(), preparation.clone()));
            match compiled {
                Some(Ok(_)) => wanted.map(FilterValue::Fixed),
                Some(Err(error)) => {
                    section
                        .findings
                        .mistake(section.place, format!("{}: {error}", section.path("value")));
                    None
                }
                None => {
                    let path = section.path("value");
                    section.findings.mistake(
                        section.place,
                        format!("{path} must be a text, a number, a boolean or a list of these"),
                    );
                    None
                }
            }
        }
        _ => {
            section.findings.mistake(
                section.place,
                "a filter needs exactly one of: parameter, value",
            );
            None
        }
    };
    section.rest();
    Some(FilterRule {
        wanted: wanted?,
        at,
        op,
        preparation,
        split,
    })
}

fn check_parameter(section: &Section<'_>, name: &str, op: Op, parameters: &[Field]) {
    let path = section.path("parameter");
    let Some(field) = parameters.iter().find(|field| field.name == name) else {
        let names: Vec<&str> = parameters.iter().map(|field| field.name.as_str()).collect();
        section.findings.mistake(
            section.place,
            format!("{path} is `{name}`; this event has: {}", names.join(", ")),
        );
        return;
    };
    let is_flag = matches!(op, Op::Bool | Op::Exists);
    if is_flag && field.kind != FieldKind::Boolean {
        section.findings.mistake(
            section.place,
            format!("{path} is `{name}`, which is no boolean; `op` compares with one"),
        );
    }
}
