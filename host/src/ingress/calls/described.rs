//! The OpenAPI document of the calls: the routes as they describe themselves, and what holds for all.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    Content, ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder, Responses,
};

use super::refusal::RefusedCall;
use super::{custom, finished, routes};

#[derive(OpenApi)]
#[openapi(
    paths(
        routes::run_path,
        routes::run_hash,
        routes::run_flow,
        routes::wait_path,
        routes::wait_hash,
        routes::wait_flow,
        routes::wait_path_get,
        routes::wait_hash_get,
        routes::wait_flow_get,
        finished::show,
        finished::result,
        finished::result_maybe,
        custom::serve::receive
    ),
    components(schemas(RefusedCall))
)]
struct Described;

/// The document.
pub fn openapi() -> Document {
    let mut document = Described::openapi();
    for item in document.paths.paths.values_mut() {
        name_apart(item);
        for operation in with_body(item) {
            let body = RequestBodyBuilder::new()
                .description(Some(
                    "JSON, a form, text, XML, a multipart form, bytes, or one or more CloudEvents",
                ))
                .content("*/*", anything());
            operation.request_body = Some(body.build().into());
        }
        for operation in all(item) {
            describe_answers(&mut operation.responses);
        }
    }
    document
}

/// What answers several methods of a path is named once by its function, and each method is an operation.
fn name_apart(item: &mut PathItem) {
    let methods = [
        (&mut item.put, "put"),
        (&mut item.patch, "patch"),
        (&mut item.get, "get"),
        (&mut item.delete, "delete"),
    ];
    let mut taken: Vec<String> = Vec::new();
    taken.extend(item.post.iter().filter_map(|one| one.operation_id.clone()));
    for (operation, method) in methods {
        if let Some(id) = operation.as_mut().and_then(|one| one.operation_id.as_mut()) {
            if taken.contains(id) {
                *id = format!("{id}_{method}");
            }
            taken.push(id.clone());
        }
    }
}

fn describe_answers(answers: &mut Responses) {
    for (status, answer) in &mut answers.responses {
        if let RefOr::T(answer) = answer {
            // An id as text, several as a list; a result says itself what it is.
            let kinds = match status.as_str() {
                "201" => ["text/plain", "application/json"],
                _ => ["application/json", "*/*"],
            };
            for kind in kinds {
                answer.content.insert(kind.to_owned(), anything().into());
            }
        }
    }
    let refused = Content::new(Some(Ref::from_schema_name("RefusedCall")));
    let refused = ResponseBuilder::new()
        .description("What was wrong, and with which field; of a job that failed, its error")
        .content("application/problem+json", refused)
        .content("application/json", anything());
    let refused = refused.build().into();
    answers.responses.insert("default".to_owned(), refused);
}

fn anything() -> Content {
    ContentBuilder::new().build()
}

fn with_body(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.post, &mut item.put, &mut item.patch]
        .into_iter()
        .flatten()
}

fn all(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let written = [&mut item.post, &mut item.put, &mut item.patch];
    let others = [&mut item.get, &mut item.delete];
    written.into_iter().chain(others).flatten()
}
