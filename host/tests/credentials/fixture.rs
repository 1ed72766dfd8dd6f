//! Hosts that hold credentials of a service of the tests' own, without a process around them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use trigger_plugin_api::messages::Account;
use triggerd::clock::{Clock, Millis};
use triggerd::credentials::{
    Arrival, ConnectError, ConnectOrder, Connected, Credentials, CredentialsParts, Ordered,
    Providers, ValidateError,
};
use triggerd::id::*;
use triggerd::metrics::Metrics;
use triggerd::model::*;
use triggerd::outbound::{Outbound, OutboundConfig};
use triggerd::plugins::auth::AttachRule;
use triggerd::plugins::{AuthFacts, CallScope};
use triggerd::seal::KeyRing;
use triggerd::secret::Secret;
use triggerd::store::{DatabaseConfig, Store};
use triggerd::tokens::{TokenOrder, Tokens};

use crate::authority::{Authority, CLIENT_ID, CLIENT_SECRET};
use crate::postgres_harness::Cluster;

const START: Millis = Millis(1_700_000_000_000);

/// The provider `acme`, whose service is the authority.
pub struct Acme {
    authority: Authority,
    oauth: Value,
    credentials: OnceLock<Credentials>,
}

impl Providers for Acme {
    fn auth(&self, _: &str) -> Result<Arc<AuthFacts>, String> {
        let bearer = AttachRule::Header {
            header: "Authorization".to_owned(),
            value: "Bearer {access_token}".to_owned(),
        };
        Ok(Arc::new(AuthFacts {
            oauth: Some(serde_json::from_value(self.oauth.clone()).expect("a declaration")),
            attach: BTreeMap::from([("oauth".to_owned(), bearer)]),
            allow: vec!["127.0.0.0/8".to_owned()],
            ..AuthFacts::default()
        }))
    }

    fn validate<'a>(
        &'a self,
        _: &'a str,
        scope: Arc<CallScope>,
        credentials: Value,
    ) -> BoxFuture<'a, Result<Option<Account>, ValidateError>> {
        async move {
            assert_eq!(
                credentials["values"]["access_token"],
                Value::Null,
                "no token for plugins"
            );
            let id = scope.credential.as_ref().expect("a credential");
            let credentials = self.credentials.get().expect("made");
            let attached = credentials.attachment(id).await.expect("attached");
            let (_, value) = attached.header.expect("a header");
            if !self.authority.knows(value.to_str().ok()) {
                // As a service that repeats what it was sent, and a plugin that passes it on.
                let echo = value.to_str().unwrap_or_default();
                return Err(ValidateError::Refused(format!("a dead token: {echo}")));
            }
            Ok(Some(Account {
                id: "7".to_owned(),
                name: "ada".to_owned(),
                ..Account::default()
            }))
        }
        .boxed()
    }
}

/// One host.
pub struct Fixture {
    pub store: Store,
    pub clock: Clock,
    pub credentials: Credentials,
    pub authority: Authority,
    pub workspace: WorkspaceId,
    pub token: TokenId,
    pub integration: IntegrationId,
    pub metrics: Arc<Metrics>,
    config: DatabaseConfig,
    keys: KeyRing,
    oauth: Value,
    pub folder: Arc<tempfile::TempDir>,
}

impl Fixture {
    pub async fn sqlite() -> Fixture {
        Fixture::declaring(json!({})).await
    }

    pub async fn postgres() -> Fixture {
        let url = Cluster::shared().database().await;
        Fixture::open(DatabaseConfig::new(url), json!({})).await
    }

    /// In a database of this cluster.
    pub async fn within(cluster: &Cluster) -> Fixture {
        let url = cluster.database().await;
        Fixture::open(DatabaseConfig::new(url), json!({})).await
    }

