//! What the tests of this provider share.
#![allow(dead_code)] // Each test binary uses a part.

pub mod github_api;
pub mod openapi;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use provider_github::Github;
use trigger_plugin_abi::bundle::Bundle;
use trigger_plugin_api::prelude::*;

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

/// The provider with its declaration and no configuration.
pub fn provider() -> Github {
    provider_with(serde_json::Value::Null)
}

/// The provider as a manifest configures it.
pub fn provider_with(config: serde_json::Value) -> Github {
    let declared = Arc::clone(declared());
    Github::open(Setup { config, declared }).expect("the configuration is right")
}

/// The declaration, compiled.
pub fn declared() -> &'static Arc<Declared> {
    &DECLARED
}

static DECLARED: LazyLock<Arc<Declared>> = LazyLock::new(|| {
    let declared = Declared::from_bundle(&bundle()).expect("the declaration is right");
    Arc::new(declared)
});

fn bundle() -> Bundle {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![(
        "provider.yaml".to_owned(),
        std::fs::read(root.join("provider.yaml")).unwrap(),
    )];
    for folder in ["events", "samples"] {
        let mut names: Vec<_> = std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        files.extend(names.into_iter().map(|name| {
            let path = format!("{folder}/{name}");
            let bytes = std::fs::read(root.join(&path)).unwrap();
            (path, bytes)
        }));
    }
    Bundle { files }
}
