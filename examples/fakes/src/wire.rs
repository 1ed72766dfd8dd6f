//! A fake behind a provider's test host: no sockets, no waiting.

use std::sync::Arc;

use trigger_plugin_api::host::{HttpRequest, HttpResponse};
use trigger_plugin_api::testkit::FakeHost;
use trigger_plugin_api::{Error, Result};
use url::Url;

use crate::{Exchange, Service};

/// Every request of the provider that its script does not expect goes to this service. What the
/// service wants to send stays in its outbox.
pub fn wire<S: Service>(host: &FakeHost, service: &Arc<S>) {
    let service = Arc::clone(service);
    host.served_by(move |at_ms, request| {
        let answer = service.handle(at_ms, &exchange(request)?);
        Ok(HttpResponse {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        })
    });
}

fn exchange(request: &HttpRequest) -> Result<Exchange> {
    let url = Url::parse(&request.url)
        .map_err(|error| Error::host(format!("`{}` is no address: {error}", request.url)))?;
    let host = url.host_str().unwrap_or_default();
    Ok(Exchange {
        method: request.method.clone(),
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        host: match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        },
        headers: request.headers.clone(),
        body: request.body.clone(),
    })
}
