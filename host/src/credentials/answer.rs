//! What services answer at their token endpoint, brought into the one form of RFC 6749: JSON, with
//! errors in answers of status 400.
//!
//! Seen in the wild and understood: forms instead of JSON, errors in answers of status 200, lifetimes
//! as texts, scopes as lists or with commas, no token type. An answer that says nothing in the words
//! of OAuth (a page, a redirect, 5xx) is no refusal: it may pass.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::failure::GrantError;
use crate::outbound::OutboundResponse;

/// Never asked to wait longer than this at a time.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The answer in the standard's form.
pub(super) fn normalise(
    response: &OutboundResponse,
) -> Result<http::Response<Vec<u8>>, GrantError> {
    let status = response.status;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(GrantError::Unavailable {
            reason: format!("the service answered {}", status.as_u16()),
            retry_after: retry_after(&response.headers),
        });
    }
    let fields = read(&response.body)
        .filter(|fields| fields.contains_key("error") || fields.contains_key("access_token"));
    let Some(fields) = fields else {
        return Err(nonsense(status));
    };
    if let Some(error) = fields.get("error").filter(|error| !is_empty(error)) {
        return Ok(canonical(StatusCode::BAD_REQUEST, &said(error, &fields)));
    }
    if !status.is_success() || !fields.contains_key("access_token") {
        return Err(nonsense(status));
    }
    Ok(canonical(StatusCode::OK, &given(&fields)))
}

fn nonsense(status: StatusCode) -> GrantError {
    let what = if status.is_redirection() {
        "a redirect, which is not followed"
    } else {
        "something that is no answer of OAuth"
    };
    GrantError::Unavailable {
        reason: format!("the service answered {} with {what}", status.as_u16()),
        retry_after: None,
    }
}

/// A JSON object, or a form.
fn read(body: &Bytes) -> Option<Map<String, Value>> {
    if let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) {
        return Some(fields);
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    if text.starts_with(['<', '{', '[']) || !text.contains('=') {
        return None;
    }
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    Some(
        pairs
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
            .collect(),
    )
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == "" || *value == Value::Bool(false)
}

fn said(error: &Value, fields: &Map<String, Value>) -> Value {
    let code = match error {
        Value::String(code) => code.clone(),
        Value::Object(error) => ["status", "code", "type"]
            .iter()
            .find_map(|key| error.get(*key).and_then(Value::as_str))
            .unwrap_or("unknown_error")
            .to_owned(),
        _ => "unknown_error".to_owned(),
    };
    let mut said = json!({ "error": code });
    let description = fields.get("error_description").and_then(Value::as_str);
    if let Some(text) = description {
        said["error_description"] = text.into();
    }
    said
}

fn given(fields: &Map<String, Value>) -> Value {
    let mut given = json!({
        "access_token": fields.get("access_token").unwrap_or(&Value::Null),
        "token_type": fields
            .get("token_type")
            .and_then(Value::as_str)
            .filter(|kind| !kind.is_empty())
            .unwrap_or("bearer"),
    });
    let refresh_token = fields.get("refresh_token").and_then(Value::as_str);
    if let Some(text) = refresh_token.filter(|text| !text.is_empty()) {
        given["refresh_token"] = text.into();
    }
    let lifetime = match fields.get("expires_in") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    if let Some(seconds) = lifetime.filter(|seconds| (1.0..1e10).contains(seconds)) {
        given["expires_in"] = (seconds as u64).into();
    }
    let scopes = match fields.get("scope") {
        Some(Value::String(text)) => Some(words(text)),
        Some(Value::Array(list)) => Some(list.iter().filter_map(Value::as_str).collect()),
        _ => None,
    };
    if let Some(scopes) = scopes.filter(|scopes: &Vec<&str>| !scopes.is_empty()) {
        given["scope"] = scopes.join(" ").into();
    }
    given
}

fn words(text: &str) -> Vec<&str> {
    text.split([' ', ','])
        .filter(|word| !word.is_empty())
        .collect()
}

fn canonical(status: StatusCode, body: &Value) -> http::Response<Vec<u8>> {
    let mut response = http::Response::new(body.to_string().into_bytes());
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(status: u16, body: &str, expected: Expect) {
        let response = OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            truncated: false,
        };
        let shown = match normalise(&response) {
            Ok(found) => format!(
                "{} {}",
                found.status().as_u16(),
                String::from_utf8_lossy(found.body())
            ),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn json_and_forms_say_the_same() {
        check(
            200,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"r","scope":"x y"}"#,
            expect![[
                r#"200 {"access_token":"a","token_type":"Bearer","refresh_token":"r","expires_in":3600,"scope":"x y"}"#
            ]],
        );
        check(
            200,
            "access_token=a&expires_in=28800&refresh_token=r&scope=repo%2Cgist&token_type=bearer",
            expect![[
                r#"200 {"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":28800,"scope":"repo gist"}"#
            ]],
        );
        check(
            200,
            r#"{"access_token":"a","expires_in":"60","refresh_token":"","scope":["x"],"user_id":"ada"}"#,
            expect![[
                r#"200 {"access_token":"a","token_type":"bearer","expires_in":60,"scope":"x"}"#
            ]],
        );
    }

    #[test]
    fn an_error_is_one_whatever_its_status() {
        for status in [200, 400, 401] {
            check(
                status,
                r#"{"error":"bad_refresh_token","error_description":"it is over"}"#,
                expect![[r#"400 {"error":"bad_refresh_token","error_description":"it is over"}"#]],
            );
        }
        check(
            200,
            "error=bad_verification_code&error_description=no",
            expect![[r#"400 {"error":"bad_verification_code","error_description":"no"}"#]],
        );
        check(
            403,
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#,
            expect![[r#"400 {"error":"PERMISSION_DENIED"}"#]],
        );
    }

    #[test]
    fn what_is_no_answer_of_oauth_may_pass() {
        check(
            500,
            "<html>oops</html>",
            expect!["the service answered 500"],
        );
        check(
            503,
            r#"{"error":"temporarily_unavailable"}"#,
            expect!["the service answered 503"],
        );
        check(
            400,
            "<html>?a=b</html>",
            expect!["the service answered 400 with something that is no answer of OAuth"],
        );
        check(
            302,
            "",
            expect!["the service answered 302 with a redirect, which is not followed"],
        );
        check(
            200,
            "{}",
            expect!["the service answered 200 with something that is no answer of OAuth"],
        );
    }
}
