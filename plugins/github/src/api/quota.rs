//! How many requests GitHub still answers, as every answer of it says.

use std::time::Duration;

use trigger_plugin_api::prelude::*;

/// The account's requests in the present hour. An Enterprise Server without limits says nothing.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#checking-the-status-of-your-rate-limit>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limit: u64,
    remaining: u64,
    /// When the hour ends, in seconds since 1970.
    resets_at_s: u64,
}

impl Quota {
    /// Reads the headers `x-ratelimit-…`.
    pub fn of(response: &HttpResponse) -> Option<Self> {
        let number = |name| response.header(name)?.trim().parse().ok();
        Some(Self {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
            resets_at_s: number("x-ratelimit-reset")?,
        })
    }

    /// How long what can wait should wait: the last tenth is left to what somebody waits for.
    pub fn wait(self, now_ms: i64) -> Option<Duration> {
        if self.remaining > self.limit / 10 {
            return None;
        }
        let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        let wait = Duration::from_secs(self.resets_at_s).saturating_sub(now);
        Some(wait.max(Duration::from_secs(1)))
    }
}
