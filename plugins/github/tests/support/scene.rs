//! The provider before a fake GitHub, in memory: time goes on only when it is told to, and what
//! GitHub sends is answered as the story wants.

use std::sync::Arc;

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::{FakeHost, block_on};
use triggerd_fakes::github::{Github, TOKEN};
use triggerd_fakes::{Delivery, Service, wire};

use super::provider;

/// Where GitHub shall send.
pub const URL: &str = "https://triggers.acme.test/webhooks/github/ep_1";
/// When the stories begin.
pub const BEGIN_MS: i64 = 1_700_000_000_000;
pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;

/// GitHub and our host.
pub struct Scene {
    pub github: Arc<Github>,
    pub fake: FakeHost,
    now_ms: std::cell::Cell<i64>,
}

impl Scene {
    /// An account whose token may do everything.
    pub fn new() -> Self {
        let github = Arc::new(Github::new());
        let fake = FakeHost::new();
        fake.set_now_ms(BEGIN_MS);
        wire(&fake, &github);
        fake.attaches("Authorization", &format!("Bearer {TOKEN}"));
        Self {
            github,
            fake,
            now_ms: BEGIN_MS.into(),
        }
    }

    pub fn host(&self) -> Host {
        self.fake.host()
    }

    pub fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    /// Time goes by.
    pub fn wait(&self, ms: i64) {
        self.now_ms.set(self.now_ms() + ms);
        self.fake.set_now_ms(self.now_ms());
    }

    /// Somebody does something at GitHub.
    pub fn control(&self, action: &str, arguments: Value) -> Value {
        let done = self.github.control(self.now_ms(), action, &arguments);
        done.unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// What GitHub wants to send, all of it answered with this status.
    pub fn deliver(&self, status: Option<u16>) -> Vec<Delivery> {
        let sent = self.github.outbox(self.now_ms());
        for delivery in &sent {
            self.github.delivered(self.now_ms(), delivery.id, status);
        }
        sent
    }

    /// What GitHub sends, and waits to be answered.
    pub fn github_outbox(&self) -> Vec<Delivery> {
        self.github.outbox(self.now_ms())
    }

    /// Nobody has answered.
    pub fn fail(&self, sent: Vec<Delivery>) {
        for delivery in sent {
            self.github.delivered(self.now_ms(), delivery.id, None);
        }
    }

    /// Makes a webhook, and takes the ping.
    pub fn create(&self, parameters: Value) -> ExistingSubscription {
        let held = self.try_create(parameters).unwrap();
        self.deliver(Some(200));
        held
    }

    pub fn try_create(&self, parameters: Value) -> Result<ExistingSubscription> {
        let new = NewSubscription {
            id: "sub_1".to_owned(),
            key: "reg_1".to_owned(),
            endpoint_url: URL.to_owned(),
            parameters: map(parameters.clone()),
            secrets: secrets(),
            ..NewSubscription::default()
        };
        let created = block_on(provider().create(&self.host(), &new))?;
        Ok(ExistingSubscription {
            external_id: created.external_id,
            properties: created.properties,
            ..self.held(parameters)
        })
    }

    /// A subscription of which nothing but the wish is known.
    pub fn held(&self, parameters: Value) -> ExistingSubscription {
        ExistingSubscription {
            id: "sub_1".to_owned(),
            key: "reg_1".to_owned(),
            endpoint_url: URL.to_owned(),
            parameters: map(parameters),
            secrets: secrets(),
            ..ExistingSubscription::default()
        }
    }

    /// Pulls, and keeps what is to be kept as the host does.
    pub fn pull(&self, held: &ExistingSubscription, cursor: &mut Option<String>) -> Pulled {
        let pulled = self.try_pull(held, cursor.clone()).unwrap();
        assert_eq!(pulled.events, [], "what failed comes to the endpoint again");
        for (key, value) in &pulled.state {
            assert!(
                value
                    .as_ref()
                    .is_none_or(|value| value.to_string().len() <= 16 * 1024)
            );
            self.fake.keep(key, value.clone().unwrap_or_default());
        }
        *cursor = Some(pulled.cursor.clone());
        pulled
    }

    pub fn try_pull(&self, held: &ExistingSubscription, cursor: Option<String>) -> Result<Pulled> {
        let request = PullRequest {
            subscription: held.clone(),
            cursor,
            since_ms: None,
        };
        block_on(provider().pull(&self.host(), &request))
    }

    /// Method and path of every request since the last time, one a line.
    pub fn transcript(&self) -> String {
        let requests = self.fake.requests();
        let lines = requests.iter().map(|request| {
            let path = request.url.trim_start_matches("https://api.github.com");
            format!("{} {path}\n", request.method)
        });
        lines.collect()
    }

    /// How many requests have been made whose line has this in it.
    pub fn asked(&self, part: &str) -> usize {
        let transcript = self.transcript();
        transcript
            .lines()
            .filter(|line| line.contains(part))
            .count()
    }

    /// GUIDs of what GitHub sends, in order.
    pub fn guids(sent: &[Delivery]) -> Vec<String> {
        let guids = sent.iter().filter_map(|delivery| {
            let mut headers = delivery.headers.iter();
            headers.find(|(name, _)| name == "X-GitHub-Delivery")
        });
        guids.map(|(_, guid)| guid.clone()).collect()
    }
}

/// Nothing that GitHub would refuse was asked.
impl Drop for Scene {
    fn drop(&mut self) {
        let violations = self.github.violations();
        assert!(
            std::thread::panicking() || violations.is_empty(),
            "{violations:#?}"
        );
    }
}

/// What the host generated.
pub fn secrets() -> std::collections::BTreeMap<String, String> {
    [(
        "webhook_secret".to_owned(),
        "Zm9yIHRlc3RzIG9ubHk".to_owned(),
    )]
    .into()
}

/// The GUIDs that a control answered.
pub fn guids_of(pushed: &Value) -> Vec<String> {
    let guids = pushed["guids"].as_array().unwrap();
    guids
        .iter()
        .map(|guid| guid.as_str().unwrap().to_owned())
        .collect()
}

pub fn map(value: Value) -> Map {
    serde_json::from_value(value).unwrap()
}

pub fn site() -> Value {
    json!({"repository": "acme/site", "events": ["push"]})
}
