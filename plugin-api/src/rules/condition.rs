//! Conditions on a request: of `when`, `ignore` and `challenge`.

use crate::rules::matcher::Matcher;
use crate::rules::pointer::Pointer;
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

    /// The pointers that it reads.
    pub fn pointers<'c>(&'c self, into: &mut Vec<&'c Pointer>) {
        match self {
            Self::Test { source, .. } => into.extend(source.pointer()),
            Self::All(conditions) | Self::Any(conditions) => conditions
                .iter()
                .for_each(|condition| condition.pointers(into)),
            Self::Not(condition) => condition.pointers(into),
        }
    }
}
