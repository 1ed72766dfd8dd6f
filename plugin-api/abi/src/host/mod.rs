//! The host's side of the boundary: look at a file, open it, call what it holds.
//!
//! ```text
//!  file ─── preflight ──► Section        nothing runs
//!  path ─── Library::open ──► Library    constructors run: probe in a child first
//!  Library::create ──► Provider ──► SubscriptionHandle, TriggerHandle, calls under way
//! ```
//!
//! A library is never closed: code and constants of it may be reached from anywhere. A provider
//! lives as long as any handle or call of it.

mod call;
mod elf;
mod handle;
mod library;
mod mismatch;
mod preflight;
mod provider;
mod services;

pub use handle::{Request, SubscriptionHandle, TriggerHandle};
pub use library::{Library, OpenError};
pub use preflight::{PreflightError, preflight};
pub use provider::Provider;
pub use services::{Answer, HostServices};

pub use crate::section::Section;
pub use crate::{CallError, Dispatched, DispatchedEvent, EventCall, Level, Outcome, Reply, codes};
