//! Time and randomness, handed in as arguments so that tests own them.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Milliseconds since the Unix epoch, the one form of time in the store and on the wire.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This many milliseconds later; saturates, so that a hostile number cannot panic.
    pub fn plus(self, duration: std::time::Duration) -> Millis {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Millis(self.0.saturating_add(ms))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Millis) -> std::time::Duration {
        let ms = self.0.saturating_sub(earlier.0).max(0);
        std::time::Duration::from_millis(ms.unsigned_abs())
    }
}

impl fmt::Display for Millis {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Where time and random bytes come from.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands still until it is moved with [`Clock::advance`].
    pub fn fixed(at: Millis) -> Clock {
        Clock(Source::Fixed(Arc::new(AtomicI64::new(at.0))))
    }

    /// The time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::System => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Fixed(at) => Millis(at.load(Ordering::Relaxed)),
        }
    }

    /// Sets a fixed clock, also back; a system clock is left alone.
    pub fn set(&self, to: Millis) {
        if let Source::Fixed(at) = &self.0 {
            at.store(to.0, Ordering::Relaxed);
        }
    }

    /// Moves a fixed clock; a system clock is left alone.
    pub fn advance(&self, by: std::time::Duration) {
        if let Source::Fixed(at) = &self.0 {
            let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            at.fetch_add(ms, Ordering::Relaxed);
        }
    }
}

/// So many random bytes are asked for at once: each question is a call into the system.
const AHEAD: usize = 1024;
/// Longer ones are keys and tokens, which lie nowhere ahead of their use.
const FROM_AHEAD_MAX: usize = 16;

thread_local! {
    static RANDOM: RefCell<([u8; AHEAD], usize)> = const { RefCell::new(([0; AHEAD], AHEAD)) };
}

/// Fills `bytes` from the operating system's generator.
pub fn random(bytes: &mut [u8]) {
    if bytes.len() > FROM_AHEAD_MAX {
        return fill(bytes);
    }
    RANDOM.with_borrow_mut(|(ahead, used)| {
        if *used + bytes.len() > AHEAD {
            fill(ahead);
            *used = 0;
        }
        let taken = &mut ahead[*used..*used + bytes.len()];
        bytes.copy_from_slice(taken);
        taken.fill(0);
        *used += bytes.len();
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the machine for randomness"
)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("invariant: the operating system hands out random bytes");
}

/// A fraction in `[0, 1)` for jitter.
pub fn random_fraction() -> f64 {
    let mut bytes = [0u8; 4];
    random(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}
