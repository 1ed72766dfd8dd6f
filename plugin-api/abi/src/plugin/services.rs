//! The host's services as a provider holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi_stable::std_types::{RSliceMut, RStr, RVec};

use super::BoxedCall;
use crate::layout::WireServices;
use crate::{CallError, Level};

/// The host's services. Cheap to clone; the host's own end is let go with the last clone.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

struct Inner {
    wire: WireServices,
    log_level: AtomicU32,
}

impl Services {
    pub(super) fn new(wire: WireServices) -> Self {
        Self(Arc::new(Inner {
            log_level: AtomicU32::new(wire.log_level),
            wire,
        }))
    }

    /// The host's clock: milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.wire.vtable.now_ms()(self.0.wire.context)
    }

    /// Fills the bytes with what nobody can guess.
    pub fn random(&self, bytes: &mut [u8]) {
        self.0.wire.vtable.random()(self.0.wire.context, RSliceMut::from_mut_slice(bytes));
    }

    /// Whether the host wants to hear this level.
    #[must_use]
    pub fn wants(&self, level: Level) -> bool {
        level.as_u32() <= self.0.log_level.load(Ordering::Relaxed)
    }

    /// Writes one line of log, if the host wants to hear it.
    pub fn log(&self, level: Level, target: &str, message: &str) {
        if self.wants(level) {
            let (target, message) = (RStr::from_str(target), RStr::from_str(message));
            self.0.wire.vtable.log()(self.0.wire.context, level.as_u32(), target, message);
        }
    }

    /// Asks the host to do something: an operation by name, JSON in and out.
    #[must_use]
    pub fn call(&self, op: &str, json: Vec<u8>) -> BoxedCall {
        let services = self.clone();
        let future = self.0.wire.vtable.call()(self.0.wire.context, op.into(), RVec::from(json));
        Box::pin(async move {
            let answer = future.await.into_result();
            drop(services);
            answer.map(Vec::from).map_err(CallError::from)
        })
    }

    pub(super) fn set_log_level(&self, level: u32) {
        self.0.log_level.store(level, Ordering::Relaxed);
    }

    pub(super) fn panicked(&self, message: &str) {
        self.0.wire.vtable.panicked()(self.0.wire.context, RStr::from_str(message));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wire.vtable.release()(self.wire.context);
    }
}
