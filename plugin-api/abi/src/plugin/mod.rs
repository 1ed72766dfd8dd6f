//! The provider's side of the boundary, as plain Rust.

mod contract;
mod export;
mod future;
mod glue;
mod guard;
mod services;

pub use contract::{BoxedCall, Plugin, Request};
pub use export::header;
pub use guard::{enabled, log};
pub use services::Services;

pub use crate::layout::WireHeader;
