//! Durations and sizes as people write them: `30s`, `7d`, `25MiB`.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZES: [(&str, u64); 4] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("B", 1),
];

/// What [`parse_duration`] takes.
pub const DURATION_FORM: &str = "a duration like 500ms, 30s, 5m, 2h or 7d";
/// What [`parse_size`] takes.
pub const SIZE_FORM: &str = "a size like 256KiB, 25MiB or 1GiB, or a number of bytes";

/// Reads a duration: a whole number and its unit; `0` needs no unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    with_unit(text, &DURATIONS).map(Duration::from_millis)
}

/// Reads a size in bytes: a whole number and its unit, or a number of bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| with_unit(text, &SIZES))
}

/// The shortest form that [`parse_duration`] reads back.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(ms, &DURATIONS)
}

/// The shortest form that [`parse_size`] reads back.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fitting = units
        .iter()
        .filter(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor))
        .max_by_key(|(_, factor)| *factor);
    match fitting {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => "0".to_owned(),
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_they_are_shown() {
        for text in ["1ms", "1500ms", "30s", "90s", "5m", "7d", "0"] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(show_duration(duration), text);
        }
    }

    #[test]
    fn sizes_take_binary_units_and_plain_bytes() {
        assert_eq!(parse_size("25MiB"), Some(25 << 20));
        assert_eq!(parse_size("1 GiB"), Some(1 << 30));
        assert_eq!(parse_size("17"), Some(17));
    }

    #[test]
    fn a_number_without_its_unit_or_too_large_is_refused() {
        for text in ["30", "s", "-1s", "1.5h", "1y", "99999999999999999999s", ""] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_size("18446744073709551615GiB"), None);
    }
}
