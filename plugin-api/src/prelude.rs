//! Everything that an author needs, in one import.

pub use crate::declaration::Declared;
pub use crate::host::{Host, HttpRequest, HttpResponse, Level};
pub use crate::messages::{
    Account, CheckReport, CheckState, CreatedSubscription, Credentials, DispatchedEvent, Drift,
    EventCall, EventDispatch, ExistingSubscription, FieldError, Headers, HeldSubscription,
    ListRequest, Map, NewSubscription, OptionsPage, OptionsQuery, Outcome, OwnedRequest,
    ParameterOption, Payload, PullRequest, Pulled, PulledEvent, Reply, Request, Subscription,
    SubscriptionChange, SubscriptionSpec, TimedEvent, Trigger, Variables,
};
pub use crate::provider::{
    DeclaredProvider, Dispatch, Event, Provider, Pull, Setup, SubscriptionConstructor,
};
pub use crate::{Error, ErrorCode, Result, debug, error, export_provider, info, trace, warn};
