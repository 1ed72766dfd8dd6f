//! The API over a real store in a temporary folder, with a provider made up for the tests.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;
use trigger_plugin_api::messages::Account;
use triggerd::api::{
    ApiState, ApiStateParts, Changed, ProviderRow, ProviderState, Providers, SampleOrder,
    SampleRequest, SharedClientRow, router,
};
use triggerd::clock::{Clock, Millis};
use triggerd::credentials::{
    CheckError, Checked, CredentialDraft, Credentials, CredentialsParts, ValidateError,
};
use triggerd::documents::{
    Catalog, CatalogError, ConstructorTerms, CredentialTerms, Field, FieldMistake, Parameter,
    ParameterKind, SubscriptionDraft,
};
use triggerd::id::{CredentialId, HostId};
use triggerd::metrics::Metrics;
use triggerd::model::{RunnableKind, Scope};
use triggerd::outbound::{Outbound, OutboundConfig};
use triggerd::plugins::auth::SharedClient;
use triggerd::plugins::{AuthFacts, CallScope};
use triggerd::seal::KeyRing;
use triggerd::secret::Secret;
use triggerd::store::{DatabaseConfig, Store};
use triggerd::subscriptions::{Subscriptions, SubscriptionsParts};
use triggerd::sync::{
    AccountRefusal, Accounts, CallAccount, Engine, EngineConfig, EngineParts, Service, Services,
};
use triggerd::tokens::{TokenOrder, Tokens};

/// What no answer may hold.
pub const CANARY: &str = "canary-3f9a1c";
/// A signing secret in the form of Standard Webhooks.
pub const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server of the API.
pub struct Api {
    pub router: Router,
    pub store: Store,
    pub clock: Clock,
    pub tokens: Arc<Tokens>,
    pub providers: Arc<FakeProviders>,
    pub changes: Arc<Mutex<Vec<Changed>>>,
    /// Rules the instance.
    pub admin: String,
    /// Every body that was answered.
    answers: Mutex<String>,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub kind: String,
    pub body: Value,
    pub text: String,
}

impl Api {
    pub async fn start() -> Api {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::fixed(Millis(1_800_000_000_000));
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let keys = KeyRing::load(folder.path(), None).expect("keys");
        let store = Store::open(DatabaseConfig::new(url), keys, clock.clone());
        let store = store.await.expect("a store");
        store
            .ensure_workspace("default")
            .await
            .expect("a workspace");
        store.ensure_workspace("other").await.expect("a workspace");
        let tokens = Arc::new(Tokens::new(store.clone(), clock.clone()));
        let file = folder.path().join("admin.token");
        let first = tokens
            .create_first_admin(&file)
            .await
            .expect("a token")
            .expect("the first");
        let providers = Arc::new(FakeProviders::default());
        let changes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&changes);
        let credentials = Credentials::new(CredentialsParts {
            store: store.clone(),
            providers: providers.clone(),
            outbound: Outbound::open(&OutboundConfig::default()).expect("a client"),
            clock: clock.clone(),
            metrics: Arc::new(Metrics::default()),
            owner: HostId::generate(clock.now()),
            public_base: "http://hooks.example.org".to_owned(),
        });
        let state = ApiState::new(ApiStateParts {
            store: store.clone(),
            tokens: Arc::clone(&tokens),
            providers: providers.clone(),
            credentials,
            subscriptions: subscriptions(&store, &clock),
            clock: clock.clone(),
            metrics: Arc::new(Metrics::default()),
            public_base: "http://hooks.example.org".to_owned(),
            body_max: 64 << 10,
            read_timeout: Duration::from_secs(1),
            in_flight_max: 4,
            on_change: Arc::new(move |change| seen.lock().expect("no panic").push(change)),
        });
        Api {
            router: router(state),
            store,
            clock,
            tokens,
            providers,
            changes,
            admin: first.expose().to_owned(),
            answers: Mutex::default(),
            _folder: folder,
        }
    }

    /// A token with these scopes, in one workspace or for the whole instance.
    pub async fn token(&self, workspace: Option<&str>, scopes: &[Scope]) -> String {
        let workspace_id = match workspace {
            Some(name) => {
                let found = self.store.workspace_by_name(name).await.expect("an answer");
                Some(found.expect("the workspace").id)
            }
            None => None,
        };
        let order = TokenOrder {
            name: "test".to_owned(),
            workspace_id,
            scopes: scopes.to_vec(),
            expires_at: None,
            runs: None,
        };
        self.tokens
            .create(order)
            .await
            .expect("a token")
            .1
            .expose()
            .to_owned()
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.answers.lock().expect("no panic").push_str(&text);
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            kind,
            body,
            text,
        }
    }

    /// Calls with a token and perhaps a body.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        // What happens one after the other is so by the clock, too: lists are in that order.
        self.clock.advance(Duration::from_millis(1));
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).expect("a request")).await
    }

    /// Reads something of the default workspace, which must work.
    pub async fn get(&self, path: &str) -> Value {
        let path = format!("/api/v1/workspaces/default/{path}");
        let answer = self.call("GET", &path, &self.admin, None).await;
        assert_eq!(answer.status, StatusCode::OK, "GET {path}: {}", answer.text);
        answer.body
    }

    /// Does something in the default workspace.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let path = format!("/api/v1/workspaces/default/{path}");
        self.call("POST", &path, &self.admin, Some(body)).await
    }

    /// Applies a document, which must work.
    pub async fn apply(&self, query: &str, document: Value) -> Value {
        let answer = self.post(&format!("apply{query}"), document).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.body
    }

    /// Everything that was answered so far.
    pub fn answered(&self) -> String {
        self.answers.lock().expect("no panic").clone()
    }
}

