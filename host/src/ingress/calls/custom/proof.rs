//! What a route asks of its callers, prepared once and asked of every request. It fails closed: a
//! route whose proof cannot be prepared lets nobody in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{self as abi, SubscriptionHandle};
use trigger_plugin_api::ErrorCode;
use trigger_plugin_api::messages::{Request, Subscription};
use trigger_plugin_api::rules::SingleRules;
use trigger_plugin_api::signature::tokens_equal;

use crate::clock::Millis;
use crate::id::TokenId;
use crate::ingress::calls::caller;
use crate::ingress::calls::refusal::Refusal;
use crate::ingress::calls::routes::Calls;
use crate::model::{Route, RouteAuth, Scope};
use crate::plugins::{Found, LiveProvider};
use crate::secret::Secret;

/// By what a caller is known.
pub(super) enum Proof {
    Everyone,
    Token,
    /// `username:password`.
    Basic(Secret<String>),
    Rules {
        rules: Box<SingleRules>,
        address: Box<Subscription>,
    },
    Provider(Verifier),
    /// Nobody: why it cannot be prepared.
    Nobody(String),
}

/// A provider, and what it is to be asked with.
pub(super) struct Verifier {
    name: String,
    spec: String,
    /// For one generation of its library.
    opened: Mutex<Option<(u64, Arc<SubscriptionHandle>)>>,
}

/// A request with its whole body.
pub(super) struct Arrived<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
    pub(super) at: Millis,
}

/// A caller who may call.
#[derive(Default)]
pub(super) struct Proven {
    pub(super) token_id: Option<TokenId>,
    /// The service's own mark of this delivery, and how long it holds.
    pub(super) delivery: Option<(String, Option<Duration>)>,
    /// What a service is answered where the route says nothing else.
    pub(super) reply: Option<abi::Reply>,
    /// It was a challenge or the like: nothing is run.
    pub(super) is_answered: bool,
    pub(super) is_token_in_header: bool,
    /// The caller may mark its calls itself: nobody else could use its mark.
    pub(super) may_mark: bool,
}

/// Why a caller may not.
pub(super) enum Denied {
    /// Who knows nothing hears nothing; the words are for the log.
    Stranger(String),
    /// The caller is known and may hear why.
    Told(Refusal),
}

impl Proof {
    pub(super) fn prepare(
        route: &Route,
        secrets: Option<&Secret<String>>,
        public_url: &str,
    ) -> Proof {
        let secrets: BTreeMap<String, String> = secrets
            .and_then(|text| serde_json::from_str(text.expose()).ok())
            .unwrap_or_default();
        let url = format!("{public_url}{}", route.content.path);
        let prepared = match &route.content.spec.auth {
            RouteAuth::None => Ok(Proof::Everyone),
            RouteAuth::Token => Ok(Proof::Token),
            RouteAuth::Basic { username } => match secrets.get("password") {
                Some(password) if !password.trim().is_empty() => {
                    Ok(Proof::Basic(Secret::new(format!("{username}:{password}"))))
                }
                _ => Err("its password is missing".to_owned()),
            },
            RouteAuth::Verify { rules } => rules_of(rules, &url, secrets),
            RouteAuth::Provider {
                provider,
                parameters,
                properties,
            } => Ok(Proof::Provider(Verifier {
                name: provider.clone(),
                spec: serde_json::json!({
                    "id": route.id,
                    "key": "",
                    "endpoint_url": url,
                    "parameters": parameters,
                    "properties": properties,
                    "secrets": secrets,
                })
                .to_string(),
                opened: Mutex::default(),
            })),
        };
        prepared.unwrap_or_else(|reason| {
            let (route, path) = (&route.name, route.content.path.as_str());
            tracing::error!(route, path, reason, "a route lets nobody in");
            Proof::Nobody(reason)
        })
    }

