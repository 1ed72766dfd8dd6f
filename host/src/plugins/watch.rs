//! Calls into libraries that do not come back. A thread of its own looks for them: those that serve
//! may be the ones that are held.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::registry::Inner;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many calls of one provider are watched at once; more threads than that serve nobody.
const SEATS: usize = 32;

/// When the calls of one provider that are under way began.
pub(super) struct Calls {
    epoch: Instant,
    next: AtomicUsize,
    /// Free: 0. Else the milliseconds from the epoch to the call's begin and one, times two, and one
    /// more if it was told.
    seats: [AtomicU64; SEATS],
}

/// A call under way, until it is dropped.
pub(super) struct Call<'a>(Option<&'a AtomicU64>);

impl Calls {
    pub(super) fn since(epoch: Instant) -> Calls {
        Calls {
            epoch,
            next: AtomicUsize::new(0),
            seats: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(super) fn enter(&self, now: Instant) -> Call<'_> {
        let seat = &self.seats[self.next.fetch_add(1, Ordering::Relaxed) % SEATS];
        let begun = (self.ms(now) + 1) << 1;
        let taken = seat.compare_exchange(0, begun, Ordering::Relaxed, Ordering::Relaxed);
        Call(taken.is_ok().then_some(seat))
    }

    /// How long the longest call lasts of those that are over their budget and were not told yet.
    pub(super) fn overdue(&self, now: Instant, budget: Duration) -> Option<Duration> {
        let overdue = self.seats.iter().filter_map(|seat| {
            let begun = seat.load(Ordering::Relaxed);
            if begun == 0 || begun & 1 == 1 {
                return None;
            }
            let lasts = Duration::from_millis(self.ms(now).saturating_sub((begun >> 1) - 1));
            let told =
                || seat.compare_exchange(begun, begun | 1, Ordering::Relaxed, Ordering::Relaxed);
            (lasts > budget && told().is_ok()).then_some(lasts)
        });
        overdue.max()
    }

    fn ms(&self, at: Instant) -> u64 {
        let ms = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX >> 2)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.0 {
            seat.store(0, Ordering::Relaxed);
        }
    }
}

/// Names providers whose calls do not come back, for as long as there is a registry.
pub(super) fn start(registry: Weak<Inner>) {
    let look = move || {
        while let Some(inner) = registry.upgrade() {
            name_overdue(&inner, Instant::now());
            drop(inner);
            std::thread::sleep(LOOK_EVERY);
        }
    };
    let thread = std::thread::Builder::new().name("provider-watch".to_owned());
    if let Err(error) = thread.spawn(look) {
        tracing::warn!(%error, "calls into providers are not watched: no thread could be started");
    }
}

fn name_overdue(inner: &Inner, now: Instant) {
    for live in inner.serving.load().values().flatten() {
        if let Some(lasts) = live.overdue(now) {
            tracing::error!(
                provider = &*live.name,
                lasts_ms = lasts.as_millis(),
                "a call into the provider does not come back: it holds a thread of this host",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_that_lasts_too_long_is_told_once() {
        let start = Instant::now();
        let calls = Calls::since(start);
        let at = |ms| start + Duration::from_millis(ms);
        let _short = calls.enter(at(9_500));
        let long = calls.enter(at(0));
        assert_eq!(calls.overdue(at(1_000), BUDGET), None);
        let lasts = calls.overdue(at(10_000), BUDGET);
        assert_eq!(lasts, Some(Duration::from_secs(10)));
        assert_eq!(calls.overdue(at(10_100), BUDGET), None, "it was told");
        drop(long);
        assert_eq!(
            calls.overdue(at(99_000), BUDGET),
            Some(Duration::from_millis(89_500))
        );
    }

    #[test]
    fn more_calls_than_seats_go_on_unwatched() {
        let start = Instant::now();
        let calls = Calls::since(start);
        let held: Vec<Call<'_>> = (0..SEATS + 3).map(|_| calls.enter(start)).collect();
        drop(held);
        assert_eq!(
            calls.overdue(start + BUDGET * 9, BUDGET),
            None,
            "all came back"
        );
    }
}
