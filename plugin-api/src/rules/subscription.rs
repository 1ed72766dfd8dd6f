//! Checks what an operator wrote for a subscription, field by field.

use std::collections::BTreeSet;

use crate::declaration::{Declaration, FieldKind};
use crate::messages::{FieldError, SubscriptionSpec};
use crate::rules::keys;
use crate::rules::parameters::{check_value, is_unset};

/// Every mistake; none means that the subscription can be opened.
pub(crate) fn validate(declaration: &Declaration, spec: &SubscriptionSpec) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    check_secrets(declaration, spec, &mut mistakes);
    check_parameters(declaration, spec, &mut mistakes);
    for field in declaration
        .subscription_schema
        .iter()
        .filter(|field| field.required)
    {
        let is_given = spec
            .secrets
            .get(&field.name)
            .is_some_and(|secret| !secret.is_empty())
            || [&spec.parameters, &spec.properties]
                .iter()
                .any(|map| map.get(&field.name).is_some_and(|value| !is_unset(value)));
        let place = if field.kind == FieldKind::Secret {
            "secrets"
        } else {
            "parameters"
        };
        let name = format!("{place}.{}", field.name);
        if !is_given
            && field.default.is_none()
            && mistakes.iter().all(|mistake| mistake.field != name)
        {
            mistakes.push(FieldError {
                field: name,
                message: "is missing".to_owned(),
            });
        }
    }
    if let Err(problem) = keys::prepare(&declaration.rules, spec) {
        let field = format!("secrets.{}", problem.name);
        if mistakes.iter().all(|mistake| mistake.field != field) {
            mistakes.push(FieldError {
                field,
                message: problem.message,
            });
        }
    }
    mistakes
}

fn check_secrets(
    declaration: &Declaration,
    spec: &SubscriptionSpec,
    mistakes: &mut Vec<FieldError>,
) {
    let known = secret_names(declaration);
    for (name, secret) in &spec.secrets {
        let base = name.split('.').next().unwrap_or(name);
        let message = if !known.contains(base) {
            let known: Vec<&str> = known.iter().copied().collect();
            match known.is_empty() {
                true => "is not a secret here; there are none".to_owned(),
                false => format!("is not a secret here; allowed: {}", known.join(", ")),
            }
        } else if secret.trim().is_empty() {
            "is empty, which would accept everybody".to_owned()
        } else {
            continue;
        };
        mistakes.push(FieldError {
            field: format!("secrets.{name}"),
            message,
        });
    }
}

fn check_parameters(
    declaration: &Declaration,
    spec: &SubscriptionSpec,
    mistakes: &mut Vec<FieldError>,
) {
    let fields = declaration.subscription_fields();
    for (name, value) in &spec.parameters {
        let mistake = match fields.get(name.as_str()) {
            // How an operator says that this subscription goes without verification.
            None if name == "verification" && value == "none" => continue,
            None if name == "verification" => "can only be `none`".to_owned(),
            None => {
                let names: Vec<&str> = fields
                    .iter()
                    .filter(|(_, field)| field.kind != FieldKind::Secret)
                    .map(|(name, _)| *name)
                    .collect();
                format!("is not a parameter here; allowed: {}", names.join(", "))
            }
            Some(field) if field.kind == FieldKind::Secret => {
                "is a secret and belongs among the secrets".to_owned()
            }
            Some(_) if is_unset(value) => continue,
            Some(field) => match check_value(field, value) {
                Ok(()) => continue,
                Err(message) => message,
            },
        };
        mistakes.push(FieldError {
            field: format!("parameters.{name}"),
            message: mistake,
        });
    }
}

/// The fields of `subscription_schema` that are secrets, and what the rules use as one.
fn secret_names(declaration: &Declaration) -> BTreeSet<&str> {
    let of_schema = declaration
        .subscription_schema
        .iter()
        .filter(|field| field.kind == FieldKind::Secret);
    let of_schema = of_schema.map(|field| field.name.as_str());
    let of_rules = declaration
        .rules
        .verify
        .iter()
        .filter(|rule| rule.needs_secret())
        .map(|rule| rule.secret.as_str());
    of_schema
        .chain(of_rules)
        .chain(
            declaration
                .rules
                .challenges
                .iter()
                .flat_map(|challenge| challenge.secrets()),
        )
        .collect()
}
