//! Query keys that no call knows are refused, everywhere: `?dry_run=true` where nothing reads it
//! would else do in earnest what was meant to be tried.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use url::form_urlencoded;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn, Paths};

use super::problem::Problem;

/// The query keys of every call, by path and method, as the API describes itself.
#[derive(Default)]
pub(super) struct KnownQueries(HashMap<String, Vec<(&'static str, Vec<String>)>>);

impl KnownQueries {
    /// Those of all calls that are described here.
    pub(super) fn add(&mut self, paths: &Paths) {
        for (path, item) in &paths.paths {
            let operations = [
                ("GET", &item.get),
                ("PUT", &item.put),
                ("POST", &item.post),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            let known = operations
                .into_iter()
                .filter_map(|(method, operation)| Some((method, keys(operation.as_ref()?))));
            self.0.entry(path.clone()).or_default().extend(known);
        }
    }

    /// Refuses a request with a key that its call does not know.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let Some(query) = request.uri().query() else {
            return Ok(());
        };
        let path = request.extensions().get::<MatchedPath>();
        let Some(methods) = path.and_then(|path| self.0.get(path.as_str())) else {
            return Ok(());
        };
        // HEAD is answered as GET.
        let method = match request.method().as_str() {
            "HEAD" => "GET",
            other => other,
        };
        let Some((_, known)) = methods.iter().find(|(each, _)| *each == method) else {
            return Ok(());
        };
        for (key, _) in form_urlencoded::parse(query.as_bytes()) {
            if !known.iter().any(|each| *each == key) {
                let known = match known.as_slice() {
                    [] => "none".to_owned(),
                    known => format!("`{}`", known.join("`, `")),
                };
                let key: String = key.chars().take(40).collect();
                return Err(Problem::bad_request(format!(
                    "the query has the unknown key `{key}`; this call knows {known}"
                )));
            }
        }
        Ok(())
    }
}

fn keys(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                Some(parameter.name.clone())
            }
            _ => None,
        })
        .collect()
}
