//! The command line. `serve` and the probe are only read here and started by `main`; the others are
//! run here, most of them as clients of the API.
//!
//! - [`arguments`]: every command and its flags. [`serve`]: those that become settings.
//! - [`connection`]: which server is meant, and with which token.
//! - [`document_file`]: a document's YAML, its references followed, mistakes shown by line.
//! - [`output`], [`table`]: for people in tables, for scripts one JSON document.
//! - The others: one file for each kind of object.
//!
//! Promises: a command that did not do what it says ends with a code other than 0 (1, or 2 if the
//! command line itself was wrong) and says why on standard error; standard output holds the answer
//! alone.

mod arguments;
mod serve;

mod connection;
mod failure;
mod output;
mod run;
mod table;

mod accounts;
mod apply;
mod check;
mod connect;
mod document_file;
mod events;
mod inspect;
mod instance;
mod jobs;
mod objects;
mod providers;
mod requests;
mod schedules;
mod send;
mod subscriptions;

pub use arguments::{Arguments, Command};
pub use failure::Failure;
pub use run::run;
pub use serve::Serve;
