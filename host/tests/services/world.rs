//! The services of a test and a host that may reach them.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use triggerd_fakes::github::Github;
use triggerd_fakes::google::Google;
use triggerd_fakes::nextcloud::{self, Nextcloud};
use triggerd_fakes::{FakeServer, Service};

use crate::harness::{self, Host, Options};

/// Three services and one host.
pub struct World {
    pub host: Host,
    pub github: FakeServer,
    pub nextcloud: FakeServer,
    pub google: FakeServer,
}

impl World {
    /// Everything runs, and clients are registered at the services.
    pub async fn start() -> World {
        let github = serve(Github::new()).await;
        let nextcloud = serve(Nextcloud::new()).await;
        let google = serve(Google::new()).await;
        let mut host = Host::start_with(Options {
            no_plugins: true,
            ..Options::default()
        })
        .await;
        assert!(host.terminate(), "{}", host.log());
        let manifests = harness::root().join("examples/demo/manifests");
        for name in ["github", "nextcloud", "google"] {
            let library = format!("libprovider_{name}.so");
            harness::place(
                &harness::target().join(&library),
                &host.path("plugins").join(&library),
            );
            let manifest = fs::read_to_string(manifests.join(format!("{name}.yaml")))
                .expect("the demo's manifest")
                .replace("http://127.0.0.1:9103", &google.url);
            fs::write(
                host.path("manifests").join(format!("{name}.yaml")),
                manifest,
            )
            .expect("a manifest");
        }
        host.resume().await;
        host.script("record.sh", "cat");
        let world = World {
            host,
            github,
            nextcloud,
            google,
        };
        world.apply_connections();
        world
    }

    /// Makes the integrations of the demo, at the services of this test.
    fn apply_connections(&self) {
        let document = fs::read_to_string(harness::root().join("examples/demo/connections.yaml"))
            .expect("the demo's document")
            .replace("http://127.0.0.1:9101", &self.github.url)
            .replace("http://127.0.0.1:9102", &self.nextcloud.url);
        self.host.apply(&document);
    }

    /// Connects an account as a person with a browser would; returns what the client printed.
    pub async fn connect(&self, provider: &str, integration: &str, name: &str) -> Value {
        let wish = json!({"provider": provider, "integration": integration, "name": name});
        let asked = self
            .host
            .request(reqwest::Method::POST, "/api/v1/workspaces/default/connect")
            .json(&wish)
            .send()
            .await
            .expect("it answers");
        let ticket: Value = asked.json().await.expect("JSON");
        let url = ticket["url"].as_str().unwrap_or_else(|| panic!("{ticket}"));
        browse(&self.host, url).await;
        let id = ticket["ticket"].as_str().expect("a ticket");
        let path = format!("/api/v1/workspaces/default/connect/{id}?wait=20s");
        self.host.get(&path).await
    }

    /// All three accounts.
    pub async fn connect_all(&self) {
        for (provider, integration, name) in [
            ("github", "my-github", "octocat"),
            ("nextcloud", "my-cloud", "cloud-admin"),
            ("google", "my-google", "ada"),
        ] {
            let connected = self.connect(provider, integration, name).await;
            assert_eq!(
                connected["phase"],
                "done",
                "{connected}\n{}",
                self.host.log()
            );
        }
    }

    /// The demo's subscriptions and triggers.
    pub fn apply_triggers(&self) -> Value {
        let path = harness::root().join("examples/demo/triggers.yaml");
        self.host
            .apply(&fs::read_to_string(path).expect("the demo's document"))
    }

    /// Waits until a subscription has come to this state.
    pub async fn until_state(&self, name: &str, state: &str) -> Value {
        let what = format!("subscription {name} to be {state}");
        let host = &self.host;
        host.until(&what, async || {
            let found = host.get(&path_of(name)).await;
            (found["state"] == state).then_some(found)
        })
        .await
    }

    /// Waits until a job of this trigger has worked, and returns it.
    pub async fn until_job(&self, trigger: &str) -> Value {
        let what = format!("a job of {trigger}");
        let host = &self.host;
        host.until(&what, async || {
            let jobs = host.items("jobs").await;
            jobs.into_iter()
                .find(|job| job["trigger"] == trigger && job["state"] == "done")
        })
        .await
    }

    /// No service was asked anything that the real one would refuse.
    pub fn assert_no_violations(&self) {
        for fake in [&self.github, &self.nextcloud, &self.google] {
            assert_eq!(
                fake.violations(),
                Vec::<String>::new(),
                "{}",
                self.host.log()
            );
        }
    }
}

/// A subscription in the API.
pub fn path_of(name: &str) -> String {
    format!("/api/v1/workspaces/default/subscriptions/{name}")
}

/// What a fake is made to do.
pub fn control(fake: &FakeServer, action: &str, arguments: Value) -> Value {
    fake.control(action, &arguments)
        .unwrap_or_else(|error| panic!("{action}: {error}"))
}

async fn serve(service: impl Service) -> FakeServer {
    FakeServer::start(Arc::new(service))
        .await
        .expect("a free port")
}

/// Opens the address, follows it to the service and back, and keeps its cookies on the way.
async fn browse(host: &Host, url: &str) {
    let client = host.client();
    let left = client.post(url).send().await.expect("our own page");
    let cookie = header(&left, "set-cookie");
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let refresh = header(&left, "refresh");
    let service = refresh.trim_start_matches("0; url=").trim_matches('"');
    let consented = client.get(service).send().await.expect("the service");
    let back = header(&consented, "location");
    let came = client.get(&back).header("cookie", cookie);
    let page = came.send().await.expect("our own page");
    assert!(
        page.status().is_success(),
        "{}",
        page.text().await.unwrap_or_default()
    );
}

fn header(response: &reqwest::Response, name: &str) -> String {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("{} has no {name}", response.url()));
    value.to_str().expect("a text").to_owned()
}

/// The app password of this account at the fake server.
pub fn app_password(login: &str) -> String {
    format!("{login}{}", nextcloud::APP_PASSWORD)
}
