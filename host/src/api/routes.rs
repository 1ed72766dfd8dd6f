//! Every route, and the OpenAPI 3.1 document made from the same list.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::problem::Problem;
use super::queries::KnownQueries;
use super::state::ApiState;
use super::{
    apply, audit, connect, credentials, custom_routes, error_handlers, events, health,
    integrations, jobs, keys, oauth, orphans, providers, requests, runnables, samples, schedules,
    subscription_actions, subscriptions, tokens, triggers, workspace_hooks, workspaces,
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
    router_with(state, Document::default)
}

/// The same, with a document that also describes what is served beside the API.
pub fn router_with(state: ApiState, beside: fn() -> Document) -> Router {
    let mut router = Router::new();
    let mut known = KnownQueries::default();
    each_route(&mut |(_, paths, methods)| {
        known.add(&paths);
        for path in paths.paths.keys() {
            router = std::mem::take(&mut router).route(path, methods.clone());
        }
    });
    let body_max = state.body_max();
    let document = Arc::new(KeptDocument::default());
    router
        .route(
            "/api/openapi.json",
            get(move || std::future::ready(document.response(beside))),
        )
        .route("/api/{*rest}", any(unknown_path))
        .merge(oauth::pages())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(body_max))
        .layer(from_fn_with_state((state.clone(), Arc::new(known)), admit))
        .with_state(state)
}

/// The OpenAPI document of [`router`].
pub fn openapi() -> Document {
    openapi_with(Document::default)
}

fn openapi_with(beside: fn() -> Document) -> Document {
    let mut router = OpenApiRouter::with_openapi(Head::openapi());
    each_route(&mut |route| router = std::mem::take(&mut router).routes(route));
    let (_, mut document) = router.split_for_parts();
    document.merge(beside());
    finished(document)
}

/// The document's text, made when it is first asked for and compressed: as values it takes 3 MB, and
/// hardly anybody asks.
#[derive(Default)]
struct KeptDocument(OnceLock<Vec<u8>>);

impl KeptDocument {
    fn response(&self, beside: fn() -> Document) -> Response {
        let kept = self.0.get_or_init(|| {
            let text = serde_json::to_vec(&openapi_with(beside));
            compress_prepend_size(&text.expect("invariant: the document is JSON"))
        });
        let text = decompress_size_prepended(kept)
            .expect("invariant: what was compressed here reads back");
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}

/// The routes one after the other, each with its description: so what is not needed of one is gone
/// before the next.
fn each_route(take: &mut dyn FnMut(UtoipaMethodRouter<ApiState>)) {
    take(routes!(health::healthz));
    take(routes!(health::readyz));
    take(routes!(health::metrics));
    take(routes!(
        workspaces::list_workspaces,
        workspaces::create_workspace
    ));
    take(routes!(workspaces::delete_workspace));
    take(routes!(
        workspace_hooks::show_hook,
        workspace_hooks::put_hook,
        workspace_hooks::delete_hook
    ));
    take(routes!(apply::apply));
    take(routes!(
        integrations::list_integrations,
        integrations::put_integration
    ));
    take(routes!(
        integrations::show_integration,
        integrations::delete_integration
    ));
    take(routes!(
        credentials::list_credentials,
        credentials::put_credential
    ));
    take(routes!(
        credentials::show_credential,
        credentials::delete_credential
    ));
    take(routes!(credentials::check_credential));
    take(routes!(connect::order_connect));
    take(routes!(connect::show_connect));
    take(routes!(
        subscriptions::list_subscriptions,
        subscriptions::put_subscription
    ));
    take(routes!(
        subscriptions::show_subscription,
        subscriptions::delete_subscription
    ));
    take(routes!(subscriptions::switch_subscription));
    take(routes!(subscription_actions::pause_subscription));
    take(routes!(subscription_actions::resume_subscription));
    take(routes!(subscription_actions::test_subscription));
    take(routes!(subscription_actions::check_subscription));
    take(routes!(subscription_actions::sync_subscription));
    take(routes!(subscription_actions::subscription_options));
    take(routes!(subscription_actions::provider_options));
    take(routes!(orphans::list_orphans, orphans::delete_orphans));
    take(routes!(samples::sample_subscription));
    take(routes!(runnables::list_runnables, runnables::put_runnable));
    take(routes!(
        runnables::show_runnable,
        runnables::delete_runnable
    ));
    take(routes!(runnables::list_runnable_versions));
    take(routes!(runnables::switch_runnable));
    take(routes!(triggers::list_triggers, triggers::put_trigger));
    take(routes!(triggers::show_trigger, triggers::delete_trigger));
    take(routes!(schedules::list_schedules, schedules::put_schedule));
    take(routes!(
        schedules::show_schedule,
        schedules::delete_schedule
    ));
    take(routes!(schedules::pause_schedule));
    take(routes!(schedules::resume_schedule));
    take(routes!(
        custom_routes::list_routes,
        custom_routes::put_route
    ));
    take(routes!(
        custom_routes::show_route,
        custom_routes::delete_route
    ));
    take(routes!(requests::list_requests));
    take(routes!(requests::show_request));
    take(routes!(events::list_events));
    take(routes!(events::show_event));
    take(routes!(error_handlers::list_error_handlers));
    take(routes!(jobs::list_jobs, jobs::start_job));
    take(routes!(jobs::show_job));
    take(routes!(jobs::list_attempts));
    take(routes!(jobs::replay_job));
    take(routes!(jobs::cancel_job));
    take(routes!(audit::list_workspace_audit));
    take(routes!(audit::list_audit));
    take(routes!(providers::list_providers));
    take(routes!(providers::show_provider));
    take(routes!(providers::enable_provider));
    take(routes!(providers::disable_provider));
    take(routes!(tokens::list_tokens, tokens::create_token));
    take(routes!(tokens::revoke_token));
    take(routes!(keys::rotate_keys));
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
            &mut item.patch,
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
    let answers = &mut operation.responses.responses;
    answers
        .entry("default".to_owned())
        .or_insert(problem.into());
}

async fn unknown_path() -> Problem {
    Problem::not_found("there is no such path; /api/openapi.json names those of the API")
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
