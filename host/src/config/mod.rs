//! The server's settings: flags over `TRIGGERD_…` variables over one commented file over defaults.
//!
//! - [`Config`]: every setting, typed, in groups as in the file.
//! - [`load`]: the layers put together; unknown keys and bad values are refused, all at once.
//! - [`SETTINGS_TEXT`]: the commented file with every setting and its default.
//! - [`server_file`]: where a running server tells its clients how to reach it.
mod bounds;
mod layers;
mod mistake;
mod network;
mod raw;
pub mod server_file;
mod settings;
#[cfg(test)]
mod tests;

pub use layers::{Layers, load};
pub use mistake::{ConfigError, ConfigMistake};
pub use network::Network;
pub use settings::{
    Config, DatabaseUrl, Egress, Limits, Log, LogFormat, Retention, Runnables, Server, reachable,
};

/// The commented settings file, as `triggerd config` prints it.
pub const SETTINGS_TEXT: &str = include_str!("../../../examples/triggerd.yaml");
