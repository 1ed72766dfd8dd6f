//! A breaker for one runnable: after failures in a row that are its target's own, its jobs wait, and
//! single probes find out when it is back. Jobs that wait use up no attempts.
//!
//! ```text
//!            5 in a row                 time up
//!   closed ────────────► open ─────────────────────► half open (one job at a time)
//!     ▲                    ▲        trouble again          │ │
//!     │                    └───────────────────────────────┘ │
//!     └──────────────────────────────────────────────────────┘ anything else
//! ```

use std::time::Duration;

use crate::backoff::RetryPolicy;
use crate::clock::Millis;

/// Failures in a row that open it.
pub const FAILURES_TO_OPEN: u32 = 5;

/// How long it stays open: a second, then longer with each probe that fails, up to a minute.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts_max: u32::MAX,
    first_ms: 1_000,
    factor: 2.0,
    delay_max_ms: 60_000,
    jitter: 0.2,
};

/// A clock may be set back by so much while one is open; a time further away than the pause and this
/// was reckoned by a clock that ran ahead, and holds nothing back.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// The state of one runnable's target, as far as its attempts show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// All is well, or not yet bad enough.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// No job until then; after that, one at a time.
    Open {
        /// When the next probe may go.
        until: Millis,
        /// How long it was to stay open when that was reckoned.
        pause: Duration,
        /// How often it opened without closing between.
        trips: u32,
    },
}

/// What an attempt shows about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Well,
    /// It is not, or it is broken.
    Trouble,
    /// It asked to be left alone for so long.
    Busy(Duration),
    /// Nothing: the attempt was ended by us.
    Unknown,
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker::Closed { failures: 0 }
    }
}

impl Breaker {
    /// How many jobs may run at the same time now.
    pub fn places(&self, now: Millis) -> u32 {
        match self {
            Breaker::Closed { .. } => u32::MAX,
            Breaker::Open { until, pause, .. } if holds(*until, *pause, now) => 0,
            Breaker::Open { .. } => 1,
        }
    }

    /// When it lets a job pass again that it does not let pass now.
    pub fn opens_at(&self, now: Millis) -> Option<Millis> {
        match self {
            Breaker::Open { until, pause, .. } if holds(*until, *pause, now) => Some(*until),
            _ => None,
        }
    }

    /// Takes note of how an attempt ended. `fraction` is random, in `[0, 1)`.
    pub fn note(&mut self, verdict: Verdict, now: Millis, fraction: f64) {
        *self = match (verdict, *self) {
            (Verdict::Unknown, same) => same,
            (Verdict::Well, _) => Breaker::default(),
            (Verdict::Busy(wait), Breaker::Closed { .. }) => Breaker::Open {
                until: now.plus(wait),
                pause: wait,
                trips: 1,
            },
            (Verdict::Busy(wait), open @ Breaker::Open { until, pause, .. })
                if holds(until, pause, now) && until >= now.plus(wait) =>
            {
                open
            }
            (Verdict::Busy(wait), Breaker::Open { trips, .. }) => Breaker::Open {
                until: now.plus(wait),
                pause: wait,
                trips,
            },
            (Verdict::Trouble, Breaker::Closed { failures }) if failures + 1 < FAILURES_TO_OPEN => {
                Breaker::Closed {
                    failures: failures + 1,
                }
            }
            (Verdict::Trouble, Breaker::Closed { .. }) => opened(1, now, fraction),
            // It began before the breaker opened and says nothing new.
            (Verdict::Trouble, open @ Breaker::Open { until, pause, .. })
                if holds(until, pause, now) =>
            {
                open
            }
            (Verdict::Trouble, Breaker::Open { trips, .. }) => {
                opened(trips.saturating_add(1), now, fraction)
            }
        };
    }
}

/// Whether nothing passes until then.
fn holds(until: Millis, pause: Duration, now: Millis) -> bool {
    now < until && until.since(now) <= pause + CLOCK_SLACK
}

