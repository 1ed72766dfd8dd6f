//! Sample requests of a subscription, signed with its own secret, for who wants to send them to its
//! endpoint: for one that the host made, with what it told the service. They prove nothing but the
//! caller's right to try, hence a scope of their own.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{InWorkspace, Named, Send};
use super::body::JsonBody;
use super::names::find_subscription;
use super::problem::Problem;
use super::providers::{SampleOrder, SampleRequest};
use super::state::ApiState;
use crate::documents::{Mistake, SubscriptionDraft};
use crate::model::{RegistrationState, Subscription, SubscriptionMode};
use crate::secret::Secret;

/// As many at once as fit well into one answer.
const COUNT_MAX: u32 = 100;

/// Which samples are wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleWish {
    /// The event.
    pub event: String,
    /// How many, each with a delivery id of its own: 1 to 100, 1 if absent.
    pub count: Option<u32>,
}

/// Requests as the service would send them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Samples {
    pub endpoint_url: String,
    pub requests: Vec<SampleView>,
}

/// One request.
#[derive(Debug, Serialize, ToSchema)]
pub struct SampleView {
    pub method: String,
    /// Without the `?`; empty if there is none.
    pub query: String,
    pub headers: Vec<(String, String)>,
    /// In base64.
    pub body: String,
}

impl From<SampleRequest> for SampleView {
    fn from(request: SampleRequest) -> SampleView {
        SampleView {
            method: request.method,
            query: request.query,
            headers: request.headers,
            body: STANDARD.encode(request.body),
        }
    }
}

/// Signed sample requests for a subscription; nothing is sent or kept.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/subscriptions/{subscription}/sample",
    tag = "subscriptions", params(("workspace" = String, Path), ("subscription" = String, Path)),
    request_body = SampleWish, responses((status = 200, body = Samples)))]
pub async fn sample_subscription(
    State(state): State<ApiState>,
    place: InWorkspace<Send>,
    Named(named): Named,
    JsonBody(wish): JsonBody<SampleWish>,
) -> Result<Json<Samples>, Problem> {
    let count = wish.count.unwrap_or(1);
    if !(1..=COUNT_MAX).contains(&count) {
        let message = format!("expected 1 to {COUNT_MAX}");
        return Err(Problem::invalid(vec![Mistake::value("/count", message)]));
    }
    let row = find_subscription(state.store(), &place.workspace.id, &named).await?;
    let draft = draft_of(&state, &row).await?;
    let endpoint_url = state.endpoint_url(&row.provider, &row.endpoint);
    let order = SampleOrder {
        provider: row.provider,
        event: wish.event,
        subscription_id: row.id,
        endpoint_url: endpoint_url.clone(),
        draft,
    };
    let mut requests = Vec::new();
    for _ in 0..count {
        requests.push(state.providers().sample(&order).await?.into());
    }
    Ok(Json(Samples {
        endpoint_url,
        requests,
    }))
}

/// What a sample of this subscription is made and signed with.
async fn draft_of(state: &ApiState, row: &Subscription) -> Result<SubscriptionDraft, Problem> {
    let (properties, secrets) = match row.mode {
        SubscriptionMode::Manual => {
            let secrets = state.store().subscription_secrets(&row.id).await?;
            let secrets = secrets.unwrap_or_else(|| Secret::new("{}".to_owned()));
            (row.properties.clone(), secrets)
        }
        SubscriptionMode::Managed => {
            let made = state.store().registrations(&row.id).await?;
            let live = made
                .into_iter()
                .find(|one| one.state == RegistrationState::Live);
            let live = live.ok_or_else(|| {
                Problem::conflict(format!(
                    "nothing of `{}` is at its service: `triggerd subscriptions show {}` says why",
                    row.name, row.name
                ))
            })?;
            (live.all_properties(), live.secrets)
        }
    };
    Ok(SubscriptionDraft {
        parameters: row.parameters.clone(),
        properties,
        secrets,
    })
}
