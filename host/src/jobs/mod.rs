//! Jobs become attempts: claimed fairly, run, recorded, and tried again or given up in plain sight.
//!
//! - [`Executor`]: the ticks. [`Executor::tick`] claims and starts, [`Executor::keep`] extends
//!   leases and takes over what others lost, [`Executor::drain`] ends it all.
//! - [`schedule`]: who gets a free place; [`breaker`]: who gets none for now. Both are pure.
//! - `attempt`: one claimed job from its claim to its record; `verdict`: what becomes of it.
//! - [`Ends`]: who waits for the end of a job; [`Hold`]: a place taken before its job is made.
//! - `flow`: a flow goes from step to step; `remembered`: what it knows of flows that it planned last;
//!   `failures`: who is told of jobs that were given up.
//! - `telling`: other hosts are told of jobs that there is no place for.
//! - `versions`: what is to be run; `context`: what it is told; `running`: what runs at the moment.
//!
//! ```text
//!            claim (T3)               ok
//!   ready ──────────────► running ──────────► done
//!     ▲                      │
//!     │  failed, tries left  │ failed, none left
//!     ├──────────────────────┼──────────────────────► dead
//!     │  lease ran out,      │
//!     │  host stopped, 410   │
//!     └──────────────────────┘        (410: and the runnable is disabled, so the job waits)
//! ```
//!
//! A flow is claimed to be planned, waits without a place for its steps, which are jobs like any
//! other, and is ready again when one of them ended.
//!
//! Promises: at least once; an attempt is recorded before its job moves on (T4, one commit); a host
//! that lost its lease changes nothing; one slow or dead runnable takes no place that another
//! needs; nothing here is remembered that the store does not know. Not promised: an order among the
//! jobs of a runnable with more than one place.

pub mod breaker;
pub mod schedule;

mod attempt;
mod context;
mod ends;
mod executor;
mod failures;
mod flow;
mod hold;
mod remembered;
mod running;
mod telling;
mod verdict;
mod versions;

pub use ends::{Ended, Ends, LOOK_EVERY, Waiter};
pub use executor::{Executor, ExecutorConfig, ExecutorParts, Tick};
pub use hold::Hold;