/// Over no provider at all.
fn subscriptions(store: &Store, clock: &Clock) -> Subscriptions {
    let engine = Engine::new(EngineParts {
        store: store.clone(),
        services: Arc::new(Nobody),
        accounts: Arc::new(Nobody),
        clock: clock.clone(),
        owner: HostId::generate(clock.now()),
        public_url: "http://hooks.example.org".to_owned(),
        metrics: Arc::new(Metrics::default()),
        wake: Arc::default(),
        timers_wake: Arc::default(),
        events_wake: Arc::default(),
        config: EngineConfig::default(),
    });
    Subscriptions::new(SubscriptionsParts {
        store: store.clone(),
        engine,
        services: Arc::new(Nobody),
        accounts: Arc::new(Nobody),
        clock: clock.clone(),
        public_url: "http://hooks.example.org".to_owned(),
    })
}

struct Nobody;

impl Services for Nobody {
    fn find(&self, _: &str) -> Option<Arc<dyn Service>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Accounts for Nobody {
    fn for_call<'a>(
        &'a self,
        _: &'a CredentialId,
    ) -> BoxFuture<'a, Result<CallAccount, AccountRefusal>> {
        let refusal = AccountRefusal::Lasting("there are no accounts here".to_owned());
        std::future::ready(Err(refusal)).boxed()
    }

    fn mark_refused<'a>(&'a self, _: &'a CallAccount, _: &'a str) -> BoxFuture<'a, bool> {
        std::future::ready(true).boxed()
    }

    fn throttle<'a>(&'a self, _: &'a CredentialId, _: Millis) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }
}

/// A document with one of each.
pub fn document() -> Value {
    json!({
        "workspace": "default",
        "runnables": [
            { "path": "f/demo/record", "command": { "argv": ["./record.sh"], "timeout": "30s",
              "secret_env": { "KEY": CANARY } } },
            { "path": "f/demo/notify", "http": { "url": "http://127.0.0.1:9000/hook",
              "secret": SIGNING, "allow": ["127.0.0.0/8"],
              "secret_headers": { "Authorization": format!("Bearer {CANARY}") } } },
        ],
        "subscriptions": [
            { "name": "my-repo", "provider": "acme",
              "manual": { "webhook_secret": CANARY, "region": "eu" } },
        ],
        "triggers": [
            { "name": "on-main", "subscription": "my-repo", "event": "push",
              "parameters": { "branches": ["main"] }, "runnable": "f/demo/record" },
        ],
    })
}

/// The same with an integration and a credential.
pub fn document_with_accounts() -> Value {
    let mut whole = document();
    whole["integrations"] = json!([
        { "name": "cloud", "provider": "acme", "base_url": "https://cloud.acme.example",
          "client": { "client_id": "client-1", "client_secret": CANARY } },
    ]);
    whole["credentials"] = json!([
        { "name": "ci", "provider": "acme", "integration": "cloud",
          "values": { "access_token": CANARY, "region": "eu" } },
    ]);
    whole
}

