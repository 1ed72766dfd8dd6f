//! The client commands' way to their server: one configured address, chosen by whoever types the
//! command, so the rules for targets do not apply.

use std::time::Duration;

use bytes::Bytes;

use super::client::{SetupError, tls_config};

/// Sends to the address that the user named. Clones share connections.
#[derive(Clone)]
pub struct PlainClient(reqwest::Client);

/// What came back.
#[derive(Clone, Debug)]
pub struct PlainAnswer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// One request.
#[derive(Clone, Debug, Default)]
pub struct PlainRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Others.
    pub headers: Vec<(String, String)>,
    /// As it is sent.
    pub body: Bytes,
}

/// The request could not be sent, or its answer did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {url}")]
pub struct PlainError {
    /// Without its query.
    pub url: String,
    #[source]
    source: reqwest::Error,
}

impl PlainClient {
    /// Every exchange ends within `timeout`.
    pub fn open(timeout: Duration) -> Result<PlainClient, SetupError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .user_agent(concat!("triggerd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(PlainClient)
            .map_err(|error| SetupError::of(error))
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&self, request: PlainRequest) -> Result<PlainAnswer, PlainError> {
        let url = request.url.split('?').next().unwrap_or_default().to_owned();
        let failed = |source: reqwest::Error| PlainError {
            url: url.clone(),
            source: source.without_url(),
        };
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap_or(reqwest::Method::GET);
        let mut builder = self.0.request(method, &request.url).body(request.body);
        if let Some(token) = &request.token {
            builder = builder.bearer_auth(token);
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(failed)?;
        Ok(PlainAnswer { status, body })
    }
}
