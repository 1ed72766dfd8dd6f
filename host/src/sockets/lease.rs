//! Until when this host may hold what it holds, by a clock that nobody can put back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Another host takes over when the row was not renewed for so long.
pub const LEASE: Duration = Duration::from_secs(4);
/// The lease is renewed and what nobody holds is taken this often.
pub const TICK: Duration = Duration::from_millis(500);
/// So long after a host died another one has its connections.
pub const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// A host that died just after it renewed is found out by the first tick after its lease; what is left
/// is for connecting.
const _: () = assert!(LEASE.as_millis() + TICK.as_millis() < TAKEOVER_MAX.as_millis());

#[derive(Debug, Default)]
pub(super) struct Lease(Mutex<Option<Instant>>);

impl Lease {
    /// The row was renewed; `asked` is when that began.
    pub(super) fn renewed(&self, asked: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked + LEASE);
    }

    /// Whether a fourth of it is over.
    pub(super) fn is_to_be_renewed(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() + LEASE * 3 / 4 > until)
    }

    /// Whether no other host can have taken over yet.
    pub(super) fn is_good(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