/// The action of every object by name, out of what `apply` answered.
pub fn actions(applied: &Value) -> Vec<(String, String)> {
    [
        "integrations",
        "credentials",
        "runnables",
        "subscriptions",
        "triggers",
        "schedules",
    ]
    .iter()
    .flat_map(|list| applied[*list].as_array().expect("a list"))
    .map(|object| {
        let text = |key: &str| object[key].as_str().expect("a text").to_owned();
        (text("name"), text("action"))
    })
    .collect()
}

/// One provider, `acme`: fields `webhook_secret` (secret, required) and `region` (eu or us), events
/// `push` and `issues`, a parameter `branches`.
#[derive(Default)]
pub struct FakeProviders {
    pub is_unsettled: AtomicBool,
    pub is_disabled: AtomicBool,
    pub is_revoked: AtomicBool,
    samples: AtomicU32,
    /// How often a credential was shown to the service.
    pub checks: AtomicU32,
}

/// An OAuth client at the absolute addresses of a service that nobody asks, and one that the
/// instance shares.
impl triggerd::credentials::Providers for FakeProviders {
    fn auth(&self, provider: &str) -> Result<Arc<AuthFacts>, String> {
        self.known(provider).map_err(|error| error.to_string())?;
        let oauth = json!({
            "authorize_url": "https://acme.example/authorize",
            "token_url": "https://acme.example/token",
            "scopes": ["repo"],
            "pkce": "S256",
        });
        Ok(Arc::new(AuthFacts {
            oauth: Some(serde_json::from_value(oauth).expect("a declaration")),
            shared_client: Some(SharedClient {
                client_id: "shared-1".to_owned(),
                client_secret: Secret::new(CANARY.to_owned()),
            }),
            ..AuthFacts::default()
        }))
    }

    fn validate<'a>(
        &'a self,
        _: &'a str,
        _: Arc<CallScope>,
        credentials: Value,
    ) -> BoxFuture<'a, Result<Option<Account>, ValidateError>> {
        async move {
            if self.is_revoked.load(Ordering::Relaxed) {
                let message = "the service does not know this token".to_owned();
                return Err(ValidateError::Refused(message));
            }
            assert_eq!(credentials["values"]["access_token"], CANARY);
            Ok(Some(Account {
                id: "7".to_owned(),
                name: "ada".to_owned(),
                ..Account::default()
            }))
        }
        .boxed()
    }
}

impl FakeProviders {
    fn row(&self) -> ProviderRow {
        let is_disabled = self.is_disabled.load(Ordering::Relaxed);
        ProviderRow {
            name: "acme".to_owned(),
            state: if is_disabled {
                ProviderState::Disabled
            } else {
                ProviderState::Loaded
            },
            serving: !is_disabled,
            events: vec!["push".to_owned(), "issues".to_owned()],
            ..ProviderRow::default()
        }
    }

    fn known(&self, provider: &str) -> Result<(), CatalogError> {
        if provider != "acme" {
            return Err(CatalogError::Unknown {
                loaded: vec!["acme".to_owned()],
            });
        }
        if self.is_disabled.load(Ordering::Relaxed) {
            return Err(CatalogError::NotLoaded("it is disabled".to_owned()));
        }
        Ok(())
    }
}

