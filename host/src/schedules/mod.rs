//! Schedules: runnables that are run at known times.
//!
//! ```text
//!   due (an index) ──look──► decide ──► one commit: jobs, next time       exactly one host makes it:
//!        ▲                                                                the row is as it was seen,
//!        └── a second later, while the run before has not ended           and each time has one job
//! ```
//! - [`clockwork`]: looks at what is due and has it run.
//! - [`decide`]: which of the times that have come are run for, and when is looked again.
//!
//! Promised: a schedule is run once for each of its times, on however many hosts; to the second,
//! while one of them is up; a time that none was up for, or that the run before was not done at, is
//! dealt with as the schedule says, and never makes more than a bounded number of jobs. Not
//! promised: that a runnable which is slower than its schedule keeps up with it.

pub mod clockwork;
mod decide;

pub use clockwork::{Clockwork, ClockworkParts, Tick};
