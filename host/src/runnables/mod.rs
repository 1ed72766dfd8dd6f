//! Running one version of a runnable once: a program on this machine, or a signed HTTP request.
//!
//! - [`spec`]: what a version says, checked field by field; [`secrets`]: what it keeps sealed.
//! - [`job`]: what an attempt is told; [`report`]: what it tells.
//! - [`programs`]: which programs may be run at all.
//! - `command`, `output`, `group`: a program, what it prints, and the end of its process group.
//! - [`strays`]: processes that outlived their attempt, found and ended.
//! - `request`, `signature`, `cloudevents`, `retry_after`: an HTTP target.
//! - `nats_spec`, `nats`: a subject of a NATS server.
//! - [`Runner`]: all of it behind one call.
//!
//! Promises: no shell; a program lies under a folder that the operator allowed, checked after links
//! are resolved when it is saved and again when it is run; every attempt ends at its deadline, with
//! its whole process group and what left the group; memory stays bounded whatever a target prints or
//! answers; dropping the future of a run ends its group. What a program that ends by itself leaves
//! behind outside its group (`setsid`) stays: it was meant to. Not promised: that a program which
//! leaves its group and empties its environment too is ended; such a program is one the operator
//! placed there.

pub mod job;
pub mod programs;
pub mod report;
pub mod secrets;
pub mod spec;
pub mod strays;

mod cloudevents;
mod command;
mod environment;
mod fields;
mod group;
mod nats;
mod nats_spec;
mod output;
mod request;
mod retry_after;
mod runner;
mod signature;

pub use environment::check_variable_name;
pub use job::{EventContext, JobContext};
pub use nats_spec::{NatsSpec, Publish, check_header as check_nats_header, check_subject};
pub use programs::{CommandDirs, ProgramError};
pub use report::{AttemptReport, Retry};
pub use runner::Runner;
pub use secrets::RunnableSecrets;
pub use signature::{SigningSecret, SigningSecretError};
pub use spec::{CommandSpec, HttpSpec, RunPolicy, RunnableSpec, SpecError, Target};
