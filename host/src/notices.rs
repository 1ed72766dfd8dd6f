//! Telling whoever a workspace named of every change in it: signed after Standard Webhooks 1.0, from
//! the outbox that the changes themselves fill.
//!
//! ```text
//!  a change ──┬► its rows         committed together
//!             └► a notice
//!  tick ─► claim the oldest of each workspace ─► POST ─► 2xx: gone │ else: later, or given up
//! ```
//!
//! Promises: a change that was committed is told at least once, under one id over all tries, or is
//! given up in plain sight after [`TRIES_MAX`] of them; a workspace's changes are told one after the
//! other, so one that is not taken holds up those behind it. Not promised: the order of changes that
//! were made within one millisecond.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};
use url::Url;

use crate::backoff::RetryPolicy;
use crate::clock::{Clock, random};
use crate::model::{Notice, WorkspaceHook};
use crate::outbound::{BodyLimit, Cidr, Outbound, OutboundRequest, Policy};
use crate::runnables::SigningSecret;
use crate::store::{Store, StoreError};

/// So often a notice is tried: over about two days.
pub const TRIES_MAX: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(15);
/// A host that holds a notice and does not come back loses it after this.
const LEASE: Duration = Duration::from_secs(60);
const AT_ONCE_MAX: u32 = 16;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("triggerd/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Tells. Cheap to clone.
#[derive(Clone)]
pub struct Notices(Arc<Inner>);

struct Inner {
    store: Store,
    outbound: Outbound,
    clock: Clock,
    backoff: RetryPolicy,
}

/// Why a notice was not taken, and whether it may be tried again.
struct NotTaken {
    reason: String,
    is_final: bool,
}

impl Notices {
    /// Reads from this store, sends by this way out.
    pub fn new(store: Store, outbound: Outbound, clock: Clock) -> Notices {
        Notices(Arc::new(Inner {
            store,
            outbound,
            clock,
            backoff: RetryPolicy {
                attempts_max: TRIES_MAX,
                first_ms: 1_000,
                factor: 3.0,
                delay_max_ms: 4 * 3_600_000,
                jitter: 0.2,
            },
        }))
    }

    /// Tells what is due. Returns how many were claimed: as long as there are any, there may be more.
    pub async fn tick(&self) -> Result<usize, StoreError> {
        let host = &self.0;
        let now = host.clock.now();
        let due = host
            .store
            .claim_notices(now, now.plus(LEASE), AT_ONCE_MAX)
            .await?;
        let told = due.iter().map(|notice| self.settle(notice));
        for settled in join_all(told).await {
            settled?;
        }
        Ok(due.len())
    }

    async fn settle(&self, notice: &Notice) -> Result<(), StoreError> {
        let host = &self.0;
        let Some(hook) = host.store.workspace_hook(&notice.workspace_id).await? else {
            return host.store.end_notice(notice, None).await;
        };
        let Err(not_taken) = self.send(&hook, notice).await else {
            return host.store.end_notice(notice, None).await;
        };
        let (reason, workspace) = (not_taken.reason.as_str(), hook.workspace.as_str());
        if not_taken.is_final || !host.backoff.allows_another(notice.tries) {
            let given_up = format!("{} was given up: {reason}", notice.action);
            tracing::warn!(workspace, notice = %notice.id, reason, "a change could not be told and is given up");
            return host.store.end_notice(notice, Some(&given_up)).await;
        }
        let wait = host.backoff.delay(notice.tries, fraction());
        let due_at = host.clock.now().plus(wait);
        host.store.delay_notice(notice, due_at, reason).await
    }

    async fn send(&self, hook: &WorkspaceHook, notice: &Notice) -> Result<(), NotTaken> {
        let host = &self.0;
        let broken = |reason: &str| NotTaken {
            reason: reason.to_owned(),
            is_final: true,
        };
        let url = Url::parse(&hook.url).map_err(|_| broken("its address does not read"))?;
        let secret = SigningSecret::parse(hook.secret.expose());
        let secret = secret.map_err(|_| broken("its secret does not read"))?;
        let allow = hook.allow.iter().map(|range| range.parse::<Cidr>());
        let allow = allow.collect::<Result<_, _>>();
        let policy = Policy {
            allow: allow.map_err(|_| broken("its ranges do not read"))?,
            hosts: None,
        };
        let body = Bytes::from(body_of(hook, notice).to_string());
        let timestamp = host.clock.now().0.div_euclid(1000);
        let signature = secret.sign(notice.id.as_str(), timestamp, &body);
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::CONTENT_TYPE, JSON);
        for (name, text) in [
            ("webhook-id", notice.id.to_string()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ] {
            let value = HeaderValue::try_from(text)
                .expect("invariant: ids, numbers and signatures are printable ASCII");
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = OutboundRequest {
            method: Method::POST,
            url,
            headers,
            body,
            timeout: TIMEOUT,
            body_limit: BodyLimit::Truncate(1024),
        };
        let answer = host.outbound.send(&policy, request).await;
        let answer = answer.map_err(|error| NotTaken {
            reason: error.chain(),
            is_final: false,
        })?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(broken("the target answered 410: it is gone for good")),
            status => Err(NotTaken {
                reason: format!("the target answered {}", status.as_u16()),
                is_final: false,
            }),
        }
    }
}

/// `runnable.updated` and what of: the form that Standard Webhooks recommends.
fn body_of(hook: &WorkspaceHook, notice: &Notice) -> Value {
    let (kind, verb) = notice
        .action
        .split_once('.')
        .unwrap_or((&notice.action, ""));
    let verb = match verb {
        "create" | "connect" => "created",
        "delete" => "deleted",
        _ => "updated",
    };
    let mut detail = match &notice.detail {
        Value::Object(detail) => detail.clone(),
        _ => Map::new(),
    };
    let name = detail.remove("name").or_else(|| detail.remove("path"));
    json!({
        "type": format!("{kind}.{verb}"),
        "timestamp": notice.created_at.to_string(),
        "data": {
            "workspace": hook.workspace,
            "kind": kind,
            "id": notice.object,
            "name": name,
            "action": notice.action,
            "detail": detail,
        },
    })
}

fn fraction() -> f64 {
    let mut bytes = [0; 4];
    random(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}
