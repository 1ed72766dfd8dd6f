//! The trigger host: what happens at outside services becomes work done, with nothing lost.
//!
//! Levels, lower ones first; a module imports only from lower levels (`host/tests/tidy.rs` holds this).
#![forbid(unsafe_code)]

// 0: words and values, knowing nothing of ours
pub mod backoff;
pub mod clock;
pub mod config;
pub mod id;
pub mod json;
pub mod kill_points;
pub mod metrics;
pub mod model;
pub mod panics;
pub mod reference;
pub mod seal;
pub mod secret;
pub mod timetable;
pub mod units;
pub mod yaml;

// 1: each outside crate is named in one place
pub mod outbound;
pub mod plugins;
pub mod store;

// 2: what happens
pub mod credentials;
pub mod documents;
pub mod events;
pub mod flows;
pub mod jobs;
pub mod notices;
pub mod runnables;
pub mod schedules;
pub mod sockets;
pub mod subscriptions;
pub mod sync;
pub mod tokens;

// 3: the edges
pub mod api;
pub mod cli;
pub mod ingress;

// 4: everything put together
pub mod app;
