//! The command line. `serve` and `check` are only read here and started by `main`; the others are
//! clients of the API.
//!
//! - [`args`]: every command and its flags. [`serve_args`]: those that become settings.
//! - [`connection`]: which server is meant, and with which token.
//! - [`document_file`]: a document's YAML, its references followed, mistakes shown by line.
//! - [`output`], [`table`]: for people in tables, for scripts one JSON document.
//! - The others: one file for each kind of object.
//!
//! Exit codes: 0 it worked, 1 it did not, 2 the command line itself was wrong.
mod args;
mod connection;
mod error;
mod output;
mod run;
mod serve_args;
mod table;

mod apply;
mod document_file;
mod events;
mod inspect;
mod instance;
mod jobs;
mod objects;
mod providers;
mod requests;
mod send;

pub use args::{Cli, ClientCommand, Command, ProbeArgs};
pub use run::run;
pub use serve_args::ServeArgs;
