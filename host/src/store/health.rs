//! Whether writing works, as the last writes showed it: what is asked often (`/readyz`, by anybody)
//! must cost no write of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Millis;

/// On a full disk what is small may still fit where something was before. It counts for what is
/// larger only after this much time without a failure.
const DOUBT: Duration = Duration::from_secs(30);

/// What the last writes showed.
#[derive(Default)]
pub(super) struct WriteHealth(Mutex<Option<Failed>>);

#[derive(Clone, Copy)]
struct Failed {
    at: Millis,
    bytes: u64,
}

impl WriteHealth {
    /// A write of about this many bytes was synced.
    pub(super) fn wrote(&self, bytes: u64, now: Millis) {
        let mut failed = self.lock();
        if failed.is_some_and(|failed| bytes >= failed.bytes || now.since(failed.at) >= DOUBT) {
            *failed = None;
        }
    }

    /// The database was away or full when so much was to be written.
    pub(super) fn failed(&self, bytes: u64, now: Millis) {
        let mut failed = self.lock();
        let bytes = failed.map_or(bytes, |before| before.bytes.min(bytes));
        *failed = Some(Failed { at: now, bytes });
    }

    /// Whether writing works as far as anybody knows.
    pub(super) fn is_well(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_write_says_little_about_a_large_one_that_failed() {
        let health = WriteHealth::default();
        assert!(health.is_well());
        health.failed(1000, Millis(0));
        health.wrote(10, Millis(29_999));
        assert!(!health.is_well());
        health.wrote(1000, Millis(29_999));
        assert!(health.is_well());

        health.failed(1000, Millis(0));
        health.failed(5000, Millis(20_000));
        health.wrote(10, Millis(30_000));
        assert!(!health.is_well(), "the last failure counts");
        health.wrote(10, Millis(50_000));
        assert!(health.is_well());
    }

    #[test]
    fn what_is_as_large_as_the_smallest_failure_shows_that_it_is_over() {
        let health = WriteHealth::default();
        health.failed(5000, Millis(0));
        health.failed(100, Millis(0));
        health.wrote(100, Millis(0));
        assert!(health.is_well());
    }
}
