//! A fake on a port of this machine: its answers, its faults, its controls, and what it sends.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::{Answer, Delivery, Exchange, Fault, Faults, Service};

/// A callback has so long, as with most services.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// What became due without anybody asking is sent at least so often.
const OUTBOX_EVERY: Duration = Duration::from_millis(200);
const BODY_MAX: usize = 32 << 20;

/// When an [interceptor](FakeServer::intercept) is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request has come, and the service has not seen it.
    Before,
    /// The service has done what was asked and answered nothing yet.
    After,
}

/// Says whether an exchange goes on; if not, its connection ends there.
pub type Interceptor = Arc<dyn Fn(Moment, &Exchange) -> bool + Send + Sync>;

/// A running fake. Ends when it is dropped.
pub struct FakeServer {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    running: Arc<Running>,
    tasks: [JoinHandle<()>; 2],
}

struct Running {
    service: Arc<dyn Service>,
    faults: Faults,
    interceptor: RwLock<Option<Interceptor>>,
    /// How far the service's clock is ahead, in milliseconds.
    ahead_ms: AtomicI64,
    outbox_wake: Notify,
    client: reqwest::Client,
}

impl FakeServer {
    /// Serves on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(service: Arc<dyn Service>) -> std::io::Result<FakeServer> {
        Self::listen(service, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves on this address.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn listen(
        service: Arc<dyn Service>,
        address: SocketAddr,
    ) -> std::io::Result<FakeServer> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let running = Arc::new(Running {
            service,
            faults: Faults::default(),
            interceptor: RwLock::new(None),
            ahead_ms: AtomicI64::new(0),
            outbox_wake: Notify::new(),
            client: client()?,
        });
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&running));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("a fake service ended: {error}");
            }
        });
        let sending = tokio::spawn(Arc::clone(&running).send_what_is_due());
        Ok(FakeServer {
            url,
            running,
            tasks: [serving, sending],
        })
    }

    /// Puts a fault in front of the service.
    pub fn fault(&self, fault: Fault) {
        self.running.faults.add(fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.running.faults.clear();
    }

    /// Asks this before and after each exchange, in place of what was asked before.
    pub fn intercept(&self, ask: impl Fn(Moment, &Exchange) -> bool + Send + Sync + 'static) {
        *self
            .running
            .interceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ask));
    }

    /// As `POST /_fake/{action}`.
    ///
    /// # Errors
    /// The service's sentence.
    pub fn control(&self, action: &str, arguments: &Value) -> Result<Value, String> {
        let done = self
            .running
            .service
            .control(self.running.now_ms(), action, arguments);
        self.running.outbox_wake.notify_one();
        done
    }

    /// Moves the service's clock ahead of the machine's.
    pub fn ahead(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.running.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        self.running.outbox_wake.notify_one();
    }

    /// Requests that the real service would refuse.
    pub fn violations(&self) -> Vec<String> {
        self.running.service.violations()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn client() -> std::io::Result<reqwest::Client> {
    // Callbacks go to this machine, so that no certificate is ever looked at.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DELIVERY_TIMEOUT)
        .build()
        .map_err(std::io::Error::other)
}

async fn receive(State(running): State<Arc<Running>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return response(Answer::status(413));
    };
    let header = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let exchange = Exchange {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        host: parts.headers.get("host").map(header).unwrap_or_default(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), header(value)))
            .collect(),
        body: body.to_vec(),
    };
    match exchange.path.strip_prefix("/_fake/") {
        Some(action) => response(running.controlled(action, &exchange)),
        None => running.answer(&exchange).await,
    }
}

impl Running {
    #[expect(
        clippy::disallowed_methods,
        reason = "a service has a clock of its own, which is not the host's"
    )]
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        now.saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    async fn answer(self: &Arc<Self>, exchange: &Exchange) -> Response<Body> {
        if !self.goes_on(Moment::Before, exchange) {
            return cut_off();
        }
        let answer = self.answer_despite_faults(exchange).await;
        match self.goes_on(Moment::After, exchange) {
            true => answer,
            false => cut_off(),
        }
    }

    fn goes_on(&self, moment: Moment, exchange: &Exchange) -> bool {
        let interceptor = self
            .interceptor
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        interceptor.is_none_or(|ask| ask(moment, exchange))
    }

    async fn answer_despite_faults(self: &Arc<Self>, exchange: &Exchange) -> Response<Body> {
        let Some(effect) = self.faults.effect_on(exchange) else {
            return response(self.served(exchange).await);
        };
        tokio::time::sleep(effect.wait).await;
        let served = match effect.reaches_service {
            true => Some(self.served(exchange).await),
            false => None,
        };
        if effect.cut {
            return cut_off();
        }
        match effect.answer.or(served) {
            Some(answer) => response(answer),
            None => cut_off(),
        }
    }

    async fn served(self: &Arc<Self>, exchange: &Exchange) -> Answer {
        let answer = self.service.handle(self.now_ms(), exchange);
        for delivery in self.service.outbox(self.now_ms()) {
            if delivery.before_answer {
                self.send(delivery).await;
            } else {
                tokio::spawn(Arc::clone(self).send_apart(delivery));
            }
        }
        answer
    }

    fn controlled(&self, action: &str, exchange: &Exchange) -> Answer {
        let arguments = match exchange.body.is_empty() {
            true => json!({}),
            false => exchange.json().unwrap_or(Value::Null),
        };
        let done = match action {
            "violations" => Ok(json!(self.service.violations())),
            "heal" => {
                self.faults.clear();
                Ok(Value::Null)
            }
            "faults" => serde_json::from_value(arguments)
                .map(|fault| {
                    self.faults.add(fault);
                    Value::Null
                })
                .map_err(|error| error.to_string()),
            "ahead" => match arguments["ms"].as_i64() {
                Some(ms) => {
                    self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
                    Ok(Value::Null)
                }
                None => Err("expected {\"ms\": …}".to_owned()),
            },
            _ => self.service.control(self.now_ms(), action, &arguments),
        };
        self.outbox_wake.notify_one();
        match done {
            Ok(value) => Answer::json(200, &value),
            Err(message) => Answer::json(400, &json!({ "error": message })),
        }
    }

    async fn send_what_is_due(self: Arc<Self>) {
        loop {
            for delivery in self.service.outbox(self.now_ms()) {
                tokio::spawn(Arc::clone(&self).send_apart(delivery));
            }
            tokio::select! {
                () = self.outbox_wake.notified() => {}
                () = tokio::time::sleep(OUTBOX_EVERY) => {}
            }
        }
    }

    async fn send_apart(self: Arc<Self>, delivery: Delivery) {
        self.send(delivery).await;
    }

    async fn send(&self, delivery: Delivery) {
        let mut request = self.client.post(&delivery.url).body(delivery.body);
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let status = request.send().await.ok();
        let status = status.map(|answer| answer.status().as_u16());
        self.service.delivered(self.now_ms(), delivery.id, status);
    }
}

fn response(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A body that breaks off: the connection ends before an answer is whole.
fn cut_off() -> Response<Body> {
    let broken = async { Err::<bytes::Bytes, _>(std::io::Error::other("cut off")) };
    let mut response = Response::new(Body::from_stream(futures_util::stream::once(broken)));
    response
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("1"));
    response
}
