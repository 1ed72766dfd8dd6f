//! A service in memory that keeps hooks and tells changes, and an engine over it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore, oneshot};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::messages::{
    CheckReport, CheckState, CreatedSubscription, Credentials, Drift, ExistingSubscription,
    NewSubscription, PullRequest, Pulled, PulledEvent, SubscriptionChange, TimedEvent,
};
use triggerd::clock::{Clock, Millis};
use triggerd::id::*;
use triggerd::metrics::Metrics;
use triggerd::model::*;
use triggerd::plugins::CallScope;
use triggerd::plugins::sync_facts::{Lease, PullFacts, Renewal, SyncFacts};
use triggerd::secret::Secret;
use triggerd::store::Store;
use triggerd::sync::{
    AccountRefusal, Accounts, CallAccount, Engine, EngineConfig, EngineParts, Service, Services,
};

use crate::fixture::Fixture;

pub const HOUR: Duration = Duration::from_secs(3600);
/// The places of a gate that is open.
pub const GATE: u32 = 1 << 20;
const ADDRESS: &str = "https://hooks.example";

/// A hook at the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub key: String,
    pub url: String,
    pub events: Vec<String>,
    pub parameters: Map<String, Value>,
    pub secret: String,
    pub expires_at_ms: Option<i64>,
    /// In whose name it was made.
    pub owner: String,
}

/// When a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

