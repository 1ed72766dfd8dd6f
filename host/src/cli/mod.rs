//! The command line: the server's flags, and commands that are clients of its API.
//!
//! - [`arguments`]: what can be typed.
//! - [`client`]: finds the server and its token, calls the API, says what it refused.
//! - [`apply`], [`send`], [`show`], [`provider`], [`admin`]: the commands.
//! - [`table`]: columns for people; `--json` prints one document instead.
//!
//! Promises: a command that did not do what it says ends with a code other than 0 and says why on
//! standard error; standard output holds the answer alone.

pub mod arguments;

mod client;

mod table;

mod admin;
mod apply;
mod check;
mod provider;
mod send;
mod show;

mod run;

pub use arguments::{Arguments, Command};
pub use run::{Failure, run};
