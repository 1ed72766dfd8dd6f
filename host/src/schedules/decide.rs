//! Which of the times that have come a schedule is run for, and when it is looked at again.

use std::time::Duration;

use crate::clock::Millis;
use crate::model::{Missed, Skipped};
use crate::timetable::Timetable;

/// A time that is longer ago was missed; what is less long ago is only late.
const LATE_MAX: Duration = Duration::from_secs(60);
/// As many missed times are made up for; the oldest beyond that are left out.
const MADE_UP_MAX: usize = 100;
/// More times are not counted that were left out at once.
const COUNT_MAX: u64 = 1000;
/// While the run before has not ended, it is looked this often whether it has.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const NOBODY: &str = "no host was up at that time";
const OVERLAP: &str = "the run before had not ended";

/// What a schedule wants, and how it is.
pub(super) struct Due<'a> {
    pub(super) timetable: &'a Timetable,
    pub(super) due_at: Millis,
    pub(super) overlap: bool,
    pub(super) missed: Missed,
    /// A job of it has not ended.
    pub(super) is_running: bool,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The times that it is run for, the earliest first.
    pub(super) run_for: Vec<Millis>,
    pub(super) skipped: Option<Skipped>,
    pub(super) next_due_at: Option<Millis>,
    pub(super) next_look_at: Option<Millis>,
}

/// Where a schedule stands that a clock which ran ahead had moved: when it is due and looked at by the
/// clock of now, which may be wrong by `slack`. None: it stands where it may.
pub(super) fn recall(
    timetable: &Timetable,
    (due_at, look_at): (Millis, Millis),
    now: Millis,
    slack: Duration,
) -> Option<(Millis, Millis)> {
    let latest = now.plus(slack);
    let is_sound = due_at <= latest || timetable.next_after(latest) >= Some(due_at);
    let due = match is_sound {
        true => due_at,
        false => timetable.next_after(now)?,
    };
    // It waits for its time, or a moment for the run before; nothing else puts a look off.
    let look = match look_at <= latest.plus(LOOK_AGAIN) || look_at <= due {
        true if is_sound => look_at,
        _ => due,
    };
    ((due, look) != (due_at, look_at)).then_some((due, look))
}

