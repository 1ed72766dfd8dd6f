//! The `poll` of a managed subscription: when it is pulled, where that is not left to its provider.

use std::time::Duration;

use serde_json::{Value, json};

use super::fields::Fields;
use super::mistake::Mistake;
use crate::clock::Millis;
use crate::model::Poll;
use crate::timetable::{Timetable, TimetableError};
use crate::units::{parse_duration, show_duration};

/// A service is not asked more often.
const EVERY_MIN: Duration = Duration::from_secs(10);
const EVERY_MAX: Duration = Duration::from_secs(30 * 86_400);
const ZONE_DEFAULT: &str = "UTC";
/// So many times of a timetable are looked at for how close they are.
const TIMES_LOOKED_AT: usize = 100;

pub(super) fn read(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Option<Poll> {
    let value = fields.value("poll")?;
    let pointer = fields.pointer_of("poll");
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let every = fields.text_if_any("every", mistakes);
    let cron = fields.text_if_any("cron", mistakes);
    let timezone = fields.text_if_any("timezone", mistakes);
    let poll = match (every, cron) {
        (Some(_), None) if timezone.is_some() => {
            let said = "an interval has no time zone; it is for `cron`".to_owned();
            Err(("timezone", said))
        }
        (Some(every), None) => read_every(every).map_err(|said| ("every", said)),
        (None, Some(cron)) => read_cron(cron, timezone.unwrap_or(ZONE_DEFAULT)),
        _ => {
            let message = "`poll`: expected either `every` or `cron`";
            mistakes.push(Mistake::value(pointer.clone(), message));
            fields.finish(mistakes);
            return None;
        }
    };
    let place = |key: &str| format!("{pointer}/{key}");
    let read = poll.map_err(|(key, said)| {
        mistakes.push(Mistake::value(place(key), format!("`{key}`: {said}")));
    });
    fields.finish(mistakes);
    read.ok()
}

fn read_every(text: &str) -> Result<Poll, String> {
    let every = parse_duration(text).filter(|every| (EVERY_MIN..=EVERY_MAX).contains(every));
    every.map(Poll::Every).ok_or_else(|| {
        let (least, most) = (show_duration(EVERY_MIN), show_duration(EVERY_MAX));
        format!("expected a duration from {least} to {most}, like 5m")
    })
}

fn read_cron(cron: &str, timezone: &str) -> Result<Poll, (&'static str, String)> {
    let timetable = Timetable::parse(cron, timezone).map_err(|error| {
        let key = match error {
            TimetableError::Cron(_) => "cron",
            TimetableError::Zone => "timezone",
        };
        (key, error.to_string())
    })?;
    // Which times does not depend on now, but for a day that never comes.
    let times = timetable.next_times(Millis(0), TIMES_LOOKED_AT);
    if times.is_empty() {
        return Err(("cron", "there is no such day".to_owned()));
    }
    if times
        .windows(2)
        .any(|pair| pair[1].since(pair[0]) < EVERY_MIN)
    {
        let least = show_duration(EVERY_MIN);
        return Err(("cron", format!("its times are closer than {least}")));
    }
    Ok(Poll::At {
        cron: cron.to_owned(),
        timezone: timezone.to_owned(),
    })
}

/// As a document says it.
pub(super) fn shown(poll: Option<&Poll>) -> Value {
    match poll {
        Some(Poll::Every(every)) => json!({"every": show_duration(*every)}),
        Some(Poll::At { cron, timezone }) => json!({"cron": cron, "timezone": timezone}),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_interval_and_a_timetable_are_told_apart() {
        for (poll, expected) in [
            (json!({"every": "5m"}), None),
            (
                json!({"cron": "0 0 * * * *", "timezone": "Europe/Berlin"}),
                None,
            ),
            (
                json!({"every": "5m", "timezone": "Europe/Berlin"}),
                Some("/poll/timezone"),
            ),
            (json!({"every": "5m", "cron": "0 0 * * * *"}), Some("/poll")),
            (json!({"timezone": "UTC"}), Some("/poll")),
            (json!({"every": "1s"}), Some("/poll/every")),
            (
                json!({"cron": "0 0 * * * *", "timezone": "Mars/North"}),
                Some("/poll/timezone"),
            ),
        ] {
            let mut mistakes = Vec::new();
            let said = json!({ "poll": poll });
            let mut fields = Fields::open(&said, "", &mut mistakes).expect("a map");
            let read = read(&mut fields, &mut mistakes);
            let places: Vec<&str> = mistakes.iter().map(|one| one.pointer.as_str()).collect();
            assert_eq!(places, Vec::from_iter(expected), "{poll}");
            assert_eq!(read.is_some(), expected.is_none(), "{poll}");
        }
    }
}
