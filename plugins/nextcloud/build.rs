//! Packs provider.yaml, events/ and samples/ for embedding.

fn main() {
    trigger_plugin_build::declare();
}
