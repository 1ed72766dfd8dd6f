//! How long after the end of a connection the next one is tried.

use std::time::Duration;

/// A connection that lasted so long did what it should.
pub(super) const GOOD: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Failures in a row, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    failures: u32,
}

impl Pauses {
    /// A connection ended after it was open for so long (none: it never was). `fraction` in `[0, 1)`
    /// spreads the tries of many.
    pub(super) fn after(&mut self, open_for: Option<Duration>, fraction: f64) -> Duration {
        if open_for.is_some_and(|open_for| open_for >= GOOD) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            return Duration::ZERO;
        }
        let doubled = FIRST.saturating_mul(1 << (self.failures - 2).min(10));
        doubled.min(LONGEST).mul_f64(0.5 + fraction / 2.0)
    }

    /// How many connections in a row did not last.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_try_is_at_once_and_then_ever_later_up_to_a_minute() {
        let mut pauses = Pauses::default();
        let waits: Vec<u64> = (0..10)
            .map(|_| pauses.after(None, 0.999_999).as_millis() as u64)
            .collect();
        assert_eq!(waits[0], 0);
        let expected = [
            0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000,
        ];
        for (wait, expected) in waits.iter().zip(expected) {
            assert!(wait.abs_diff(expected) <= 1, "{waits:?}");
        }
        assert!(pauses.after(None, 0.0) >= Duration::from_secs(30));
    }

    #[test]
    fn a_server_that_closes_every_second_is_not_hammered() {
        let mut pauses = Pauses::default();
        let lasted = Some(Duration::from_secs(1));
        let in_an_hour: u32 = {
            let mut time = Duration::ZERO;
            let mut tries = 0;
            while time < Duration::from_secs(3600) {
                time += pauses.after(lasted, 0.5) + Duration::from_secs(1);
                tries += 1;
            }
            tries
        };
        assert!(in_an_hour < 100, "{in_an_hour}");
        assert_eq!(
            pauses.after(Some(Duration::from_secs(60)), 0.5),
            Duration::ZERO
        );
        assert_eq!(pauses.failures(), 1);
    }
}
