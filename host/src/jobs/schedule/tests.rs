//! Fairness and limits: single cases, and many seeded runs of a simulated host.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::jobs::breaker::FAILURES_TO_OPEN;

fn runnable(number: usize) -> RunnableId {
    let digit = char::from(b'0' + u8::try_from(number).expect("a small number"));
    let body: String = std::iter::repeat_n(digit, 26).collect();
    format!("run_{body}").parse().expect("an id")
}

fn candidates(concurrencies: &[u32]) -> Vec<Candidate> {
    let all = concurrencies.iter().enumerate();
    all.map(|(number, concurrency)| Candidate {
        runnable: runnable(number),
        concurrency: *concurrency,
    })
    .collect()
}

fn places(grants: &[Grant]) -> Vec<u32> {
    let count = |number| {
        let of = grants
            .iter()
            .filter(|grant| grant.runnable == runnable(number));
        of.map(|grant| grant.places).sum()
    };
    (0..3).map(count).collect()
}

#[test]
fn free_places_go_round() {
    let mut schedule = Schedule::new(8);
    // A quarter of the eight is kept for those with nothing running.
    assert_eq!(
        places(&schedule.grant(&candidates(&[9, 9, 9]), Millis(0))),
        [2, 2, 2]
    );
    assert_eq!(schedule.running(), 6);
    assert_eq!(schedule.grant(&candidates(&[9, 9, 9]), Millis(0)), []);
}

#[test]
fn the_turn_goes_on_after_the_one_served_last() {
    let mut schedule = Schedule::new(1);
    let all = candidates(&[9, 9, 9]);
    let mut served = Vec::new();
    for _ in 0..6 {
        let grants = schedule.grant(&all, Millis(0));
        served.push(grants[0].runnable.clone());
        schedule.end(&grants[0].runnable, Verdict::Well, Millis(0), 0.5);
    }
    let expected: Vec<_> = [0, 1, 2, 0, 1, 2].map(runnable).into();
    assert_eq!(served, expected);
}

#[test]
fn a_runnable_stays_within_its_own_limit() {
    let mut schedule = Schedule::new(100);
    assert_eq!(
        places(&schedule.grant(&candidates(&[2, 1, 50]), Millis(0))),
        [2, 1, 50]
    );
    assert_eq!(schedule.grant(&candidates(&[2, 1, 50]), Millis(0)), []);
    schedule.end(&runnable(0), Verdict::Well, Millis(0), 0.5);
    assert_eq!(
        places(&schedule.grant(&candidates(&[2, 1, 50]), Millis(0))),
        [1, 0, 0]
    );
}

#[test]
fn places_that_found_no_job_are_free_again() {
    let mut schedule = Schedule::new(4);
    schedule.grant(&candidates(&[4]), Millis(0));
    schedule.give_back(&runnable(0), 2);
    schedule.give_back(&runnable(0), 1);
    assert_eq!((schedule.running(), schedule.runnables.len()), (0, 0));
}

#[test]
fn slow_runnables_leave_room_for_one_that_comes_later() {
    let mut schedule = Schedule::new(8);
    schedule.grant(&candidates(&[8, 8]), Millis(0));
    assert_eq!(
        places(&schedule.grant(&candidates(&[8, 8, 8]), Millis(0))),
        [0, 0, 1]
    );
}

#[test]
fn a_dead_target_is_probed_by_one_job_at_a_time() {
    let mut schedule = Schedule::new(100);
    let one = candidates(&[5]);
    schedule.grant(&one, Millis(0));
    for _ in 0..FAILURES_TO_OPEN {
        schedule.end(&runnable(0), Verdict::Trouble, Millis(0), 0.5);
    }
    assert_eq!(schedule.grant(&one, Millis(999)), []);
    assert_eq!(schedule.next_probe(&one, Millis(0)), Some(Millis(1_000)));
    assert_eq!(places(&schedule.grant(&one, Millis(1_000))), [1, 0, 0]);
    assert_eq!(schedule.grant(&one, Millis(1_000)), []);
    schedule.end(&runnable(0), Verdict::Well, Millis(1_001), 0.5);
    assert_eq!(places(&schedule.grant(&one, Millis(1_001))), [5, 0, 0]);
}

/// A linear congruential generator is random enough to mix a schedule, and repeatable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }

    fn fraction(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }
}

