//! The store's suite: every test runs on SQLite and on PostgreSQL.

#[path = "store/fixture.rs"]
mod fixture;
#[path = "harness/postgres.rs"]
mod postgres_harness;

#[path = "store/calls.rs"]
mod calls;
#[path = "store/connects.rs"]
mod connects;
#[path = "store/credentials.rs"]
mod credentials;
#[path = "store/deadlocks.rs"]
mod deadlocks;
#[path = "store/dictionaries.rs"]
mod dictionaries;
#[path = "store/flows.rs"]
mod flows;
#[path = "store/intake.rs"]
mod intake;
#[path = "store/matching.rs"]
mod matching;
#[path = "store/noted.rs"]
mod noted;
#[path = "store/objects.rs"]
mod objects;
#[path = "store/retention.rs"]
mod retention;
#[path = "store/running.rs"]
mod running;
#[path = "store/schedules.rs"]
mod schedules;
#[path = "store/sealing.rs"]
mod sealing;
#[path = "store/sockets.rs"]
mod sockets;
#[path = "store/upkeep.rs"]
mod upkeep;

#[path = "store/postgres.rs"]
mod postgres;
#[path = "store/schema.rs"]
mod schema;
#[path = "store/sqlite.rs"]
mod sqlite;
#[path = "store/upgrade.rs"]
mod upgrade;