#[derive(Default)]
pub struct State {
    pub hooks: BTreeMap<String, Hook>,
    /// Operations in their order, with the key they are about.
    pub journal: Vec<String>,
    pub faults: VecDeque<(&'static str, When, CallError)>,
    /// Everything that happened, oldest first; a cursor is a number of them.
    pub changes: Vec<String>,
    /// Cursors from before are not known any more.
    pub oldest_cursor: usize,
    pub page: usize,
    pub timers: BTreeMap<String, Option<i64>>,
    pub in_flight: usize,
    pub in_flight_max: usize,
    /// So many calls are answered, then one is throttled.
    pub throttle_every: Option<usize>,
    pub adopts: bool,
    /// Pulls always promise more.
    pub promises_more: bool,
    /// It answers nothing but errors.
    pub is_down: bool,
    /// What a check finds to differ, instead of what does.
    pub drift: Vec<Drift>,
    /// So many zeros stand before a cursor.
    pub cursor_len: usize,
    /// Changes have no id by which one that comes twice is known.
    pub nameless: bool,
    /// What a pull tells the operator.
    pub notes: Vec<String>,
    /// What a pull gives to keep, by key.
    pub kept: BTreeMap<String, Option<Value>>,
    /// It says so many bytes about each hook that it makes.
    pub answer_len: usize,
    /// Nobody sees the hooks of another.
    pub hides_from_others: bool,
    made: usize,
    calls: usize,
}

/// The service, its plugin and the keeper of its credentials.
#[derive(Clone)]
pub struct World {
    pub facts: SyncFacts,
    pub state: Arc<Mutex<State>>,
    pub clock: Clock,
    pub store: Store,
    /// Every credential is refused, for this reason.
    pub refused: Arc<Mutex<Option<String>>>,
    /// These are.
    pub refused_alone: Arc<Mutex<Vec<CredentialId>>>,
    /// Who takes all of it makes every call wait.
    pub gate: Arc<Semaphore>,
    /// The next making waits for it.
    pub held: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

impl World {
    pub fn new(fixture: &Fixture, facts: SyncFacts) -> World {
        let state = State {
            page: 100,
            ..State::default()
        };
        World {
            facts,
            state: Arc::new(Mutex::new(state)),
            clock: fixture.clock.clone(),
            store: fixture.store.clone(),
            refused: Arc::default(),
            refused_alone: Arc::default(),
            gate: Arc::new(Semaphore::new(GATE as usize)),
            held: Arc::default(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }

    pub fn fails(&self, operation: &'static str, when: When, code: u32) {
        let error = CallError::new(code, format!("the service said no to {operation}"));
        self.lock().faults.push_back((operation, when, error));
    }

    /// The operations of this kind so far.
    pub fn count(&self, operation: &str) -> usize {
        let state = self.lock();
        let is_it = |one: &&String| one.split(' ').next() == Some(operation);
        state.journal.iter().filter(is_it).count()
    }

    pub fn happens(&self, change: &str) {
        self.lock().changes.push(change.to_owned());
    }

    /// Hooks that have not ended by themselves.
    pub fn hooks(&self) -> Vec<Hook> {
        let now = self.clock.now().0;
        let state = self.lock();
        let lives = |hook: &&Hook| hook.expires_at_ms.is_none_or(|at| at > now);
        state.hooks.values().filter(lives).cloned().collect()
    }
}

impl Services for World {
    fn find(&self, provider: &str) -> Option<Arc<dyn Service>> {
        (provider == "acme").then(|| Arc::new(self.clone()) as Arc<dyn Service>)
    }

    fn names(&self) -> Vec<String> {
        vec!["acme".to_owned()]
    }
}

impl Service for World {
    fn facts(&self) -> &SyncFacts {
        &self.facts
    }

    fn secret_fields(&self) -> Vec<String> {
        vec!["webhook_secret".to_owned()]
    }

    fn call<'a>(
        &'a self,
        _scope: Arc<CallScope>,
        operation: &'static str,
        arguments: Value,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallError>> {
        async move {
            if operation == "create" {
                self.expect_making(&arguments).await;
            }
            drop(self.gate.acquire().await);
            let held = match operation {
                "create" => self.held.lock().expect("no panic").take(),
                _ => None,
            };
            if let Some(held) = held {
                let _ = held.await;
            }
            // A host may be cut off before the service was reached, and after it did it.
            tokio::task::yield_now().await;
            let answer = {
                let mut state = self.lock();
                state.in_flight += 1;
                state.in_flight_max = state.in_flight_max.max(state.in_flight);
                state.answer(operation, arguments, self)
            };
            tokio::task::yield_now().await;
            self.lock().in_flight -= 1;
            answer.map(|answer| answer.to_string().into_bytes())
        }
        .boxed()
    }
}

impl World {
    /// Whatever is called back at now has to be accepted: key and secret are committed.
    async fn expect_making(&self, arguments: &Value) {
        let new: NewSubscription = serde_json::from_value(arguments.clone()).expect("JSON");
        let id = new.id.parse().expect("an id");
        let held = self.store.registrations(&id).await.expect("read");
        let row = held.iter().find(|one| one.id.as_str() == new.key);
        let row = row.expect("the registration is committed before the service is called");
        assert_eq!(row.state, RegistrationState::Making);
        assert_eq!(row.secrets.expose(), &json!(new.secrets).to_string());
        assert_eq!(new.secrets["webhook_secret"].len(), 43);
    }
}

impl State {
    fn answer(
        &mut self,
        operation: &'static str,
        arguments: Value,
        world: &World,
    ) -> Result<Value, CallError> {
        self.calls += 1;
        let fault = |state: &mut State, when| {
            let first = state.faults.front()?;
            let strikes = first.0 == operation && first.1 == when;
            strikes
                .then(|| state.faults.pop_front())?
                .map(|fault| fault.2)
        };
        if self
            .throttle_every
            .is_some_and(|every| self.calls.is_multiple_of(every))
        {
            return Err(CallError {
                retry_after_ms: Some(2_000),
                ..CallError::new(codes::RATE_LIMITED, "slow down")
            });
        }
        if self.is_down {
            self.journal.push(format!("{operation} failed"));
            return Err(CallError::new(codes::UPSTREAM, "it answered 503"));
        }
        if let Some(error) = fault(self, When::Before) {
            self.journal.push(format!("{operation} failed"));
            return Err(error);
        }
        let answer = self.serve(operation, arguments, world)?;
        match fault(self, When::After) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    fn serve(
        &mut self,
        operation: &str,
        arguments: Value,
        world: &World,
    ) -> Result<Value, CallError> {
        let now = world.clock.now().0;
        let lifetime = world
            .facts
            .lease
            .map(|lease| lease.lifetime.as_millis() as i64);
        let expires_at_ms = lifetime.map(|lifetime| now + lifetime);
        if operation == "create" {
            let new: NewSubscription = read(arguments);
            self.journal.push(format!("create {}", new.key));
            self.made += 1;
            let external_id = format!("hook-{}", self.made);
            let hook = Hook {
                key: new.key,
                url: new.endpoint_url,
                events: new.events,
                parameters: new.parameters,
                secret: new.secrets["webhook_secret"].clone(),
                expires_at_ms,
                owner: owner(&new.credentials),
            };
            self.hooks.insert(external_id.clone(), hook);
            let said = "x".repeat(self.answer_len);
            let properties = json!({ "hook": external_id, "said": said });
            let properties = properties.as_object().cloned();
            return Ok(json!(CreatedSubscription {
                external_id,
                properties: properties.unwrap_or_default(),
                expires_at_ms,
                ..CreatedSubscription::default()
            }));
        }
        if operation == "update" {
            let change: SubscriptionChange = read(arguments);
            let held = change.subscription;
            self.journal.push(format!("update {}", held.key));
            let asks = owner(&held.credentials);
            let hides = self.hides_from_others;
            let hook = self.hooks.get_mut(&held.external_id);
            let hook = hook.filter(|hook| !hides || hook.owner == asks);
            let hook = hook.ok_or_else(gone)?;
            hook.owner = asks;
            hook.url = change.endpoint_url;
            hook.events = change.events;
            hook.parameters = change.parameters;
            return Ok(json!(CreatedSubscription {
                external_id: held.external_id,
                expires_at_ms: hook.expires_at_ms,
                ..CreatedSubscription::default()
            }));
        }
        if operation == "pull" {
            return self.pull(read(arguments));
        }
        let held: ExistingSubscription = read(arguments);
        self.journal.push(format!("{operation} {}", held.key));
        match operation {
            "delete" => {
                let found = match held.external_id.as_str() {
                    "" => {
                        let mut hooks = self.hooks.iter();
                        hooks
                            .find(|(_, hook)| hook.key == held.key)
                            .map(|(id, _)| id.clone())
                    }
                    id => {
                        let hook = self.hooks.get(id);
                        let hides = self.hides_from_others;
                        let asks = owner(&held.credentials);
                        hook.filter(|hook| !hides || hook.owner == asks)
                            .map(|_| id.to_owned())
                    }
                };
                match found {
                    Some(id) => drop(self.hooks.remove(&id)),
                    None if held.external_id.is_empty() => {}
                    None => return Err(gone()),
                }
                Ok(Value::Null)
            }
            "refresh" => {
                let hook = self.hooks.get_mut(&held.external_id).ok_or_else(gone)?;
                hook.expires_at_ms = expires_at_ms;
                Ok(json!(CreatedSubscription {
                    external_id: held.external_id,
                    expires_at_ms,
                    ..CreatedSubscription::default()
                }))
            }
            "check" => Ok(json!(self.check(&held))),
            other => Err(CallError::new(
                codes::UNSUPPORTED,
                format!("no {other} here"),
            )),
        }
    }

    fn check(&self, held: &ExistingSubscription) -> CheckReport {
        let Some(hook) = self.hooks.get(&held.external_id) else {
            return CheckReport::missing("there is no such hook");
        };
        let mut drift = self.drift.clone();
        if hook.url != held.endpoint_url {
            drift.push(Drift {
                field: "url".to_owned(),
                ours: json!(held.endpoint_url),
                theirs: json!(hook.url),
            });
        }
        if hook.parameters != held.parameters {
            drift.push(Drift {
                field: "parameters".to_owned(),
                ours: json!(held.parameters),
                theirs: json!(hook.parameters),
            });
        }
        if drift.is_empty() {
            return CheckReport::ok();
        }
        CheckReport {
            drift,
            adopt: match self.adopts {
                true => hook.parameters.clone(),
                false => Map::new(),
            },
            ..CheckReport::of(CheckState::Drifted, Vec::new())
        }
    }

    fn pull(&mut self, request: PullRequest) -> Result<Value, CallError> {
        let told = request
            .cursor
            .clone()
            .unwrap_or_else(|| match request.since_ms {
                Some(_) => "since".to_owned(),
                None => "none".to_owned(),
            });
        self.journal.push(format!("pull {told}"));
        let from = match (&request.cursor, request.since_ms) {
            (Some(cursor), _) => cursor.parse().expect("a cursor of ours"),
            (None, Some(_)) => 0,
            (None, None) => self.changes.len(),
        };
        if request.cursor.is_some() && from < self.oldest_cursor {
            return Err(CallError::new(codes::NOT_FOUND, "the cursor is too old"));
        }
        let until = (from + self.page).min(self.changes.len());
        let events = (from..until).map(|number| PulledEvent {
            name: "change".to_owned(),
            payload: json!({ "change": self.changes[number] })
                .to_string()
                .into_bytes(),
            occurred_at_ms: None,
            delivery_id: (!self.nameless).then(|| format!("change-{number}")),
        });
        let timers = std::mem::take(&mut self.timers)
            .into_iter()
            .map(|(key, at)| {
                let timed = at.map(|due_at_ms| TimedEvent {
                    due_at_ms,
                    event: PulledEvent {
                        name: "started".to_owned(),
                        payload: b"{}".to_vec(),
                        occurred_at_ms: None,
                        delivery_id: None,
                    },
                });
                (key, timed)
            });
        Ok(json!(Pulled {
            events: events.collect(),
            cursor: "0".repeat(self.cursor_len) + &until.to_string(),
            notes: self.notes.clone(),
            state: self.kept.clone(),
            more: until < self.changes.len() || self.promises_more,
            timers: timers.collect(),
            ..Pulled::default()
        }))
    }
}

fn read<T: serde::de::DeserializeOwned>(arguments: Value) -> T {
    serde_json::from_value(arguments).expect("the contract's JSON")
}

/// Who asks.
fn owner(credentials: &Credentials) -> String {
    credentials.value("as").unwrap_or_default().to_owned()
}

fn gone() -> CallError {
    CallError::new(codes::NOT_FOUND, "there is no such hook")
}

impl Accounts for World {
    fn for_call<'a>(
        &'a self,
        id: &'a CredentialId,
    ) -> BoxFuture<'a, Result<CallAccount, AccountRefusal>> {
        async move {
            let is_refused = self.refused_alone.lock().expect("no panic").contains(id);
            let refused = self.refused.lock().expect("no panic").clone();
            if let Some(reason) = refused.or_else(|| is_refused.then(|| "revoked".to_owned())) {
                return Err(AccountRefusal::Lasting(format!(
                    "it needs reconnecting: {reason}"
                )));
            }
            Ok(CallAccount {
                id: id.clone(),
                credentials: Credentials {
                    kind: String::new(),
                    values: BTreeMap::from([("as".to_owned(), id.to_string())]),
                },
                base_url: None,
                throttled_until: None,
                made_of: None,
            })
        }
        .boxed()
    }

    fn mark_refused<'a>(&'a self, _: &'a CallAccount, reason: &'a str) -> BoxFuture<'a, bool> {
        *self.refused.lock().expect("no panic") = Some(reason.to_owned());
        std::future::ready(true).boxed()
    }