/// A runnable of the simulation: how long its jobs take, and until when its target is dead.
struct Simulated {
    concurrency: u32,
    takes_max: u64,
    dead_until: Millis,
    waiting: VecDeque<Millis>,
}

const DEAD: usize = 0;
const SLOW: usize = 1;
const RUNNABLES: usize = 6;
const JOBS: usize = 60;

fn simulated(dice: &mut Dice) -> Vec<Simulated> {
    (0..RUNNABLES)
        .map(|number| Simulated {
            concurrency: 1 + dice.below(8) as u32,
            takes_max: if number == SLOW { 30_000 } else { 20 },
            dead_until: Millis(if number == DEAD { 60_000 } else { 0 }),
            waiting: (0..JOBS)
                .map(|_| Millis(dice.below(2_000) as i64))
                .collect(),
        })
        .collect()
}

/// Runs a host of few places until everything is done; answers with the longest that a job of a
/// quick and healthy runnable waited.
fn simulate(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let places = 8 + dice.below(24) as u32;
    let mut all = simulated(&mut dice);
    let mut schedule = Schedule::new(places);
    let mut ends: BTreeMap<(Millis, u64), (usize, Verdict)> = BTreeMap::new();
    let (mut now, mut serial, mut waited_max, mut probes) = (Millis(0), 0, 0, 0);
    loop {
        let due: Vec<_> = (0..RUNNABLES)
            .filter(|number| all[*number].waiting.iter().any(|due| *due <= now))
            .map(|number| Candidate {
                runnable: runnable(number),
                concurrency: all[number].concurrency,
            })
            .collect();
        for grant in schedule.grant(&due, now) {
            let number = (0..RUNNABLES).find(|number| runnable(*number) == grant.runnable);
            let number = number.expect("a runnable of the simulation");
            for _ in 0..grant.places {
                let simulated = &mut all[number];
                let Some(at) = simulated.waiting.iter().position(|due| *due <= now) else {
                    schedule.give_back(&grant.runnable, 1);
                    continue;
                };
                let due = simulated.waiting.remove(at).expect("it is there");
                let is_dead = now < simulated.dead_until;
                probes += u64::from(is_dead);
                if number > SLOW {
                    waited_max = waited_max.max((now.0 - due.0).unsigned_abs());
                }
                let takes = if is_dead {
                    5_000
                } else {
                    1 + dice.below(simulated.takes_max)
                };
                let verdict = if is_dead {
                    Verdict::Trouble
                } else {
                    Verdict::Well
                };
                if is_dead {
                    simulated.waiting.push_back(due);
                }
                serial += 1;
                ends.insert((Millis(now.0 + takes as i64), serial), (number, verdict));
            }
        }
        assert!(
            schedule.running() <= places,
            "seed {seed}: more run than there are places"
        );
        for (number, simulated) in all.iter().enumerate() {
            let running = ends.values().filter(|(other, _)| *other == number).count();
            assert!(
                running <= simulated.concurrency as usize,
                "seed {seed}: over its own limit"
            );
        }
        let next_due = all
            .iter()
            .flat_map(|one| &one.waiting)
            .filter(|due| **due > now)
            .min();
        let next_probe = schedule.next_probe(&due, now);
        let next_end = ends.keys().next().map(|(at, _)| *at);
        let Some(next) = [next_due.copied(), next_probe, next_end]
            .into_iter()
            .flatten()
            .min()
        else {
            break;
        };
        now = next;
        while let Some(entry) = ends.first_entry().filter(|entry| entry.key().0 <= now) {
            let (number, verdict) = entry.remove();
            schedule.end(&runnable(number), verdict, now, dice.fraction());
        }
    }
    let left: usize = all.iter().map(|one| one.waiting.len()).sum();
    assert_eq!(
        (left, schedule.running()),
        (0, 0),
        "seed {seed}: jobs were left behind"
    );
    assert!(
        probes <= 40,
        "seed {seed}: a dead target was asked {probes} times in a minute"
    );
    waited_max
}

#[test]
fn slow_and_dead_runnables_do_not_hold_up_the_others() {
    for seed in 0..100 {
        let waited_max = simulate(seed);
        assert!(
            waited_max < 4_000,
            "seed {seed}: a quick job waited {waited_max} ms"
        );
    }
}
