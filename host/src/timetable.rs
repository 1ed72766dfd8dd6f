//! Timetables: cron expressions, with seconds, in a time zone of the IANA, as instants.
//!
//! Where a clock is put forward, times of day that are named (`30 2,14 * * *`, a range) and lie in the
//! gap run at its end, once. Where it is put back, one that comes twice runs at the first of the two.
//! An expression with `*` or a step in its hours, minutes or seconds runs by the clock that passes: it
//! leaves out what is not there, and runs at both. (So does cron itself since Vixie's. croner does it
//! for a single time; several are looked for here on a wall without gaps, then found in the zone.)

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, Zoned};

use crate::clock::Millis;

/// Longer expressions are refused.
const CRON_MAX: usize = 200;

/// The times of a cron expression in a time zone.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    /// Its times of day are named, without `*` or step.
    names_times: bool,
}

/// Why there is no timetable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimetableError {
    #[error(
        "expected a cron expression of six fields (second minute hour day month weekday) or of five, which begin with the minute: {0}"
    )]
    Cron(String),
    #[error("expected a name of the IANA's time zones, like Europe/Berlin or UTC")]
    Zone,
}

impl Timetable {
    /// Reads both; whether it ever comes to a time is another question ([`Timetable::next_after`]).
    pub fn parse(cron: &str, zone: &str) -> Result<Timetable, TimetableError> {
        let cron = parse_cron(cron).map_err(TimetableError::Cron)?;
        let fields = [
            &cron.pattern.seconds,
            &cron.pattern.minutes,
            &cron.pattern.hours,
        ];
        Ok(Timetable {
            names_times: fields
                .iter()
                .all(|field| !field.from_wildcard && field.step == 1),
            cron,
            zone: TimeZone::get(zone).map_err(|_| TimetableError::Zone)?,
        })
    }

    /// The first time after an instant; none: it never comes to one again.
    pub fn next_after(&self, at: Millis) -> Option<Millis> {
        let from = self.zoned(at)?;
        if self.names_times {
            let mut wall = from.datetime();
            loop {
                let from = wall.to_zoned(TimeZone::UTC).ok()?;
                wall = self
                    .cron
                    .find_next_occurrence(&from, false)
                    .ok()?
                    .datetime();
                // In the second of two same hours, all of the first are over.
                let found = self.instant_of(wall)?;
                if found > at {
                    return Some(found);
                }
            }
        }
        let found = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(millis(&found)).filter(|found| *found > at)
    }

    /// The last time that is not after an instant.
    pub fn last_until(&self, at: Millis) -> Option<Millis> {
        let from = self.zoned(at)?;
        if self.names_times {
            let mut wall = self.latest_wall(&from);
            loop {
                let from = wall.to_zoned(TimeZone::UTC).ok()?;
                let found = self
                    .cron
                    .find_previous_occurrence(&from, true)
                    .ok()?
                    .datetime();
                let instant = self.instant_of(found)?;
                if instant <= at {
                    return Some(instant);
                }
                wall = found.checked_sub(Span::new().seconds(1)).ok()?;
            }
        }
        let found = self.cron.find_previous_occurrence(&from, true).ok()?;
        Some(millis(&found)).filter(|found| *found <= at)
    }

    /// The next times after an instant, so many at most.
    pub fn next_times(&self, at: Millis, count: usize) -> Vec<Millis> {
        let first = self.next_after(at);
        std::iter::successors(first, |at| self.next_after(*at))
            .take(count)
            .collect()
    }

    /// An instant as the clock on the wall shows it there: `2026-11-22T02:00:00+01:00`.
    pub fn shown(&self, at: Millis) -> String {
        match self.zoned(at) {
            Some(zoned) => zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            None => at.to_string(),
        }
    }

