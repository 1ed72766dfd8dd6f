//! Series of events: the rules that the fake understands, expanded in the zone of the series.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::clock::parse_ms;

/// No test looks further.
const STEPS_MAX: usize = 4_000;

/// When one event of a series begins and ends.
pub struct Instance {
    /// What is appended to the id of the series: `20260328T080000Z` or `20260328`.
    pub suffix: String,
    pub start: Value,
    pub end: Value,
}

struct Rule {
    weekly: bool,
    every: i64,
    count: usize,
    until_ms: i64,
    days: Vec<Weekday>,
}

/// The moment of a `start` or `end`, all-day ones in the calendar's zone.
pub fn moment_ms(value: &Value, zone: &str) -> Option<i64> {
    match value["dateTime"].as_str() {
        Some(time) => parse_ms(time),
        None => {
            let date: Date = value["date"].as_str()?.parse().ok()?;
            let zoned = date.to_zoned(TimeZone::get(zone).ok()?).ok()?;
            Some(zoned.timestamp().as_millisecond())
        }
    }
}

/// The events of a series that begin before `until_ms` and end after `from_ms`.
///
/// # Errors
/// A sentence for a rule that is not understood.
pub fn instances(
    series: &Value,
    calendar_zone: &str,
    from_ms: i64,
    until_ms: i64,
) -> Result<Vec<Instance>, String> {
    let rule = Rule::parse(series["recurrence"][0].as_str().unwrap_or_default())?;
    let all_day = series["start"]["date"].is_string();
    let zone_name = series["start"]["timeZone"]
        .as_str()
        .unwrap_or(calendar_zone);
    let zone = TimeZone::get(zone_name).map_err(|error| error.to_string())?;
    let no_start = || "a series needs a start and an end".to_owned();
    let start_ms = moment_ms(&series["start"], calendar_zone).ok_or_else(no_start)?;
    let end_ms = moment_ms(&series["end"], calendar_zone).ok_or_else(no_start)?;
    let first = local(start_ms, &zone);
    let length = local(end_ms, &zone) - first;
    let mut found = Vec::new();
    let mut count = 0;
    for step in 0..STEPS_MAX {
        let days = i64::try_from(step).unwrap_or_default();
        let begins = first + days.days();
        if !rule.fits(first.date(), begins.date(), days) {
            continue;
        }
        count += 1;
        let moment = |local: DateTime| {
            let zoned = local
                .to_zoned(zone.clone())
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(zoned)
        };
        let (begin, end) = (moment(begins)?, moment(begins + length)?);
        let (start_ms, end_ms) = (
            begin.timestamp().as_millisecond(),
            end.timestamp().as_millisecond(),
        );
        if count > rule.count || start_ms > rule.until_ms || start_ms >= until_ms {
            break;
        }
        if end_ms <= from_ms {
            continue;
        }
        let written = |zoned: &jiff::Zoned| match all_day {
            true => json!({"date": zoned.date().to_string()}),
            false => json!({
                "dateTime": zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                "timeZone": zone_name,
            }),
        };
        found.push(Instance {
            suffix: match all_day {
                true => begins.strftime("%Y%m%d").to_string(),
                false => begin.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string(),
            },
            start: written(&begin),
            end: written(&end),
        });
    }
    Ok(found)
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = text
            .strip_prefix("RRULE:")
            .ok_or_else(|| format!("`{text}` is no RRULE"))?;
        let mut rule = Self {
            weekly: false,
            every: 1,
            count: usize::MAX,
            until_ms: i64::MAX,
            days: Vec::new(),
        };
        for part in parts.split(';') {
            let wrong = || format!("the fake does not understand {part}");
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            match (name, value) {
                ("FREQ", "DAILY") => rule.weekly = false,
                ("FREQ", "WEEKLY") => rule.weekly = true,
                ("INTERVAL", every) => rule.every = every.parse().map_err(|_| wrong())?,
                ("COUNT", count) => rule.count = count.parse().map_err(|_| wrong())?,
                ("UNTIL", until) => {
                    let until =
                        Timestamp::strptime("%Y%m%dT%H%M%S%#z", until.replace('Z', "+00:00"));
                    rule.until_ms = until.map_err(|_| wrong())?.as_millisecond();
                }
                ("BYDAY", days) => {
                    let days = days.split(',').map(|day| weekday(day).ok_or_else(wrong));
                    rule.days = days.collect::<Result<_, _>>()?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(rule)
    }

    fn fits(&self, first: Date, day: Date, days: i64) -> bool {
        if !self.weekly {
            return days % self.every == 0;
        }
        let monday = i64::from(first.weekday().to_monday_zero_offset());
        let week = (days + monday) / 7;
        let wanted = match self.days.as_slice() {
            [] => day.weekday() == first.weekday(),
            days => days.contains(&day.weekday()),
        };
        week % self.every == 0 && wanted
    }
}

fn local(ms: i64, zone: &TimeZone) -> DateTime {
    let moment = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone()).datetime()
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_local_time_over_a_change_of_clocks() {
        let series = json!({
            "start": {"dateTime": "2026-03-27T09:00:00+01:00", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": "2026-03-27T09:30:00+01:00", "timeZone": "Europe/Berlin"},
            "recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=FR,SU,MO;COUNT=4"],
        });
        let found = instances(&series, "UTC", 0, i64::MAX).unwrap();
        let starts: Vec<&str> = found
            .iter()
            .map(|instance| instance.start["dateTime"].as_str().unwrap())
            .collect();
        assert_eq!(
            starts,
            [
                "2026-03-27T09:00:00+01:00",
                "2026-03-29T09:00:00+02:00",
                "2026-03-30T09:00:00+02:00",
                "2026-04-03T09:00:00+02:00",
            ]
        );
        assert_eq!(found[1].suffix, "20260329T070000Z");
        assert_eq!(found[1].end["dateTime"], "2026-03-29T09:30:00+02:00");
    }
}
