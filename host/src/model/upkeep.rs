//! What keeping a subscription alive needs and leaves behind: times, leases, and what one step of a
//! run commits.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::objects::Subscription;
use super::registrations::RegistrationChange;
use super::words::{SubscriptionState, SyncAction};
use crate::clock::Millis;
use crate::id::{EventId, HostId, RequestId, SubscriptionId};

/// A subscription's upkeep, as it stands in its row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upkeep {
    /// Where the next pull begins; none: there was no pull yet, or the cursor was lost.
    pub cursor: Option<String>,
    pub pulled_at: Option<Millis>,
    pub checked_at: Option<Millis>,
    /// When something is to be done next; none: when something changes.
    pub due_at: Option<Millis>,
    pub next_action: Option<SyncAction>,
    pub renew_at: Option<Millis>,
    pub check_at: Option<Millis>,
    pub pull_at: Option<Millis>,
    /// After a failure: what `retry_action` names is not tried before; none: nothing is.
    pub retry_at: Option<Millis>,
    pub retry_action: Option<SyncAction>,
    /// Rises with every hint from outside.
    pub pokes: i64,
    /// Failures in a row.
    pub tries: u32,
    /// What the last check found to differ.
    pub drift: Vec<Drift>,
    /// Newest last.
    pub notes: Vec<Note>,
    pub last_error: Option<String>,
    pub last_error_at: Option<Millis>,
}

/// A field that the service holds differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub field: String,
    pub ours: Value,
    pub theirs: Value,
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: Millis,
    pub text: String,
}

/// Who claims subscriptions that are due, and until when.
#[derive(Clone, Debug)]
pub struct SyncClaim {
    pub owner: HostId,
    pub now: Millis,
    pub lease_until: Millis,
    pub limit: u32,
    /// Credentials, or providers of subscriptions without one, that are passed over.
    pub passed_over: Vec<String>,
}

/// A subscription that this host looks after until its lease ends.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub subscription: Subscription,
    pub upkeep: Upkeep,
    pub fence: i64,
}

/// What one step of a run commits, together or not at all, and only under its fence.
#[derive(Clone, Debug)]
pub struct Progress {
    pub subscription_id: SubscriptionId,
    pub fence: i64,
    pub registrations: Vec<RegistrationChange>,
    /// All of it but `due_at`, `next_action` and `pokes`. `pokes` as they were read: where they
    /// rose since, `check_at`, `pull_at` and the two of a retry stay as they are stored.
    pub upkeep: Upkeep,
    /// A paused subscription stays paused.
    pub health: Option<(SubscriptionState, Option<String>)>,
    /// Parameters as the service holds them, which are wanted from now on.
    pub adopted: Option<Map<String, Value>>,
    pub pulled: Option<PulledBatch>,
    pub audit: Vec<NotedAudit>,
    pub end: End,
}

/// Whether the run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It does, with a lease until then.
    GoOn { lease_until: Millis },
    /// It is done until then; at once if there was a poke meanwhile.
    Release {
        due_at: Option<Millis>,
        next_action: Option<SyncAction>,
    },
    /// The subscription is gone.
    Remove,
}

/// An entry of the audit log that the host makes itself.
#[derive(Clone, Debug)]
pub struct NotedAudit {
    /// `subscription.made` and the like.
    pub action: &'static str,
    pub detail: Value,
}

/// What a pull brought.
#[derive(Clone, Debug)]
pub struct PulledBatch {
    /// Owns the delivery ids of its events; no request of the log has it.
    pub id: RequestId,
    pub events: Vec<SyncPulledEvent>,
    /// By key; none removes.
    pub state: BTreeMap<String, Option<Value>>,
    /// By key; none withdraws.
    pub timers: BTreeMap<String, Option<NewTimer>>,
}

/// An event that was pulled.
#[derive(Clone, Debug)]
pub struct SyncPulledEvent {
    pub id: EventId,
    pub name: String,
    pub payload: Bytes,
    pub occurred_at: Option<Millis>,
    pub delivery_id: Option<String>,
}

/// An event that will happen.
#[derive(Clone, Debug)]
pub struct NewTimer {
    pub due_at: Millis,
    pub name: String,
    pub payload: Bytes,
    pub occurred_at: Option<Millis>,
    pub delivery_id: Option<String>,
}

/// What became of a [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progressed {
    /// It is committed; so many events wait to be matched, so many are new.
    Kept { events: usize, waiting: usize },
    /// Another host holds the subscription, or it is gone: nothing was changed.
    LeaseLost,
}

/// A hint from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poke {
    /// Look at it.
    Look,
    /// Check it now.
    Check,
    /// Check it, and read changes.
    Everything,
}
