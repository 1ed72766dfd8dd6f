//! The binary interface between triggerd and its provider libraries.
//!
//! The only place of the project that holds `unsafe` code and names `abi_stable`. Both sides see
//! plain Rust: a provider implements [`plugin::Plugin`], the host uses [`host::Library`].
//!
//! ```text
//!  host process                              provider library (its own std, its own compiler)
//!  host::Library ── entry symbol ──────────► section + LibHeader        export_plugin!
//!  host::Provider ─ ProviderVtable ────────► plugin::glue<P> ─► P: Plugin
//!  HostServices ◄── ServicesVtable ───────── plugin::Services
//! ```
//!
//! Promised: a panic never crosses; a library of any 1.y works in a host of any 1.y; a struct
//! that crosses by value never changes within 1. Not promised: protection from a library that
//! writes where it should not. The version, the package's name and the names of these types are
//! part of the layout and are never changed.

pub mod bundle;
pub mod codes;
#[cfg(feature = "host")]
pub mod host;
mod layout;
mod level;
pub mod plugin;
pub mod section;
mod value;

pub use level::Level;
pub use value::{CallError, Dispatched, DispatchedEvent, EventCall, Outcome, Reply};

/// The major version of the interface: libraries of another one are refused.
pub const ABI_MAJOR: u16 = parse_number(env!("CARGO_PKG_VERSION_MAJOR"));
/// The minor version: how many times fields were appended.
pub const ABI_MINOR: u16 = parse_number(env!("CARGO_PKG_VERSION_MINOR"));
/// The symbol by which the host finds a library's header.
pub const ENTRY_SYMBOL: &str = "trigger_plugin_entry";

const fn parse_number(text: &str) -> u16 {
    let digits = text.as_bytes();
    let mut number = 0;
    let mut index = 0;
    while index < digits.len() {
        number = number * 10 + (digits[index] - b'0') as u16;
        index += 1;
    }
    number
}

/// For the expansion of [`export_plugin!`] alone.
#[doc(hidden)]
pub mod exported {
    pub use abi_stable::library::LibHeader;
}
