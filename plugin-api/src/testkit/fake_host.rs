//! A host that answers from a script, for the asynchronous side of a provider.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use crate::host::{BoxFuture, Host, HttpRequest, HttpResponse, Level, Services};
use crate::http_file::parse_response;
use crate::{Error, Result};

/// A host with a clock that stands still, randomness that repeats, and a service that follows a script.
///
/// ```
/// use trigger_plugin_api::host::HttpRequest;
/// use trigger_plugin_api::testkit::{FakeHost, block_on};
///
/// let fake = FakeHost::new();
/// fake.answers("GET", "https://api.example/me", 200, &serde_json::json!({"id": 7}));
/// let answer = block_on(fake.host().http(HttpRequest::new("GET", "https://api.example/me"))).unwrap();
/// assert_eq!(answer.status, 200);
/// fake.assert_done();
/// ```
#[derive(Clone, Default)]
pub struct FakeHost {
    services: Arc<Script>,
}

/// One line that the provider logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    pub level: Level,
    pub message: String,
}

#[derive(Default)]
struct Script(Mutex<Played>);

/// A service that answers every request, as [`FakeHost::served_by`] takes one: the time in
/// milliseconds since 1970, and the request.
pub type Served = Arc<dyn Fn(i64, &HttpRequest) -> Result<HttpResponse> + Send + Sync>;

struct Played {
    served_by: Option<Served>,
    attached: Vec<(String, String)>,
    now_ms: i64,
    exchanges: VecDeque<Exchange>,
    requests: Vec<HttpRequest>,
    state: BTreeMap<String, Value>,
    log: Vec<LoggedLine>,
    slept_ms: Vec<u64>,
    random: u8,
}

struct Exchange {
    method: String,
    url: String,
    answer: Result<HttpResponse>,
}

impl FakeHost {
    /// It is 2023-11-14T22:13:20Z, nothing is kept, and no request is expected.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a provider is given.
    #[must_use]
    pub fn host(&self) -> Host {
        Host::new(Arc::clone(&self.services) as Arc<dyn Services>)
    }

    /// The next request must be this one, and is answered with JSON (`null`: an empty body).
    pub fn answers(&self, method: &str, url: &str, status: u16, body: &Value) {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.expect(
            method,
            url,
            Ok(HttpResponse {
                status,
                headers,
                body,
            }),
        );
    }

    /// The next request must be this one, and is answered with a recorded message (`.http`).
    pub fn answers_recorded(&self, method: &str, url: &str, message: &[u8]) {
        let answer = parse_response(message)
            .unwrap_or_else(|error| panic!("the recorded answer to {method} {url}: {error}"));
        self.expect(method, url, Ok(answer));
    }

    /// The next request must be this one, and fails: the service cannot be reached.
    pub fn fails(&self, method: &str, url: &str, error: Error) {
        self.expect(method, url, Err(error));
    }

    /// Every request that the script does not expect goes to this service instead.
    pub fn served_by(
        &self,
        service: impl Fn(i64, &HttpRequest) -> Result<HttpResponse> + Send + Sync + 'static,
    ) {
        self.services.play().served_by = Some(Arc::new(service));
    }

    /// What the host would attach to each request that is not anonymous: the credential's header.
    pub fn attaches(&self, header: &str, value: &str) {
        self.services.play().attached = vec![(header.to_owned(), value.to_owned())];
    }

    /// Sets the clock, in milliseconds since 1970.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.services.play().now_ms = now_ms;
    }

    /// Keeps a value as if the provider had.
    pub fn keep(&self, key: &str, value: Value) {
        self.services.play().state.insert(key.to_owned(), value);
    }

    /// What is kept under a key.
    #[must_use]
    pub fn kept(&self, key: &str) -> Option<Value> {
        self.services.play().state.get(key).cloned()
    }

    /// The requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.services.play().requests.clone()
    }

    /// The lines logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<LoggedLine> {
        self.services.play().log.clone()
    }

    /// The waits so far; none of them took any time.
    #[must_use]
    pub fn slept_ms(&self) -> Vec<u64> {
        self.services.play().slept_ms.clone()
    }

    /// # Panics
    /// When an expected request was not made.
    pub fn assert_done(&self) {
        let played = self.services.play();
        let left: Vec<String> = played
            .exchanges
            .iter()
            .map(|next| format!("{} {}", next.method, next.url))
            .collect();
        assert!(
            left.is_empty(),
            "these requests were expected and not made: {}",
            left.join(", ")
        );
    }

    fn expect(&self, method: &str, url: &str, answer: Result<HttpResponse>) {
        let (method, url) = (method.to_owned(), url.to_owned());
        self.services.play().exchanges.push_back(Exchange {
            method,
            url,
            answer,
        });
    }
}

/// Runs what a provider does over a [`FakeHost`], which never has to wait.
///
/// # Panics
/// When the future waits for something that the fake host does not give.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    // A provider may yield to itself (join, select): a thousand polls are enough for every test.
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the provider waits for something that is not its host's");
}

impl Default for Played {
    fn default() -> Self {
        Self {
            served_by: None,
            attached: Vec::new(),
            now_ms: 1_700_000_000_000,
            exchanges: VecDeque::new(),
            requests: Vec::new(),
            state: BTreeMap::new(),
            log: Vec::new(),
            slept_ms: Vec::new(),
            random: 0,
        }
    }
}

