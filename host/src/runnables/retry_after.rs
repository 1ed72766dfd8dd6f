//! When a busy target wants to be asked again (RFC 9110, section 10.2.3).

use std::time::Duration;

use http::{HeaderMap, header};

use crate::clock::Millis;

/// However long a target asks for, a job waits no longer than this.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// The wait that `Retry-After` asks for, in seconds or as a date; `None` if it is absent or unreadable.
pub(super) fn retry_after(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    let at = Millis(at.timestamp().as_millisecond());
    Some(at.since(now).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().expect("a header"));
        // Sun, 06 Nov 1994 08:49:37 GMT is 784111777.
        let wait = retry_after(&headers, Millis(784_111_777_000 - 60_000));
        assert_eq!(wait.map(|wait| wait.as_secs()), expected, "{value}");
    }

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        check("0", Some(0));
        check("120", Some(120));
        check("99999999", Some(86_400));
        check("99999999999999999999999", Some(86_400));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(60));
        check("Sat, 05 Nov 1994 08:49:37 GMT", Some(0));
        check("Fri, 06 Nov 2094 08:49:37 GMT", None);
        check("Sat, 06 Nov 2094 08:49:37 GMT", Some(86_400));
        check("-1", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn an_absent_header_asks_for_nothing() {
        assert_eq!(retry_after(&HeaderMap::new(), Millis(0)), None);
    }
}
