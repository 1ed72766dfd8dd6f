//! Moments as GitHub writes them, in milliseconds since 1970.

/// Reads `2026-12-01T09:30:00Z` with or without fractions or offset (RFC 3339), and
/// `2026-12-01 09:30:00 UTC` or `2026-12-01 09:30:00 +0100`, as a token's end is written.
pub fn instant_ms(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_once(['T', ' '])?;
    let zone_at = rest.find(['Z', '+', '-', ' '])?;
    let (time, zone) = rest.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let (&[year, month, day], &[hour, minute, second]) = (
        numbers(date, '-')?.as_slice(),
        numbers(time, ':')?.as_slice(),
    ) else {
        return None;
    };
    let minutes =
        (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes(zone)?;
    Some((minutes * 60 + second) * 1000 + thousandths(fraction)?)
}

fn numbers(text: &str, separator: char) -> Option<Vec<i64>> {
    text.split(separator)
        .map(|number| number.parse().ok())
        .collect()
}

fn thousandths(fraction: &str) -> Option<i64> {
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    digits.parse().ok()
}

fn offset_minutes(zone: &str) -> Option<i64> {
    let zone = zone.trim();
    if matches!(zone, "Z" | "UTC") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: i64 = zone.get(1..)?.replace(':', "").parse().ok()?;
    Some(sign * (digits / 100 * 60 + digits % 100))
}

/// Counts from 1 March, so that the leap day is a year's last.
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
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
    fn moments_are_read_in_every_form() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01 00:00:00 UTC", Some(0)),
            ("2026-12-01T09:30:00Z", Some(1_796_117_400_000)),
            ("2026-12-01T09:30:00.25Z", Some(1_796_117_400_250)),
            ("2026-12-01T10:30:00.123456+01:00", Some(1_796_117_400_123)),
            ("2026-12-01 09:30:00 UTC", Some(1_796_117_400_000)),
            ("2026-12-01 10:30:00 +0100", Some(1_796_117_400_000)),
            ("2024-02-29 23:59:59 -0000", Some(1_709_251_199_000)),
            ("never", None),
            ("2026-12-01", None),
            ("2026-12-01T10:30", None),
            ("", None),
        ] {
            assert_eq!(instant_ms(text), ms, "{text}");
        }
    }
}
