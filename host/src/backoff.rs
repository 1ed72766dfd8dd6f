//! How long to wait before the next try: exponential, bounded, jittered, and a pure function.

use std::time::Duration;

/// When a failed job is tried again.
///
/// The `n`th failure waits `first_ms * factor^(n-1)`, at most `delay_max_ms`, moved by up to
/// `jitter` of itself in either direction so that jobs that failed together do not return together.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// How many attempts a job gets in all, the first included.
    pub attempts_max: u32,
    /// The wait after the first failure, in milliseconds.
    pub first_ms: u64,
    /// What each wait is multiplied by to give the next.
    pub factor: f64,
    /// The longest wait, in milliseconds, before jitter.
    pub delay_max_ms: u64,
    /// The fraction, 0 to 1, by which a wait may be moved.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts_max: 5,
            first_ms: 1_000,
            factor: 2.0,
            delay_max_ms: 3_600_000,
            jitter: 0.2,
        }
    }
}

/// Which field of a [`RetryPolicy`] is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: found {found}, expected {expected}")]
pub struct PolicyError {
    /// The field's name.
    pub field: &'static str,
    /// What stood there.
    pub found: String,
    /// What may stand there.
    pub expected: &'static str,
}

impl RetryPolicy {
    /// The most attempts a job may be given.
    pub const ATTEMPTS_CEILING: u32 = 1000;
    /// The longest wait that may be asked for: 30 days.
    pub const DELAY_CEILING_MS: u64 = 30 * 24 * 3_600_000;

    /// Checks each field against its range.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let checks = [
            (
                "attempts_max",
                self.attempts_max.to_string(),
                (1..=Self::ATTEMPTS_CEILING).contains(&self.attempts_max),
                "1 to 1000",
            ),
            (
                "first_ms",
                self.first_ms.to_string(),
                self.first_ms <= Self::DELAY_CEILING_MS,
                "at most 30 days (2592000000)",
            ),
            (
                "factor",
                self.factor.to_string(),
                (1.0..=100.0).contains(&self.factor),
                "1 to 100",
            ),
            (
                "delay_max_ms",
                self.delay_max_ms.to_string(),
                self.delay_max_ms <= Self::DELAY_CEILING_MS,
                "at most 30 days (2592000000)",
            ),
            (
                "jitter",
                self.jitter.to_string(),
                (0.0..=1.0).contains(&self.jitter),
                "0 to 1",
            ),
        ];
        match checks.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((field, found, _, expected)) => Err(PolicyError {
                field,
                found,
                expected,
            }),
            None => Ok(()),
        }
    }

    /// Whether a job that has made this many attempts may make another.
    pub fn allows_another(&self, attempts_made: u32) -> bool {
        attempts_made < self.attempts_max
    }

    /// How long to wait after the `attempt`th failure (counted from 1), given a random fraction in
    /// `[0, 1)`.
    pub fn delay(&self, attempt: u32, fraction: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let ceiling = self.delay_max_ms as f64;
        let wait = (self.first_ms as f64 * self.factor.powi(exponent)).min(ceiling);
        let moved = wait * (1.0 + self.jitter * (2.0 * fraction - 1.0));
        Duration::from_millis(moved.max(0.0).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_ceiling() {
        let policy = RetryPolicy {
            jitter: 0.0,
            delay_max_ms: 5_000,
            ..RetryPolicy::default()
        };
        let waits: Vec<_> = (1..=5)
            .map(|attempt| policy.delay(attempt, 0.9).as_millis())
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn jitter_moves_a_wait_by_at_most_its_fraction() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, 0.0).as_millis(), 800);
        assert_eq!(policy.delay(1, 0.5).as_millis(), 1_000);
        assert_eq!(policy.delay(1, 1.0).as_millis(), 1_200);
    }

    #[test]
    fn a_huge_attempt_number_saturates() {
        let policy = RetryPolicy {
            jitter: 0.0,
            ..RetryPolicy::default()
        };
        assert_eq!(policy.delay(u32::MAX, 0.5).as_millis(), 3_600_000);
        assert_eq!(policy.delay(0, 0.5).as_millis(), 1_000);
    }

    #[test]
    fn a_job_gets_exactly_its_attempts() {
        let policy = RetryPolicy {
            attempts_max: 2,
            ..RetryPolicy::default()
        };
        assert!(policy.allows_another(1));
        assert!(!policy.allows_another(2));
    }

    #[test]
    fn a_field_out_of_range_is_named() {
        let check = |policy: RetryPolicy| policy.validate().map_err(|error| error.field);
        let good = RetryPolicy::default();
        assert_eq!(check(good), Ok(()));
        assert_eq!(
            check(RetryPolicy {
                attempts_max: 0,
                ..good
            }),
            Err("attempts_max")
        );
        assert_eq!(
            check(RetryPolicy {
                factor: f64::NAN,
                ..good
            }),
            Err("factor")
        );
        assert_eq!(
            check(RetryPolicy {
                jitter: 1.5,
                ..good
            }),
            Err("jitter")
        );
    }
}
