//! Webhooks on runnables, as their callers see them: a whole host, real connections.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/postgres.rs"]
mod postgres_harness;

#[path = "../runnables/target.rs"]
#[allow(dead_code, reason = "its other answers are for other tests")]
mod target;

#[path = "../../../plugin-api/tests/support/noise.rs"]
mod seeded;

mod bad_input;
mod conformance;
mod hooks;
mod kept;
mod noise;
mod routes;
mod sentences;
mod stories;

use harness::{Host, Options};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

/// What is called.
const DOCUMENT: &str = "
workspace: default
runnables:
- {path: f/t/echo, command: {argv: [./echo.sh]}}
- {path: f/t/fail, command: {argv: [./fail.sh]}, retry: {attempts_max: 1}}
- {path: f/t/wait, command: {argv: [./wait.sh]}, concurrency: 1}
- {path: f/t/first, command: {argv: [./first.sh]}}
- {path: f/t/secret, command: {argv: [./echo.sh]}, delete_after_use: true}
- {path: f/t/secret-fail, command: {argv: [./fail.sh]}, delete_after_use: true, retry: {attempts_max: 1}}
";

/// A host that can be called.
async fn host_with(variables: &[(&str, &str)]) -> Host {
    let host = Host::start_with(Options {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        no_plugins: true,
        ..Options::default()
    })
    .await;
    host.script("echo.sh", "cat");
    host.script("fail.sh", "cat; echo 'no disk, CANARY-41' >&2; exit 3");
    // Ends when the test writes `go` beside it, or when the test is over and its folder gone.
    host.script(
        "wait.sh",
        "until [ -e go ]; do [ -e wait.sh ] || exit 1; sleep 0.05; done; echo '\"went\"'",
    );
    // Prints the first file that came with it.
    host.script(
        "first.sh",
        r#"cat "$(sed -E 's/.*"path":"([^"]*)".*/\1/')""#,
    );
    host.apply(DOCUMENT);
    host
}

/// Another host on the same database, with the same scripts.
async fn beside(first: &Host, database: &str, more: &[(&str, &str)]) -> Host {
    let variables = [&[("TRIGGERD_DATABASE", database)], more].concat();
    let variables = variables.into_iter();
    let options = Options {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        no_plugins: true,
        ..Options::default()
    };
    let second = Host::start_like(first, options).await;
    for entry in std::fs::read_dir(first.path("commands")).expect("scripts") {
        let entry = entry.expect("a script");
        let copy = second.path("commands").join(entry.file_name());
        std::fs::copy(entry.path(), copy).expect("copied");
    }
    second
}

async fn start() -> Host {
    host_with(&[]).await
}

/// A call that is being put together.
struct Call<'a> {
    host: &'a Host,
    method: Method,
    path: String,
    token: Option<String>,
    headers: Vec<(&'a str, &'a str)>,
    body: Vec<u8>,
}

impl<'a> Call<'a> {
    /// A POST to `/api/w/default/jobs/{path}`, with the admin's token.
    fn post(host: &'a Host, path: &str) -> Call<'a> {
        Call {
            host,
            method: Method::POST,
            path: format!("/api/w/default/jobs/{path}"),
            token: Some(host.token.clone()),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn get(host: &'a Host, path: &str) -> Call<'a> {
        Call {
            method: Method::GET,
            ..Call::post(host, path)
        }
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Call<'a> {
        self.body = body.into();
        self
    }

    fn header(mut self, name: &'a str, value: &'a str) -> Call<'a> {
        self.headers.push((name, value));
        self
    }

    fn token(mut self, token: impl Into<Option<String>>) -> Call<'a> {
        self.token = token.into();
        self
    }

    async fn response(self) -> Response {
        let url = format!("{}{}", self.host.url, self.path);
        let mut request = self.host.client().request(self.method, url);
        if let Some(token) = self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(self.body).send().await.expect("an answer")
    }

    async fn send(self) -> Answer {
        let response = self.response().await;
        let kind = response.headers().get("content-type");
        Answer {
            status: response.status(),
            kind: kind
                .map_or("", |kind| kind.to_str().expect("text"))
                .to_owned(),
            headers: response.headers().clone(),
            text: response.text().await.expect("a body"),
        }
    }
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: String,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Waits for a job's end; returns it as its callers see it.
async fn finished(host: &Host, job: &str) -> Value {
    host.until("the job's end", async || {
        let shown = host.get(&format!("/api/w/default/jobs_u/get/{job}")).await;
        (shown["type"] == "CompletedJob").then_some(shown)
    })
    .await
}

/// Makes a token with the client.
fn token(host: &Host, arguments: &[&str]) -> String {
    let all = [&["token", "create"], arguments].concat();
    host.cli_ok(&all).trim().to_owned()
}
