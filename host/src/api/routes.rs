//! Every route, and the OpenAPI 3.1 document made from the same list.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::queries::KnownQueries;
use super::state::ApiState;
use super::{
    apply, audit, connect, credentials, error_handlers, events, health, integrations, jobs, keys,
    oauth, orphans, providers, requests, runnables, samples, schedules, subscription_actions,
    subscriptions, tokens, triggers, workspaces,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "triggerd", description = "Outside events become work done."),
    components(schemas(Problem)),
    security(("token" = []))
)]
struct Head;

/// The routes of the API with their state; `/webhooks` is not among them.
pub fn router(state: ApiState) -> Router {
    router_with(state, Document::default())
}

/// The same, with a document that also describes what is served beside the API.
pub fn router_with(state: ApiState, beside: Document) -> Router {
    let (router, mut document) = described().split_for_parts();
    document.merge(beside);
    let document = finished(document);
    let body_max = state.body_max();
    let known = Arc::new(KnownQueries::of(&document));
    router
        .route(
            "/api/openapi.json",
            get(move || std::future::ready(Json(document.clone()))),
        )
        .route("/api/{*rest}", any(unknown_path))
        .merge(oauth::pages())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(body_max))
        .layer(from_fn_with_state((state.clone(), known), admit))
        .with_state(state)
}

/// The OpenAPI document of [`router`].
pub fn openapi() -> Document {
    finished(described().split_for_parts().1)
}

fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(
            workspaces::list_workspaces,
            workspaces::create_workspace
        ))
        .routes(routes!(workspaces::delete_workspace))
        .routes(routes!(apply::apply))
        .routes(routes!(
            integrations::list_integrations,
            integrations::put_integration
        ))
        .routes(routes!(
            integrations::show_integration,
            integrations::delete_integration
        ))
        .routes(routes!(
            credentials::list_credentials,
            credentials::put_credential
        ))
        .routes(routes!(
            credentials::show_credential,
            credentials::delete_credential
        ))
        .routes(routes!(credentials::check_credential))
        .routes(routes!(connect::order_connect))
        .routes(routes!(connect::show_connect))
        .routes(routes!(
            subscriptions::list_subscriptions,
            subscriptions::put_subscription
        ))
        .routes(routes!(
            subscriptions::show_subscription,
            subscriptions::delete_subscription
        ))
        .routes(routes!(subscriptions::switch_subscription))
        .routes(routes!(subscription_actions::pause_subscription))
        .routes(routes!(subscription_actions::resume_subscription))
        .routes(routes!(subscription_actions::test_subscription))
        .routes(routes!(subscription_actions::check_subscription))
        .routes(routes!(subscription_actions::sync_subscription))
        .routes(routes!(subscription_actions::subscription_options))
        .routes(routes!(subscription_actions::provider_options))
        .routes(routes!(orphans::list_orphans, orphans::delete_orphans))
        .routes(routes!(samples::sample_subscription))
        .routes(routes!(runnables::list_runnables, runnables::put_runnable))
        .routes(routes!(
            runnables::show_runnable,
            runnables::delete_runnable
        ))
        .routes(routes!(runnables::list_runnable_versions))
        .routes(routes!(runnables::switch_runnable))
        .routes(routes!(triggers::list_triggers, triggers::put_trigger))
        .routes(routes!(triggers::show_trigger, triggers::delete_trigger))
        .routes(routes!(schedules::list_schedules, schedules::put_schedule))
        .routes(routes!(
            schedules::show_schedule,
            schedules::delete_schedule
        ))
        .routes(routes!(schedules::pause_schedule))
        .routes(routes!(schedules::resume_schedule))
        .routes(routes!(requests::list_requests))
        .routes(routes!(requests::show_request))
        .routes(routes!(events::list_events))
        .routes(routes!(events::show_event))
        .routes(routes!(error_handlers::list_error_handlers))
        .routes(routes!(jobs::list_jobs, jobs::start_job))
        .routes(routes!(jobs::show_job))
        .routes(routes!(jobs::list_attempts))
        .routes(routes!(jobs::replay_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(audit::list_workspace_audit))
        .routes(routes!(audit::list_audit))
        .routes(routes!(providers::list_providers))
        .routes(routes!(providers::show_provider))
        .routes(routes!(providers::enable_provider))
        .routes(routes!(providers::disable_provider))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(keys::rotate_keys))
}

/// Adds what holds for every operation: the token, and problems as the other answer.
fn finished(mut document: Document) -> Document {
    let components = document.components.get_or_insert_default();
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("token", token);
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            describe_answers(operation);
            add_problem(operation);
        }
    }
    document
}

/// OpenAPI demands a description of every answer; the operation's own summary says more.
fn describe_answers(operation: &mut Operation) {
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            answer.description = match status.as_str() {
                "201" => "It was made".to_owned(),
                "204" => "It was done; the answer is empty".to_owned(),
                _ => "It was done; what was asked for".to_owned(),
            };
        }
    }
}

fn add_problem(operation: &mut Operation) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let problem = ResponseBuilder::new()
        .description("What was wrong, and with which field")
        .content("application/problem+json", content)
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), problem.into());
}

async fn unknown_path() -> Problem {
    Problem::not_found("there is no such path; /api/openapi.json names all")
}

/// Takes a place among the calls in work, or says at once that there is none; refuses unknown query
/// keys; counts the answers.
/// Health and metrics need no place: they are asked for when all is not well.
async fn admit(
    State((state, known)): State<(ApiState, Arc<KnownQueries>)>,
    request: Request,
    next: Next,
) -> Response {
    let response = if request.uri().path().starts_with("/api/") {
        match (state.free().try_acquire(), known.check(&request)) {
            (Ok(_place), Ok(())) => next.run(request).await,
            (Ok(_), Err(problem)) => problem.into_response(),
            (Err(_), _) => Problem::unavailable("too many calls at once").into_response(),
        }
    } else {
        next.run(request).await
    };
    let class = match response.status().as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    state.metrics().api_calls.increment(class);
    response
}
