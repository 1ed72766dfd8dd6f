//! The composition: every part made once, started in order, ended in order.
//!
//! Start: settings, keys, store, first token, providers, workers, then the listener, so that what
//! is answered can be done. End, on SIGTERM or SIGINT: no new connection, requests in flight end,
//! no new job, running jobs end or are left to their lease, the last commit, the store.

mod background;
mod calls;
mod credentials;
mod data_folder;
mod descriptors;
mod egress;
mod ending;
mod executor;
mod greeting;
mod http;
mod logging;
mod notices;
mod peers;
mod providers;
mod retention;
mod schedules;
mod serve;
mod sockets;
mod stall;
mod sync;
mod ticks;

pub use serve::{StartError, serve};

/// After an error of the store the next try waits so long.
const STORE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
