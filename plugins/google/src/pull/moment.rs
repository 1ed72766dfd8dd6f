//! Google's ways to write a time (RFC 3339), and the moment that each is.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;

/// Milliseconds since 1970 of a time with an offset.
pub fn moment_ms(text: &str) -> Option<i64> {
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

/// The same of a field.
pub fn field_ms(object: &Value, field: &str) -> Option<i64> {
    moment_ms(object.get(field)?.as_str()?)
}

/// As Google reads it, in UTC and to the second.
pub fn written(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// When an event begins by its `start`: at a time, or for an all-day event at the beginning of the
/// day in its calendar's zone. A time without an offset is in the zone that stands beside it.
pub fn start_ms(start: &Value, calendar_zone: &str) -> Option<i64> {
    if let Some(time) = start.get("dateTime").and_then(Value::as_str) {
        return moment_ms(time).or_else(|| {
            let zone = start.get("timeZone").and_then(Value::as_str);
            let local = time.parse::<DateTime>().ok()?;
            in_zone(local, zone.unwrap_or(calendar_zone))
        });
    }
    let date = start.get("date")?.as_str()?.parse::<Date>().ok()?;
    // Where clocks are put forward at midnight the day begins at one.
    let begins: Option<Zoned> = zone_named(calendar_zone).and_then(|zone| date.to_zoned(zone).ok());
    begins.map(|begins| begins.timestamp().as_millisecond())
}

fn in_zone(local: DateTime, zone: &str) -> Option<i64> {
    let zoned = local.to_zoned(zone_named(zone)?).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// A zone that nobody knows counts as UTC: a late or early start is better than none.
fn zone_named(name: &str) -> Option<TimeZone> {
    Some(TimeZone::get(name).unwrap_or(TimeZone::UTC))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(start: Value, zone: &str, utc: &str) {
        assert_eq!(start_ms(&start, zone), moment_ms(utc), "{start} in {zone}");
    }

    #[test]
    fn a_start_is_one_moment_however_it_is_written() {
        let utc = "2026-03-28T08:00:00Z";
        check(json!({"dateTime": "2026-03-28T09:00:00+01:00"}), "UTC", utc);
        check(
            json!({"dateTime": "2026-03-28T08:00:00Z"}),
            "Asia/Tokyo",
            utc,
        );
        check(
            json!({"dateTime": "2026-03-28T09:00:00", "timeZone": "Europe/Berlin"}),
            "UTC",
            utc,
        );
        check(
            json!({"dateTime": "2026-03-28T09:00:00"}),
            "Europe/Berlin",
            utc,
        );
    }

    #[test]
    fn an_all_day_event_begins_with_the_day_of_its_calendar() {
        check(
            json!({"date": "2026-07-01"}),
            "Europe/Berlin",
            "2026-06-30T22:00:00Z",
        );
        check(
            json!({"date": "2026-01-01"}),
            "America/New_York",
            "2026-01-01T05:00:00Z",
        );
        check(
            json!({"date": "2026-01-01"}),
            "Asia/Kolkata",
            "2025-12-31T18:30:00Z",
        );
        // No midnight on this day: clocks went from 23:59:59 to 01:00.
        check(
            json!({"date": "2018-11-04"}),
            "America/Sao_Paulo",
            "2018-11-04T03:00:00Z",
        );
        check(
            json!({"date": "2026-01-01"}),
            "Mars/Olympus",
            "2026-01-01T00:00:00Z",
        );
    }

    #[test]
    fn what_is_no_time_has_no_moment() {
        assert_eq!(start_ms(&json!({}), "UTC"), None);
        assert_eq!(start_ms(&json!({"date": "soon"}), "UTC"), None);
        assert_eq!(start_ms(&json!({"dateTime": 5}), "UTC"), None);
        assert_eq!(written(1_700_000_000_123), "2023-11-14T22:13:20Z");
    }
}
