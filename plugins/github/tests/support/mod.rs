//! What the tests of this provider share.
#![allow(dead_code)] // Each test binary uses a part.

pub mod github_api;
pub mod scene;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use provider_github::Github;
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::Subject;

/// A file under `tests/fixtures`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON file under `tests/fixtures`.
pub fn json_fixture(name: &str) -> serde_json::Value {
    serde_json::from_slice(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The provider without a configuration.
pub fn provider() -> &'static Github {
    &SUBJECT.provider
}

/// The provider as a manifest configures it.
pub fn provider_with(config: serde_json::Value) -> Result<Github> {
    let declared = Arc::clone(declared());
    Github::open(Setup { config, declared })
}

/// The declaration that the library embeds, compiled.
pub fn declared() -> &'static Arc<Declared> {
    &SUBJECT.declared
}

static SUBJECT: LazyLock<Subject<Github>> = LazyLock::new(|| {
    let bundle = include_bytes!(concat!(env!("OUT_DIR"), "/declaration.bundle"));
    Subject::open(bundle, serde_json::Value::Null)
});
