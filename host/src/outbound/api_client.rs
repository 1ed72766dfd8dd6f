//! The command line's way to our own API, and to an endpoint for `triggerd send`. Plain: it goes
//! where the person who runs it says, with their rights, so nothing here is guarded.

use std::error::Error;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::client::tls_config;
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one server.
#[derive(Clone)]
pub struct ApiClient {
    base: Url,
    token: Option<Secret<String>>,
    http: reqwest::Client,
}

/// What came instead of the wanted answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer at all.
    #[error("cannot reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server said what was wrong.
    #[error("{}", problem_text(*status, body))]
    Problem { status: u16, body: Value },
    /// What answered is not this API.
    #[error("{url} answered {status} with something that is not JSON: is it a triggerd server?")]
    NotOurs { url: String, status: u16 },
    /// The client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Setup(String),
}

/// A request to an endpoint.
#[derive(Debug, Clone)]
pub struct Posted {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl ApiClient {
    /// A client of the server at `base`. Only what is not on this machine goes through a proxy.
    pub fn new(base: Url, token: Option<Secret<String>>) -> Result<ApiClient, ApiError> {
        let tls = tls_config().map_err(|error| ApiError::Setup(error.to_string()))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT);
        let is_local = match base.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if is_local {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| ApiError::Setup(chain(&error)))?;
        Ok(ApiClient { base, token, http })
    }

    /// The address of the server.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Reads.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, ApiError> {
        self.call(Method::GET, path, query, None).await
    }

    /// Does something.
    pub async fn post(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        self.call(Method::POST, path, query, body).await
    }

    /// Takes away.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, ApiError> {
        self.delete_with(path, &[]).await
    }

    /// The same, told how.
    pub async fn delete_with(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Value, ApiError> {
        self.call(Method::DELETE, path, query, None).await
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let url = self.address(path, query);
        let mut request = self.http.request(method, url.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let unreachable = |error: reqwest::Error| ApiError::Unreachable {
            url: self.base.to_string(),
            reason: chain(&error.without_url()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        match serde_json::from_slice(&bytes) {
            Ok(body) if status.is_success() => Ok(body),
            Ok(body) => Err(ApiError::Problem {
                status: status.as_u16(),
                body,
            }),
            Err(_) => Err(ApiError::NotOurs {
                url: url.to_string(),
                status: status.as_u16(),
            }),
        }
    }

    /// Sends a request to an endpoint; the status of the answer and its body as text.
    pub async fn send(&self, posted: Posted) -> Result<(u16, String), ApiError> {
        let unreachable = |reason: String| ApiError::Unreachable {
            url: posted.url.clone(),
            reason,
        };
        let method = Method::from_bytes(posted.method.as_bytes());
        let method = method.map_err(|error| unreachable(error.to_string()))?;
        let mut request = self.http.request(method, &posted.url);
        for (name, value) in &posted.headers {
            request = request.header(name, value);
        }
        let sent = request.body(posted.body.clone()).send().await;
        let response = sent.map_err(|error| unreachable(chain(&error.without_url())))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.unwrap_or_default()))
    }

    fn address(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

fn problem_text(status: u16, body: &Value) -> String {
    match body.get("detail").and_then(Value::as_str) {
        Some(detail) => detail.to_owned(),
        None => format!("the server answered {status}"),
    }
}

/// The error with its causes: reqwest keeps what really happened in the source.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_into_the_address() {
        let base = Url::parse("http://127.0.0.1:1/").expect("an address");
        let client = ApiClient::new(base, None).expect("a client");
        let path = ["api", "v1", "runnables", "f/demo/a b"];
        let url = client.address(&path, &[("limit", "5".to_owned())]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:1/api/v1/runnables/f%2Fdemo%2Fa%20b?limit=5"
        );
    }
}
