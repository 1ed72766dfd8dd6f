//! The binary interface between triggerd and its provider libraries.
//!
//! The only place of the project that holds `unsafe` code and names `abi_stable`.

pub mod bundle;
mod layout;
mod level;
pub mod plugin;

pub use level::Level;
