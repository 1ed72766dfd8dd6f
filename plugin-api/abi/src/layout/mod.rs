//! What crosses the boundary, byte for byte.
//!
//! Two kinds, with different rules. The tables of functions grow: a minor version appends fields
//! after `last_prefix_field`, which the other side sees as absent. Everything else is frozen for
//! the major version; its growth slot is zero and may one day point at more. A number that means
//! something is a transparent integer, never a Rust enum: one that is not known has a meaning too.

mod data;
// The calling side of each table is the host's, or the provider's: no build has both in use.
#[cfg_attr(not(feature = "host"), allow(dead_code))]
mod vtable;

pub use data::{
    Growth, WireDispatch, WireError, WireEventCall, WireHeader, WireOutcome, WireRequest,
    WireResult,
};
pub use vtable::{
    Context, ModuleVtable, ModuleVtableRef, ProviderVtable, ProviderVtableRef, WireFuture,
    WireProvider, WireServices,
};
#[cfg(feature = "host")]
pub use vtable::{ServicesVtable, ServicesVtableRef};
