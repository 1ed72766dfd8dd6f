//! What arrived at an endpoint, and how it is handed to the store.

use bytes::Bytes;
use serde_json::Value;

use super::events::NewEvent;
use super::words::RequestOutcome;
use crate::clock::Millis;
use crate::id::{JobId, RequestId, RunnableId, SubscriptionId, WorkspaceId};

/// A request of the log; its body is asked for apart (`Store::request_body`).
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: RequestId,
    pub workspace_id: WorkspaceId,
    /// None: it called a runnable.
    pub subscription_id: Option<SubscriptionId>,
    /// What it called.
    pub runnable_id: Option<RunnableId>,
    /// The first job that the call made.
    pub job_id: Option<JobId>,
    /// Of a call: `webhook`.
    pub provider: String,
    pub method: String,
    pub path: String,
    pub query: String,
    /// As it was handed in: by convention `[[name, value], …]`.
    pub headers: Value,
    pub body_size: u64,
    pub received_at: Millis,
    pub outcome: RequestOutcome,
    /// The HTTP status it was answered with.
    pub status: u16,
    pub reason: Option<String>,
    pub delivery_id: Option<String>,
    /// How many events it carried.
    pub events: u32,
}

/// A request to be kept.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Made by the caller, so that the same append may be repeated.
    pub id: RequestId,
    pub workspace_id: WorkspaceId,
    pub subscription_id: SubscriptionId,
    pub provider: String,
    pub method: String,
    pub path: String,
    pub query: String,
    /// JSON text, declared secrets already masked.
    pub headers: String,
    /// None: it is not kept (a refused request); `body_size` still says how long it was.
    pub body: Option<Bytes>,
    pub body_size: u64,
    pub received_at: Millis,
    pub outcome: RequestOutcome,
    pub status: u16,
    pub reason: Option<String>,
}

/// The id that a service marked a delivery with, and until when it may repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: String,
    pub expires_at: Millis,
}

/// One request with everything that goes into the log with it.
#[derive(Clone, Debug)]
pub struct Append {
    pub request: NewRequest,
    pub delivery: Option<Delivery>,
    pub events: Vec<NewEvent>,
    pub queue: Queue,
    /// It says only that something changed: the subscription is to be pulled, which is committed
    /// with it.
    pub wake: bool,
}

/// Which events of an append wait to be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// All of them.
    Every,
    /// Those that an enabled trigger waits for at the moment of the commit. The others are handled
    /// with it, as unmatched.
    WaitedFor,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Request and events are committed and synced; so many of the events wait to be matched.
    Stored { waiting: usize },
    /// The delivery id was seen before: the request is kept with outcome `duplicate`, its events
    /// are not. Names the request that came first.
    Duplicate { request_id: RequestId },
    /// Of a message: another host holds the connection by now. Nothing is kept.
    Fenced,
}

/// Which requests are wanted; an absent field does not matter.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    pub subscription_id: Option<SubscriptionId>,
    pub outcome: Option<RequestOutcome>,
    pub delivery_id: Option<String>,
}
