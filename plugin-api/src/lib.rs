//! What a provider for triggerd is written against: plain traits, declared rules, one export.
//!
//! A provider is a type with [`provider::Provider`] and the traits beside it, exported by
//! [`export_provider!`]. What its declaration says by rules it does not write again.

pub mod declaration;
mod error;
mod export;
#[doc(hidden)]
pub mod glue;
pub mod host;
pub mod http_file;
mod log;
pub mod messages;
pub mod prelude;
pub mod provider;
pub mod rules;
pub mod samples;
pub mod signature;
pub mod testkit;

pub use error::{Error, ErrorCode, Result};

/// For the expansion of [`export_provider!`] alone.
#[doc(hidden)]
pub use trigger_plugin_abi as abi;
