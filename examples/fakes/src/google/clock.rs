//! How Google writes times.

use jiff::Timestamp;

/// `2026-03-28T08:00:00.000Z`
pub fn rfc3339(ms: i64) -> String {
    timestamp(ms).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `Sat, 28 Mar 2026 08:00:00 GMT`
pub fn http_date(ms: i64) -> String {
    timestamp(ms)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

pub fn parse_ms(text: &str) -> Option<i64> {
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
