//! The life of subscriptions: the engine over a real store, with a service that is all in memory.

#[allow(dead_code, reason = "the store's own tests use the rest of it")]
#[path = "../store/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "other tests stop their cluster")]
#[path = "../harness/postgres.rs"]
mod postgres_harness;
mod world;

mod bounds;
mod checks;
mod credentials;
mod crowds;
mod kills;
mod life;
mod pulls;
mod renewals;
