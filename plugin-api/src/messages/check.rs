//! What a check of a subscription finds at the service.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Map;

/// What `check` found at the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Whether the service holds what we hold.
    pub state: CheckState,
    /// What differs, or what the service says of its deliveries: one sentence each.
    #[serde(default)]
    pub findings: Vec<String>,
    /// What differs, field by field, when the state is `drifted`.
    #[serde(default)]
    pub drift: Vec<Drift>,
    /// Parameters which, taken as ours, end the drift; empty: it can only be repaired.
    #[serde(default)]
    pub adopt: Map,
}

/// Whether the service holds what we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It does.
    Ok,
    /// It does not know the subscription any more.
    Missing,
    /// It holds something else, see the findings.
    Drifted,
}

/// One field that the service holds otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// In the service's words: `config.url`, `events`.
    pub field: String,
    /// What it should be.
    pub ours: Value,
    /// What it is.
    pub theirs: Value,
}

impl CheckReport {
    /// The service holds what we hold.
    #[must_use]
    pub fn ok() -> Self {
        Self::of(CheckState::Ok, Vec::new())
    }

    /// The service does not know the subscription any more, for this reason.
    pub fn missing(finding: impl Into<String>) -> Self {
        Self::of(CheckState::Missing, vec![finding.into()])
    }

    /// This state, with nothing to adopt.
    #[must_use]
    pub fn of(state: CheckState, findings: Vec<String>) -> Self {
        Self {
            state,
            findings,
            drift: Vec::new(),
            adopt: Map::new(),
        }
    }
}
