//! A future of the author's that cannot panic: not when polled, not when dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use abi_stable::std_types::{RErr, ROk, RVec};

use super::guard::{guard, guard_drop};
use super::{BoxedCall, Services};
use crate::layout::{WireError, WireResult};

/// A call under way, guarded.
pub(super) struct GuardedCall {
    services: Services,
    /// Absent once it is over, so that what it holds is let go under guard and at once.
    call: Option<BoxedCall>,
}

impl GuardedCall {
    pub(super) fn new(services: Services, call: BoxedCall) -> Self {
        Self {
            services,
            call: Some(call),
        }
    }
}

impl Future for GuardedCall {
    type Output = WireResult<RVec<u8>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = guard(&this.services, || match &mut this.call {
            Some(call) => Ok(call.as_mut().poll(context)),
            None => Ok(Poll::Pending),
        });
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => answer,
            Err(panic) => Err(panic),
        };
        guard_drop(&this.services, this.call.take());
        Poll::Ready(match answer {
            Ok(json) => ROk(RVec::from(json)),
            Err(error) => RErr(WireError::from(error)),
        })
    }
}

impl Drop for GuardedCall {
    fn drop(&mut self) {
        guard_drop(&self.services, self.call.take());
    }
}
