//! What the host needs of a declaration at each request, read out once when it is loaded.

use std::sync::Arc;

use serde_json::{Map, Value};
use trigger_plugin_api::declaration::{Declaration, Field, FieldKind};
use trigger_plugin_api::rules::source::Source;
use trigger_plugin_api::rules::vocabulary::{ChallengeProof, Scheme};

use super::auth::AuthFacts;
use super::services::Reach;
use super::sync_facts::SyncFacts;

/// Facts of one declaration.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Names of the fields that hold secrets.
    pub secret_fields: Vec<String>,
    /// What an operator fills in who sets a webhook up by hand.
    pub subscription_schema: Vec<Field>,
    /// Headers that carry a secret as it is.
    pub masked_headers: Vec<String>,
    /// Arguments of the query that do.
    pub masked_query: Vec<String>,
    /// What the provider asks to reach: `host:port`, or `{name}` for a text of the manifest's config.
    pub network: Vec<String>,
    /// The declared events.
    pub events: Vec<String>,
    /// How the service is signed in to.
    pub auth: Arc<AuthFacts>,
    /// What the host fills in where it makes subscriptions by itself; none: it cannot.
    pub constructor_parameters: Option<Vec<Field>>,
    /// How subscriptions are kept alive.
    pub sync: SyncFacts,
    /// The host connects to the service, and messages come over that.
    pub socket: Option<SocketFacts>,
    /// Whether anything that is sent to an endpoint can be genuine.
    pub takes_webhooks: bool,
    /// What may be reached, as the manifest narrows and opens it.
    pub reach: Reach,
    /// What the manifest sets.
    pub config: Config,
}

/// The manifest's config. Some of it may be secret: it is not shown.
#[derive(Clone, Default)]
pub struct Config(pub Map<String, Value>);

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[config]")
    }
}

/// What a declaration says of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFacts {
    /// What is said of a connection, over the subscription's fields and the manifest's config; none:
    /// the operator says it.
    pub template: Option<Value>,
}

impl SocketFacts {
    fn of(native: &Map<String, Value>) -> Option<SocketFacts> {
        let transport = native.get("transport")?;
        (transport.get("kind")? == "websocket").then(|| SocketFacts {
            template: transport.get("socket").cloned(),
        })
    }
}

impl Facts {
    /// Of this declaration; how to sign in depends on the manifest too and is filled in later.
    pub fn of(declaration: &Declaration) -> Facts {
        let fields = declaration.subscription_fields();
        let secrets = fields
            .iter()
            .filter(|(_, field)| field.kind == FieldKind::Secret);
        let verify = declaration.rules.verify.as_ref();
        let token = verify.filter(|verify| verify.scheme == Scheme::Token);
        let mut masked_headers: Vec<String> = token
            .map(|verify| verify.header.clone())
            .into_iter()
            .collect();
        let mut masked_query = Vec::new();
        for challenge in &declaration.rules.challenges {
            match &challenge.proof {
                ChallengeProof::Token {
                    source: Source::Header(name),
                    ..
                } => masked_headers.push(name.clone()),
                ChallengeProof::Token {
                    source: Source::Query(name),
                    ..
                } => masked_query.push(name.clone()),
                _ => {}
            }
        }
        let socket = SocketFacts::of(&declaration.native);
        let network = declaration
            .native
            .get("permissions")
            .and_then(|permissions| permissions.get("network"));
        let places = network.and_then(Value::as_array).into_iter().flatten();
        Facts {
            secret_fields: secrets.map(|(name, _)| (*name).to_owned()).collect(),
            subscription_schema: declaration.subscription_schema.clone(),
            masked_headers,
            masked_query,
            network: places
                .filter_map(|place| place.as_str().map(str::to_owned))
                .collect(),
            events: declaration
                .events
                .iter()
                .map(|event| event.identity.name.clone())
                .collect(),
            auth: Arc::default(),
            constructor_parameters: declaration
                .subscription_constructor
                .as_ref()
                .map(|constructor| constructor.parameters.clone()),
            sync: SyncFacts::of(&declaration.native),
            takes_webhooks: socket.is_none() || verify.is_some(),
            socket,
            reach: Reach::default(),
            config: Config::default(),
        }
    }
}
