//! What a setting may be beyond its type: what would stop the host, or have it spin, is refused.

use std::ops::{RangeFrom, RangeInclusive};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::units::{show_duration, show_size};

/// What is allowed of a type.
pub(super) trait Bound<T> {
    /// What is expected instead of a value that is not allowed.
    fn refuse(&self, value: &T) -> Option<String>;
}

/// A filter of the log that can be read.
pub(super) struct Filter;

impl Bound<String> for Filter {
    fn refuse(&self, value: &String) -> Option<String> {
        let error = EnvFilter::try_new(value).err()?;
        Some(format!(
            "levels like info, or by part like warn,triggerd=debug: {error}"
        ))
    }
}

impl<T: Amount> Bound<T> for RangeFrom<T> {
    fn refuse(&self, value: &T) -> Option<String> {
        let least = self.start.shown();
        (!self.contains(value)).then(|| format!("at least {least}"))
    }
}

impl<T: Amount> Bound<T> for RangeInclusive<T> {
    fn refuse(&self, value: &T) -> Option<String> {
        let (least, most) = (self.start().shown(), self.end().shown());
        (!self.contains(value)).then(|| format!("{least} to {most}"))
    }
}

/// Something of which there is more or less.
pub(super) trait Amount: PartialOrd {
    fn shown(&self) -> String;
}

impl Amount for u32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Amount for u64 {
    fn shown(&self) -> String {
        show_size(*self)
    }
}

impl Amount for Duration {
    fn shown(&self) -> String {
        show_duration(*self)
    }
}
