//! The host's services in the layout in which a library gets them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RErr, ROk, RSliceMut, RStr, RVec};
use async_ffi::FutureExt;

use crate::layout::{
    Context, Growth, ServicesVtable, ServicesVtableRef, WireError, WireFuture, WireServices,
};
use crate::{CallError, Level, codes};

/// What the host does for a provider. Called on any thread. A panic in `log`, `panicked` and `call`
/// is that call's own: the line is lost, the operation ends with `HOST`. A panic in `now_ms` and
/// `random` ends the process, since nobody could go on without what they give.
pub trait HostServices: Send + Sync + 'static {
    /// Takes one line of log.
    fn log(&self, level: Level, target: &str, message: &str);

    /// The quietest level that the provider shall send from the start.
    fn log_level(&self) -> Level {
        Level::Info
    }

    /// A panic that nobody waits for, in a drop: message and place.
    fn panicked(&self, message: &str) {
        self.log(Level::Error, "panic", message);
    }

    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Fills the bytes with what nobody can guess.
    fn random(&self, bytes: &mut [u8]);

    /// `http`, `sleep`, `state_get`, `state_put`; JSON both ways. One that is not known ends with
    /// `UNSUPPORTED`.
    fn call(&self, op: &str, json: Vec<u8>) -> Answer;
}

/// An operation of the host's, under way.
pub type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send>>;

type Shared = Arc<dyn HostServices>;

const VTABLE: &WithMetadata<ServicesVtable> = &WithMetadata::new(ServicesVtable {
    log,
    panicked,
    now_ms,
    random,
    call,
    release,
});

/// Hands the services to a library, which releases them when it has no use for them any more.
pub(super) fn into_wire(services: Shared) -> WireServices {
    let log_level = services.log_level().as_u32();
    WireServices {
        context: Context::from_ptr(Box::into_raw(Box::new(services))),
        vtable: ServicesVtableRef(VTABLE.static_as_prefix()),
        log_level,
        growth: Growth::default(),
    }
}

extern "C" fn log(context: Context, level: u32, target: RStr<'_>, message: RStr<'_>) {
    // SAFETY: the library passes the context that it was given and has not released.
    let services = unsafe { shared(context) };
    survive(|| services.log(Level::from_u32(level), target.as_str(), message.as_str()));
}

extern "C" fn panicked(context: Context, message: RStr<'_>) {
    // SAFETY: as of `log`.
    let services = unsafe { shared(context) };
    survive(|| services.panicked(message.as_str()));
}

extern "C" fn now_ms(context: Context) -> i64 {
    // SAFETY: as of `log`.
    unsafe { shared(context) }.now_ms()
}

extern "C" fn random(context: Context, mut bytes: RSliceMut<'_, u8>) {
    // SAFETY: as of `log`.
    unsafe { shared(context) }.random(bytes.as_mut_slice());
}

extern "C" fn call(context: Context, op: RStr<'_>, json: RVec<u8>) -> WireFuture {
    // SAFETY: as of `log`.
    let services = unsafe { shared(context) };
    let future = survive(|| services.call(op.as_str(), json.into()));
    async move {
        match (Guarded { future }).await {
            Ok(answer) => ROk(RVec::from(answer)),
            Err(error) => RErr(WireError::from(error)),
        }
    }
    .into_ffi()
}

/// A future of the host's on the other side, where a panic of ours must not go: not when it is
/// polled, and not when it is dropped.
struct Guarded {
    /// Absent once it is over, or if there never was one.
    future: Option<Answer>,
}

impl Future for Guarded {
    type Output = Result<Vec<u8>, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let future = &mut self.future;
        let polled = survive(|| future.as_mut().map(|future| future.as_mut().poll(context)));
        match polled.flatten() {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(answer)) => Poll::Ready(answer),
            None => Poll::Ready(Err(CallError::new(
                codes::HOST,
                "the host's service panicked",
            ))),
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let future = self.future.take();
        survive(|| drop(future));
    }
}

/// None if it panicked.
fn survive<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

extern "C" fn release(context: Context) {
    // SAFETY: as of `log`, and the library releases its services once.
    let services = unsafe { Box::from_raw(context.as_ptr::<Shared>()) };
    survive(|| drop(services));
}

/// # Safety
/// `context` must come from [`into_wire`] and not have been released.
unsafe fn shared<'a>(context: Context) -> &'a Shared {
    // SAFETY: `into_wire` made the pointer from a box of this type.
    unsafe { &*context.as_ptr::<Shared>() }
}
