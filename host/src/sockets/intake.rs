//! From a message to the log: read by its provider like a request, kept like one, under a fence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trigger_plugin_abi::host::Request;
use trigger_plugin_api::messages::SOCKET_MESSAGE;

use super::connection::Prepared;
use super::holder::Inner;
use crate::clock::Millis;
use crate::id::{EventId, RequestId};
use crate::model::{Append, Appended, Delivery, NewEvent, NewRequest, Queue, RequestOutcome};
use crate::plugins::LiveProvider;

/// How long a server may repeat a delivery, where its provider does not say.
const DELIVERY_WINDOW: Duration = Duration::from_secs(72 * 3600);
/// After the store was not there, it is asked again.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// What became of a message.
pub(super) enum Kept {
    Kept,
    /// Somebody else holds the connection: it is not kept.
    Lost,
}

/// A message that came.
pub(super) struct Message<'a> {
    pub(super) live: &'a LiveProvider,
    pub(super) prepared: &'a Prepared,
    pub(super) url: &'a str,
    pub(super) at: Millis,
    pub(super) is_text: bool,
    pub(super) bytes: Bytes,
}

impl Message<'_> {
    /// The rows to keep. What its provider cannot read is a refused request.
    pub(super) fn read(self) -> Append {
        let kind = match self.is_text {
            true => "text/plain; charset=utf-8",
            false => "application/octet-stream",
        };
        let headers = [
            ("content-type", kind.as_bytes()),
            ("x-socket-url", self.url.as_bytes()),
        ];
        let request = Request {
            method: SOCKET_MESSAGE,
            path: "/",
            query: "",
            headers: &headers,
            body: &self.bytes,
            received_at_ms: self.at.0,
        };
        let subscription = &self.prepared.subscription;
        let mut row = NewRequest {
            id: RequestId::generate(self.at),
            workspace_id: subscription.workspace_id.clone(),
            subscription_id: subscription.id.clone(),
            provider: subscription.provider.clone(),
            method: SOCKET_MESSAGE.to_owned(),
            path: self.url.to_owned(),
            query: String::new(),
            headers: serde_json::json!([["content-type", kind]]).to_string(),
            body: None,
            body_size: self.bytes.len() as u64,
            received_at: self.at,
            outcome: RequestOutcome::Answered,
            status: 200,
            reason: None,
        };
        let dispatched = match self.live.dispatch(&self.prepared.handle, &request) {
            Ok(dispatched) => dispatched,
            Err(error) => {
                row.outcome = RequestOutcome::Refused;
                row.status = 400;
                row.reason = Some(error.message);
                return append(row, None, Vec::new(), false);
            }
        };
        let has_body = dispatched
            .events
            .iter()
            .any(|event| event.payload.is_none());
        let events: Vec<NewEvent> = dispatched
            .events
            .into_iter()
            .map(|event| NewEvent {
                id: EventId::generate(self.at),
                name: event.name,
                payload: event.payload.map(Bytes::from),
                occurred_at: event.occurred_at_ms.map(Millis),
            })
            .collect();
        if !events.is_empty() {
            row.outcome = RequestOutcome::Accepted;
        }
        // An event that carries a payload of its own needs no second copy.
        row.body = has_body.then(|| self.bytes.clone());
        let window = dispatched.delivery_window_ms.map(Duration::from_millis);
        let delivery = dispatched.delivery_id.map(|id| Delivery {
            id,
            expires_at: self.at.plus(window.unwrap_or(DELIVERY_WINDOW)),
        });
        append(row, delivery, events, dispatched.wake)
    }
}

fn append(
    request: NewRequest,
    delivery: Option<Delivery>,
    events: Vec<NewEvent>,
    wake: bool,
) -> Append {
    Append {
        request,
        delivery,
        events,
        queue: Queue::WaitedFor,
        wake,
    }
}

/// Keeps a message; while the store is not there, again and again for as long as nobody else can
/// hold the connection.
pub(super) fn keep(
    inner: &Arc<Inner>,
    append: Append,
    fence: i64,
) -> impl Future<Output = Kept> + Send + use<> {
    let inner = Arc::clone(inner);
    async move {
        let parts = &inner.parts;
        let events = append.events.len();
        loop {
            if !inner.lease.is_good() {
                return Kept::Lost;
            }
            match parts.store.append_message(append.clone(), fence).await {
                Ok(Appended::Stored { waiting }) => {
                    parts.metrics.events.add(events as u64);
                    let unmatched = events.saturating_sub(waiting) as u64;
                    parts.metrics.events_handled.add("unmatched", unmatched);
                    if waiting > 0 {
                        parts.events_wake.notify_one();
                    }
                    return Kept::Kept;
                }
                Ok(Appended::Duplicate { .. }) => return Kept::Kept,
                Ok(Appended::Fenced) => return Kept::Lost,
                Err(error) if error.is_unavailable() => {
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                Err(error) => {
                    let subscription = &append.request.subscription_id;
                    tracing::error!(%subscription, %error, "a message could not be kept");
                    return Kept::Kept;
                }
            }
        }
    }
}
