//! Calls of runnables by anything that speaks HTTP: `/api/w/{workspace}/jobs/run/p/{path}` and the
//! others.
//!
//! ```text
//!  POST …/jobs/run/…                       POST, GET …/jobs/run_wait_result/…
//!    token good? ─no─► 401, whatever the path names
//!    may it run this? is it there? ─no─► 403, 404 and a row
//!    body within limit and time? readable? ─no─► 413, 408, 400 and a row
//!    commit: row, key and jobs together, synced            store away: 503
//!    ├─► 201 and the job's id               ├─► a free place: the job is committed as claimed
//!    └─► the executor is woken              └─► told of its end: the result   too late: 504
//! ```
//!
//! - [`routes`]: the paths; `caller`: who calls what; `call`, `keep`: from the head to
//!   the arguments, from those to the commit.
//! - `options`, `content`, `arguments`, `multipart`, `cloudevents`: what is handed over; `uploads`:
//!   files that came with it.
//! - `wait`, `reply`: what a synchronous caller hears; `finished`: what one hears who asks later.
//! - `handshake`: whether a sender of CloudEvents may send; `refusal`: what was wrong; `described`: all
//!   of it as OpenAPI.
//!
//! Promises: 201 only after the commit is synced; a synchronous answer only after the attempt is
//! recorded; the same key gives the same job; a batch makes all of its jobs or none; no polling. Not
//! promised: that a job whose caller hung up before its answer was not made.

pub mod routes;
pub mod uploads;

mod arguments;
mod call;
mod caller;
mod cloudevents;
mod content;
mod custom;
mod described;
mod finished;
mod handshake;
mod keep;
mod logged;
mod multipart;
mod named;
mod options;
mod refusal;
mod reply;
mod wait;

pub use described::openapi;
pub use routes::{Calls, Parts, router};
pub use uploads::Uploads;
