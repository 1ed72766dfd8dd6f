//! What the host offers to a provider: log, time, randomness, guarded HTTP, kept state.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{CallError, HostServices, Level};

use super::scope::{CallScope, Scopes};
use crate::clock::{Clock, random};
use crate::id::SubscriptionId;

/// The answer to a service call: JSON.
pub type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send>>;

/// What a provider may reach.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// `host:port` or absolute URLs.
    pub hosts: Vec<String>,
    /// Address ranges (CIDR) beyond public ones that the operator opened.
    pub allow: Vec<String>,
}

/// Sends one request of a provider to the outside; filled in by the guarded client.
pub trait Egress: Send + Sync + 'static {
    /// `request` and the answer are JSON in the shape that plugin-api documents for `Host::http`.
    /// `scope` is that of the call during which it is sent.
    fn send(&self, scope: Option<Arc<CallScope>>, request: Vec<u8>) -> Answer;
}

/// What becomes of a question for kept state.
pub type Kept<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// Keeps what providers keep for their subscriptions.
pub trait StateKeeper: Send + Sync + 'static {
    /// The values under these keys; those that have none are left out.
    fn read(&self, subscription: &SubscriptionId, keys: Vec<String>) -> Kept<Map<String, Value>>;

    /// Keeps a value; `None` removes it.
    fn write(&self, subscription: &SubscriptionId, key: String, value: Option<Value>) -> Kept<()>;
}

/// Keeps nothing.
pub struct NoState;

impl StateKeeper for NoState {
    fn read(&self, _: &SubscriptionId, _: Vec<String>) -> Kept<Map<String, Value>> {
        Box::pin(std::future::ready(Err(no_state())))
    }

    fn write(&self, _: &SubscriptionId, _: String, _: Option<Value>) -> Kept<()> {
        Box::pin(std::future::ready(Err(no_state())))
    }
}

fn no_state() -> CallError {
    refuse(codes::UNSUPPORTED, "this host keeps no state".to_owned())
}

/// Opens a provider's way to the outside.
pub type EgressFactory = Arc<dyn Fn(&Reach) -> Box<dyn Egress> + Send + Sync>;

/// What stands behind the services of all providers.
#[derive(Clone)]
pub struct Offered {
    /// Their way to the outside.
    pub egress: EgressFactory,
    /// Keeps their state.
    pub state: Arc<dyn StateKeeper>,
}

/// The services of one provider.
pub struct Services {
    provider: Box<str>,
    clock: Clock,
    egress: Box<dyn Egress>,
    state: Arc<dyn StateKeeper>,
    scopes: Arc<Scopes>,
}

impl Services {
    /// For the provider of this name, which may reach so far; `scopes` are its calls under way.
    pub fn new(
        provider: &str,
        clock: Clock,
        offered: &Offered,
        reach: &Reach,
        scopes: Arc<Scopes>,
    ) -> Services {
        Services {
            provider: provider.into(),
            clock,
            egress: (offered.egress)(reach),
            state: Arc::clone(&offered.state),
            scopes,
        }
    }

    fn read_state(&self, arguments: &[u8]) -> Result<Kept<Map<String, Value>>, CallError> {
        let wanted: ManyKeys = parse(arguments)?;
        let subscription = self.subscription(arguments)?;
        Ok(self.state.read(&subscription, wanted.keys))
    }

    fn read_one(&self, arguments: &[u8]) -> Result<Answer, CallError> {
        let OneKey { key } = parse(arguments)?;
        let subscription = self.subscription(arguments)?;
        let read = self.state.read(&subscription, vec![key.clone()]);
        Ok(Box::pin(async move {
            let value = read.await?.remove(&key).unwrap_or(Value::Null);
            Ok(value.to_string().into_bytes())
        }))
    }

    fn write_one(&self, arguments: &[u8]) -> Result<Answer, CallError> {
        let Put { key, value } = parse(arguments)?;
        let subscription = self.subscription(arguments)?;
        let write = self.state.write(&subscription, key, value);
        Ok(Box::pin(async move {
            write.await?;
            Ok(b"null".to_vec())
        }))
    }

    fn subscription(&self, arguments: &[u8]) -> Result<SubscriptionId, CallError> {
        self.scopes
            .of(arguments)
            .and_then(|scope| scope.subscription.clone())
            .ok_or_else(|| {
                refuse(
                    codes::UNSUPPORTED,
                    "state is kept for subscriptions, and this call is about none".to_owned(),
                )
            })
    }
}

#[derive(Deserialize)]
struct OneKey {
    key: String,
}

#[derive(Deserialize)]
struct ManyKeys {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Put {
    key: String,
    value: Option<Value>,
}

#[derive(Deserialize)]
struct Sleep {
    ms: u64,
}

impl HostServices for Services {
    fn log_level(&self) -> Level {
        super::load::log_level()
    }

    fn log(&self, level: Level, target: &str, message: &str) {
        forward(&self.provider, level, target, message);
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().0
    }

    fn random(&self, bytes: &mut [u8]) {
        random(bytes);
    }

    fn call(&self, operation: &str, arguments: Vec<u8>) -> Answer {
        let answer = match operation {
            "http" => Ok(self.egress.send(self.scopes.of(&arguments), arguments)),
            "sleep" => sleep(&arguments),
            "state_get" => self.read_one(&arguments),
            "state_get_many" => self.read_state(&arguments).map(|read| -> Answer {
                Box::pin(async move { Ok(Value::Object(read.await?).to_string().into_bytes()) })
            }),
            "state_put" => self.write_one(&arguments),
            _ => Err(refuse(
                codes::UNSUPPORTED,
                format!("this host has no service `{operation}`"),
            )),
        };
        answer.unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }
}

fn sleep(arguments: &[u8]) -> Result<Answer, CallError> {
    let sleep: Sleep = parse(arguments)?;
    Ok(Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(sleep.ms)).await;
        Ok(b"null".to_vec())
    }))
}

fn parse<'a, T: Deserialize<'a>>(arguments: &'a [u8]) -> Result<T, CallError> {
    serde_json::from_slice(arguments)
        .map_err(|error| refuse(codes::INVALID_INPUT, error.to_string()))
}

/// What a probed library gets: nothing leaves the child process.
pub struct SilentServices;

impl HostServices for SilentServices {
    fn log(&self, _level: Level, _target: &str, _message: &str) {}

    fn now_ms(&self) -> i64 {
        Clock::system().now().0
    }

    fn random(&self, bytes: &mut [u8]) {
        random(bytes);
    }

    fn call(&self, operation: &str, _arguments: Vec<u8>) -> Answer {
        let error = refuse(
            codes::UNSUPPORTED,
            format!("`{operation}` is not available while a library is probed"),
        );
        Box::pin(std::future::ready(Err(error)))
    }
}

fn refuse(code: u32, message: String) -> CallError {
    CallError {
        code,
        message,
        detail: None,
        retry_after_ms: None,
    }
}

fn forward(provider: &str, level: Level, target: &str, message: &str) {
    match level {
        Level::Error => tracing::error!(provider, target, "{message}"),
        Level::Warn => tracing::warn!(provider, target, "{message}"),
        Level::Info => tracing::info!(provider, target, "{message}"),
        Level::Debug => tracing::debug!(provider, target, "{message}"),
        Level::Trace => tracing::trace!(provider, target, "{message}"),
    }
}