impl Script {
    fn play(&self) -> MutexGuard<'_, Played> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, op: &str, json: &[u8]) -> Result<Value> {
        let unreadable = |error: serde_json::Error| {
            Error::host(format!("`{op}` cannot be read")).with_detail(error.to_string())
        };
        if op == "http" {
            let request: HttpRequest = serde_json::from_slice(json).map_err(unreadable)?;
            let answer = self.exchange(request)?;
            return serde_json::to_value(answer).map_err(unreadable);
        }
        let input: Value = serde_json::from_slice(json).map_err(unreadable)?;
        let key = || input["key"].as_str().unwrap_or_default().to_owned();
        let mut played = self.play();
        match op {
            "sleep" => {
                played.slept_ms.extend(input["ms"].as_u64());
                Ok(Value::Null)
            }
            "state_get" => Ok(played.state.get(&key()).cloned().unwrap_or_default()),
            "state_get_many" => {
                let keys = input["keys"].as_array().cloned().unwrap_or_default();
                let kept = keys.iter().filter_map(|key| {
                    let key = key.as_str()?;
                    Some((key.to_owned(), played.state.get(key)?.clone()))
                });
                Ok(Value::Object(kept.collect()))
            }
            "state_put" => {
                match &input["value"] {
                    Value::Null => played.state.remove(&key()),
                    value => played.state.insert(key(), value.clone()),
                };
                Ok(Value::Null)
            }
            _ => Err(Error::unsupported(format!(
                "the fake host does not know `{op}`"
            ))),
        }
    }

    fn exchange(&self, mut request: HttpRequest) -> Result<HttpResponse> {
        let mut played = self.play();
        let asked = format!("{} {}", request.method, request.url);
        if !request.anonymous {
            request.headers.extend(played.attached.iter().cloned());
        }
        played.requests.push(request.clone());
        let next = played.exchanges.pop_front();
        if next.is_none()
            && let Some(service) = played.served_by.clone()
        {
            let now_ms = played.now_ms;
            // The service may ask what was played.
            drop(played);
            return service(now_ms, &request);
        }
        // The lock is gone before a panic: what follows it may still ask what was played.
        drop(played);
        match next {
            Some(Exchange {
                method,
                url,
                answer,
            }) if asked == format!("{method} {url}") => answer,
            Some(Exchange { method, url, .. }) => {
                panic!("{asked} was asked; the script expects {method} {url}")
            }
            None => panic!("{asked} was asked; the script expects nothing more"),
        }
    }
}

impl Services for Script {
    fn now_ms(&self) -> i64 {
        self.play().now_ms
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut played = self.play();
        for byte in bytes {
            played.random = played.random.wrapping_add(1);
            *byte = played.random;
        }
    }

    fn log(&self, level: Level, _target: &str, message: &str) {
        self.play().log.push(LoggedLine {
            level,
            message: message.to_owned(),
        });
    }

    fn call(&self, op: &str, input: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>>> {
        let answer = self
            .answer(op, &input)
            .map(|answer| json!(answer).to_string().into_bytes());
        Box::pin(ready(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_in_the_order_of_the_script() {
        let fake = FakeHost::new();
        fake.answers("POST", "https://a.example/x", 201, &json!({"id": 1}));
        fake.answers_recorded(
            "GET",
            "https://a.example/y",
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\n\r\n",
        );
        fake.fails("GET", "https://a.example/z", Error::host("no route"));
        let host = fake.host();
        let post = HttpRequest::new("POST", "https://a.example/x").json(&json!({"a": 1}));
        assert_eq!(
            block_on(host.http(post)).unwrap().json::<Value>().unwrap(),
            json!({"id": 1})
        );
        let limited = block_on(host.http(HttpRequest::new("GET", "https://a.example/y"))).unwrap();
        assert_eq!(
            (limited.status, limited.header("retry-after")),
            (429, Some("7"))
        );
        assert!(block_on(host.http(HttpRequest::new("GET", "https://a.example/z"))).is_err());
        fake.assert_done();
        assert_eq!(fake.requests()[0].body, br#"{"a":1}"#);
    }

    #[test]
    #[should_panic(expected = "the script expects GET https://a.example/x")]
    fn another_request_than_the_scripts_fails_the_test() {
        let fake = FakeHost::new();
        fake.answers("GET", "https://a.example/x", 200, &Value::Null);
        let _ = block_on(
            fake.host()
                .http(HttpRequest::new("GET", "https://a.example/y")),
        );
    }

    #[test]
    #[should_panic(expected = "expected and not made: GET https://a.example/x")]
    fn a_request_that_was_not_made_fails_the_test() {
        let fake = FakeHost::new();
        fake.answers("GET", "https://a.example/x", 200, &Value::Null);
        fake.assert_done();
    }

    #[test]
    fn state_clock_sleep_and_randomness_are_the_scripts() {
        let fake = FakeHost::new();
        let host = fake.host();
        block_on(host.state_put("cursor", &json!("c1"))).unwrap();
        assert_eq!(fake.kept("cursor"), Some(json!("c1")));
        assert_eq!(
            block_on(host.state_get("cursor")).unwrap(),
            Some(json!("c1"))
        );
        block_on(host.state_put("cursor", &Value::Null)).unwrap();
        assert_eq!(block_on(host.state_get("cursor")).unwrap(), None);
        block_on(host.sleep(86_400_000)).unwrap();
        assert_eq!(fake.slept_ms(), [86_400_000]);
        fake.set_now_ms(5);
        assert_eq!(host.now_ms(), 5);
        let mut bytes = [0; 3];
        host.random(&mut bytes);
        assert_eq!(bytes, [1, 2, 3]);
        host.log(Level::Warn, "careful");
        assert_eq!(
            fake.log(),
            [LoggedLine {
                level: Level::Warn,
                message: "careful".to_owned()
            }]
        );
    }
}
