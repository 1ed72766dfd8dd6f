//! The declared rules, tried on declarations and requests as services write them.

mod support;

mod challenge;
mod declaration;
mod dispatch;
mod filters;
mod parameters;
mod samples;
mod verification;
