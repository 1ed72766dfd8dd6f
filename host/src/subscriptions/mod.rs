//! What an operator asks of managed subscriptions, answered at once: end it, check it, try it, what
//! may be chosen for a parameter, what of ours lies forgotten at a service.
//!
//! - [`operator`]: [`Subscriptions`], and asking for one subscription.
//! - [`options`]: the values that a parameter may have, searched and paged at the service.
//! - [`orphans`]: what services hold that sends to us and belongs to no subscription.
//! - [`failure`]: why something could not be done, by what a caller does about it.
//!
//! Promised: what is asked here and what the engine does by itself are the same steps under the same
//! lease, so that they cannot come between each other; an orphan is only what sends to an address of
//! this host that no subscription, and no registration of one, has. Not promised: to find orphans
//! where no parameters lead to them.

mod failure;
mod operator;
mod options;
mod orphans;

pub use failure::OperationError;
pub use operator::{Ended, Subscriptions, SubscriptionsParts};
pub use options::{OptionsOrder, OptionsPlace};
pub use orphans::{Orphan, OrphanSearch};
