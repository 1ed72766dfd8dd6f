//! The generic provider: no code of its own, everything from the declaration that a manifest names.

use trigger_plugin_api::export_provider;
use trigger_plugin_api::provider::DeclaredProvider;

export_provider!(DeclaredProvider);
