//! When something is done again: pure functions of the time, the declaration and a random fraction,
//! so that what was made together does not come back together.

use std::time::Duration;

use crate::backoff::RetryPolicy;
use crate::clock::Millis;
use crate::plugins::sync_facts::Lease;

/// After a failure that may pass.
const RETRY: RetryPolicy = RetryPolicy {
    attempts_max: u32::MAX,
    first_ms: 5_000,
    factor: 2.0,
    delay_max_ms: 30 * 60_000,
    jitter: 0.2,
};

/// When a registration that ends at `expires_at` is renewed: the declared time before its end, and up
/// to a fifth of that sooner. One that is too short for that, or that seems to have ended as it was
/// made (a clock is wrong), is renewed at half of its life.
pub(super) fn renew_at(
    now: Millis,
    expires_at: Millis,
    lease: Option<Lease>,
    fraction: f64,
) -> Millis {
    let life = expires_at.since(now);
    let before = lease.map_or(life / 4, |lease| lease.renew_before);
    let before = before.mul_f64(1.0 + 0.2 * fraction);
    match life.checked_sub(before).filter(|wait| !wait.is_zero()) {
        Some(wait) => now.plus(wait),
        None => {
            let declared = lease.map_or(Duration::from_secs(3600), |lease| lease.lifetime);
            let life = if life.is_zero() { declared } else { life };
            now.plus(
                life.mul_f64(0.5 - 0.1 * fraction)
                    .max(Duration::from_secs(1)),
            )
        }
    }
}

/// The next of something that is done so often: a tenth sooner or later.
pub(super) fn next(now: Millis, every: Duration, fraction: f64) -> Millis {
    now.plus(every.mul_f64(0.9 + 0.2 * fraction))
}

/// After the `tries`th failure in a row that may pass; never sooner than the service asked for.
pub(super) fn retry_at(
    now: Millis,
    tries: u32,
    retry_after_ms: Option<u64>,
    fraction: f64,
) -> Millis {
    match retry_after_ms.map(Duration::from_millis) {
        Some(wait) => now.plus(wait + wait.mul_f64(0.1 * fraction) + Duration::from_millis(1)),
        None => now.plus(RETRY.delay(tries, fraction)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::sync_facts::Renewal;

    const NOW: Millis = Millis(1_000_000_000);
    const HOUR_MS: i64 = 3_600_000;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    fn lease() -> Lease {
        Lease {
            lifetime: hours(24),
            renew_before: hours(6),
            renew: Renewal::Recreate,
        }
    }

    #[test]
    fn a_lease_is_renewed_ahead_of_its_end_and_spread() {
        let end = NOW.plus(hours(24));
        let at = |fraction| renew_at(NOW, end, Some(lease()), fraction).0 - NOW.0;
        assert_eq!(at(0.0), 18 * HOUR_MS);
        assert_eq!(at(1.0), 18 * HOUR_MS - 72 * 60_000);
        assert_eq!(renew_at(NOW, end, None, 0.0).0 - NOW.0, 18 * HOUR_MS);
    }

    #[test]
    fn a_lease_shorter_than_its_margin_is_renewed_at_half_of_its_life() {
        let end = NOW.plus(hours(1));
        assert_eq!(
            renew_at(NOW, end, Some(lease()), 0.0).0 - NOW.0,
            HOUR_MS / 2
        );
        let over = Millis(NOW.0 - 1);
        assert_eq!(
            renew_at(NOW, over, Some(lease()), 0.0).0 - NOW.0,
            12 * HOUR_MS
        );
    }

    #[test]
    fn a_service_that_asks_for_time_gets_it() {
        assert!(retry_at(NOW, 1, Some(7_000), 0.0).0 > NOW.0 + 7_000);
        assert_eq!(retry_at(NOW, 1, None, 0.5).0, NOW.0 + 5_000);
        assert_eq!(retry_at(NOW, 40, None, 0.5).0, NOW.0 + 30 * 60_000);
    }
}
