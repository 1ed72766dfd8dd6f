//! Between the traits of an author and the functions of the boundary. Made for each provider by
//! `export_provider!`; no author writes against it.

mod cold;
mod convert;
mod plugin;
mod services;

use std::future::Future;

use crate::host::Host;
use crate::messages::{PullRequest, Pulled};
use crate::provider::{Dispatch, Event, Pull, SubscriptionConstructor};
use crate::{Error, Result};

pub use plugin::ExportedPlugin;

/// What a library exports.
pub trait Export: Send + Sync + 'static {
    /// The author's type.
    type Provider: Dispatch + Event + SubscriptionConstructor;
    /// Whether it pulls.
    type Pull: PullMode<Self::Provider>;
    /// The declaration's files, as `trigger_plugin_abi::bundle` has them.
    const BUNDLE: &'static [u8];
}

/// Whether a provider pulls: one type for each answer, since the trait is optional.
pub trait PullMode<P>: Send + Sync + 'static {
    /// Pulls, or says that the provider does not.
    fn pull(
        provider: &P,
        host: &Host,
        request: &PullRequest,
    ) -> impl Future<Output = Result<Pulled>> + Send;
}

/// The provider has no `Pull`.
pub struct WithoutPull;

/// The provider has `Pull`.
pub struct WithPull;

impl<P: Sync> PullMode<P> for WithoutPull {
    async fn pull(_: &P, _: &Host, _: &PullRequest) -> Result<Pulled> {
        Err(Error::unsupported("this provider does not pull"))
    }
}

impl<P: Pull> PullMode<P> for WithPull {
    fn pull(
        provider: &P,
        host: &Host,
        request: &PullRequest,
    ) -> impl Future<Output = Result<Pulled>> + Send {
        provider.pull(host, request)
    }
}
