//! Durations (`5m`) and moments (RFC 3339, seconds, milliseconds) as declarations and payloads write them.

/// Milliseconds in a text such as `500ms`, `90s`, `5m`, `24h`, `7d`.
pub fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Rfc3339,
}

impl Unit {
    /// Milliseconds since 1970 in UTC; `None` when the text is not such a moment.
    pub fn read(self, text: &str) -> Option<i64> {
        match self {
            Self::Seconds => seconds(text),
            Self::Milliseconds => whole(text),
            Self::Rfc3339 => rfc3339_ms(text),
        }
    }

    /// The text for `ms` milliseconds since 1970.
    pub fn write(self, ms: i64) -> String {
        match self {
            Self::Seconds => ms.div_euclid(1000).to_string(),
            Self::Milliseconds | Self::Rfc3339 => ms.to_string(),
        }
    }
}

/// Digits only (with a sign perhaps), so that `1e9` and ` 5` are no moments.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Seconds, with a fraction of which three digits count (`1355517523.000005`).
fn seconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = whole(seconds)?.checked_mul(1000)?;
    seconds.checked_add(milliseconds(fraction)?)
}

fn milliseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<3}").get(..3)?.parse().ok()
}

/// RFC 3339, section 5.6, with `T` or a space between date and time; a leap second counts as the next second.
fn rfc3339_ms(text: &str) -> Option<i64> {
    let number =
        |range: std::ops::Range<usize>| whole(text.get(range)?).filter(|number| *number >= 0);
    let is =
        |at: usize, allowed: &[u8]| text.as_bytes().get(at).is_some_and(|b| allowed.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let ms = match fraction.strip_prefix('.') {
        Some(digits) => milliseconds(digits)?,
        None if fraction.is_empty() => 0,
        None => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - zone_seconds(zone)?) * 1_000 + ms)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let seconds = whole(hours)? * 3_600 + whole(minutes)? * 60;
    Some(if zone.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

/// Days since 1970-01-01 of the proleptic Gregorian calendar, counted in years that begin in March, so
/// that the leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration_ms("5m"), Some(300_000));
        assert_eq!(duration_ms("72h"), Some(259_200_000));
        assert_eq!(duration_ms("500ms"), Some(500));
        for wrong in [
            "",
            "5",
            "m",
            "-5m",
            "5 m",
            "5w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_read_as_they_are_written() {
        // Expected values by `date -u -d … +%s`.
        assert_eq!(
            Unit::Rfc3339.read("2024-02-29T23:59:59Z"),
            Some(1_709_251_199_000)
        );
        assert_eq!(Unit::Rfc3339.read("1969-12-31T23:59:59.5Z"), Some(-500));
        assert_eq!(
            Unit::Rfc3339.read("2019-05-15T15:20:33+02:00"),
            Some(1_557_926_433_000)
        );
        assert_eq!(
            Unit::Rfc3339.read("2000-01-01 00:00:00.123456-05:30"),
            Some(946_704_600_123)
        );
        assert_eq!(Unit::Seconds.read("1700000000"), Some(1_700_000_000_000));
        assert_eq!(
            Unit::Seconds.read("1355517523.000005"),
            Some(1_355_517_523_000)
        );
        assert_eq!(
            Unit::Milliseconds.read("1700000000123"),
            Some(1_700_000_000_123)
        );
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for wrong in [
            "",
            "2024-02-29",
            "2024-13-01T00:00:00Z",
            "2024-02-29T23:59:59",
            "2024-02-29T24:00:00Z",
            "ü024-02-29T23:59:59Z",
        ] {
            assert_eq!(Unit::Rfc3339.read(wrong), None, "{wrong}");
        }
        for wrong in [
            "",
            "-",
            "1e9",
            " 5",
            "5 ",
            "1.",
            "0x5",
            "99999999999999999999",
        ] {
            assert_eq!(Unit::Seconds.read(wrong), None, "{wrong}");
        }
    }
}
