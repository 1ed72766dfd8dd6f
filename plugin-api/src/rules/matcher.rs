//! One comparison of what a payload says with what is wanted: the operations of filters and conditions.

use crate::rules::glob::Globs;
use crate::rules::scalar::Scalar;
use crate::rules::source::Values;

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    In,
    NotIn,
    AllIn,
    Contains,
    Prefix,
    Suffix,
    Glob,
    Bool,
    Exists,
    Greater,
    Less,
    AtLeast,
    AtMost,
}

impl Op {
    /// Its words in a declaration.
    pub const WORDS: &[(&str, Op)] = &[
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("in", Self::In),
        ("not_in", Self::NotIn),
        ("in_list", Self::In),
        ("all_in", Self::AllIn),
        ("contains", Self::Contains),
        ("prefix", Self::Prefix),
        ("suffix", Self::Suffix),
        ("glob", Self::Glob),
        ("glob_any", Self::Glob),
        ("bool", Self::Bool),
        ("exists", Self::Exists),
        ("gt", Self::Greater),
        ("lt", Self::Less),
        ("ge", Self::AtLeast),
        ("le", Self::AtMost),
    ];
}

/// How values are prepared before they are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preparation {
    /// The first of these that fits is removed; a value that has none of them does not match.
    pub strip: Vec<String>,
    pub ignore_case: bool,
}

/// An operation with what is wanted, compiled.
#[derive(Debug, Clone)]
pub struct Matcher {
    op: Op,
    wanted: Wanted,
    preparation: Preparation,
}

#[derive(Debug, Clone)]
enum Wanted {
    Scalars(Vec<Scalar<'static>>),
    Globs(Globs),
    Flag(bool),
    Number(f64),
}

impl Matcher {
    /// Compiles; the error is a sentence about what is wanted (`` `x` is no number ``).
    pub fn new(
        op: Op,
        wanted: Vec<Scalar<'static>>,
        preparation: Preparation,
    ) -> Result<Self, String> {
        let wanted = match op {
            Op::Glob => Wanted::Globs(Globs::new(
                wanted.iter().filter_map(Scalar::text),
                preparation.ignore_case,
            )?),
            Op::Bool | Op::Exists => Wanted::Flag(flag(&wanted)?),
            Op::Greater | Op::Less | Op::AtLeast | Op::AtMost => Wanted::Number(number(&wanted)?),
            _ if preparation.ignore_case => {
                Wanted::Scalars(wanted.iter().map(Scalar::lower_case).collect())
            }
            _ => Wanted::Scalars(wanted),
        };
        Ok(Self {
            op,
            wanted,
            preparation,
        })
    }

    pub(crate) fn matches(&self, found: &Values<'_>) -> bool {
        let prepared: Vec<Scalar<'_>> = found
            .scalars
            .iter()
            .filter_map(|value| self.prepare(value))
            .collect();
        match &self.wanted {
            Wanted::Flag(wanted) if self.op == Op::Exists => found.is_there == *wanted,
            Wanted::Flag(wanted) => {
                let mut flags = prepared.iter().filter_map(boolean).peekable();
                if flags.peek().is_none() {
                    !wanted
                } else {
                    flags.any(|flag| flag == *wanted)
                }
            }
            Wanted::Number(wanted) => {
                prepared
                    .iter()
                    .filter_map(Scalar::number)
                    .any(|number| match self.op {
                        Op::Greater => number > *wanted,
                        Op::Less => number < *wanted,
                        Op::AtLeast => number >= *wanted,
                        _ => number <= *wanted,
                    })
            }
            Wanted::Globs(globs) => prepared
                .iter()
                .filter_map(Scalar::text)
                .any(|text| globs.matches(text)),
            Wanted::Scalars(wanted) => self.compare(&prepared, wanted),
        }
    }

    fn compare(&self, found: &[Scalar<'_>], wanted: &[Scalar<'_>]) -> bool {
        let any_equal = || {
            found
                .iter()
                .any(|value| wanted.iter().any(|wanted| value.equals(wanted)))
        };
        let any_text = |holds: fn(&str, &str) -> bool| {
            let wanted = || wanted.iter().filter_map(Scalar::text);
            found
                .iter()
                .filter_map(Scalar::text)
                .any(|text| wanted().any(|wanted| holds(text, wanted)))
        };
        match self.op {
            Op::Ne | Op::NotIn => !any_equal(),
            Op::AllIn => wanted
                .iter()
                .all(|wanted| found.iter().any(|value| value.equals(wanted))),
            Op::Contains => any_text(|text, wanted| text.contains(wanted)),
            Op::Prefix => any_text(|text, wanted| text.starts_with(wanted)),
            Op::Suffix => any_text(|text, wanted| text.ends_with(wanted)),
            _ => any_equal(),
        }
    }

    fn prepare<'v>(&self, value: &'v Scalar<'_>) -> Option<Scalar<'v>> {
        let value = if self.preparation.strip.is_empty() {
            match value {
                Scalar::Null => Scalar::Null,
                Scalar::Bool(value) => Scalar::Bool(*value),
                Scalar::Number(text) => Scalar::Number((&**text).into()),
                Scalar::Text(text) => Scalar::Text((&**text).into()),
            }
        } else {
            let text = value.text()?;
            let stripped = self
                .preparation
                .strip
                .iter()
                .find_map(|prefix| text.strip_prefix(prefix.as_str()))?;
            Scalar::Text(stripped.into())
        };
        // Globs ignore case by themselves.
        let lower = self.preparation.ignore_case && !matches!(self.wanted, Wanted::Globs(_));
        Some(if lower { value.lower_case() } else { value })
    }
}

fn boolean(value: &Scalar<'_>) -> Option<bool> {
    match value.text()? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn flag(wanted: &[Scalar<'_>]) -> Result<bool, String> {
    let first = wanted.first();
    first
        .and_then(boolean)
        .ok_or_else(|| format!("{} is neither true nor false", printed(first)))
}

fn number(wanted: &[Scalar<'_>]) -> Result<f64, String> {
    let first = wanted.first();
    first
        .and_then(Scalar::number)
        .ok_or_else(|| format!("{} is not a number", printed(first)))
}

fn printed(value: Option<&Scalar<'_>>) -> String {
    format!("`{}`", value.and_then(Scalar::text).unwrap_or("null"))
}
