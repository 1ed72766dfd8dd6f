//! The tables of functions, which grow, and the pairs of a context and its table.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RSliceMut, RStr, RString, RVec};
use async_ffi::FfiFuture;

use super::data::{Growth, WireDispatch, WireEventCall, WireOutcome, WireRequest, WireResult};

/// An operation under way: JSON in, JSON out.
pub type WireFuture = FfiFuture<WireResult<RVec<u8>>>;

/// Something of the other side's, which only its own functions look into.
#[repr(transparent)]
#[derive(Clone, Copy, StableAbi)]
pub struct Context(*mut ());

impl Context {
    /// Hands an owned pointer to the other side.
    pub fn from_ptr<T>(pointer: *const T) -> Self {
        Self(pointer.cast_mut().cast())
    }

    /// The pointer again.
    pub fn as_ptr<T>(self) -> *mut T {
        self.0.cast()
    }
}

// SAFETY: every context that this crate makes points at a `Send + Sync` value.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// What a library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ModuleVtableRef)))]
#[sabi(missing_field(panic))]
pub struct ModuleVtable {
    /// Opens a provider; the library owns the services from here on, also when it fails.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(WireServices, RStr<'_>) -> WireResult<WireProvider>,
}

impl RootModule for ModuleVtableRef {
    abi_stable::declare_root_module_statics! {ModuleVtableRef}
    const BASE_NAME: &'static str = "trigger_plugin";
    const NAME: &'static str = "trigger_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// A provider of the library's, owned by the host.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct WireProvider {
    pub context: Context,
    pub vtable: ProviderVtableRef,
    pub growth: Growth,
}

/// What the host calls. The first argument is the provider's context.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ProviderVtableRef)))]
#[sabi(missing_field(panic))]
pub struct ProviderVtable {
    pub open_subscription: extern "C" fn(Context, RStr<'_>) -> WireResult<Context>,
    pub close_subscription: extern "C" fn(Context, Context),
    pub open_trigger: extern "C" fn(Context, RStr<'_>, RStr<'_>) -> WireResult<Context>,
    pub close_trigger: extern "C" fn(Context, Context),
    pub dispatch: extern "C" fn(Context, Context, &WireRequest<'_>) -> WireResult<WireDispatch>,
    pub route: extern "C" fn(Context, &WireRequest<'_>) -> WireResult<ROption<RString>>,
    pub on_event: extern "C" fn(Context, Context, &WireEventCall<'_>) -> WireResult<WireOutcome>,
    pub call: extern "C" fn(Context, RStr<'_>, RVec<u8>) -> WireFuture,
    pub set_log_level: extern "C" fn(Context, u32),
    /// The host has no handle and no future of the provider's any more.
    #[sabi(last_prefix_field)]
    pub release: extern "C" fn(Context),
}

/// The host's services, owned by the library.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct WireServices {
    pub context: Context,
    pub vtable: ServicesVtableRef,
    pub log_level: u32,
    pub growth: Growth,
}

/// What a provider calls. The first argument is the services' context.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ServicesVtableRef)))]
#[sabi(missing_field(panic))]
pub struct ServicesVtable {
    pub log: extern "C" fn(Context, u32, RStr<'_>, RStr<'_>),
    /// A panic that nobody waits for: in a drop.
    pub panicked: extern "C" fn(Context, RStr<'_>),
    pub now_ms: extern "C" fn(Context) -> i64,
    pub random: extern "C" fn(Context, RSliceMut<'_, u8>),
    pub call: extern "C" fn(Context, RStr<'_>, RVec<u8>) -> WireFuture,
    /// The library has no use for them any more.
    #[sabi(last_prefix_field)]
    pub release: extern "C" fn(Context),
}
