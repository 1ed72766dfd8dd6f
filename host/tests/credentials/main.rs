//! Credentials against an OAuth service of the tests' own: connected, renewed, refused, by several
//! tasks and hosts, and by a whole host with a browser.

mod authority;
mod browser;
mod chromium;
#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "other tests stop their cluster")]
#[path = "../harness/postgres.rs"]
mod postgres_harness;

mod connecting;
mod fixture;
mod renewing;
mod whole;
