//! Everything that leaves this process over HTTP goes through here.
//!
//! - [`api_client`]: the client of our own API, which the command line uses.
pub mod api_client;
