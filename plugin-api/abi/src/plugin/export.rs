//! The two things that a library exports: its section and its entry.

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixRefTrait;
use abi_stable::std_types::ROk;

use super::Plugin;
use super::glue::Glue;
use crate::layout::ModuleVtableRef;

/// The header by which the host finds, checks and opens the plugin.
#[must_use]
pub const fn header<P: Plugin>() -> LibHeader {
    // SAFETY: `module::<P>` answers with a reference made from a `ModuleVtableRef`.
    unsafe { LibHeader::from_constructor::<ModuleVtableRef>(module::<P>, CheckTypeLayout::Yes) }
}

extern "C" fn module<P: Plugin>() -> RootModuleResult {
    // SAFETY: the host casts it back to the same type, once its layout has been compared.
    ROk(unsafe { Glue::<P>::module().to_prefix_ref().cast() })
}

/// Exports a [`Plugin`] as the library's one entry, with its section. Once in a library.
///
/// The second argument is a [`crate::section::Parts`] in a constant.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, $parts:expr) => {
        #[cfg(panic = "abort")]
        compile_error!(
            "a provider cannot be built with panic = \"abort\": a panic would end the host"
        );

        const _: () = {
            const PARTS: $crate::section::Parts<'static> = $parts;

            #[used]
            #[allow(unsafe_code)]
            // SAFETY: the name is this contract's own, the section holds nothing else.
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".trigger_plugin")]
            pub static TRIGGER_PLUGIN_SECTION: [u8; PARTS.encoded_len()] = PARTS.encode();

            #[allow(unsafe_code)]
            // SAFETY: the name is this contract's own.
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static trigger_plugin_entry: $crate::exported::LibHeader =
                $crate::plugin::header::<$plugin>();
        };
    };
}
