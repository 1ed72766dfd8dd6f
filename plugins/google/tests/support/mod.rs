//! A small host around the provider and the fake Google: it keeps state, cursor and timers as the
//! real one does, and holds every step and every event to what the contract says of them.
#![allow(dead_code)] // Each test binary uses a part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use provider_google::Google as Provided;
use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::{FakeHost, Subject, block_on};
use triggerd_fakes::google::{Google, STANDING_TOKEN};
use triggerd_fakes::{Delivery, Service, wire};

pub const URL: &str = "https://triggers.acme.test/webhooks/google/ep_1";
pub const KEY: &str = "reg_0123456789abcdefghijklmnop";
pub const TOKEN: &str = "tokentokentokentokentokentokentokentokentok";
/// 2026-03-27T06:00:00Z
pub const BEGIN_MS: i64 = 1_774_591_200_000;
pub const HOUR_MS: i64 = 3_600_000;

/// The provider, the service, and what the host keeps between them.
pub struct World {
    pub google: Arc<Google>,
    pub fake: FakeHost,
    pub now_ms: i64,
    pub held: ExistingSubscription,
    pub cursor: Option<String>,
    pub timers: BTreeMap<String, TimedEvent>,
    pub notes: Vec<String>,
    pub next_in_ms: Option<u64>,
    pub steps: usize,
    heard: BTreeSet<String>,
}

impl World {
    /// Google, with nothing watched yet.
    pub fn new(parameters: Value) -> Self {
        let google = Arc::new(Google::new());
        let fake = FakeHost::new();
        fake.set_now_ms(BEGIN_MS);
        fake.attaches("Authorization", &format!("Bearer {STANDING_TOKEN}"));
        wire(&fake, &google);
        Self {
            google,
            fake,
            now_ms: BEGIN_MS,
            held: ExistingSubscription {
                id: "sub_1".to_owned(),
                key: KEY.to_owned(),
                endpoint_url: URL.to_owned(),
                parameters: object(parameters),
                ..ExistingSubscription::default()
            },
            cursor: None,
            timers: BTreeMap::new(),
            notes: Vec::new(),
            next_in_ms: None,
            steps: 0,
            heard: BTreeSet::new(),
        }
    }

    /// Watched, and not read yet.
    pub fn watching(parameters: Value) -> Self {
        let mut world = Self::new(parameters);
        world.watch();
        world.pass(1_000);
        world
    }

    /// Opens the channel.
    pub fn watch(&mut self) -> CreatedSubscription {
        let created = self.create(KEY).unwrap();
        self.held.external_id.clone_from(&created.external_id);
        self.held.properties.clone_from(&created.properties);
        self.held.expires_at_ms = created.expires_at_ms;
        created
    }

    pub fn create(&self, key: &str) -> Result<CreatedSubscription> {
        let new = NewSubscription {
            id: "sub_1".to_owned(),
            key: key.to_owned(),
            endpoint_url: URL.to_owned(),
            parameters: self.held.parameters.clone(),
            secrets: [("channel_token".to_owned(), TOKEN.to_owned())].into(),
            ..NewSubscription::default()
        };
        block_on(provider().create(&self.fake.host(), &new))
    }

    /// Somebody does something at Google, and a second passes.
    pub fn act(&mut self, action: &str, with: Value) -> Value {
        let done = self.google.control(self.now_ms, action, &with);
        let done = done.unwrap_or_else(|error| panic!("{action}: {error}"));
        self.pass(1_000);
        done
    }

