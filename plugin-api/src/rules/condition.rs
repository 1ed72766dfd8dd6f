//! Conditions on a request: of `when`, `ignore` and `challenge`.

use crate::rules::matcher::Matcher;
use crate::rules::source::{Reading, Source};

/// What must hold of a request.
#[derive(Debug, Clone)]
pub enum Condition {
    Test { source: Source, matcher: Matcher },
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

impl Condition {
    pub(crate) fn holds(&self, reading: &Reading<'_>) -> bool {
        match self {
            Self::Test { source, matcher } => matcher.matches(&reading.values(source)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(reading)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(reading)),
            Self::Not(condition) => !condition.holds(reading),
        }
    }

    /// What it reads.
    pub fn sources<'c>(&'c self, into: &mut Vec<&'c Source>) {
        match self {
            Self::Test { source, .. } => into.push(source),
            Self::All(conditions) | Self::Any(conditions) => conditions
                .iter()
                .for_each(|condition| condition.sources(into)),
            Self::Not(condition) => condition.sources(into),
        }
    }
}