impl Due<'_> {
    pub(super) fn decide(&self, now: Millis) -> Verdict {
        if self.is_running && !self.overlap {
            return self.wait(now);
        }
        let is_late = |at: &Millis| now.since(*at) <= LATE_MAX;
        let run_for = match (self.overlap, self.missed) {
            (true, Missed::All) => self.passed(now, MADE_UP_MAX),
            (true, missed) => {
                let passed = self.passed(now, MADE_UP_MAX);
                let (late, gone): (Vec<_>, Vec<_>) = passed.into_iter().partition(is_late);
                let made_up = gone.last().filter(|_| missed == Missed::Once);
                made_up.copied().into_iter().chain(late).collect()
            }
            // One at a time, the oldest first; the others come when it has ended.
            (false, Missed::All) => self.passed(now, MADE_UP_MAX).into_iter().take(1).collect(),
            (false, Missed::Once) => self.passed(now, 1),
            (false, Missed::Skip) => self.passed(now, 1).into_iter().filter(is_late).collect(),
        };
        let is_one_of_many = !self.overlap && self.missed == Missed::All;
        let done_until = match run_for.last() {
            Some(last) if is_one_of_many => *last,
            _ => now,
        };
        let reason = match self.timetable.next_after(self.due_at) {
            Some(second) if now.since(self.due_at) <= LATE_MAX && second <= now => OVERLAP,
            _ => NOBODY,
        };
        self.verdict(run_for, done_until, reason)
    }

    /// Nothing is run now.
    fn wait(&self, now: Millis) -> Verdict {
        if self.missed == Missed::Skip {
            return self.verdict(Vec::new(), now, OVERLAP);
        }
        Verdict {
            run_for: Vec::new(),
            skipped: None,
            next_due_at: Some(self.due_at),
            next_look_at: Some(now.plus(LOOK_AGAIN)),
        }
    }

    fn verdict(&self, run_for: Vec<Millis>, done_until: Millis, reason: &'static str) -> Verdict {
        let next = self.timetable.next_after(done_until);
        let left_out = self.left_out(&run_for, done_until);
        Verdict {
            run_for,
            skipped: (left_out > 0).then_some(Skipped {
                count: left_out,
                reason,
            }),
            next_due_at: next,
            next_look_at: next,
        }
    }

    /// The last times from when it was due until now, so many at most, the earliest first.
    fn passed(&self, now: Millis, count: usize) -> Vec<Millis> {
        let last = self.timetable.last_until(now);
        let earlier = |at: &Millis| self.timetable.last_until(Millis(at.0 - 1));
        let mut passed: Vec<Millis> = std::iter::successors(last, earlier)
            .take_while(|at| *at >= self.due_at)
            .take(count)
            .collect();
        passed.reverse();
        passed
    }

    /// How many times until then it is not run for; beyond a bound they are not counted.
    fn left_out(&self, run_for: &[Millis], until: Millis) -> u64 {
        let first = Millis(self.due_at.0 - 1);
        let times = std::iter::successors(self.timetable.next_after(first), |at| {
            self.timetable.next_after(*at)
        });
        let passed = times.take_while(|at| *at <= until);
        let counted = passed.take((COUNT_MAX as usize) + run_for.len()).count();
        (counted - run_for.len().min(counted)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const T: i64 = 1_700_000_000_000;
    const MINUTE: i64 = 60_000;
    /// The first full minute after it.
    const FIRST: i64 = T + 40_000;

    fn decide(cron: &str, now: i64, change: impl FnOnce(&mut Due<'_>)) -> Verdict {
        let timetable = Timetable::parse(cron, "UTC").expect("a timetable");
        let mut due = Due {
            timetable: &timetable,
            due_at: Millis(FIRST),
            overlap: false,
            missed: Missed::Skip,
            is_running: false,
        };
        change(&mut due);
        due.decide(Millis(now))
    }

    fn run(run_for: &[i64], skipped: Option<(u64, &'static str)>, next: i64) -> Verdict {
        Verdict {
            run_for: run_for.iter().map(|at| Millis(*at)).collect(),
            skipped: skipped.map(|(count, reason)| Skipped { count, reason }),
            next_due_at: Some(Millis(next)),
            next_look_at: Some(Millis(next)),
        }
    }

    const EACH_MINUTE: &str = "0 * * * * *";

    #[test]
    fn what_is_due_is_run_for_its_time_whatever_the_policy() {
        for missed in Missed::ALL {
            for overlap in [false, true] {
                let verdict = decide(EACH_MINUTE, FIRST + 3, |due| {
                    due.missed = *missed;
                    due.overlap = overlap;
                });
                assert_eq!(verdict, run(&[FIRST], None, FIRST + MINUTE), "{missed}");
            }
        }
    }

    #[test]
    fn what_was_missed_is_left_out_or_made_up_for_as_the_policy_says() {
        // A day later, at 12 s past the minute.
        let now = FIRST + 1440 * MINUTE + 12_000;
        let last = FIRST + 1440 * MINUTE;
        let next = last + MINUTE;
        let verdict = decide(EACH_MINUTE, now, |_| {});
        assert_eq!(verdict, run(&[last], Some((1000, NOBODY)), next));
        let verdict = decide(EACH_MINUTE, now, |due| due.missed = Missed::Once);
        assert_eq!(verdict, run(&[last], Some((1000, NOBODY)), next));
        // One after the other: the first of the last hundred.
        let oldest = last - 99 * MINUTE;
        let verdict = decide(EACH_MINUTE, now, |due| due.missed = Missed::All);
        assert_eq!(
            verdict,
            run(&[oldest], Some((1000, NOBODY)), oldest + MINUTE)
        );
        let verdict = decide(EACH_MINUTE, now, |due| {
            due.missed = Missed::All;
            due.overlap = true;
        });
        assert_eq!(verdict.run_for.len(), 100);
        assert_eq!(verdict.run_for[0], Millis(oldest));
        assert_eq!(verdict.next_due_at, Some(Millis(next)));
    }

    #[test]
    fn a_daily_run_that_was_missed_is_made_up_for_once_or_not_at_all() {
        let day = 1440 * MINUTE;
        // 22:14 each day; three days later, an hour after.
        let now = FIRST + 3 * day + 60 * MINUTE;
        let verdict = decide("0 14 22 * * *", now, |_| {});
        assert_eq!(verdict, run(&[], Some((4, NOBODY)), FIRST + 4 * day));
        for overlap in [false, true] {
            let verdict = decide("0 14 22 * * *", now, |due| {
                due.missed = Missed::Once;
                due.overlap = overlap;
            });
            let last = FIRST + 3 * day;
            assert_eq!(
                verdict,
                run(&[last], Some((3, NOBODY)), FIRST + 4 * day),
                "{overlap}"
            );
        }
    }

    #[test]
    fn a_run_that_has_not_ended_is_not_run_over_unless_allowed() {
        let now = FIRST + 5;
        let running = |due: &mut Due<'_>| due.is_running = true;
        let verdict = decide(EACH_MINUTE, now, running);
        assert_eq!(verdict, run(&[], Some((1, OVERLAP)), FIRST + MINUTE));
        for missed in [Missed::Once, Missed::All] {
            let verdict = decide(EACH_MINUTE, now, |due| {
                due.is_running = true;
                due.missed = missed;
            });
            let waits = Verdict {
                next_due_at: Some(Millis(FIRST)),
                next_look_at: Some(Millis(now + 1000)),
                ..run(&[], None, 0)
            };
            assert_eq!(verdict, waits);
        }
        let verdict = decide(EACH_MINUTE, now, |due| {
            due.is_running = true;
            due.overlap = true;
        });
        assert_eq!(verdict, run(&[FIRST], None, FIRST + MINUTE));
    }

    #[test]
    fn times_of_a_short_halt_are_run_for_late_and_without_overlap_only_the_last() {
        let now = FIRST + 2_500;
        let each_second = "* * * * * *";
        let verdict = decide(each_second, now, |due| due.overlap = true);
        let times = [FIRST, FIRST + 1000, FIRST + 2000];
        assert_eq!(verdict, run(&times, None, FIRST + 3000));
        let verdict = decide(each_second, now, |_| {});
        assert_eq!(
            verdict,
            run(&[FIRST + 2000], Some((2, OVERLAP)), FIRST + 3000)
        );
    }

    #[test]
    fn only_what_a_clock_that_ran_ahead_moved_is_recalled() {
        let daily = Timetable::parse("0 14 22 * * *", "UTC").expect("a timetable");
        let slack = Duration::from_secs(300);
        let (day, year) = (1440 * MINUTE, 365 * 1440 * MINUTE);
        let recalled = |due_at: i64, look_at: i64, now: i64| {
            let stands = (Millis(due_at), Millis(look_at));
            let at = recall(&daily, stands, Millis(now), slack);
            at.map(|(due, look)| (due.0, look.0))
        };
        assert_eq!(recalled(FIRST, FIRST, T), None, "its next time");
        assert_eq!(
            recalled(FIRST + day, FIRST + day, T),
            None,
            "within the slack"
        );
        assert_eq!(
            recalled(FIRST, FIRST + 3_000, FIRST + 2_000),
            None,
            "it waits"
        );
        let ahead = FIRST + 2 * year;
        assert_eq!(recalled(ahead, ahead, T), Some((FIRST, FIRST)));
        let after = FIRST + 1_000;
        assert_eq!(
            recalled(ahead, ahead, after),
            Some((FIRST + day, FIRST + day))
        );
        let waits = recalled(FIRST, ahead, FIRST + 2_000);
        assert_eq!(
            waits,
            Some((FIRST, FIRST)),
            "it would have waited for years"
        );
    }

    #[test]
    fn a_schedule_that_fires_each_second_stays_bounded_after_a_year() {
        let now = FIRST + 365 * 1440 * MINUTE;
        for missed in Missed::ALL {
            for overlap in [false, true] {
                let verdict = decide("* * * * * *", now, |due| {
                    due.missed = *missed;
                    due.overlap = overlap;
                });
                assert!(verdict.run_for.len() <= MADE_UP_MAX, "{missed} {overlap}");
                assert!(!verdict.run_for.is_empty(), "{missed} {overlap}");
            }
        }
    }

    #[test]
    fn the_last_time_of_all_leaves_nothing_to_look_at() {
        let timetable = Timetable::parse("0 0 0 30 2 *", "UTC").expect("a timetable");
        let due = Due {
            timetable: &timetable,
            due_at: Millis(FIRST),
            overlap: false,
            missed: Missed::Once,
            is_running: false,
        };
        let verdict = due.decide(Millis(FIRST));
        assert_eq!((verdict.run_for.len(), verdict.next_look_at), (0, None));
    }
}
