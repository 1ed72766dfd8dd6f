//! The provider's side of the boundary.

pub use crate::layout::WireHeader;