    /// When the clock on the wall shows this for the first time, or is past it.
    fn instant_of(&self, wall: DateTime) -> Option<Millis> {
        let timestamp = match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
            AmbiguousOffset::Gap { after, .. } => {
                let before_gap = after.to_timestamp(wall).ok()?;
                self.zone.following(before_gap).next()?.timestamp()
            }
        };
        Some(Millis(timestamp.as_millisecond()))
    }

    /// The latest that the clock on the wall had shown by then: in the second of two same hours that is
    /// later than what it shows.
    fn latest_wall(&self, at: &Zoned) -> DateTime {
        let wall = at.datetime();
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Fold { before, .. } => before.to_datetime(at.timestamp()),
            _ => wall,
        }
    }

    /// The second of an instant.
    fn zoned(&self, at: Millis) -> Option<Zoned> {
        let second = Timestamp::from_second(at.0.div_euclid(1000)).ok()?;
        Some(second.to_zoned(self.zone.clone()))
    }
}

fn parse_cron(text: &str) -> Result<Cron, String> {
    if text.len() > CRON_MAX {
        return Err(format!("it is longer than {CRON_MAX} bytes"));
    }
    let fields = text.split_ascii_whitespace().count();
    let is_nickname = fields == 1 && text.trim_start().starts_with('@');
    if !is_nickname && !(5..=6).contains(&fields) {
        return Err(format!("found {fields} fields"));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).map_err(|error| error.to_string())
}

