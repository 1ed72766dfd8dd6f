//! A provider's way to the outside: the guarded client, limited to what it may reach.

use std::sync::Arc;
use std::time::Duration;

use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::host::{HttpRequest, HttpResponse};
use url::Url;

use crate::outbound::{HostPort, Outbound, OutboundError, OutboundRequest, Policy};
use crate::plugins::CallScope;
use crate::plugins::services::{Answer, Egress, Reach};

/// No exchange of a provider takes longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// Sends a provider's requests.
pub struct ProviderEgress {
    outbound: Outbound,
    policy: Policy,
}

impl ProviderEgress {
    /// Limited to what the provider may reach. A place that cannot be read allows nothing.
    pub fn new(outbound: Outbound, reach: &Reach) -> ProviderEgress {
        let policy = Policy {
            allow: reach
                .allow
                .iter()
                .filter_map(|range| range.parse().ok())
                .collect(),
            hosts: Some(
                reach
                    .hosts
                    .iter()
                    .filter_map(|place| host_port(place))
                    .collect(),
            ),
        };
        ProviderEgress { outbound, policy }
    }
}

/// `host:port`, or an absolute URL whose host and port count.
fn host_port(place: &str) -> Option<HostPort> {
    match Url::parse(place) {
        Ok(url) if url.has_host() => HostPort::of_url(&url),
        _ => place.parse().ok(),
    }
}

impl Egress for ProviderEgress {
    fn send(&self, _scope: Option<Arc<CallScope>>, request: Vec<u8>) -> Answer {
        let outbound = self.outbound.clone();
        let policy = self.policy.clone();
        Box::pin(async move {
            let request: HttpRequest = serde_json::from_slice(&request).map_err(|error| {
                error_of(
                    codes::INVALID_INPUT,
                    format!("the request cannot be read: {error}"),
                )
            })?;
            let mut parsed =
                OutboundRequest::parse(&request.method, &request.url, &request.headers)
                    .map_err(|error| refuse(&error))?;
            parsed.body = request.body.into();
            parsed.timeout = request
                .timeout_ms
                .map_or(TIMEOUT_MAX, Duration::from_millis)
                .min(TIMEOUT_MAX);
            let response = outbound
                .send(&policy, parsed)
                .await
                .map_err(|error| refuse(&error))?;
            let headers = response.headers.iter().map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            });
            let answer = HttpResponse {
                status: response.status.as_u16(),
                headers: headers.collect(),
                body: response.body.to_vec(),
            };
            serde_json::to_vec(&answer).map_err(|error| error_of(codes::HOST, error.to_string()))
        })
    }
}

fn refuse(error: &OutboundError) -> CallError {
    let code = match error {
        OutboundError::Timeout { .. } => codes::CANCELLED,
        OutboundError::Invalid { .. } => codes::INVALID_INPUT,
        _ => codes::HOST,
    };
    error_of(code, error.chain())
}

fn error_of(code: u32, message: String) -> CallError {
    CallError {
        code,
        message,
        detail: None,
        retry_after_ms: None,
    }
}