fn opened(trips: u32, now: Millis, fraction: f64) -> Breaker {
    let pause = PAUSES.delay(trips, fraction);
    Breaker::Open {
        until: now.plus(pause),
        pause,
        trips,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: f64 = 0.5;

    fn after(verdicts: &[(Verdict, i64)]) -> Breaker {
        let mut breaker = Breaker::default();
        for (verdict, at) in verdicts {
            breaker.note(*verdict, Millis(*at), EVEN);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        let four = [(Verdict::Trouble, 0); 4];
        assert_eq!(after(&four).places(Millis(0)), u32::MAX);
        let broken_row = [&four[..], &[(Verdict::Well, 0)], &four[..]].concat();
        assert_eq!(after(&broken_row).places(Millis(0)), u32::MAX);
        let five = after(&[(Verdict::Trouble, 0); 5]);
        assert_eq!(five.places(Millis(999)), 0);
        assert_eq!(five.opens_at(Millis(0)), Some(Millis(1_000)));
        assert_eq!(five.places(Millis(1_000)), 1);
    }

    #[test]
    fn probes_that_fail_wait_longer_and_one_that_works_closes_it() {
        let mut breaker = after(&[(Verdict::Trouble, 0); 5]);
        breaker.note(Verdict::Trouble, Millis(1_000), EVEN);
        assert_eq!(breaker.opens_at(Millis(1_000)), Some(Millis(3_000)));
        breaker.note(Verdict::Trouble, Millis(3_000), EVEN);
        assert_eq!(breaker.opens_at(Millis(3_000)), Some(Millis(7_000)));
        breaker.note(Verdict::Well, Millis(7_000), EVEN);
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn latecomers_do_not_lengthen_the_wait() {
        let breaker = after(&[(Verdict::Trouble, 0); 9]);
        assert_eq!(breaker.opens_at(Millis(0)), Some(Millis(1_000)));
    }

    #[test]
    fn the_wait_never_grows_beyond_its_ceiling() {
        let mut breaker = Breaker::default();
        let mut now = Millis(0);
        for _ in 0..1000 {
            breaker.note(Verdict::Trouble, now, 0.999);
            let next = breaker.opens_at(now).unwrap_or(now);
            assert!(next.since(now) <= Duration::from_secs(72));
            now = next;
        }
    }

    #[test]
    fn what_a_clock_reckoned_that_ran_ahead_holds_nothing_back() {
        let ahead = 2 * 365 * 86_400_000;
        let busy = Verdict::Busy(Duration::from_secs(120));
        for opened in [&[(Verdict::Trouble, ahead); 5][..], &[(busy, ahead)][..]] {
            let mut breaker = after(opened);
            assert_eq!(breaker.places(Millis(ahead + 1)), 0);
            assert_eq!(breaker.places(Millis(ahead - 50_000)), 0, "a little");
            assert_eq!(breaker.places(Millis(0)), 1, "a probe goes at once");
            assert_eq!(breaker.opens_at(Millis(0)), None);
            breaker.note(Verdict::Trouble, Millis(0), EVEN);
            let next = breaker.opens_at(Millis(0)).expect("it failed");
            assert!(next <= Millis(72_000), "{next}");
            breaker.note(busy, Millis(0), EVEN);
            assert_eq!(breaker.opens_at(Millis(0)), Some(Millis(120_000)));
        }
    }

    #[test]
    fn a_busy_target_is_left_alone_for_as_long_as_it_asked() {
        let busy = Verdict::Busy(Duration::from_secs(120));
        let breaker = after(&[(busy, 0)]);
        assert_eq!(breaker.places(Millis(119_999)), 0);
        assert_eq!(breaker.places(Millis(120_000)), 1);
        let later = after(&[(busy, 0), (Verdict::Busy(Duration::ZERO), 5)]);
        assert_eq!(later.opens_at(Millis(5)), Some(Millis(120_000)));
        assert_eq!(after(&[(busy, 0), (Verdict::Unknown, 1)]), breaker);
    }
}
