//! The store: everything that outlives the process, in SQLite or PostgreSQL.

mod error;
mod open;

mod appends;
mod events;
mod jobs;
mod leases;
mod requests;

mod changes;
mod keys;
mod retention;
mod runnables;
mod subscriptions;
mod tenants;
mod triggers;

pub use error::StoreError;
pub use keys::Rotation;
pub use leases::Claim;
pub use open::{Backend, DatabaseConfig, Store};
