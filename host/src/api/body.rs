//! JSON bodies and queries, refused with a problem that names the field.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::problem::Problem;
use super::state::ApiState;
use crate::documents::Mistake;
use crate::units;
use crate::yaml::pointer_join;

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::not_json());
        }
        // A caller holds a place while it sends: one that dawdles must not keep it.
        let reading = Bytes::from_request(request, state);
        let bytes = tokio::time::timeout(state.read_timeout(), reading)
            .await
            .map_err(|_| Problem::too_slow())?
            .map_err(|rejection| {
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    Problem::too_large()
                } else {
                    Problem::bad_request("the body ended early")
                }
            })?;
        read(&bytes).map(JsonBody)
    }
}

/// How long a caller is willing to wait; absent: not at all.
pub fn patience(name: &str, text: Option<&str>, most: Duration) -> Result<Duration, Problem> {
    let Some(text) = text else {
        return Ok(Duration::ZERO);
    };
    let form = units::DURATION_FORM;
    let asked = units::parse_duration(text);
    let asked = asked.ok_or_else(|| Problem::bad_request(format!("`{name}`: expected {form}")))?;
    Ok(asked.min(most))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    check_object(bytes)?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_syntax() || inner.is_eof() {
            return Problem::bad_request(format!("the body is not JSON: {inner}"));
        }
        let pointer = error.path().iter().fold(String::new(), |pointer, segment| {
            let text = segment.to_string();
            pointer_join(&pointer, text.trim_start_matches('[').trim_end_matches(']'))
        });
        Problem::invalid(vec![Mistake::value(pointer, inner.to_string())])
    })?;
    json.end()
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// Every body is an object; serde would read an array as one, value by value.
fn check_object(bytes: &[u8]) -> Result<(), Problem> {
    let found = match bytes.trim_ascii_start().first() {
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => return Ok(()),
    };
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => {
            let message = format!("expected a JSON object `{{…}}`, found {found}");
            Err(Problem::invalid(vec![Mistake::value("", message)]))
        }
        // What is no JSON at all is said by the reading itself.
        Err(_) => Ok(()),
    }
}

/// The query of the address.
pub struct QueryOf<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<ApiState> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(QueryOf(value)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text())),
        }
    }
}
