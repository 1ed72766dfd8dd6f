//! The declared rules, tried on declarations and requests as services write them.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

#[path = "../support/noise.rs"]
mod seeded;
mod support;

mod challenge;
mod declaration;
mod dispatch;
mod filters;
mod noise;
mod parameters;
mod samples;
mod transport;
mod verification;
