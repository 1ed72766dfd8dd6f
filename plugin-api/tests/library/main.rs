//! The contract's promises, each tried on libraries that are really built and really loaded.

mod support;

mod calls;
mod panics;
mod refused;
mod versions;
