//! A provider's way to the outside: the guarded client, limited to what it may reach, with the
//! credential of the call attached.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::host::{HttpRequest, HttpResponse};
use url::Url;

use crate::credentials::{Attachment, CallRefusal, Credentials, Renewal};
use crate::id::CredentialId;
use crate::outbound::{
    Cidr, HostPort, Outbound, OutboundError, OutboundRequest, OutboundResponse, Policy,
};
use crate::plugins::CallScope;
use crate::plugins::services::{Answer, Egress, Reach};

/// No exchange of a provider takes longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Stands among the places of a declaration for the base URL of each call.
const BASE_URL: &str = "{base_url}";

/// The credentials, known a little later than the providers that use them.
pub type LateCredentials = Arc<OnceLock<Credentials>>;

/// Sends a provider's requests.
pub struct ProviderEgress(Arc<Inner>);

struct Inner {
    outbound: Outbound,
    allow: Vec<Cidr>,
    hosts: Vec<HostPort>,
    /// Whether the base URL of a call may be reached too.
    reaches_base_url: bool,
    credentials: LateCredentials,
}

impl ProviderEgress {
    /// Limited to what the provider may reach. A place that cannot be read allows nothing.
    pub fn new(outbound: Outbound, credentials: LateCredentials, reach: &Reach) -> ProviderEgress {
        let allow = reach.allow.iter().filter_map(|range| range.parse().ok());
        let hosts = reach.hosts.iter();
        let hosts = hosts.filter_map(|place| HostPort::of_place(place));
        ProviderEgress(Arc::new(Inner {
            outbound,
            allow: allow.collect(),
            hosts: hosts.collect(),
            reaches_base_url: reach.hosts.iter().any(|place| place == BASE_URL),
            credentials,
        }))
    }
}

impl Egress for ProviderEgress {
    fn send(&self, scope: Option<Arc<CallScope>>, request: Vec<u8>) -> Answer {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let request: HttpRequest = serde_json::from_slice(&request).map_err(|error| {
                error_of(
                    codes::INVALID_INPUT,
                    format!("the request cannot be read: {error}"),
                )
            })?;
            let response = inner.answer(scope.as_deref(), request).await?;
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

impl Inner {
    async fn answer(
        &self,
        scope: Option<&CallScope>,
        request: HttpRequest,
    ) -> Result<OutboundResponse, CallError> {
        let mut parsed = OutboundRequest::parse(&request.method, &request.url, &request.headers)
            .map_err(|error| refuse(&error))?;
        parsed.body = request.body.into();
        parsed.timeout = request
            .timeout_ms
            .map_or(TIMEOUT_MAX, Duration::from_millis)
            .min(TIMEOUT_MAX);
        let credential = scope.and_then(|scope| scope.credential.as_ref());
        let credential = credential.filter(|_| !request.anonymous);
        match (credential, self.credentials.get()) {
            (Some(id), Some(credentials)) => self.send_for(credentials, id, parsed).await,
            _ => {
                let base_url = scope.and_then(|scope| scope.base_url.as_deref());
                let policy = self.policy(base_url);
                let sent = self.outbound.send(&policy, parsed).await;
                sent.map_err(|error| refuse(&error))
            }
        }
    }

    /// In the name of an account. A 401 is answered by one renewal and one more try; what comes
    /// then is final.
    async fn send_for(
        &self,
        credentials: &Credentials,
        id: &CredentialId,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, CallError> {
        let first = credentials.attachment(id).await.map_err(unusable)?;
        let response = self.send_attached(&first, request.clone()).await?;
        if response.status != StatusCode::UNAUTHORIZED || !first.is_renewable {
            return Ok(response);
        }
        match credentials.renew(id, first.generation).await {
            Renewal::Renewed => {
                let second = credentials.attachment(id).await.map_err(unusable)?;
                self.send_attached(&second, request).await
            }
            Renewal::Refused(_) | Renewal::Impossible => Ok(response),
            // No proof that the credential is no good: nobody shall be told to connect it anew.
            Renewal::Failed(reason) => Err(error_of(
                codes::UPSTREAM,
                format!(
                    "the service answered 401, and the credential could not be renewed now: {reason}"
                ),
            )),
        }
    }

    async fn send_attached(
        &self,
        attachment: &Attachment,
        mut request: OutboundRequest,
    ) -> Result<OutboundResponse, CallError> {
        let policy = self.policy(attachment.base_url.as_deref());
        if let Some((name, value)) = &attachment.header {
            request.headers.insert(name, value.clone());
        }
        let sent = self.outbound.send(&policy, request).await;
        sent.map_err(|error| refuse(&error))
    }

    fn policy(&self, base_url: Option<&str>) -> Policy {
        let base_url = base_url.filter(|_| self.reaches_base_url);
        let base = base_url.and_then(|url| HostPort::of_url(&Url::parse(url).ok()?));
        Policy {
            allow: self.allow.clone(),
            hosts: Some(self.hosts.iter().cloned().chain(base).collect()),
        }
    }
}

fn unusable(refusal: CallRefusal) -> CallError {
    let code = match &refusal {
        CallRefusal::Gone | CallRefusal::NeedsReconnect { .. } | CallRefusal::Unusable { .. } => {
            codes::CREDENTIALS
        }
        CallRefusal::NotNow { .. } => codes::UPSTREAM,
        CallRefusal::NotLoaded(_) | CallRefusal::Store(_) => codes::HOST,
    };
    error_of(code, refusal.to_string())
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
