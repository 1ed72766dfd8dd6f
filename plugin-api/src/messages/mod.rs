//! What passes between host and provider, in the types that authors see.

mod check;
mod constructor;
mod dispatch;
mod event;
mod pull;
mod request;
mod subscription;

pub use check::{CheckReport, CheckState, Drift};
pub use constructor::{
    Account, CreatedSubscription, Credentials, ExistingSubscription, FieldError, HeldSubscription,
    ListRequest, NewSubscription, OptionsPage, OptionsQuery, ParameterOption, SubscriptionChange,
};
pub use dispatch::{DispatchedEvent, EventDispatch, Payload, Reply};
pub use event::{EventCall, Outcome, Trigger, Variables};
pub use pull::{PullRequest, Pulled, PulledEvent, TimedEvent};
pub(crate) use request::base64_bytes;
pub use request::{Headers, OwnedRequest, Request, SOCKET_MESSAGE};
pub use subscription::{Subscription, SubscriptionSpec};

/// A JSON object, its keys in the order in which they were written.
pub type Map = serde_json::Map<String, serde_json::Value>;
