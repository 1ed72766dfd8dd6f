//! A subscription as it is shown: what it is, how it is, what is done next.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::state::ApiState;
use crate::id::{CredentialId, WorkspaceId};
use crate::model::{
    Claimed, Poll, Registration, RegistrationState, Subscription, SubscriptionMode,
};
use crate::store::StoreError;
use crate::units::show_duration;

/// A subscription; its secrets are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    pub id: String,
    pub name: String,
    pub provider: String,
    /// pending, active, degraded, paused, or deleting.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    pub state_since: String,
    /// Where the service sends; absent where messages only come over a connection that this host holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// manual: someone else registered the address at the service; managed: this host did.
    pub mode: String,
    /// The name of the credential that acts for us at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    pub parameters: Map<String, Value>,
    /// The events that are asked for; absent: those that enabled triggers wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyView>,
    /// When it is pulled, where that is not left to its provider: every so often, or at the times of a
    /// cron expression in a time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollView>,
    pub properties: Map<String, Value>,
    pub has_secrets: bool,
    /// What is done next, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled_at: Option<String>,
    /// What was made at the service, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registrations: Vec<RegistrationView>,
    /// What the last check found to differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftView>,
    /// What an operator should know, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<NoteView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// When a subscription is pulled.
#[derive(Debug, Serialize, ToSchema)]
pub struct PollView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

impl PollView {
    fn of(poll: Poll) -> PollView {
        let (every, cron, timezone) = match poll {
            Poll::Every(every) => (Some(show_duration(every)), None, None),
            Poll::At { cron, timezone } => (None, Some(cron), Some(timezone)),
        };
        PollView {
            every,
            cron,
            timezone,
        }
    }
}

/// What a check does about what it finds.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyView {
    /// recreate or report.
    pub missing: String,
    /// repair, adopt or report.
    pub drift: String,
}

/// One thing at the service.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistrationView {
    pub id: String,
    /// making, live, old or lost.
    pub state: String,
    /// The service's own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    pub events: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub created_at: String,
}

/// A field that the service holds differently.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftView {
    pub field: String,
    pub ours: Value,
    pub theirs: Value,
}

/// Something that an operator should know.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoteView {
    pub at: String,
    pub text: String,
}

/// With everything that is to be said of it.
pub async fn whole_view(
    state: &ApiState,
    workspace: &WorkspaceId,
    row: Claimed,
) -> Result<SubscriptionView, StoreError> {
    let registrations = state.store().registrations(&row.subscription.id).await?;
    let mut view = list_view(state, workspace, row).await?;
    let live = |one: &&Registration| one.state == RegistrationState::Live;
    if let Some(live) = registrations.iter().find(live) {
        view.properties = live.all_properties();
        view.has_secrets = true;
    }
    view.registrations = registrations.into_iter().map(registration_view).collect();
    Ok(view)
}

/// As one of a list.
pub async fn list_view(
    state: &ApiState,
    workspace: &WorkspaceId,
    row: Claimed,
) -> Result<SubscriptionView, StoreError> {
    let Claimed {
        subscription: row,
        upkeep,
        ..
    } = row;
    let credential = match &row.terms.credential_id {
        Some(id) => credential_name(state, workspace, id).await?,
        None => None,
    };
    let is_managed = row.mode == SubscriptionMode::Managed;
    let policy = row.terms.policy;
    let time = |at: Option<crate::clock::Millis>| at.map(|at| at.to_string());
    Ok(SubscriptionView {
        endpoint_url: state.shown_endpoint(&row.provider, &row.endpoint),
        state: state_word(&row),
        id: row.id.to_string(),
        name: row.name,
        provider: row.provider,
        state_reason: row.state_reason,
        state_since: row.state_since.to_string(),
        mode: row.mode.to_string(),
        credential,
        parameters: row.parameters,
        events: row.terms.events,
        poll: row.terms.poll.map(PollView::of),
        policy: is_managed.then(|| PolicyView {
            missing: policy.missing.to_string(),
            drift: policy.drift.to_string(),
        }),
        properties: row.properties,
        has_secrets: row.has_secrets,
        next_action: upkeep.next_action.map(|action| action.to_string()),
        due_at: time(upkeep.due_at.filter(|_| is_managed)),
        checked_at: time(upkeep.checked_at),
        pulled_at: time(upkeep.pulled_at),
        registrations: Vec::new(),
        drift: upkeep
            .drift
            .into_iter()
            .map(|one| DriftView {
                field: one.field,
                ours: one.ours,
                theirs: one.theirs,
            })
            .collect(),
        notes: upkeep
            .notes
            .into_iter()
            .map(|note| NoteView {
                at: note.at.to_string(),
                text: note.text,
            })
            .collect(),
        last_error: upkeep.last_error,
        last_error_at: time(upkeep.last_error_at),
        created_at: row.created_at.to_string(),
        updated_at: row.updated_at.to_string(),
    })
}

/// pending, active, degraded, paused, or deleting.
pub fn state_word(row: &Subscription) -> String {
    match row.is_deleting {
        true => "deleting".to_owned(),
        false => row.state.to_string(),
    }
}

fn registration_view(registration: Registration) -> RegistrationView {
    RegistrationView {
        id: registration.id.to_string(),
        state: registration.state.to_string(),
        external_id: Some(registration.external_id).filter(|id| !id.is_empty()),
        events: registration.events,
        expires_at: registration.expires_at.map(|at| at.to_string()),
        created_at: registration.created_at.to_string(),
    }
}

async fn credential_name(
    state: &ApiState,
    workspace: &WorkspaceId,
    id: &CredentialId,
) -> Result<Option<String>, StoreError> {
    let found = state.store().credential(workspace, id).await?;
    Ok(found.map(|credential| credential.name))
}
