//! Events: from the log to the jobs that they fire.
//!
//! ```text
//!  pending ──► the triggers of its subscription are asked (plugin.on_event)
//!     │            ├─ some fire ──────────► handled, with a job for each (T2, one commit)
//!     │            ├─ none fires ─────────► handled, unmatched
//!     │            └─ a trigger cannot be asked: unreadable payload ─► failed, in plain sight
//!     └─◄ deferred with back-off: the provider is not there, the plugin panicked
//! ```
//!
//! Promises: an event is matched at least once and makes at most one job per trigger; one event
//! that cannot be matched does not hold up the next. Not promised: order between events.

pub mod matching;

mod trigger_handles;

pub use matching::Matching;
