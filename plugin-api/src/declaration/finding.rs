//! What the loader has to say about a declaration: mistakes that refuse it, warnings that do not.

use std::cell::RefCell;
use std::fmt;

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One remark, printed as `events/push.yaml:12:3: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path within the declaration.
    pub file: String,
    /// Absent when the remark is about the file as a whole.
    pub place: Option<Place>,
    pub message: String,
}

/// Why a declaration was refused: every mistake, not only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclarationError {
    pub mistakes: Vec<Finding>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.message)
            }
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for DeclarationError {}

/// Collects the findings of one file while it is read.
#[derive(Debug)]
pub(crate) struct Findings {
    file: String,
    warnings: RefCell<Vec<Finding>>,
    mistakes: RefCell<Vec<Finding>>,
}

impl Findings {
    pub fn of(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            warnings: RefCell::default(),
            mistakes: RefCell::default(),
        }
    }

    pub fn warning(&self, place: Place, message: impl Into<String>) {
        self.warnings
            .borrow_mut()
            .push(self.finding(Some(place), message.into()));
    }

    pub fn mistake(&self, place: Place, message: impl Into<String>) {
        self.mistakes
            .borrow_mut()
            .push(self.finding(Some(place), message.into()));
    }

    pub fn file_mistake(&self, message: impl Into<String>) {
        self.mistakes
            .borrow_mut()
            .push(self.finding(None, message.into()));
    }

    pub fn file_warning(&self, message: impl Into<String>) {
        self.warnings
            .borrow_mut()
            .push(self.finding(None, message.into()));
    }

    /// Warnings and mistakes, in the order of their places.
    pub fn into_parts(self) -> (Vec<Finding>, Vec<Finding>) {
        let sorted = |findings: RefCell<Vec<Finding>>| {
            let mut findings = findings.into_inner();
            findings.sort_by_key(|finding| finding.place.map(|place| (place.line, place.column)));
            // A key that is looked at twice is remarked upon once.
            findings.dedup();
            findings
        };
        (sorted(self.warnings), sorted(self.mistakes))
    }

    fn finding(&self, place: Option<Place>, message: String) -> Finding {
        Finding {
            file: self.file.clone(),
            place,
            message,
        }
    }
}
