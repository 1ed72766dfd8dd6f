//! Services to try triggerd against: each answers as the real one is published or recorded to, in
//! memory, and notes every request that the real one would refuse.
//!
//! A fake is a [`Service`]: a pure state machine without sockets. [`FakeServer`] puts it on a port
//! of this machine and sends what it wants to send; [`wire`] puts it behind a provider's
//! [`trigger_plugin_api::testkit::FakeHost`] for tests without any network.

mod exchange;
mod faults;
pub mod github;
pub mod google;
pub mod nextcloud;
mod server;
mod wire;

pub use exchange::{Answer, Exchange};
pub use faults::{Fault, Faults};
pub use server::{FakeServer, Interceptor, Moment};
pub use wire::wire;

use serde_json::Value;

/// One fake service. Its methods are called from many threads; time is milliseconds since 1970.
pub trait Service: Send + Sync + 'static {
    /// `acme`, for the first line of the log and the demo.
    fn name(&self) -> &'static str;

    /// Answers one request.
    fn handle(&self, at_ms: i64, request: &Exchange) -> Answer;

    /// Makes something happen that only the service's own users could: `POST /_fake/{action}`.
    ///
    /// # Errors
    /// A sentence for an unknown action or wrong arguments.
    fn control(&self, at_ms: i64, action: &str, arguments: &Value) -> Result<Value, String>;

    /// Takes what is to be sent now.
    fn outbox(&self, at_ms: i64) -> Vec<Delivery>;

    /// How a delivery of the outbox ended; `None`: nobody answered.
    fn delivered(&self, at_ms: i64, id: u64, status: Option<u16>) {
        let _ = (at_ms, id, status);
    }

    /// Requests so far that the real service would refuse as malformed, one sentence each.
    fn violations(&self) -> Vec<String>;
}

/// A request that the service wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// For [`Service::delivered`].
    pub id: u64,
    /// Absolute.
    pub url: String,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// As it goes over the wire.
    pub body: Vec<u8>,
    /// Sent and answered before the answer to the request that caused it goes out, as services do
    /// that try the address first.
    pub before_answer: bool,
}
