//! Applying a document: all of it in one commit, or nothing.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::{Apply, InWorkspace};
use super::body::{JsonBody, QueryOf, patience};
use super::problem::Problem;
use super::state::{ApiState, Changed};
use super::subscription_view::state_word;
use crate::documents::difference::Difference;
use crate::documents::plan::{Action, ObjectKind};
use crate::documents::{
    Document, LaterDeletion, Mistake, Plan, PlanError, PlannedObject, Planner, without_query,
};
use crate::id::SubscriptionId;
use crate::model::Workspace;

/// How often a plan is made anew because what is stored changed under it.
const PLANS_MAX: u32 = 4;
/// Nobody is let wait longer for services.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// So long are subscriptions waited for whose accounts are to be deleted after them.
const LATER_WAIT: Duration = Duration::from_secs(5);

/// How a document is applied.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplyParams {
    /// Deletes what the document does not name.
    #[serde(default)]
    pub prune: bool,
    /// Changes nothing; tells what would be changed.
    #[serde(default)]
    pub dry_run: bool,
    /// How long to wait for what is done at services, such as `10s`; at most half a minute.
    pub wait: Option<String>,
}

/// What became of a document.
#[derive(Debug, Serialize, ToSchema)]
pub struct Applied {
    pub workspace: String,
    pub dry_run: bool,
    /// Of the workspace itself, where the document speaks of them: `webhook`, `on_error`.
    pub settings: Vec<AppliedObject>,
    pub integrations: Vec<AppliedObject>,
    pub credentials: Vec<AppliedObject>,
    pub runnables: Vec<AppliedObject>,
    pub subscriptions: Vec<AppliedObject>,
    pub triggers: Vec<AppliedObject>,
    pub schedules: Vec<AppliedObject>,
    pub routes: Vec<AppliedObject>,
}

/// What became of one object.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedObject {
    /// A runnable's path.
    pub name: String,
    pub id: String,
    pub action: Action,
    /// As it is now; absent after a deletion and in a dry run that would create it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is in this state, or why it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Of a subscription: what to register at the service. Of a route: where it answers. Of a webhook:
    /// where it leads, without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Of a webhook: what is signed with, this once: it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Applies a document: creates, changes, leaves, and with `prune` deletes.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/apply", tag = "apply",
    params(("workspace" = String, Path), ApplyParams), request_body = Object,
    responses((status = 200, body = Applied), (status = 422, body = Problem,
        content_type = "application/problem+json")))]
