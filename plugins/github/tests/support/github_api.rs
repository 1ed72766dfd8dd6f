//! GitHub's API as a script: each request gets the next answer, and each must be one that GitHub
//! describes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use trigger_plugin_api::host::{BoxFuture, Services};
use trigger_plugin_api::prelude::*;
use triggerd_fakes::Exchange;
use triggerd_fakes::github::problems_of;

/// What the host's clock shows.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// One answer of the script.
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

/// An answer with a JSON body.
pub fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body,
    }
}

impl Answer {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The script and what was asked.
pub struct GithubApi {
    base_url: String,
    script: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<HttpRequest>>,
}

impl GithubApi {
    /// github.com, with these answers in order.
    pub fn answers(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Self::at("https://api.github.com", script)
    }

    /// An Enterprise Server.
    pub fn at(base_url: &str, script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            base_url: base_url.to_owned(),
            script: Mutex::new(script.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    /// The host that a provider is given.
    pub fn host(self: &Arc<Self>) -> Host {
        Host::new(Arc::clone(self) as Arc<dyn Services>)
    }

    /// Method and address of every request, one a line.
    pub fn transcript(&self) -> String {
        let asked = self.asked.lock().unwrap();
        let line = |request: &HttpRequest| {
            let address = request.url.trim_start_matches(&self.base_url);
            format!("{} {address}\n", request.method)
        };
        asked.iter().map(line).collect()
    }

    /// The JSON body of a request, by its number.
    pub fn body(&self, number: usize) -> Value {
        serde_json::from_slice(&self.asked.lock().unwrap()[number].body).unwrap()
    }

    fn without_base(&self, request: &HttpRequest) -> Exchange {
        let address = request.url.strip_prefix(&self.base_url);
        let address = address.unwrap_or_else(|| panic!("{} is elsewhere", request.url));
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        Exchange {
            method: request.method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: request.body.clone(),
            ..Exchange::default()
        }
    }

    fn exchange(&self, request: HttpRequest) -> HttpResponse {
        assert_eq!(
            problems_of(&self.without_base(&request)),
            Vec::<String>::new()
        );
        for (name, value) in [
            ("accept", "application/vnd.github+json"),
            ("x-github-api-version", "2022-11-28"),
        ] {
            assert_header(&request, name, |found| found == value);
        }
        assert_header(&request, "user-agent", |found| !found.is_empty());
        let proves_itself = request
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        assert!(
            !proves_itself && !request.anonymous,
            "the host attaches the token"
        );
        let answer = self.script.lock().unwrap().pop_front();
        let answer =
            answer.unwrap_or_else(|| panic!("nobody expected {} {}", request.method, request.url));
        self.asked.lock().unwrap().push(request);
        HttpResponse {
            status: answer.status,
            headers: answer.headers,
            body: match answer.body {
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            },
        }
    }
}

impl Services for GithubApi {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }

    fn random(&self, bytes: &mut [u8]) {
        for (byte, value) in bytes.iter_mut().zip(0_u8..) {
            *byte = value;
        }
    }

    fn log(&self, _: Level, _: &str, _: &str) {}

    fn call(&self, op: &str, json: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>>> {
        assert_eq!(op, "http", "a constructor needs nothing else");
        let request: HttpRequest = serde_json::from_slice(&json).unwrap();
        let response = serde_json::to_vec(&self.exchange(request)).unwrap();
        Box::pin(async { Ok(response) })
    }
}

impl Drop for GithubApi {
    fn drop(&mut self) {
        let left = self.script.lock().map_or(0, |script| script.len());
        assert!(
            std::thread::panicking() || left == 0,
            "{left} answers were not asked for"
        );
    }
}

/// A webhook as GitHub describes it.
pub fn hook(id: u64, url: &str) -> Value {
    json!({
        "type": "Repository",
        "id": id,
        "name": "web",
        "active": true,
        "events": ["push"],
        "config": {
            "url": url,
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": "********"
        },
        "created_at": "2024-05-01T12:00:00Z",
        "updated_at": "2024-05-01T12:00:00Z",
        "last_response": {"code": null, "status": "unused", "message": null}
    })
}

fn assert_header(request: &HttpRequest, name: &str, is_right: impl Fn(&str) -> bool) {
    let values: Vec<&str> = request
        .headers
        .iter()
        .filter(|(each, _)| each.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect();
    assert!(
        matches!(values.as_slice(), [value] if is_right(value)),
        "{name}: {values:?}"
    );
}