    fn throttle<'a>(&'a self, _: &'a CredentialId, _: Millis) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }
}

/// Hooks for ever, checked every six hours.
pub fn hooks() -> SyncFacts {
    SyncFacts {
        check_every: Some(6 * HOUR),
        ..SyncFacts::default()
    }
}

/// Channels of a day that are made anew, and pulled.
pub fn channels() -> SyncFacts {
    SyncFacts {
        lease: Some(Lease {
            lifetime: 24 * HOUR,
            renew_before: 6 * HOUR,
            renew: Renewal::Recreate,
        }),
        pull: Some(PullFacts {
            every: None,
            at_start: true,
        }),
        ..SyncFacts::default()
    }
}

/// An engine of a host of its own.
pub fn engine(world: &World) -> Engine {
    engine_with(world, EngineConfig::default())
}

pub fn engine_with(world: &World, config: EngineConfig) -> Engine {
    engine_as(world, HostId::generate(world.clock.now()), config)
}

/// An engine of this host.
pub fn engine_as(world: &World, owner: HostId, config: EngineConfig) -> Engine {
    Engine::new(EngineParts {
        store: world.store.clone(),
        services: Arc::new(world.clone()),
        accounts: Arc::new(world.clone()),
        clock: world.clock.clone(),
        owner,
        public_url: ADDRESS.to_owned(),
        metrics: Arc::new(Metrics::default()),
        wake: Arc::new(Notify::new()),
        timers_wake: Arc::new(Notify::new()),
        events_wake: Arc::new(Notify::new()),
        config,
    })
}

/// Does everything that is due now.
pub async fn work(engine: &Engine) {
    loop {
        engine.tick().await.expect("a tick");
        engine.settled().await;
        if !engine.is_due_now().await.expect("read") {
            return;
        }
    }
}

/// A managed subscription that is pending.
pub async fn subscribe(fixture: &Fixture, name: &str, parameters: Value) -> SubscriptionId {
    let mut new = fixture.new_subscription(name);
    new.mode = SubscriptionMode::Managed;
    new.state = SubscriptionState::Pending;
    new.secrets = None;
    new.parameters = parameters.as_object().expect("a map").clone();
    let id = new.id.clone();
    fixture.apply(vec![Change::CreateSubscription(new)]).await;
    id
}

/// So many of them.
pub async fn crowd(fixture: &Fixture, count: usize) {
    for some in (0..count).collect::<Vec<_>>().chunks(500) {
        let changes = some.iter().map(|number| {
            let mut new = fixture.new_subscription(&format!("s{number}"));
            new.mode = SubscriptionMode::Managed;
            new.state = SubscriptionState::Pending;
            new.secrets = None;
            new.parameters = Map::from_iter([("number".to_owned(), json!(number))]);
            Change::CreateSubscription(new)
        });
        fixture.apply(changes.collect()).await;
    }
}

pub async fn read_row(fixture: &Fixture, id: &SubscriptionId) -> Claimed {
    let found = fixture.store.subscription_upkeep(id).await.expect("read");
    found.expect("it is there")
}

pub async fn state(fixture: &Fixture, id: &SubscriptionId) -> (SubscriptionState, String) {
    let row = read_row(fixture, id).await.subscription;
    (row.state, row.state_reason.unwrap_or_default())
}

/// Gives it other parameters.
pub async fn change_parameters(fixture: &Fixture, id: &SubscriptionId, parameters: Value) {
    let row = read_row(fixture, id).await.subscription;
    let update = SubscriptionUpdate {
        id: id.clone(),
        revision: row.revision,
        parameters: parameters.as_object().expect("a map").clone(),
        properties: Map::new(),
        secrets: SecretsUpdate::Keep,
        terms: row.terms,
    };
    fixture
        .apply(vec![Change::UpdateSubscription(update)])
        .await;
}

/// A key, of this integration or of none.
pub async fn credential(
    fixture: &Fixture,
    name: &str,
    integration_id: Option<IntegrationId>,
) -> CredentialId {
    let id = CredentialId::generate(fixture.now());
    let new = NewCredential {
        id: id.clone(),
        workspace_id: fixture.workspace.clone(),
        name: name.to_owned(),
        provider: "acme".to_owned(),
        integration_id,
        kind: CredentialKind::ApiKey,
        fields: Map::new(),
        secrets: Secret::new("{}".to_owned()),
        account_id: None,
        account_name: None,
        scopes: Vec::new(),
        expires_at: None,
        refresh_due_at: None,
    };
    fixture.apply(vec![Change::CreateCredential(new)]).await;
    id
}

/// Gives it this credential.
pub async fn give(fixture: &Fixture, id: &SubscriptionId, credential: &CredentialId) {
    let row = read_row(fixture, id).await.subscription;
    let update = SubscriptionUpdate {
        id: id.clone(),
        revision: row.revision,
        parameters: row.parameters,
        properties: row.properties,
        secrets: SecretsUpdate::Keep,
        terms: Terms {
            credential_id: Some(credential.clone()),
            ..row.terms
        },
    };
    fixture
        .apply(vec![Change::UpdateSubscription(update)])
        .await;
}

/// What the service holds and what we hold is the same one thing.
pub async fn assert_one_and_the_same(fixture: &Fixture, world: &World, id: &SubscriptionId) {
    let held = fixture.store.registrations(id).await.expect("read");
    let states: Vec<RegistrationState> = held.iter().map(|one| one.state).collect();
    assert_eq!(
        states,
        [RegistrationState::Live],
        "{:?}",
        world.lock().journal
    );
    let hooks = world.hooks();
    assert_eq!(hooks.len(), 1, "{:?}", world.lock().journal);
    assert_eq!(hooks[0].key, held[0].id.as_str());
    assert!(held[0].secrets.expose().contains(&hooks[0].secret));
}