pub async fn apply(
    State(state): State<ApiState>,
    place: InWorkspace<Apply>,
    QueryOf(params): QueryOf<ApplyParams>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<Applied>, Problem> {
    let document = Document::parse(&body).map_err(Problem::invalid)?;
    let other = document
        .workspace
        .as_ref()
        .filter(|named| **named != place.workspace.name);
    if let Some(other) = other {
        let message = format!("it is meant for the workspace `{other}`, not this one");
        return Err(Problem::invalid(vec![Mistake::value(
            "/workspace",
            message,
        )]));
    }
    Ok(Json(
        apply_document(&state, &place, &document, &params).await?,
    ))
}

/// Applies a document with one object, sent by itself: `{name, …}` as in the document's list `key`.
pub(super) async fn apply_one(
    state: &ApiState,
    place: &InWorkspace<Apply>,
    key: &str,
    object: Value,
) -> Result<AppliedObject, Problem> {
    let body = serde_json::json!({ key: [object] });
    let prefix = format!("/{key}/0");
    let of_object = |mut mistakes: Vec<Mistake>| {
        for mistake in &mut mistakes {
            let rest = mistake.pointer.strip_prefix(&prefix).unwrap_or_default();
            mistake.pointer = rest.to_owned();
        }
        mistakes
    };
    let document = Document::parse(&body).map_err(|found| Problem::invalid(of_object(found)))?;
    let applied = apply_document(state, place, &document, &ApplyParams::default()).await;
    let applied = applied.map_err(|mut problem| {
        problem.errors = of_object(std::mem::take(&mut problem.errors));
        problem
    })?;
    let objects = applied.integrations.into_iter().chain(applied.credentials);
    let objects = objects
        .chain(applied.runnables)
        .chain(applied.subscriptions);
    objects
        .chain(applied.triggers)
        .chain(applied.schedules)
        .chain(applied.routes)
        .next()
        .ok_or_else(|| Problem::internal("nothing was applied"))
}

async fn apply_document(
    state: &ApiState,
    place: &InWorkspace<Apply>,
    document: &Document,
    params: &ApplyParams,
) -> Result<Applied, Problem> {
    let patience = patience("wait", params.wait.as_deref(), WAIT_MAX)?;
    let planner = Planner {
        store: state.store(),
        catalog: state.providers(),
        clock: state.clock(),
        workspace_id: &place.workspace.id,
    };
    let mut plans_made = 0;
    let mut plan = loop {
        let mut plan = planner
            .plan(document, params.prune)
            .await
            .map_err(of_plan)?;
        plans_made += 1;
        if params.dry_run || plan.changes.is_empty() {
            break plan;
        }
        let changes = std::mem::take(&mut plan.changes);
        match state.store().apply(&place.actor(), changes).await {
            Ok(_) => {
                state.credentials().wake().notify_one();
                state.announce(Changed::Objects(place.workspace.id.clone()));
                break plan;
            }
            // Someone changed an object between reading and writing it: look again.
            Err(error) if error.is_conflict() && plans_made < PLANS_MAX => {}
            Err(error) => return Err(error.into()),
        }
    };
    if !params.dry_run {
        wait_for_services(state, &plan, patience).await?;
        let later = std::mem::take(&mut plan.later);
        delete_later(state, place, later, &mut plan).await?;
    }
    show(state, &place.workspace, plan, params.dry_run).await
}

/// Until everything has been tried at the services that the plan asks for, or the time is over.
async fn wait_for_services(
    state: &ApiState,
    plan: &Plan,
    patience: Duration,
) -> Result<(), Problem> {
    // Deletions that have to wait are worth some waiting even where nobody asked for it.
    let patience = match plan.later.is_empty() {
        true => patience,
        false => patience.max(LATER_WAIT),
    };
    if patience.is_zero() {
        return Ok(());
    }
    let of_subscriptions = plan.objects.iter();
    let ids: Vec<SubscriptionId> = of_subscriptions
        .filter(|one| one.kind == ObjectKind::Subscription)
        .filter_map(|one| one.id.parse().ok())
        .collect();
    Ok(state.subscriptions().until_settled(&ids, patience).await?)
}

/// Deletes accounts whose last subscriptions have ended by now; the others stay, which is said.
async fn delete_later(
    state: &ApiState,
    place: &InWorkspace<Apply>,
    later: Vec<LaterDeletion>,
    plan: &mut Plan,
) -> Result<(), Problem> {
    for LaterDeletion { id, change } in later {
        match state.store().apply(&place.actor(), vec![change]).await {
            Ok(_) => {}
            Err(error) if error.is_conflict() => {
                let object = plan.objects.iter_mut().find(|one| one.id == id);
                if let Some(object) = object {
                    object.action = Action::Unchanged;
                    object.kept_because = Some(error.to_string());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn of_plan(error: PlanError) -> Problem {
    match error {
        PlanError::Mistakes(mistakes) => Problem::invalid(mistakes),
        PlanError::Store(error) => error.into(),
    }
}

async fn show(
    state: &ApiState,
    workspace: &Workspace,
    plan: Plan,
    dry_run: bool,
) -> Result<Applied, Problem> {
    let mut applied = Applied {
        workspace: workspace.name.clone(),
        dry_run,
        settings: Vec::new(),
        integrations: Vec::new(),
        credentials: Vec::new(),
        runnables: Vec::new(),
        subscriptions: Vec::new(),
        triggers: Vec::new(),
        schedules: Vec::new(),
        routes: Vec::new(),
    };
    for object in plan.objects {
        let shown = state_of(state, workspace, &object).await?;
        let list = match object.kind {
            ObjectKind::Setting => &mut applied.settings,
            ObjectKind::Integration => &mut applied.integrations,
            ObjectKind::Credential => &mut applied.credentials,
            ObjectKind::Runnable => &mut applied.runnables,
            ObjectKind::Subscription => &mut applied.subscriptions,
            ObjectKind::Trigger => &mut applied.triggers,
            ObjectKind::Schedule => &mut applied.schedules,
            ObjectKind::Route => &mut applied.routes,
        };
        list.push(AppliedObject {
            name: object.name,
            id: object.id,
            action: object.action,
            state: shown.state,
            state_reason: object.kept_because.or(shown.reason),
            endpoint_url: shown.endpoint_url,
            differences: object.differences,
            secret: None,
        });
    }
    let made = plan.signing_secret.filter(|_| !dry_run);
    let mut settings = applied.settings.iter_mut();
    if let Some(webhook) = settings.find(|one| one.name == "webhook") {
        webhook.secret = made.map(|made| made.expose().clone());
    }
    Ok(applied)
}

/// An object as it is now.
#[derive(Default)]
struct Shown {
    state: Option<String>,
    reason: Option<String>,
    endpoint_url: Option<String>,
}

impl Shown {
    fn state(state: String, reason: Option<String>) -> Shown {
        Shown {
            state: Some(state),
            reason,
            endpoint_url: None,
        }
    }
}

async fn state_of(
    state: &ApiState,
    workspace: &Workspace,
    object: &PlannedObject,
) -> Result<Shown, Problem> {
    let store = state.store();
    let (id, name) = (&workspace.id, &object.name);
    let is_deleted = object.action == Action::Deleted;
    let shown = match object.kind {
        ObjectKind::Subscription => {
            let found = store.subscription_by_name(id, name).await?;
            // A deleted one is still there while its service was not told.
            let found = found.filter(|found| !is_deleted || found.is_deleting);
            found.map(|found| Shown {
                endpoint_url: state.shown_endpoint(&found.provider, &found.endpoint),
                state: Some(state_word(&found)),
                reason: found.state_reason,
            })
        }
        _ if is_deleted => None,
        ObjectKind::Setting if name == "webhook" => {
            let found = store.workspace_hook(id).await?;
            found.map(|found| Shown {
                endpoint_url: Some(without_query(&found.url)),
                state: None,
                reason: found.failure,
            })
        }
        ObjectKind::Setting | ObjectKind::Integration => None,
        ObjectKind::Credential => {
            let found = store.credential_by_name(id, name).await?;
            found.map(|found| Shown::state(found.state.to_string(), found.state_reason))
        }
        ObjectKind::Runnable => {
            let found = store.runnable_by_path(id, name).await?;
            found.map(|found| Shown::state(found.state.to_string(), None))
        }
        ObjectKind::Trigger => {
            let found = store.trigger_by_name(id, name).await?;
            let word = |enabled| if enabled { "enabled" } else { "disabled" };
            found.map(|found| Shown::state(word(found.enabled).to_owned(), None))
        }
        ObjectKind::Schedule => {
            let found = store.schedule_by_name(id, name).await?;
            let word = |paused| if paused { "paused" } else { "active" };
            found.map(|found| Shown::state(word(found.paused).to_owned(), None))
        }
        ObjectKind::Route => {
            let found = store.route_by_name(id, name).await?;
            let word = |enabled| if enabled { "enabled" } else { "disabled" };
            found.map(|found| Shown {
                endpoint_url: Some(state.route_url(&found.content.path)),
                state: Some(word(found.content.enabled).to_owned()),
                reason: None,
            })
        }
    };
    Ok(shown.unwrap_or_default())
}
