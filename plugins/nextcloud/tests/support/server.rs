//! The provider before a fake server: what the host would attach and hand over.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trigger_plugin_api::prelude::*;
use trigger_plugin_api::testkit::{FakeHost, block_on};
use triggerd_fakes::nextcloud::Nextcloud as Fake;
use triggerd_fakes::{Service, wire};

use super::{SECRET, URL, provider};

/// Where the server is: in a folder, as many are.
pub const BASE_URL: &str = "https://cloud.acme.test";
/// The key of the making in tests.
pub const KEY: &str = "reg_1";
const NOW_MS: i64 = 1_795_213_567_000;

/// A server and the host in front of it.
pub struct Server {
    pub fake: Arc<Fake>,
    pub host: FakeHost,
}

impl Server {
    /// With the app password of the administrator.
    pub fn new() -> Self {
        Self::of("admin")
    }

    /// With the app password of this account.
    pub fn of(user: &str) -> Self {
        let (fake, host) = (Arc::new(Fake::new()), FakeHost::new());
        wire(&host, &fake);
        host.set_now_ms(NOW_MS);
        let server = Self { fake, host };
        server.attach(user);
        server
    }

    /// From now on the host attaches this account's app password.
    pub fn attach(&self, user: &str) {
        let encoded = match user {
            "admin" => "YWRtaW46YWRtaW4tYXBwLXBhc3N3b3Jk",
            "alice" => "YWxpY2U6YWxpY2UtYXBwLXBhc3N3b3Jk",
            other => panic!("there is no app password of {other}"),
        };
        self.host
            .attaches("authorization", &format!("Basic {encoded}"));
    }

    pub fn control(&self, action: &str, arguments: Value) -> Value {
        self.fake.control(NOW_MS, action, &arguments).unwrap()
    }

    /// The hooks that the server holds.
    pub fn hooks(&self) -> Vec<Value> {
        match self.control("hooks", json!({})) {
            Value::Array(hooks) => hooks,
            other => panic!("{other}"),
        }
    }

    /// Something happens; what the server sends for it, as it arrives at the endpoint.
    pub fn happen(&self, what: Value) -> Vec<OwnedRequest> {
        self.control("happen", what);
        let sent = self
            .fake
            .outbox(NOW_MS)
            .into_iter()
            .map(|delivery| OwnedRequest {
                method: "POST".to_owned(),
                path: "/webhooks/nextcloud/ep_1".to_owned(),
                query: String::new(),
                headers: delivery
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name, value.into_bytes()))
                    .collect(),
                body: delivery.body,
                received_at_ms: NOW_MS,
            });
        sent.collect()
    }

    /// The requests so far, one a line.
    pub fn transcript(&self) -> String {
        let line = |request: &HttpRequest| {
            let address = request.url.trim_start_matches(BASE_URL);
            let address = address.trim_start_matches("/ocs/v2.php/apps/webhook_listeners/api/v1");
            format!("{} {address}\n", request.method)
        };
        self.host.requests().iter().map(line).collect()
    }

    pub fn create(&self, new: &NewSubscription) -> Result<CreatedSubscription> {
        block_on(provider().create(&self.host.host(), new))
    }

    pub fn update(&self, change: &SubscriptionChange) -> Result<CreatedSubscription> {
        block_on(provider().update(&self.host.host(), change))
    }

    pub fn delete(&self, held: &ExistingSubscription) -> Result<()> {
        block_on(provider().delete(&self.host.host(), held))
    }

    pub fn check(&self, held: &ExistingSubscription) -> Result<CheckReport> {
        block_on(provider().check(&self.host.host(), held))
    }

    pub fn list(&self) -> Result<Vec<HeldSubscription>> {
        let request = ListRequest {
            parameters: Map::new(),
            credentials: credentials(),
        };
        block_on(provider().list(&self.host.host(), &request))
    }

    pub fn validate(&self) -> Result<Account> {
        block_on(provider().validate_credentials(&self.host.host(), &credentials()))
    }

    /// The values and labels that are offered for a parameter.
    pub fn options(&self, parameter: &str, search: &str) -> Result<Vec<(String, String)>> {
        let query = OptionsQuery {
            parameter: parameter.to_owned(),
            search: search.to_owned(),
            credentials: credentials(),
            ..OptionsQuery::default()
        };
        let page = block_on(provider().parameter_options(&self.host.host(), &query))?;
        let options = page.options.into_iter();
        Ok(options.map(|option| (option.value, option.label)).collect())
    }

    /// Nothing was asked that a real server would refuse.
    #[track_caller]
    pub fn assert_no_violations(&self) {
        assert_eq!(self.fake.violations(), Vec::<String>::new());
    }
}

/// What is not secret of the credential: where the server is.
pub fn credentials() -> Credentials {
    Credentials {
        kind: "api-key".to_owned(),
        values: BTreeMap::from([
            ("base_url".to_owned(), BASE_URL.to_owned()),
            ("username".to_owned(), "admin".to_owned()),
        ]),
    }
}

pub fn new(parameters: Value) -> NewSubscription {
    NewSubscription {
        id: "sub_1".to_owned(),
        endpoint_url: URL.to_owned(),
        parameters: map(parameters),
        events: Vec::new(),
        credentials: credentials(),
        key: KEY.to_owned(),
        secrets: BTreeMap::from([("webhook_secret".to_owned(), SECRET.to_owned())]),
    }
}

/// The subscription as the host holds it after it was made.
pub fn held(new: &NewSubscription, created: &CreatedSubscription) -> ExistingSubscription {
    ExistingSubscription {
        id: new.id.clone(),
        endpoint_url: new.endpoint_url.clone(),
        external_id: created.external_id.clone(),
        key: new.key.clone(),
        parameters: new.parameters.clone(),
        properties: created.properties.clone(),
        secrets: created.secrets.clone(),
        events: new.events.clone(),
        credentials: credentials(),
        expires_at_ms: None,
    }
}

/// The change of a subscription to these parameters.
pub fn change(held: &ExistingSubscription, parameters: Value) -> SubscriptionChange {
    SubscriptionChange {
        subscription: held.clone(),
        parameters: map(parameters),
        events: held.events.clone(),
        endpoint_url: held.endpoint_url.clone(),
    }
}

pub fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}
