//! The declared rules, tried on declarations and requests as services write them.
#![allow(clippy::unwrap_used)] // A test that cannot go on says so by panicking.

mod support;

mod challenge;
mod declaration;
mod dispatch;
mod filters;
mod parameters;
mod samples;
mod transport;
mod verification;