    /// Headers whose values stand in no log and are handed to nobody.
    pub(super) fn masked_headers(&self, calls: &Calls) -> Vec<String> {
        match self {
            Proof::Rules { rules, .. } => rules
                .masked_header()
                .map(str::to_owned)
                .into_iter()
                .collect(),
            Proof::Provider(verifier) => match calls.parts.registry.find(&verifier.name) {
                Found::Live(live) => live.facts.masked_headers.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Arguments of the query of the same kind.
    pub(super) fn masked_query(&self) -> Vec<&str> {
        match self {
            Proof::Rules { rules, .. } => rules.masked_query(),
            _ => Vec::new(),
        }
    }

    /// Asks a request for it.
    pub(super) async fn check(
        &self,
        calls: &Calls,
        route: &Route,
        arrived: &Arrived<'_>,
    ) -> Result<Proven, Denied> {
        match self {
            Proof::Everyone => Ok(Proven::default()),
            Proof::Nobody(reason) => Err(Denied::Stranger(format!("nobody is let in: {reason}"))),
            Proof::Token => token(calls, route, arrived).await,
            Proof::Basic(wanted) => basic(wanted, arrived.headers),
            Proof::Rules { rules, address } => by_rules(rules, address, arrived),
            Proof::Provider(verifier) => verifier.check(calls, arrived),
        }
    }
}

fn rules_of(
    rules: &Map<String, Value>,
    url: &str,
    secrets: BTreeMap<String, String>,
) -> Result<Proof, String> {
    let rules = SingleRules::parse(rules).map_err(|mistakes| {
        let told = mistakes.into_iter().map(|mistake| mistake.message);
        told.collect::<Vec<_>>().join("; ")
    })?;
    let address = rules.open(url, secrets).map_err(|error| error.message)?;
    Ok(Proof::Rules {
        rules: Box::new(rules),
        address: Box::new(address),
    })
}

async fn token(calls: &Calls, route: &Route, arrived: &Arrived<'_>) -> Result<Proven, Denied> {
    let stranger = |why: &str| Denied::Stranger(why.to_owned());
    let (token, is_token_in_header) = caller::token_of(arrived.headers, arrived.query)
        .map_err(|_| stranger("it carries no token"))?;
    let caller = calls.parts.tokens.recognise(token.expose()).await;
    let caller = caller.map_err(|error| Denied::Told(error.into()))?;
    let caller = caller.filter(|caller| caller.reaches(&route.workspace_id));
    let caller = caller.ok_or_else(|| stranger("its token is none of this workspace"))?;
    let refused = |detail: &str| Err(Denied::Told(caller::forbidden(detail)));
    match &caller.runs {
        None if !caller.may(Scope::Run) => {
            return refused("this needs a token with scope `run`, or one for its runnable");
        }
        None => {}
        Some(runs) => {
            let id = route.content.runnable_id.as_ref();
            let found = match id {
                Some(id) => calls.parts.store.runnable(&route.workspace_id, id).await,
                None => Ok(None),
            };
            let found = found.map_err(|error| Denied::Told(error.into()))?;
            let is_it = found.is_some_and(|runnable| runnable.path == runs.path);
            if !is_it {
                return refused("this token runs another runnable and nothing else");
            }
        }
    }
    Ok(Proven {
        token_id: Some(caller.token_id),
        is_token_in_header,
        may_mark: true,
        ..Proven::default()
    })
}

fn basic(wanted: &Secret<String>, headers: &HeaderMap) -> Result<Proven, Denied> {
    let stranger = |why: &str| Denied::Stranger(why.to_owned());
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return Err(stranger("it carries no password, or two"));
    };
    let given = value.to_str().ok().and_then(|text| {
        let (scheme, encoded) = text.split_once(' ')?;
        let is_basic = scheme.eq_ignore_ascii_case("basic");
        is_basic.then(|| STANDARD.decode(encoded.trim()).ok())?
    });
    // Compared even if there is nothing to compare, so that the time is the same.
    let given = given.unwrap_or_default();
    match tokens_equal(&given, wanted.expose().as_bytes()) {
        true => Ok(Proven {
            is_token_in_header: true,
            may_mark: true,
            ..Proven::default()
        }),
        false => Err(stranger("user name or password is wrong")),
    }
}

fn by_rules(
    rules: &SingleRules,
    address: &Subscription,
    arrived: &Arrived<'_>,
) -> Result<Proven, Denied> {
    let headers: Vec<(String, Vec<u8>)> = arrived
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let request = Request {
        method: arrived.method,
        path: arrived.path,
        query: arrived.query,
        headers: headers.as_slice().into(),
        body: arrived.body,
        received_at_ms: arrived.at.0,
    };
    let read = rules.dispatch(address, &request).map_err(|error| {
        if error.code == ErrorCode::InvalidInput {
            return Denied::Told(Refusal::unreadable("body", error.message));
        }
        Denied::Stranger(error.message)
    })?;
    Ok(Proven {
        is_answered: read.events.is_empty(),
        reply: read.reply.map(|reply| abi::Reply {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
        }),
        delivery: read
            .delivery_id
            .map(|id| (id, read.delivery_window_ms.map(Duration::from_millis))),
        ..Proven::default()
    })
}

impl Verifier {
    fn check(&self, calls: &Calls, arrived: &Arrived<'_>) -> Result<Proven, Denied> {
        let unavailable = || {
            let detail = "the provider that knows its callers is not available at the moment";
            Denied::Told(Refusal::unavailable(detail))
        };
        let Found::Live(live) = calls.parts.registry.find(&self.name) else {
            return Err(unavailable());
        };
        if let Err(wait) = live.admit(Instant::now()) {
            let detail = "too many requests for this provider";
            return Err(Denied::Told(Refusal::too_many(detail, wait)));
        }
        let handle = self.open(&live).map_err(|error| {
            let provider = &*live.name;
            tracing::error!(provider, error = error.message, "a route cannot be opened");
            unavailable()
        })?;
        let headers: Vec<(&str, &[u8])> = arrived
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = abi::Request {
            method: arrived.method,
            path: arrived.path,
            query: arrived.query,
            headers: &headers,
            body: arrived.body,
            received_at_ms: arrived.at.0,
        };
        let read = live.dispatch(&handle, &request);
        let read = read.map_err(|error| match error.code {
            codes::UNAUTHENTICATED => Denied::Stranger(error.message),
            codes::INVALID_INPUT | codes::UNSUPPORTED => {
                let detail = "the request cannot be read";
                Denied::Told(Refusal::unreadable("body", detail))
            }
            _ => unavailable(),
        })?;
        Ok(Proven {
            is_answered: read.events.is_empty(),
            reply: read.reply,
            delivery: read
                .delivery_id
                .map(|id| (id, read.delivery_window_ms.map(Duration::from_millis))),
            ..Proven::default()
        })
    }

    fn open(&self, live: &LiveProvider) -> Result<Arc<SubscriptionHandle>, abi::CallError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, handle)) = &*opened
            && *generation == live.generation
        {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(live.open_subscription(&self.spec)?);
        *opened = Some((live.generation, Arc::clone(&handle)));
        Ok(handle)
    }
}
