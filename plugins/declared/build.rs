//! Packs the declaration for embedding.

fn main() {
    trigger_plugin_build::declare();
}
