//! An operation of a provider's, under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Provider;
use crate::CallError;
use crate::layout::WireFuture;

/// Keeps the provider for as long as its future lives, which is dropped first.
pub(super) struct Call {
    future: WireFuture,
    _provider: Provider,
}

impl Call {
    pub(super) fn new(provider: Provider, future: WireFuture) -> Self {
        Self {
            future,
            _provider: provider,
        }
    }
}

impl Future for Call {
    type Output = Result<Vec<u8>, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.future)
            .poll(context)
            .map(|answer| match answer.into_result() {
                Ok(json) => Ok(json.into()),
                Err(error) => Err(CallError::from(error)),
            })
    }
}
