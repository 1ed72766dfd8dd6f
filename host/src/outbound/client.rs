//! Sending one request under one caller's rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use url::{Host, Url};

use crate::outbound::address::Cidr;
use crate::outbound::message::{BodyLimit, OutboundError, OutboundRequest, OutboundResponse};
use crate::outbound::nats::Nats;
use crate::outbound::policy::Policy;
use crate::outbound::resolver::{GuardedResolver, check_answer, lookup};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_PER_HOST_MAX: usize = 8;
const HEADERS_MAX: usize = 128;
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// How many sets of opened ranges keep their connections; past it the connections of all are let go.
const CLIENTS_MAX: usize = 64;

/// How this host reaches the outside.
#[derive(Clone, Debug, Default)]
pub struct OutboundConfig {
    /// The proxy for all of it. The environment's proxy variables are not read.
    pub proxy: Option<Url>,
}

/// The HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct SetupError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Sends requests. Cheap to clone; connections are reused among callers with the same rules.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    tls: rustls::ClientConfig,
    /// Of connections that stay open: HTTP/1.1 alone.
    socket_tls: Arc<rustls::ClientConfig>,
    nats: Nats,
    proxy: Option<Url>,
    clients: Mutex<HashMap<Arc<[Cidr]>, reqwest::Client>>,
}

impl Outbound {
    /// Reads the system's trusted roots (or those that `SSL_CERT_FILE` names).
    pub fn open(config: &OutboundConfig) -> Result<Outbound, SetupError> {
        let tls = tls_config()?;
        let mut socket_tls = tls.clone();
        socket_tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let outbound = Outbound(Arc::new(Inner {
            nats: Nats::new(tls.clone()),
            tls,
            socket_tls: Arc::new(socket_tls),
            proxy: config.proxy.clone(),
            clients: Mutex::new(HashMap::new()),
        }));
        // Whatever is wrong with the configuration shows now and not at the first request.
        outbound
            .client(&[])
            .map_err(|error| SetupError(Box::new(error)))?;
        Ok(outbound)
    }

    /// The way to NATS servers, under the same rules. Not through the proxy, which speaks HTTP.
    pub fn nats(&self) -> &Nats {
        &self.0.nats
    }

    /// Sends one request and reads the answer, all within the request's timeout.
    pub async fn send(
        &self,
        policy: &Policy,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, OutboundError> {
        policy.check_url(&request.url)?;
        OutboundRequest::check_headers(&request.headers)?;
        let after = request.timeout;
        tokio::time::timeout(after, self.exchange(policy, request))
            .await
            .unwrap_or(Err(OutboundError::Timeout { after }))
    }

    async fn exchange(
        &self,
        policy: &Policy,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, OutboundError> {
        if self.0.proxy.is_some() {
            check_before_proxy(policy, &request.url).await?;
        }
        let client = self
            .client(&policy.allow)
            .map_err(OutboundError::of_client)?;
        let response = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await
            .map_err(OutboundError::of_client)?;
        check_head(response.headers())?;
        let status = response.status();
        let headers = response.headers().clone();
        let (body, truncated) = read_body(response, request.body_limit).await?;
        Ok(OutboundResponse {
            status,
            headers,
            body,
            truncated,
        })
    }

    pub(super) fn proxy(&self) -> Option<&Url> {
        self.0.proxy.as_ref()
    }

    pub(super) fn socket_tls(&self) -> &Arc<rustls::ClientConfig> {
        &self.0.socket_tls
    }

    /// The client for a set of opened ranges: a connection that was opened under one set of rules
    /// is never used under another.
    fn client(&self, allow: &[Cidr]) -> Result<reqwest::Client, reqwest::Error> {
        let mut key = allow.to_vec();
        key.sort_unstable();
        key.dedup();
        let key: Arc<[Cidr]> = key.into();
        let mut clients = self
            .0
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(Arc::clone(&key))?;
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, allow: Arc<[Cidr]>) -> Result<reqwest::Client, reqwest::Error> {
        let proxy_host = self.0.proxy.as_ref().and_then(Url::host_str);
        let resolver = GuardedResolver::new(allow, proxy_host.map(str::to_owned));
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.0.tls.clone())
            .dns_resolver(Arc::new(resolver))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX as u32);
        if let Some(proxy) = &self.0.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone())?);
        }
        builder.build()
    }
}

pub(super) fn tls_config() -> Result<rustls::ClientConfig, SetupError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            "the system has no trusted root certificates: every https target will be refused; \
             install ca-certificates or set SSL_CERT_FILE"
        );
    }
    tracing::debug!(added, ignored, "trusted root certificates read");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError(Box::new(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A proxy dials by itself, so the name is classified before it is handed over.
async fn check_before_proxy(policy: &Policy, url: &Url) -> Result<(), OutboundError> {
    let Some(Host::Domain(host)) = url.host() else {
        return Ok(());
    };
    let addresses = lookup(host)
        .await
        .map_err(|failure| OutboundError::Resolve {
            host: failure.host,
            source: std::io::Error::other(failure.reason),
        })?;
    Ok(check_answer(&policy.allow, host, &addresses)?)
}

fn check_head(headers: &HeaderMap) -> Result<(), OutboundError> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(OutboundError::HeadersTooLarge);
    }
    Ok(())
}

/// Reads to the end or to the limit. Dropping the response closes the connection, so a body
/// without an end costs no more than its beginning.
async fn read_body(
    mut response: reqwest::Response,
    limit: BodyLimit,
) -> Result<(Bytes, bool), OutboundError> {
    let (BodyLimit::Truncate(max) | BodyLimit::Refuse(max)) = limit;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(OutboundError::of_client)? {
        let room = max - body.len();
        if chunk.len() <= room {
            body.extend_from_slice(&chunk);
            continue;
        }
        if matches!(limit, BodyLimit::Refuse(_)) {
            return Err(OutboundError::BodyTooLarge { max });
        }
        body.extend_from_slice(&chunk[..room]);
        return Ok((body.freeze(), true));
    }
    Ok((body.freeze(), false))
}
