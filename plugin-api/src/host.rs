//! What the host does for a provider: network, time, randomness, state, log.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
pub use trigger_plugin_abi::Level;

use crate::{Error, Result};

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What stands behind [`Host`]: the host itself, or a test's fake.
pub trait Services: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
    /// Fills the bytes from the system's source of randomness.
    fn random(&self, bytes: &mut [u8]);
    /// Takes one line of log.
    fn log(&self, level: Level, target: &str, message: &str);
    /// `http`, `sleep`, `state_get`, `state_get_many`, `state_put`; JSON both ways. A newer host may
    /// know more. `context` in the JSON says which of the host's own calls this belongs to.
    fn call(&self, op: &str, json: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>>>;
}

/// The host, as asynchronous methods of a provider get it. Cheap to clone.
///
/// It outlives the call that it came with, and a call that the host gave up ends the operations
/// that were under way.
#[derive(Clone)]
pub struct Host {
    services: Arc<dyn Services>,
    context: Option<Arc<str>>,
}

impl Host {
    /// A host over any services.
    pub fn new(services: Arc<dyn Services>) -> Self {
        Self {
            services,
            context: None,
        }
    }

    /// The same host for one call of its own, which it named.
    pub(crate) fn within(&self, context: &str) -> Self {
        Self {
            services: Arc::clone(&self.services),
            context: Some(context.into()),
        }
    }

    /// Sends a request and waits for the whole answer. Only to where the declaration's
    /// `permissions` and the operator's manifest allow; redirects are not followed. The credential
    /// of the call is attached as the declaration's `attach` says, and renewed when the service
    /// answers 401 and it can be: such an answer is final.
    ///
    /// # Errors
    /// `HOST` when the host refuses or cannot connect, `CANCELLED` when time runs out. Any status
    /// is an answer and no error.
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse> {
        self.call("http", &request).await
    }

    /// The host's clock: milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.services.now_ms()
    }

    /// Fills the bytes with what nobody can guess.
    pub fn random(&self, bytes: &mut [u8]) {
        self.services.random(bytes);
    }

    /// Waits.
    ///
    /// # Errors
    /// `CANCELLED` when the host is going down.
    pub async fn sleep(&self, duration_ms: u64) -> Result<()> {
        self.call("sleep", &serde_json::json!({ "ms": duration_ms }))
            .await
    }

    /// Reads a value kept for this subscription.
    ///
    /// # Errors
    /// `HOST` when the store cannot be reached.
    pub async fn state_get(&self, key: &str) -> Result<Option<serde_json::Value>> {
        self.call("state_get", &serde_json::json!({ "key": key }))
            .await
    }

    /// Reads many values kept for this subscription at once; keys without one are left out.
    ///
    /// # Errors
    /// As of [`Host::state_get`].
    pub async fn state_get_many(
        &self,
        keys: &[String],
    ) -> Result<BTreeMap<String, serde_json::Value>> {
        self.call("state_get_many", &serde_json::json!({ "keys": keys }))
            .await
    }

    /// Keeps a value for this subscription at once; `null` removes it. What belongs to a cursor
    /// goes with it in [`crate::messages::Pulled::state`].
    ///
    /// # Errors
    /// `HOST` when the store cannot be reached.
    pub async fn state_put(&self, key: &str, value: &serde_json::Value) -> Result<()> {
        self.call(
            "state_put",
            &serde_json::json!({ "key": key, "value": value }),
        )
        .await
    }

    /// Writes one line of log. Never a body, a token or an address.
    pub fn log(&self, level: Level, message: &str) {
        self.services.log(level, "provider", message);
    }

    async fn call<I, O>(&self, op: &str, input: &I) -> Result<O>
    where
        I: Serialize,
        O: for<'de> Deserialize<'de>,
    {
        let json = self.written(input).map_err(|error| {
            Error::internal(format!("cannot write the request for `{op}`"))
                .with_detail(error.to_string())
        })?;
        let answer = self.services.call(op, json).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            Error::host(format!("the host's answer to `{op}` cannot be read"))
                .with_detail(error.to_string())
        })
    }
}

impl Host {
    fn written<I: Serialize>(&self, input: &I) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Within<'a, I> {
            #[serde(flatten)]
            input: &'a I,
            context: &'a str,
        }
        match &self.context {
            Some(context) => serde_json::to_vec(&Within { input, context }),
            None => serde_json::to_vec(input),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// A request that the host sends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// In capitals.
    pub method: String,
    /// Absolute, `https` as a rule.
    pub url: String,
    /// In order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// As JSON: base64.
    #[serde(default, with = "crate::messages::base64_bytes")]
    pub body: Vec<u8>,
    /// For the whole exchange; absent: the host's own limit, which is also the highest.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Without the credential of the call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
}

impl HttpRequest {
    /// A request without headers or body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
            anonymous: false,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a JSON body and says so.
    #[must_use]
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }
}

/// Neither headers nor body, which may hold secrets.
impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// As the service sent it.
    pub status: u16,
    /// In order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Up to the host's limit. As JSON: base64.
    #[serde(default, with = "crate::messages::base64_bytes")]
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `UPSTREAM` when it is something else.
    pub fn json<T: for<'de> Deserialize<'de>>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::upstream(format!(
                "the answer of status {} is not the JSON it should be",
                self.status
            ))
            .with_detail(error.to_string())
        })
    }
}

/// The status alone.
impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
