//! How much GitHub lets itself be asked: the hourly quota, and what its refusals look like.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>

use serde::Deserialize;
use serde_json::{Value, json};

use super::bodies::refusal;
use super::published::example;
use crate::Answer;

const HOUR_MS: i64 = 3_600_000;
const SECONDARY: &str =
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";

/// The account's quota, and refusals that somebody wished for.
#[derive(Debug)]
pub struct Limits {
    pub limit: u64,
    pub remaining: u64,
    pub resets_at_ms: i64,
    pub throttles: Vec<Throttle>,
}

/// So many requests are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    pub kind: Kind,
    #[serde(default = "once")]
    pub times: u32,
    /// How long to wait, where the kind says so.
    #[serde(default = "a_minute")]
    pub seconds: i64,
    /// Requests whose path begins so, without `/api/v3`.
    #[serde(default)]
    pub path: String,
}

/// The forms in which GitHub says that it is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 403, nothing remains, and when the hour ends.
    Primary,
    /// 429, nothing remains, and when the hour ends.
    PrimaryTooMany,
    /// 403 and `Retry-After`.
    RetryAfter,
    /// 429 and `Retry-After`.
    TooMany,
    /// 403, told by its message alone.
    Secondary,
}

impl Limits {
    /// Counts a request; refuses it when there were too many.
    pub fn count(&mut self, at_ms: i64, path: &str) -> Option<Answer> {
        if at_ms >= self.resets_at_ms {
            self.remaining = self.limit;
            self.resets_at_ms = at_ms + HOUR_MS;
        }
        let mut throttles = self.throttles.iter_mut();
        let throttle = throttles.find(|each| each.times > 0 && path.starts_with(&each.path));
        if let Some(throttle) = throttle {
            throttle.times -= 1;
            return Some(throttle.answer(at_ms));
        }
        if self.remaining == 0 {
            return Some(refusal(403, "API rate limit exceeded for user ID 1."));
        }
        self.remaining -= 1;
        None
    }

    /// The headers that every answer has, where a refusal has none of its own.
    pub fn mark(&self, answer: Answer) -> Answer {
        if answer
            .headers
            .iter()
            .any(|(name, _)| name == "x-ratelimit-remaining")
        {
            return answer;
        }
        answer
            .with("x-ratelimit-limit", self.limit.to_string())
            .with("x-ratelimit-remaining", self.remaining.to_string())
            .with(
                "x-ratelimit-used",
                (self.limit - self.remaining).to_string(),
            )
            .with("x-ratelimit-reset", (self.resets_at_ms / 1000).to_string())
            .with("x-ratelimit-resource", "core")
    }

    /// `GET /rate_limit`, which counts as no request.
    pub fn overview(&self) -> Answer {
        let mut body = example("rate-limit-overview");
        let core = json!({
            "limit": self.limit,
            "used": self.limit - self.remaining,
            "remaining": self.remaining,
            "reset": self.resets_at_ms / 1000,
        });
        body["resources"]["core"] = core.clone();
        body["rate"] = core;
        Answer::json(200, &body)
    }

    /// The control `quota`.
    pub fn set(&mut self, at_ms: i64, arguments: &Value) {
        let number = |name: &str| arguments[name].as_u64();
        self.limit = number("limit").unwrap_or(self.limit);
        self.remaining = number("remaining").unwrap_or(self.limit).min(self.limit);
        let seconds = arguments["resets_in_s"].as_i64();
        self.resets_at_ms = at_ms + seconds.map_or(HOUR_MS, |seconds| seconds * 1000);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            limit: 5_000,
            remaining: 5_000,
            resets_at_ms: 0,
            throttles: Vec::new(),
        }
    }
}

impl Throttle {
    fn answer(&self, at_ms: i64) -> Answer {
        let seconds = self.seconds.to_string();
        let at_end = |answer: Answer| {
            let reset = at_ms.div_euclid(1000) + self.seconds;
            answer
                .with("x-ratelimit-limit", "5000")
                .with("x-ratelimit-remaining", "0")
                .with("x-ratelimit-reset", reset.to_string())
        };
        let primary = "API rate limit exceeded for user ID 1.";
        match self.kind {
            Kind::Primary => at_end(refusal(403, primary)),
            Kind::PrimaryTooMany => at_end(refusal(429, primary)),
            Kind::RetryAfter => refusal(403, SECONDARY).with("retry-after", seconds),
            Kind::TooMany => refusal(429, SECONDARY).with("retry-after", seconds),
            Kind::Secondary => refusal(403, SECONDARY),
        }
    }
}

const fn once() -> u32 {
    1
}

const fn a_minute() -> i64 {
    60
}
