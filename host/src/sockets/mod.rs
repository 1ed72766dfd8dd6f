//! Sockets: connections that this host holds for subscriptions whose provider speaks over one.
//!
//! ```text
//!   enrolled ──claim: fence──► held ──► connecting ──► open ──message──► dispatch ──► log, event
//!      ▲                        │           ▲            │                              │
//!      └── its host fell silent ┘           └── a pause ─┘ closed, dead, junk           └► result back
//! ```
//! - [`holder`]: takes what nobody holds, starts and stops connections; [`lease`]: until when.
//! - [`connection`]: one subscription's connections, one after the other; [`pauses`]: between them.
//! - [`serving`]: one open connection; [`intake`]: from a message to the log; [`replies`]: what goes
//!   back.
//! - [`spec`]: what is said of a connection; [`asking`]: texts that runnables return.
//!
//! Promised: of all hosts one holds a connection; when it dies, another connects within five seconds,
//! and what the first still had in its hands is not kept; a message counts when it is committed, and
//! no more is read than is being committed; a message that is too large, junk and silence end the
//! connection and show in the subscription's health; what cannot be connected is tried for ever, ever
//! more rarely. Not promised: messages that a server sends while nobody is connected.

pub mod holder;
pub mod spec;

mod asking;
mod connection;
mod intake;
mod lease;
mod pauses;
mod replies;
mod serving;

pub use asking::Runs;
pub use holder::{Holder, HolderParts, Tick};
pub use lease::{LEASE, TAKEOVER_MAX, TICK};
