//! The functions that the host calls, made once for each [`Plugin`].

use std::sync::Arc;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RErr, ROk, ROption, RStr, RString, RVec};
use async_ffi::FutureExt;

use super::future::GuardedCall;
use super::guard::{guard, guard_drop, install_hook};
use super::{Plugin, Request, Services};
use crate::layout::{
    Context, Growth, ModuleVtable, ModuleVtableRef, ProviderVtable, ProviderVtableRef,
    WireDispatch, WireError, WireEventCall, WireFuture, WireOutcome, WireProvider, WireRequest,
    WireResult, WireServices,
};
use crate::{CallError, EventCall};

/// What the host's context of a provider points at.
struct Opened<P> {
    services: Services,
    plugin: Arc<P>,
}

/// The tables of one plugin, in the library's own constants.
pub(super) struct Glue<P>(P);

impl<P: Plugin> Glue<P> {
    const MODULE: &'static WithMetadata<ModuleVtable> = &WithMetadata::new(ModuleVtable {
        create: create::<P>,
    });

    const PROVIDER: &'static WithMetadata<ProviderVtable> = &WithMetadata::new(ProviderVtable {
        open_subscription: open_subscription::<P>,
        close_subscription: close_subscription::<P>,
        open_trigger: open_trigger::<P>,
        close_trigger: close_trigger::<P>,
        dispatch: dispatch::<P>,
        route: route::<P>,
        on_event: on_event::<P>,
        call: call::<P>,
        set_log_level: set_log_level::<P>,
        release: release::<P>,
    });

    pub(super) const fn module() -> ModuleVtableRef {
        ModuleVtableRef(Self::MODULE.static_as_prefix())
    }

    const fn provider() -> ProviderVtableRef {
        ProviderVtableRef(Self::PROVIDER.static_as_prefix())
    }
}

extern "C" fn create<P: Plugin>(
    services: WireServices,
    setup: RStr<'_>,
) -> WireResult<WireProvider> {
    install_hook();
    let services = Services::new(services);
    wire(
        guard(&services, || P::create(services.clone(), setup.as_str())).map(|plugin| {
            let opened = Box::new(Opened {
                services: services.clone(),
                plugin: Arc::new(plugin),
            });
            WireProvider {
                context: Context::from_ptr(Box::into_raw(opened)),
                vtable: Glue::<P>::provider(),
                growth: Growth::default(),
            }
        }),
    )
}

extern "C" fn open_subscription<P: Plugin>(
    provider: Context,
    json: RStr<'_>,
) -> WireResult<Context> {
    // SAFETY: the host passes what `create::<P>` gave it and has not released it yet.
    let opened = unsafe { opened::<P>(provider) };
    let handle = guard(&opened.services, || {
        opened.plugin.open_subscription(json.as_str())
    });
    wire(handle.map(|handle| Context::from_ptr(Box::into_raw(Box::new(handle)))))
}

extern "C" fn close_subscription<P: Plugin>(provider: Context, subscription: Context) {
    // SAFETY: as of `open_subscription`, and the host closes a handle once.
    let (opened, handle) = unsafe {
        (
            opened::<P>(provider),
            Box::from_raw(subscription.as_ptr::<P::Subscription>()),
        )
    };
    guard_drop(&opened.services, handle);
}

extern "C" fn open_trigger<P: Plugin>(
    provider: Context,
    event: RStr<'_>,
    parameters: RStr<'_>,
) -> WireResult<Context> {
    // SAFETY: as of `open_subscription`.
    let opened = unsafe { opened::<P>(provider) };
    let handle = guard(&opened.services, || {
        opened
            .plugin
            .open_trigger(event.as_str(), parameters.as_str())
    });
    wire(handle.map(|handle| Context::from_ptr(Box::into_raw(Box::new(handle)))))
}

extern "C" fn close_trigger<P: Plugin>(provider: Context, trigger: Context) {
    // SAFETY: as of `close_subscription`.
    let (opened, handle) = unsafe {
        (
            opened::<P>(provider),
            Box::from_raw(trigger.as_ptr::<P::Trigger>()),
        )
    };
    guard_drop(&opened.services, handle);
}

extern "C" fn dispatch<P: Plugin>(
    provider: Context,
    subscription: Context,
    request: &WireRequest<'_>,
) -> WireResult<WireDispatch> {
    // SAFETY: as of `open_subscription`; a handle in use is not closed.
    let (opened, handle) = unsafe {
        (
            opened::<P>(provider),
            &*subscription.as_ptr::<P::Subscription>(),
        )
    };
    wire(guard(&opened.services, || {
        opened
            .plugin
            .dispatch(handle, &Request::from(request))
            .map(WireDispatch::from)
    }))
}

extern "C" fn route<P: Plugin>(
    provider: Context,
    request: &WireRequest<'_>,
) -> WireResult<ROption<RString>> {
    // SAFETY: as of `open_subscription`.
    let opened = unsafe { opened::<P>(provider) };
    wire(guard(&opened.services, || {
        let key = opened.plugin.route(&Request::from(request))?;
        Ok(key.map(RString::from).into())
    }))
}

extern "C" fn on_event<P: Plugin>(
    provider: Context,
    trigger: Context,
    event: &WireEventCall<'_>,
) -> WireResult<WireOutcome> {
    // SAFETY: as of `dispatch`.
    let (opened, handle) = unsafe { (opened::<P>(provider), &*trigger.as_ptr::<P::Trigger>()) };
    wire(guard(&opened.services, || {
        opened
            .plugin
            .on_event(handle, &EventCall::from(event))
            .map(WireOutcome::from)
    }))
}

extern "C" fn call<P: Plugin>(provider: Context, op: RStr<'_>, json: RVec<u8>) -> WireFuture {
    // SAFETY: as of `open_subscription`.
    let opened = unsafe { opened::<P>(provider) };
    let plugin = Arc::clone(&opened.plugin);
    let (op, json) = (op.as_str().to_owned(), Vec::from(json));
    let call = guard(&opened.services, || Ok(plugin.call(op, json)))
        .unwrap_or_else(|panic| Box::pin(std::future::ready(Err(panic))));
    GuardedCall::new(opened.services.clone(), call).into_ffi()
}

extern "C" fn set_log_level<P: Plugin>(provider: Context, level: u32) {
    // SAFETY: as of `open_subscription`.
    unsafe { opened::<P>(provider) }
        .services
        .set_log_level(level);
}

extern "C" fn release<P: Plugin>(provider: Context) {
    // SAFETY: as of `open_subscription`, and the host releases a provider once, after all else.
    let opened = unsafe { Box::from_raw(provider.as_ptr::<Opened<P>>()) };
    let Opened { services, plugin } = *opened;
    guard_drop(&services, plugin);
}

/// # Safety
/// `provider` must come from `create::<P>` and not have been released.
unsafe fn opened<'a, P: Plugin>(provider: Context) -> &'a Opened<P> {
    // SAFETY: `create::<P>` made the pointer from a box of this type.
    unsafe { &*provider.as_ptr::<Opened<P>>() }
}

fn wire<T>(result: Result<T, CallError>) -> WireResult<T> {
    match result {
        Ok(value) => ROk(value),
        Err(error) => RErr(WireError::from(error)),
    }
}
