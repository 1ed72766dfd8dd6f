//! Packs provider.yaml and events/ for embedding.

fn main() {
    trigger_plugin_build::declare();
}
