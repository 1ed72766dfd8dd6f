//! The rows of the store as plain data: what each table holds and what the writing functions take.

mod words;

mod credentials;
mod objects;
mod registrations;
mod requests;
mod schedules;
mod sockets;
mod upkeep;

mod notices;
mod route_pattern;
mod routes;

mod calls;
mod events;
mod flows;
mod jobs;
mod named_runnables;

mod changes;
mod page;

pub use calls::{
    Addressed, CallJob, CallKey, CallLease, CallRequest, Called, CalledVersion, Callee, NewCall,
    Runs,
};
pub use changes::{Actor, AuditEntry, Change, Changed, ChangedKind};
pub use credentials::{
    Connect, ConnectStart, Credential, CredentialUpdate, Holding, Integration, IntegrationUpdate,
    NewConnect, NewCredential, NewIntegration, RefreshClaim, RefreshLease, TakenConnect,
    TokenUpdate,
};
pub use events::{Event, EventFilter, HandledEvent, Handling, NewEvent, PendingEvent};
pub use flows::{
    Advance, ErrorHandler, FlowState, HandlerChange, NewStep, Pin, Pins, StepOf, StepState,
};
pub use jobs::{
    Attempt, ClaimedJob, Finished, Job, JobFilter, NewAttempt, NewJob, Next, ReadyRunnable,
    Recovered, Replay,
};
pub use named_runnables::{runnables_of_flow, runnables_of_socket};
pub use notices::{HookOrder, Notice, WorkspaceHook};
pub use objects::{
    Host, NewRunnable, NewSubscription, NewToken, NewTrigger, NewVersion, Policy, Poll, Runnable,
    RunnableUpdate, RunnableVersion, SecretsUpdate, Subscription, SubscriptionUpdate, Terms, Token,
    Trigger, TriggerFilter, TriggerUpdate, Workspace,
};
pub use page::{Page, PageQuery};
pub use registrations::{NewRegistration, Registration, RegistrationAnswer, RegistrationChange};
pub use requests::{Append, Appended, Delivery, NewRequest, Queue, Request, RequestFilter};
pub use route_pattern::{RoutePattern, RoutePatternError, decoded_segments};
pub use routes::{
    NewRoute, Route, RouteAnswer, RouteAuth, RouteContent, RouteMode, RouteSpec, RouteUpdate,
};
pub use schedules::{
    DueSchedule, Firing, NewSchedule, NextTime, Run, Schedule, ScheduleUpdate, Skipped,
};
pub use sockets::{EventEnd, EventEnds, HeldSocket};
pub use upkeep::{
    Claimed, Drift, End, NewTimer, Note, NotedAudit, Poke, Progress, Progressed, PulledBatch,
    SyncClaim, SyncPulledEvent, Upkeep,
};
pub use words::{
    AttemptOutcome, CallKind, ConnectPhase, CredentialKind, CredentialState, EventState,
    HandlerScope, JobCause, JobState, Missed, OnDrift, OnMissing, RegistrationState,
    RequestOutcome, RunnableKind, RunnableState, Scope, SubscriptionMode, SubscriptionState,
    SyncAction, UnknownWord,
};
