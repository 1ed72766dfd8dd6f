//! Counting on one provider: panics within a minute, requests within a second.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The panics of the last minute.
#[derive(Default)]
pub struct PanicWindow(Mutex<Vec<Instant>>);

impl PanicWindow {
    /// So many within [`PanicWindow::SPAN`] are too many.
    pub const MAX: usize = 5;
    /// How far back it looks.
    pub const SPAN: Duration = Duration::from_secs(60);

    /// Counts one panic; whether that was one too many.
    pub fn add(&self, now: Instant) -> bool {
        let mut panics = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        panics.retain(|at| now.duration_since(*at) < Self::SPAN);
        panics.push(now);
        panics.len() >= Self::MAX
    }
}

/// A token bucket that holds one second's share.
pub struct RateLimit(Option<(u32, Mutex<Bucket>)>);

struct Bucket {
    tokens: f64,
    filled_at: Option<Instant>,
}

impl RateLimit {
    /// So many a second, or any number.
    pub fn per_second(rate: Option<u32>) -> RateLimit {
        RateLimit(rate.map(|rate| {
            let bucket = Bucket {
                tokens: f64::from(rate),
                filled_at: None,
            };
            (rate, Mutex::new(bucket))
        }))
    }

    /// Takes one; `Err` says after how long there is one again.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let Some((rate, bucket)) = &self.0 else {
            return Ok(());
        };
        let rate = f64::from(*rate);
        let mut bucket = bucket
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let filled_at = bucket.filled_at.replace(now).unwrap_or(now);
        let gained = now.saturating_duration_since(filled_at).as_secs_f64() * rate;
        bucket.tokens = (bucket.tokens + gained).min(rate);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_panics_within_a_minute_are_too_many() {
        let window = PanicWindow::default();
        let start = Instant::now();
        for second in 0..4 {
            assert!(!window.add(start + Duration::from_secs(second)));
        }
        assert!(window.add(start + Duration::from_secs(5)));
    }

    #[test]
    fn panics_of_an_earlier_minute_are_forgotten() {
        let window = PanicWindow::default();
        let start = Instant::now();
        for minute in 0..10 {
            assert!(!window.add(start + Duration::from_secs(61 * minute)));
        }
    }

    #[test]
    fn a_rate_lets_its_share_pass_and_says_when_to_come_again() {
        let limit = RateLimit::per_second(Some(2));
        let start = Instant::now();
        assert_eq!(limit.take(start), Ok(()));
        assert_eq!(limit.take(start), Ok(()));
        assert_eq!(limit.take(start), Err(Duration::from_millis(500)));
        assert_eq!(limit.take(start + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn no_rate_lets_everything_pass() {
        let limit = RateLimit::per_second(None);
        let now = Instant::now();
        assert!((0..1000).all(|_| limit.take(now).is_ok()));
    }
}
