//! How a webhook differs from what we want it to be, and which parameters would want it as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;

use super::hook::{Hook, HookConfig, Wanted};

/// One difference, for people and for programs.
pub struct Difference {
    finding: String,
    drift: Drift,
    /// The parameter that, set to theirs, ends it; absent: only a repair does.
    parameter: Option<&'static str>,
}

/// What a check answers of a webhook with these differences.
pub fn report(differences: Vec<Difference>) -> CheckReport {
    if differences.is_empty() {
        return CheckReport::ok();
    }
    CheckReport {
        state: CheckState::Drifted,
        adopt: adopted(&differences).unwrap_or_default(),
        findings: differences
            .iter()
            .map(|each| each.finding.clone())
            .collect(),
        drift: differences.into_iter().map(|each| each.drift).collect(),
    }
}

/// All differences of a webhook.
pub fn of_hook(wanted: &Wanted, hook: &Hook) -> Vec<Difference> {
    let mut found = of_config(wanted, &hook.config);
    if hook.events != wanted.events {
        found.push(Difference {
            finding: format!(
                "it sends the events {}, but should send {}",
                joined(&hook.events),
                joined(&wanted.events)
            ),
            drift: drift("events", json!(wanted.events), json!(hook.events)),
            // A webhook without events can be had, but not wished for.
            parameter: (!hook.events.is_empty()).then_some("events"),
        });
    }
    if !hook.active {
        found.push(only_repaired(
            "it is switched off".to_owned(),
            drift("active", json!(true), json!(false)),
        ));
    }
    found
}

/// The differences in address, form, certificate check and secret, which is never shown.
pub fn of_config(wanted: &Wanted, config: &HookConfig) -> Vec<Difference> {
    let mut found = Vec::new();
    if config.url.as_deref() != Some(wanted.url.as_str()) {
        found.push(only_repaired(
            "it sends to another address than this subscription's endpoint".to_owned(),
            drift("config.url", json!(wanted.url), json!(config.url)),
        ));
    }
    // GitHub takes an absent content type for `form`.
    let content_type = config.content_type.as_deref().unwrap_or("form");
    if content_type != wanted.content_type {
        found.push(Difference {
            finding: format!(
                "its content type is {content_type}, but should be {}",
                wanted.content_type
            ),
            drift: drift(
                "config.content_type",
                json!(wanted.content_type),
                json!(content_type),
            ),
            parameter: Some("content_type"),
        });
    }
    let is_insecure = config.is_insecure();
    if is_insecure != wanted.insecure_ssl {
        let finding = match is_insecure {
            true => "it does not check the certificate",
            false => "it checks the certificate, but should not",
        };
        found.push(Difference {
            finding: finding.to_owned(),
            drift: drift(
                "config.insecure_ssl",
                json!(wanted.insecure_ssl),
                json!(is_insecure),
            ),
            parameter: Some("insecure_ssl"),
        });
    }
    if config.secret.as_deref().is_none_or(str::is_empty) {
        found.push(only_repaired(
            "it has no secret, so that its requests are refused".to_owned(),
            drift("config.secret", json!("ours"), Value::Null),
        ));
    }
    found
}

/// The webhook's requests are refused since somebody changed it: GitHub never shows the secret,
/// so this is how another one shows itself.
pub fn of_secret() -> Difference {
    only_repaired(
        "it signs with another secret than ours, so that its requests are refused".to_owned(),
        drift("config.secret", json!("ours"), json!("another")),
    )
}

/// Parameters that want the webhook as it is, if that is possible for every difference.
fn adopted(differences: &[Difference]) -> Option<Map> {
    differences
        .iter()
        .map(|each| Some((each.parameter?.to_owned(), each.drift.theirs.clone())))
        .collect()
}

fn only_repaired(finding: String, drift: Drift) -> Difference {
    Difference {
        finding,
        drift,
        parameter: None,
    }
}

fn drift(field: &str, ours: Value, theirs: Value) -> Drift {
    Drift {
        field: field.to_owned(),
        ours,
        theirs,
    }
}

fn joined(events: &BTreeSet<String>) -> String {
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    events.join(", ")
}