impl Catalog for FakeProviders {
    fn subscription_fields(&self, provider: &str) -> Result<Vec<Field>, CatalogError> {
        self.known(provider)?;
        let field = |name: &str, is_secret: bool, options: &[&str]| Field {
            name: name.to_owned(),
            is_secret,
            is_required: is_secret,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        Ok(vec![
            field("webhook_secret", true, &[]),
            field("region", false, &["eu", "us"]),
        ])
    }

    fn validate_subscription<'a>(
        &'a self,
        provider: &'a str,
        draft: &'a SubscriptionDraft,
    ) -> BoxFuture<'a, Result<Vec<FieldMistake>, CatalogError>> {
        async move {
            self.known(provider)?;
            let is_short = !draft.secrets.expose().contains("canary")
                && draft.secrets.expose().contains("short");
            let mistake = FieldMistake {
                field: Some("webhook_secret".to_owned()),
                message: "too short".to_owned(),
                allowed: Vec::new(),
            };
            Ok(if is_short { vec![mistake] } else { Vec::new() })
        }
        .boxed()
    }

    fn constructor_terms(&self, provider: &str) -> Result<Option<ConstructorTerms>, CatalogError> {
        self.known(provider)?;
        let parameter = |name: &str, kind, is_required| Parameter {
            name: name.to_owned(),
            kind,
            is_required,
            default: None,
            options: Vec::new(),
        };
        Ok(Some(ConstructorTerms {
            parameters: vec![
                parameter("repository", ParameterKind::Text, true),
                parameter("deep", ParameterKind::Switch, false),
            ],
            needs_credential: true,
            events: vec!["push".to_owned(), "issues".to_owned()],
        }))
    }

    fn credential_terms(&self, provider: &str) -> Result<CredentialTerms, CatalogError> {
        self.known(provider)?;
        let field = |name: &str, is_secret: bool| Field {
            name: name.to_owned(),
            is_secret,
            is_required: is_secret,
            options: Vec::new(),
        };
        Ok(CredentialTerms {
            fields: vec![field("access_token", true), field("region", false)],
            has_oauth: true,
            needs_base_url: false,
        })
    }

    fn check_credential<'a>(
        &'a self,
        draft: &'a CredentialDraft,
    ) -> BoxFuture<'a, Result<Checked, CheckError>> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        async move {
            let secrets = draft.secrets.expose();
            if secrets.contains("revoked") {
                return Err(CheckError::Wrong {
                    field: Some("access_token".to_owned()),
                    message: "the service does not know this token".to_owned(),
                });
            }
            if secrets.contains("away") {
                return Err(CheckError::Unavailable("it answered 503".to_owned()));
            }
            let account = Account {
                id: "7".to_owned(),
                name: "ada".to_owned(),
                ..Account::default()
            };
            Ok(Checked {
                account: Some(account),
            })
        }
        .boxed()
    }

    fn check_runnable(&self, _: RunnableKind, spec: &Value) -> Result<(), FieldMistake> {
        match spec["argv"][0].as_str() {
            Some(program) if program.starts_with("/etc") => Err(FieldMistake {
                field: Some("argv".to_owned()),
                message: "the program lies outside the allowed folders".to_owned(),
                allowed: Vec::new(),
            }),
            _ => Ok(()),
        }
    }

    fn validate_trigger<'a>(
        &'a self,
        provider: &'a str,
        event: &'a str,
        parameters: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Vec<FieldMistake>, CatalogError>> {
        async move {
            self.known(provider)?;
            let mut mistakes = Vec::new();
            if event.starts_with("no-") {
                mistakes.push(FieldMistake {
                    field: None,
                    message: format!("there is no event `{event}`"),
                    allowed: vec!["push".to_owned(), "issues".to_owned()],
                });
            }
            for name in parameters.keys().filter(|name| *name != "branches") {
                mistakes.push(FieldMistake {
                    field: Some(name.clone()),
                    message: "no such parameter".to_owned(),
                    allowed: vec!["branches".to_owned()],
                });
            }
            Ok(mistakes)
        }
        .boxed()
    }
}

impl Providers for FakeProviders {
    fn shared_clients(&self) -> Vec<SharedClientRow> {
        vec![SharedClientRow {
            provider: "acme".to_owned(),
            base_url: None,
        }]
    }

    fn list(&self) -> Vec<ProviderRow> {
        vec![self.row()]
    }

    fn is_settled(&self) -> bool {
        !self.is_unsettled.load(Ordering::Relaxed)
    }

    fn sample<'a>(
        &'a self,
        order: &'a SampleOrder,
    ) -> BoxFuture<'a, Result<SampleRequest, CatalogError>> {
        async move {
            self.known(&order.provider)?;
            if order.event != "push" {
                let message = format!("there is no sample of `{}`; allowed: push", order.event);
                return Err(CatalogError::Refused(message));
            }
            let number = self.samples.fetch_add(1, Ordering::Relaxed);
            // As a real provider, it signs with the secret and does not show it.
            let is_signed = order.draft.secrets.expose().contains(CANARY);
            Ok(SampleRequest {
                method: "POST".to_owned(),
                query: String::new(),
                headers: vec![
                    ("X-Delivery".to_owned(), number.to_string()),
                    ("X-Signed".to_owned(), is_signed.to_string()),
                ],
                body: br#"{"ref":"refs/heads/main"}"#.to_vec(),
            })
        }
        .boxed()
    }

    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<ProviderRow, CatalogError>> {
        async move {
            if name != "acme" {
                return Err(CatalogError::Unknown {
                    loaded: vec!["acme".to_owned()],
                });
            }
            self.is_disabled.store(false, Ordering::Relaxed);
            Ok(self.row())
        }
        .boxed()
    }

    fn disable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<ProviderRow, CatalogError>> {
        async move {
            self.known(name)?;
            self.is_disabled.store(true, Ordering::Relaxed);
            Ok(self.row())
        }
        .boxed()
    }
}
