//! `export_provider!`: all that makes a crate a provider library.

/// Exports a provider. Once in a crate of type `cdylib` whose `build.rs` calls
/// `trigger_plugin_build::declare()`.
///
/// ```text
/// export_provider!(Acme);          // or, if it implements `Pull`:
/// export_provider!(Acme, pull);
/// ```
#[macro_export]
macro_rules! export_provider {
    ($provider:ty) => {
        $crate::export_provider!(@pull $crate::glue::WithoutPull, $provider);
    };
    ($provider:ty, pull) => {
        $crate::export_provider!(@pull $crate::glue::WithPull, $provider);
    };
    (@pull $pull:ty, $provider:ty) => {
        const _: () = {
            struct ExportedProvider;

            impl $crate::glue::Export for ExportedProvider {
                type Provider = $provider;
                type Pull = $pull;
                const BUNDLE: &'static [u8] =
                    include_bytes!(concat!(env!("OUT_DIR"), "/declaration.bundle"));
            }

            $crate::abi::export_plugin!(
                $crate::glue::ExportedPlugin<ExportedProvider>,
                $crate::abi::section::Parts {
                    flags: (if cfg!(debug_assertions) { $crate::abi::section::FLAG_DEBUG } else { 0 })
                        | (if cfg!(panic = "abort") { $crate::abi::section::FLAG_PANIC_ABORT } else { 0 }),
                    compiler: env!(
                        "TRIGGER_PLUGIN_COMPILER",
                        "the build.rs of a provider must call trigger_plugin_build::declare()"
                    ),
                    target: env!("TRIGGER_PLUGIN_TARGET"),
                    cpu_features: env!("TRIGGER_PLUGIN_CPU_FEATURES"),
                    package: env!("CARGO_PKG_NAME"),
                    version: env!("CARGO_PKG_VERSION"),
                    bundle: <ExportedProvider as $crate::glue::Export>::BUNDLE,
                }
            );
        };
    };
}