    pub fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.fake.set_now_ms(self.now_ms);
    }

    /// What Google wants to send.
    pub fn pushes(&self) -> Vec<Delivery> {
        self.google.outbox(self.now_ms)
    }

    /// One step, not kept. A step that is repeated with the same cursor finds the same.
    pub fn step(&self, since_ms: Option<i64>) -> Result<Pulled> {
        let request = PullRequest {
            subscription: self.held.clone(),
            cursor: self.cursor.clone(),
            since_ms,
        };
        let first = block_on(provider().pull(&self.fake.host(), &request));
        let again = block_on(provider().pull(&self.fake.host(), &request));
        assert_eq!(first, again);
        first
    }

    /// Reads until there is no more, and keeps what was read.
    pub fn pull(&mut self) -> Vec<Told> {
        self.pull_since(None)
    }

    pub fn pull_since(&mut self, mut since_ms: Option<i64>) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let pulled = self.step(since_ms.take()).unwrap();
            let more = pulled.more;
            told.extend(self.keep(pulled));
            self.steps += 1;
            assert!(self.steps < 500, "there is no end to it");
            if !more {
                return told;
            }
        }
    }

    /// What happened and to what, one line for each event.
    pub fn heard(&mut self) -> Vec<String> {
        self.pull().iter().map(Told::line).collect()
    }

    fn keep(&mut self, pulled: Pulled) -> Vec<Told> {
        let host = self.fake.host();
        for (key, value) in pulled.state {
            let value = value.unwrap_or_default();
            assert!(key.len() <= 256, "{key}");
            assert!(value.to_string().len() <= 16 << 10, "{key} is large");
            block_on(host.state_put(&key, &value)).unwrap();
        }
        for (key, timer) in pulled.timers {
            assert!(key.len() <= 256, "{key}");
            match timer {
                Some(timer) => self.timers.insert(key, timer),
                None => self.timers.remove(&key),
            };
        }
        self.cursor = Some(pulled.cursor);
        self.notes.extend(pulled.notes);
        self.next_in_ms = pulled.next_in_ms;
        let mut told = Vec::new();
        for event in pulled.events {
            told.extend(self.hear(event));
        }
        told
    }

    /// As the host does: what it has heard under this delivery id it does not hear again.
    fn hear(&mut self, event: PulledEvent) -> Option<Told> {
        let told = Told::of(&event);
        self.heard
            .insert(event.delivery_id.unwrap())
            .then_some(told)
    }

    /// Lets the time come, and the timers fire that are due by then.
    pub fn fire_until(&mut self, ms: i64) -> Vec<Told> {
        self.now_ms = ms;
        self.fake.set_now_ms(ms);
        let timers = std::mem::take(&mut self.timers).into_iter();
        let (due, later): (BTreeMap<_, _>, BTreeMap<_, _>) =
            timers.partition(|(_, timer)| timer.due_at_ms <= ms);
        self.timers = later;
        let mut due: Vec<TimedEvent> = due.into_values().collect();
        due.sort_by_key(|timer| timer.due_at_ms);
        due.into_iter()
            .filter_map(|timer| self.hear(timer.event))
            .collect()
    }

    pub fn requests_to(&self, part: &str) -> usize {
        let requests = self.fake.requests();
        let matching = requests.iter().filter(|request| request.url.contains(part));
        matching.count()
    }
}

/// Whoever asks Google for what it would refuse fails.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.google.violations(), Vec::<String>::new());
        }
    }
}

/// An event, read.
pub struct Told {
    pub name: String,
    pub payload: Value,
    pub occurred_at_ms: Option<i64>,
}

impl Told {
    /// Reads an event and holds it against its declaration.
    fn of(event: &PulledEvent) -> Self {
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        assert_fits(&event.name, &payload);
        Self {
            name: event.name.clone(),
            occurred_at_ms: event.occurred_at_ms,
            payload,
        }
    }

    pub fn line(&self) -> String {
        let kind = self.payload["kind"].as_str().unwrap();
        let names = [
            &self.payload["file"]["name"],
            &self.payload["event"]["summary"],
        ];
        let name = names.into_iter().find_map(Value::as_str);
        format!("{kind} {}", name.unwrap_or("?"))
    }
}

/// Whether a trigger with these parameters fires.
pub fn fires(event: &Told, parameters: Value) -> bool {
    let trigger = declared().open_trigger(&event.name, object(parameters));
    let payload = event.payload.to_string();
    let call = EventCall {
        event: &event.name,
        payload: payload.as_bytes(),
        occurred_at_ms: None,
    };
    let outcome = provider().on_event(&trigger.unwrap(), &call).unwrap();
    outcome == Outcome::Fires(Variables::Payload)
}

/// Holds a payload against the output schema of its event.
pub fn assert_fits(event: &str, payload: &Value) {
    let declaration = declared().declaration().event(event);
    let declaration = declaration.unwrap_or_else(|| panic!("{event} is not declared"));
    let schema = declaration.output_schema.as_ref().unwrap().to_value();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(payload)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{event}: {payload}");
}

/// The channel as dispatch knows it.
pub fn opened(key: &str, properties: Value) -> Subscription {
    let spec = SubscriptionSpec {
        id: "sub_1".to_owned(),
        key: key.to_owned(),
        endpoint_url: URL.to_owned(),
        properties: object(properties),
        secrets: [("channel_token".to_owned(), TOKEN.to_owned())].into(),
        ..SubscriptionSpec::default()
    };
    declared().open_subscription(spec).unwrap()
}

/// A push as it arrives.
pub fn arrived(delivery: &Delivery) -> OwnedRequest {
    let headers = delivery.headers.iter();
    OwnedRequest {
        method: "POST".to_owned(),
        path: "/webhooks/google/ep_1".to_owned(),
        query: String::new(),
        headers: headers
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect(),
        body: delivery.body.clone(),
        received_at_ms: BEGIN_MS,
    }
}

pub fn object(value: Value) -> Map {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// The provider without a configuration.
pub fn provider() -> &'static Provided {
    &SUBJECT.provider
}

/// The declaration that the library embeds, compiled.
pub fn declared() -> &'static Arc<Declared> {
    &SUBJECT.declared
}

static SUBJECT: LazyLock<Subject<Provided>> = LazyLock::new(|| {
    let bundle = include_bytes!(concat!(env!("OUT_DIR"), "/declaration.bundle"));
    Subject::open(bundle, json!(null))
});
