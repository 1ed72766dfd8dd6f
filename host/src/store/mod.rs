//! The store: everything that outlives the process, in SQLite or PostgreSQL.
//!
//! ```text
//!  append ─┐                     ┌► requests, deliveries, events
//!  handle ─┤  bounded   one      ├► events handled, their jobs
//!  claim  ─┼─ queue ──► writer ──┼► jobs running, leased and fenced
//!  finish ─┘            (group   └► jobs done │ ready again │ dead, their attempts
//!                        commit)
//!  apply, tokens, keys, trimming ──► a transaction of their own
//!  lists, pages, lookups ──────────► reading connections
//! ```
//!
//! Promised: a write that returned `Ok` is committed and synced. A write that is repeated with the
//! same ids changes nothing the second time, so whoever got no answer may ask again. An unreachable
//! or full database is [`StoreError::Unavailable`] within seconds and works again without a restart
//! when the cause is gone. Not promised: that a job runs only once.
//!
//! SQL stands only here, one text for both databases wherever both accept it; what differs is a
//! fragment that [`database`] hands out.

mod error;
mod open;

mod appends;
mod call_keys;
mod called;
mod calls;
mod events;
mod failures;
mod firings;
mod flow_state;
mod flows;
mod handling;
mod job_locks;
mod jobs;
mod leases;
mod recovery;
mod waiting;

mod attempts;
mod requests;

mod polls;
mod progress;
mod pulled;
mod registrations;
mod sockets;
mod subscription_state;
mod timers;
mod upkeep;
mod wipes;

mod changes;
mod credentials;
mod deliveries;
mod delivery_claims;
mod dictionaries;
mod hints;
mod hosts;
mod integrations;
mod keys;
mod noted;
mod notices;
mod oauth_states;
mod refreshes;
mod retention;
mod routes;
mod runnables;
mod schedules;
mod set_back;
mod still_named;
mod subscriptions;
mod tenants;
mod triggers;

mod body;
mod committer;
mod connection;
mod database;
mod direct;
mod health;
mod log_file;
mod log_sync;
mod migrations;
mod remembered;
mod rows;
mod select;
mod sql;
mod sqlite;
mod told_by;
mod transaction;
mod write_back;
mod writer;

pub use deliveries::DeliveryPlace;
pub use error::{Cause, StoreError};
pub use hints::Hints;
pub use keys::Rotation;
pub use leases::Claim;
pub use noted::Noted;
pub use open::{Backend, DatabaseConfig, Store};
pub use routes::ServedRoute;
pub use timers::Fired;
pub use wipes::EndedJob;

#[cfg(test)]
mod tests;