    /// With these keys of the declaration beside the usual ones.
    pub async fn declaring(more: Value) -> Fixture {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("triggerd.db").display());
        let mut fixture = Fixture::open(DatabaseConfig::new(url), more).await;
        // The database lies in it.
        fixture.folder = Arc::new(folder);
        fixture
    }

    async fn open(mut config: DatabaseConfig, more: Value) -> Fixture {
        config.connections_max = 8;
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let clock = Clock::fixed(START);
        let keys = KeyRing::load(folder.path(), None).expect("keys");
        let store = Store::open(config.clone(), keys.clone(), clock.clone()).await;
        let store = store.expect("the store opens");
        let workspace = store
            .ensure_workspace("default")
            .await
            .expect("a workspace")
            .id;
        let order = TokenOrder {
            name: "test".to_owned(),
            workspace_id: Some(workspace.clone()),
            scopes: vec![Scope::Admin],
            expires_at: None,
            runs: None,
        };
        let tokens = Tokens::new(store.clone(), clock.clone());
        let token = tokens.create(order).await.expect("a token").0.id;
        let authority = Authority::start().await;
        let mut oauth = json!({
            "authorize_url": "/authorize",
            "token_url": "token",
            "revoke_url": "/revoke",
            "scopes": ["repo", "gist"],
            "pkce": "S256",
            "extra_authorize_params": {"access_type": "offline"},
        });
        for (key, value) in more.as_object().expect("a map") {
            oauth[key] = value.clone();
        }
        let integration = NewIntegration {
            id: IntegrationId::generate(START),
            workspace_id: workspace.clone(),
            name: "cloud".to_owned(),
            provider: "acme".to_owned(),
            base_url: Some(authority.url.clone()),
            client_id: Some(CLIENT_ID.to_owned()),
            client_secret: Some(Secret::new(CLIENT_SECRET.to_owned())),
        };
        let integration_id = integration.id.clone();
        let actor = Actor {
            workspace_id: workspace.clone(),
            token_id: None,
        };
        let made = vec![Change::CreateIntegration(integration)];
        store.apply(&actor, made).await.expect("made");
        let metrics = Arc::new(Metrics::default());
        let credentials = holding(&store, &clock, &authority, &oauth, &metrics);
        Fixture {
            store,
            clock,
            credentials,
            authority,
            workspace,
            token,
            integration: integration_id,
            metrics,
            config,
            keys,
            oauth,
            folder,
        }
    }

    /// Another host on the same PostgreSQL database; on SQLite one that shares the open file.
    pub async fn another(&self) -> Credentials {
        let store = match self.config.url.expose().starts_with("postgres") {
            true => {
                let (config, keys) = (self.config.clone(), self.keys.clone());
                Store::open(config, keys, self.clock.clone())
                    .await
                    .expect("the store opens")
            }
            false => self.store.clone(),
        };
        let metrics = &self.metrics;
        holding(&store, &self.clock, &self.authority, &self.oauth, metrics)
    }

    pub fn order(&self, name: &str) -> ConnectOrder {
        ConnectOrder {
            workspace_id: self.workspace.clone(),
            token_id: self.token.clone(),
            provider: "acme".to_owned(),
            integration: None,
            name: Some(name.to_owned()),
        }
    }

    /// A browser that opens the address, agrees at the service and comes back.
    pub async fn browse(&self, ordered: &Ordered) -> Result<Connected, ConnectError> {
        let arrival = self.visit(ordered).await;
        self.credentials.arrive(arrival).await
    }

    /// The same until it comes back.
    pub async fn visit(&self, ordered: &Ordered) -> Arrival {
        let url = ordered.url.expose();
        let ticket = url.rsplit('/').next().expect("a ticket");
        let departure = self
            .credentials
            .depart(ticket)
            .await
            .expect("sent to the service");
        let answer = crate::harness::client()
            .get(departure.location.clone())
            .send()
            .await;
        let answer = answer.expect("the service answers");
        let back = answer.headers()["location"].to_str().expect("an address");
        let back = url::Url::parse(back).expect("an address");
        let get = |name: &str| {
            let mut pairs = back.query_pairs();
            let found = pairs.find(|(key, _)| key == name);
            found.map(|(_, value)| Secret::new(value.into_owned()))
        };
        Arrival {
            state: get("state"),
            code: get("code"),
            error: None,
            error_description: None,
            cookies: vec![(departure.cookie.name, departure.cookie_value)],
        }
    }

    /// A connected account.
    pub async fn connected(&self, name: &str) -> Credential {
        let ordered = self
            .credentials
            .order(self.order(name))
            .await
            .expect("ordered");
        self.browse(&ordered).await.expect("connected");
        self.read(name).await
    }

    pub async fn read(&self, name: &str) -> Credential {
        let found = self.store.credential_by_name(&self.workspace, name).await;
        found.expect("read").expect("it is there")
    }

    /// Another integration of the provider.
    pub async fn integrate(&self, name: &str, base_url: &str) -> IntegrationId {
        let new = NewIntegration {
            id: IntegrationId::generate(self.clock.now()),
            workspace_id: self.workspace.clone(),
            name: name.to_owned(),
            provider: "acme".to_owned(),
            base_url: Some(base_url.to_owned()),
            client_id: Some(CLIENT_ID.to_owned()),
            client_secret: Some(Secret::new(CLIENT_SECRET.to_owned())),
        };
        let id = new.id.clone();
        self.apply(Change::CreateIntegration(new)).await;
        id
    }

    pub async fn apply(&self, change: Change) {
        let actor = Actor {
            workspace_id: self.workspace.clone(),
            token_id: None,
        };
        let made = self.store.apply(&actor, vec![change]).await;
        made.expect("changed");
    }

    /// The last part of the address that a person opens.
    pub fn ticket(ordered: &Ordered) -> String {
        let parts = ordered.url.expose().rsplit('/');
        parts.map(str::to_owned).next().expect("a ticket")
    }

    /// What a call with this credential gets from the service.
    pub async fn call(&self, credentials: &Credentials, id: &CredentialId) -> u16 {
        let attached = credentials.attachment(id).await.expect("attached");
        let (name, value) = attached.header.expect("a header");
        let call = crate::harness::client().get(format!("{}/me", self.authority.url));
        let answer = call.header(name, value).send().await.expect("an answer");
        answer.status().as_u16()
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn holding(
    store: &Store,
    clock: &Clock,
    authority: &Authority,
    oauth: &Value,
    metrics: &Arc<Metrics>,
) -> Credentials {
    let acme = Arc::new(Acme {
        authority: authority.clone(),
        oauth: oauth.clone(),
        credentials: OnceLock::new(),
    });
    let credentials = Credentials::new(CredentialsParts {
        store: store.clone(),
        providers: acme.clone(),
        outbound: Outbound::open(&OutboundConfig::default()).expect("a client"),
        clock: clock.clone(),
        metrics: Arc::clone(metrics),
        owner: HostId::generate(START),
        public_base: "https://hooks.example.org".to_owned(),
    });
    acme.credentials.get_or_init(|| credentials).clone()
}

/// A key, as a document makes it.
pub fn new_key(fixture: &Fixture, name: &str) -> NewCredential {
    NewCredential {
        id: CredentialId::generate(fixture.clock.now()),
        workspace_id: fixture.workspace.clone(),
        name: name.to_owned(),
        provider: "acme".to_owned(),
        integration_id: None,
        kind: CredentialKind::ApiKey,
        fields: Map::from_iter([("region".to_owned(), Value::from("eu"))]),
        secrets: Secret::new(r#"{"access_token":"canary-key"}"#.to_owned()),
        account_id: None,
        account_name: None,
        scopes: Vec::new(),
        expires_at: None,
        refresh_due_at: None,
    }
}
