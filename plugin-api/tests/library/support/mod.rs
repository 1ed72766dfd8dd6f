//! What the stories stand on: libraries built on demand, and a host that remembers.

mod build;
mod host;

pub use build::{compile_c, fixture_library, versions_dir};
pub use host::{block_on, open_fixture, open_with, poll_once};

use trigger_plugin_abi::host::Request;

/// A POST with this path and nothing else.
pub fn request(path: &str) -> Request<'_> {
    Request {
        method: "POST",
        path,
        query: "",
        headers: &[],
        body: b"{}",
        received_at_ms: 7,
    }
}

/// A subscription without anything.
pub const NO_SUBSCRIPTION: &str = "{}";