fn millis(at: &Zoned) -> Millis {
    Millis(at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn at(text: &str) -> Millis {
        let timestamp: Timestamp = text.parse().expect("a time");
        Millis(timestamp.as_millisecond())
    }

    fn check(cron: &str, zone: &str, from: &str, expected: Expect) {
        let timetable = Timetable::parse(cron, zone).expect("a timetable");
        let times = timetable.next_times(at(from), 4);
        let shown: Vec<String> = times.iter().map(|at| timetable.shown(*at)).collect();
        expected.assert_eq(&shown.join("\n"));
        for time in &times {
            assert_eq!(timetable.last_until(*time), Some(*time), "back from it");
        }
        for pair in times.windows(2) {
            let before = Millis(pair[1].0 - 1);
            assert_eq!(timetable.last_until(before), Some(pair[0]), "back to it");
        }
    }

    #[test]
    fn times_are_those_of_the_wall_clock_of_a_zone() {
        check(
            "0 0 2 * * *",
            "Europe/Berlin",
            "2026-11-21T08:00:00Z",
            expect![[r#"
                2026-11-22T02:00:00+01:00
                2026-11-23T02:00:00+01:00
                2026-11-24T02:00:00+01:00
                2026-11-25T02:00:00+01:00"#]],
        );
        check(
            "*/20 * * * * *",
            "UTC",
            "2026-11-21T08:00:00.001Z",
            expect![[r#"
                2026-11-21T08:00:20+00:00
                2026-11-21T08:00:40+00:00
                2026-11-21T08:01:00+00:00
                2026-11-21T08:01:20+00:00"#]],
        );
        check(
            "30 9 * * MON-FRI",
            "America/New_York",
            "2026-11-20T15:00:00Z",
            expect![[r#"
                2026-11-23T09:30:00-05:00
                2026-11-24T09:30:00-05:00
                2026-11-25T09:30:00-05:00
                2026-11-26T09:30:00-05:00"#]],
        );
    }

    #[test]
    fn a_time_of_day_in_a_gap_runs_at_its_end_and_steps_leave_the_gap_out() {
        check(
            "0 30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            expect![[r#"
                2026-03-28T02:30:00+01:00
                2026-03-29T03:00:00+02:00
                2026-03-30T02:30:00+02:00
                2026-03-31T02:30:00+02:00"#]],
        );
        check(
            "0 */30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:29:59Z",
            expect![[r#"
                2026-03-29T01:30:00+01:00
                2026-03-29T03:00:00+02:00
                2026-03-29T03:30:00+02:00
                2026-03-29T04:00:00+02:00"#]],
        );
    }

    #[test]
    fn a_time_of_day_that_comes_twice_runs_once_and_steps_run_at_both() {
        check(
            "0 30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            expect![[r#"
                2026-10-25T02:30:00+02:00
                2026-10-26T02:30:00+01:00
                2026-10-27T02:30:00+01:00
                2026-10-28T02:30:00+01:00"#]],
        );
        check(
            "0 */30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:01Z",
            expect![[r#"
                2026-10-25T02:30:00+02:00
                2026-10-25T02:00:00+01:00
                2026-10-25T02:30:00+01:00
                2026-10-25T03:00:00+01:00"#]],
        );
    }

    #[test]
    fn several_times_of_day_keep_to_the_same_rules_as_one() {
        check(
            "30 2,14 * * *",
            "Europe/Berlin",
            "2026-03-28T14:00:00Z",
            expect![[r#"
                2026-03-29T03:00:00+02:00
                2026-03-29T14:30:00+02:00
                2026-03-30T02:30:00+02:00
                2026-03-30T14:30:00+02:00"#]],
        );
        // Both lie in the gap, and there is one end of it.
        check(
            "0 0,30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T14:00:00Z",
            expect![[r#"
                2026-03-29T03:00:00+02:00
                2026-03-30T02:00:00+02:00
                2026-03-30T02:30:00+02:00
                2026-03-31T02:00:00+02:00"#]],
        );
        check(
            "0 0,30 2-3 * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            expect![[r#"
                2026-10-25T02:30:00+02:00
                2026-10-25T03:00:00+01:00
                2026-10-25T03:30:00+01:00
                2026-10-26T02:00:00+01:00"#]],
        );
        // Looked at in the second of the two hours.
        let timetable = Timetable::parse("0 0,30 2 * * *", "Europe/Berlin").expect("good");
        let second = at("2026-10-25T01:10:00Z");
        let last = timetable.last_until(second);
        assert_eq!(last, Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(
            timetable.next_after(second),
            Some(at("2026-10-26T01:00:00Z"))
        );
        // At the other end of the world, by half an hour.
        check(
            "0 15 1,2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            expect![[r#"
                2026-10-04T01:15:00+10:30
                2026-10-04T02:30:00+11:00
                2026-10-05T01:15:00+11:00
                2026-10-05T02:15:00+11:00"#]],
        );
    }

    #[test]
    fn an_expression_may_never_come_to_a_time() {
        let never = Timetable::parse("0 0 0 30 2 *", "UTC").expect("a timetable");
        assert_eq!(never.next_after(at("2026-11-21T08:00:00Z")), None);
        let leap = Timetable::parse("0 0 0 29 2 *", "UTC").expect("a timetable");
        let next = leap.next_after(at("2096-11-21T08:00:00Z"));
        assert_eq!(next, Some(at("2104-02-29T00:00:00Z")));
    }

    #[test]
    fn what_is_no_expression_or_zone_is_refused() {
        for cron in [
            "",
            "x",
            "* * * *",
            "60 * * * * *",
            "* * 24 * * *",
            "0 0 0 32 1 *",
            "0 0 0 * 13 *",
            "* * * * * * 2026",
            "@reboot",
            "0 0 0 * * *; rm",
            "*/0 * * * * *",
            &"* ".repeat(3000),
            // Good, but for its length.
            &format!("{}0 0 0 * * *", "0,".repeat(CRON_MAX / 2)),
        ] {
            let refused = Timetable::parse(cron, "UTC");
            assert!(matches!(refused, Err(TimetableError::Cron(_))), "{cron}");
        }
        for zone in ["", "Europe/Nowhere", "../../etc/passwd", "/etc/localtime"] {
            let refused = Timetable::parse("* * * * * *", zone);
            assert_eq!(refused.err(), Some(TimetableError::Zone), "{zone}");
        }
        assert!(Timetable::parse("@daily", "UTC").is_ok());
    }
}
