//! What every provider must hold.

trigger_plugin_api::conformance!(provider_google::Google);
