//! What the host offers to a provider: log, time, randomness, guarded HTTP.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::Deserialize;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{CallError, HostServices, Level};

use crate::clock::{Clock, random};

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
    fn send(&self, request: Vec<u8>) -> Answer;
}

/// The services of one provider.
pub struct Services {
    provider: Box<str>,
    clock: Clock,
    egress: Box<dyn Egress>,
}

impl Services {
    /// For the provider of this name.
    pub fn new(provider: &str, clock: Clock, egress: Box<dyn Egress>) -> Services {
        Services {
            provider: provider.into(),
            clock,
            egress,
        }
    }
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
        match operation {
            "http" => self.egress.send(arguments),
            "sleep" => Box::pin(async move {
                let sleep: Sleep = serde_json::from_slice(&arguments)
                    .map_err(|error| refuse(codes::INVALID_INPUT, error.to_string()))?;
                tokio::time::sleep(Duration::from_millis(sleep.ms)).await;
                Ok(b"null".to_vec())
            }),
            _ => {
                let error = refuse(
                    codes::UNSUPPORTED,
                    format!("this host has no service `{operation}`"),
                );
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }
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
