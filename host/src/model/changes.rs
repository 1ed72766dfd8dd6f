//! Changes to what an operator makes, applied together or not at all, and the record of them.

use serde_json::Value;

use super::credentials::{CredentialUpdate, IntegrationUpdate, NewCredential, NewIntegration};
use super::flows::HandlerChange;
use super::notices::HookOrder;
use super::objects::{
    NewRunnable, NewSubscription, NewTrigger, RunnableUpdate, SubscriptionUpdate, TriggerUpdate,
};
use super::routes::{NewRoute, RouteUpdate};
use super::schedules::{NewSchedule, NextTime, ScheduleUpdate};
use super::words::{RunnableState, SubscriptionState};
use crate::clock::Millis;
use crate::id::{
    AuditId, CredentialId, IntegrationId, RouteId, RunnableId, ScheduleId, SubscriptionId, TokenId,
    TriggerId, WorkspaceId,
};

/// Who makes a change, and where: a change reaches only objects of this workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub workspace_id: WorkspaceId,
    /// None: the host itself.
    pub token_id: Option<TokenId>,
}

/// One change. They are made in the order given, so a trigger may name a runnable that an earlier
/// change makes.
#[derive(Clone, Debug)]
pub enum Change {
    CreateIntegration(NewIntegration),
    UpdateIntegration(IntegrationUpdate),
    /// A conflict while credentials use it.
    DeleteIntegration(IntegrationId),
    CreateCredential(NewCredential),
    UpdateCredential(CredentialUpdate),
    /// Takes it from the subscriptions that use it, which are degraded then.
    DetachCredential(CredentialId),
    /// A conflict while subscriptions use it.
    DeleteCredential(CredentialId),
    CreateSubscription(NewSubscription),
    UpdateSubscription(SubscriptionUpdate),
    SetSubscriptionState {
        id: SubscriptionId,
        state: SubscriptionState,
        reason: Option<String>,
    },
    /// A conflict while triggers use it. One that has something at its service is only marked: the
    /// row goes when that is ended.
    DeleteSubscription(SubscriptionId),
    /// The same without a word to its service.
    ForceDeleteSubscription(SubscriptionId),
    CreateRunnable(NewRunnable),
    UpdateRunnable(RunnableUpdate),
    SetRunnableState {
        id: RunnableId,
        state: RunnableState,
        reason: Option<String>,
    },
    /// A conflict while triggers, schedules, routes, error handlers, flows or connections use it. Its
    /// ready jobs are cancelled, its past stays.
    DeleteRunnable(RunnableId),
    CreateTrigger(NewTrigger),
    UpdateTrigger(TriggerUpdate),
    DeleteTrigger(TriggerId),
    SetErrorHandler(HandlerChange),
    /// Names who is told of the changes in the workspace, those that follow included. What still waits
    /// goes to the new one.
    SetWorkspaceHook(HookOrder),
    /// Nobody is told any more; what was not told yet is let go.
    RemoveWorkspaceHook,
    CreateSchedule(NewSchedule),
    UpdateSchedule(ScheduleUpdate),
    /// Pauses it, or takes it up again at its next time.
    SwitchSchedule {
        id: ScheduleId,
        paused: bool,
        next: NextTime,
    },
    /// The jobs it made stay.
    DeleteSchedule(ScheduleId),
    /// A conflict if a request fits another route too, when all changes are made.
    CreateRoute(NewRoute),
    UpdateRoute(RouteUpdate),
    DeleteRoute(RouteId),
}

/// What one change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The object: its id as text.
    pub id: String,
    pub kind: ChangedKind,
}

/// How a change changed its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedKind {
    Created,
    Updated,
    /// It already was as the change wanted it.
    Unchanged,
    Deleted,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    pub id: AuditId,
    pub workspace_id: Option<WorkspaceId>,
    pub token_id: Option<TokenId>,
    /// `runnable.create` and the like.
    pub action: String,
    /// The id of the object.
    pub object: String,
    /// Never holds a secret.
    pub detail: Value,
    pub at: Millis,
}
