//! The way in: a request, its delivery id and its events, in one commit with all others that wait.
//!
//! Who owns a delivery id is decided by the row in `deliveries`: the request that made it, until it
//! expires. All others are duplicates, also those that stand in the same batch. An append that is
//! repeated finds itself as the owner and its rows in place, so nothing happens twice.

use std::collections::HashSet;
use std::sync::Arc;

use super::body::Stored;
use super::connection::Connection;
use super::delivery_claims::{self, Claim};
use super::dictionaries::{self, Choice, Dictionaries, Dictionary, Needed, NewDictionary};
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sockets;
use super::sql::Statement;
use super::waiting::{Kind, waited_for};
use super::writer::{Write, Written};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::SubscriptionId;
use crate::model::{
    Append, Appended, Delivery, EventState, NewEvent, NewRequest, Queue, RequestOutcome,
};

/// What an event is told that is done when it is kept.
const UNMATCHED: &str = "no trigger waits for this event";

impl Store {
    /// Keeps a request and its events; resolves after the commit is synced. Repeating it is harmless.
    pub async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let packed = PackedAppend::pack(append, &self.dictionaries).await;
        self.append_packed(packed).await
    }

    /// The same for a message of a connection, unless its host does not hold it any more.
    pub async fn append_message(&self, append: Append, fence: i64) -> Result<Appended, StoreError> {
        let mut packed = PackedAppend::pack(append, &self.dictionaries).await;
        packed.fence = Some(fence);
        self.append_packed(packed).await
    }

    async fn append_packed(&self, packed: PackedAppend) -> Result<Appended, StoreError> {
        let packed = Box::new(packed);
        match self
            .writer
            .write("append a request", Write::Append(packed))
            .await?
        {
            Written::Append(appended) => Ok(appended),
            _ => unreachable!("invariant: an append is answered with `Appended`"),
        }
    }
}

/// An append with its bytes as they are stored.
pub(super) struct PackedAppend {
    request: NewRequest,
    body: Stored,
    /// What the body is compressed against.
    dictionary: Option<Arc<Dictionary>>,
    /// What the body becomes.
    new: Option<NewDictionary>,
    delivery: Option<Delivery>,
    events: Vec<(NewEvent, Stored)>,
    queue: Queue,
    wake: bool,
    /// Of the connection that it came over.
    fence: Option<i64>,
}

impl PackedAppend {
    async fn pack(append: Append, dictionaries: &Arc<Dictionaries>) -> PackedAppend {
        let Append {
            mut request,
            delivery,
            events,
            queue,
            wake,
        } = append;
        let choice = match (&request.body, events.first()) {
            (Some(body), Some(event)) if request.outcome == RequestOutcome::Accepted => {
                let kind = (request.subscription_id.as_str(), event.name.as_str());
                dictionaries.choose(kind, request.received_at, body)
            }
            _ => Choice::Alone,
        };
        let (body, dictionary, new) = match (request.body.take(), choice) {
            (Some(body), Choice::Against(one)) => {
                (Stored::pack_against(body, &one), Some(one), None)
            }
            (body, Choice::Becomes(new)) => (Stored::pack(body).await, None, Some(new)),
            (body, _) => (Stored::pack(body).await, None, None),
        };
        let mut packed = Vec::with_capacity(events.len());
        for mut event in events {
            let payload = Stored::pack(event.payload.take()).await;
            packed.push((event, payload));
        }
        PackedAppend {
            request,
            body,
            dictionary,
            new,
            delivery,
            events: packed,
            queue,
            wake,
            fence: None,
        }
    }

    /// What became of it is committed and synced.
    pub(super) fn kept(self, appended: &Appended) {
        if let (Some(new), Appended::Stored { .. }) = (self.new, appended) {
            new.publish();
        }
    }

    /// The dictionary that is to be there when it is.
    fn needs(&self) -> Option<Needed<'_>> {
        let new = self.new.as_ref().map(|new| &new.dictionary);
        Some(Needed {
            dictionary: self.dictionary.as_ref().or(new)?,
            workspace: &self.request.workspace_id,
            subscription: &self.request.subscription_id,
        })
    }

    /// The subscription that is to be pulled with this commit.
    pub(super) fn wakes(&self, appended: &Appended) -> Option<&SubscriptionId> {
        let is_new = matches!(appended, Appended::Stored { .. });
        (self.wake && is_new).then_some(&self.request.subscription_id)
    }

    /// How many bytes of body, payloads and headers it holds.
    pub(super) fn size(&self) -> usize {
        let payloads: usize = self
            .events
            .iter()
            .map(|(_, payload)| payload.len() + 256)
            .sum();
        self.body.len() + payloads + self.request.headers.len()
    }

    fn delivery_claim(&self) -> Option<Claim<'_>> {
        let (request, delivery) = (&self.request, self.delivery.as_ref()?);
        let key = (request.subscription_id.as_str(), delivery.id.as_str());
        Some((key, &request.id, delivery.expires_at))
    }

    fn kind<'a>(&'a self, event: &'a NewEvent) -> Kind<'a> {
        (self.request.subscription_id.as_str(), &event.name)
    }

    fn waits(&self, event: &NewEvent, waited_for: &HashSet<Kind<'_>>) -> bool {
        self.queue == Queue::Every || waited_for.contains(&self.kind(event))
    }

    fn waiting(&self, waited_for: &HashSet<Kind<'_>>) -> usize {
        let waits = |(event, _): &&(NewEvent, Stored)| self.waits(event, waited_for);
        self.events.iter().filter(waits).count()
    }
}

/// Inserts the rows; one answer for each append, in their order.
pub(super) async fn insert(
    connection: &mut impl Connection,
    backend: Backend,
    appends: &[&PackedAppend],
    now: Millis,
) -> Result<Vec<Appended>, StoreError> {
    let wanted = appends
        .iter()
        .filter_map(|append| Some((&append.request.subscription_id, append.fence?)));
    let held = sockets::still_held(connection, backend, wanted.collect()).await?;
    let is_fenced = |append: &&PackedAppend| {
        let id = append.request.subscription_id.as_str();
        let is_held = |fence| held.iter().any(|one| one.0 == id && one.1 == fence);
        append.fence.is_some_and(|fence| !is_held(fence))
    };
    let others: Vec<&PackedAppend> = appends
        .iter()
        .copied()
        .filter(|append| !is_fenced(append))
        .collect();
    let appended = insert_all(connection, backend, &others, now).await?;
    let mut appended = appended.into_iter();
    let answers = appends.iter().map(|append| match is_fenced(append) {
        true => Appended::Fenced,
        false => appended
            .next()
            .expect("invariant: there is one answer for each append"),
    });
    Ok(answers.collect())
}

async fn insert_all(
    connection: &mut impl Connection,
    backend: Backend,
    appends: &[&PackedAppend],
    now: Millis,
) -> Result<Vec<Appended>, StoreError> {
    if appends.is_empty() {
        return Ok(Vec::new());
    }
    let asked = appends.iter().filter_map(|append| append.delivery_claim());
    let owners = delivery_claims::claim(connection, backend, asked, now).await?;
    let waited_for = waited_for(connection, backend, kinds(appends)).await?;
    let appended: Vec<Appended> = appends
        .iter()
        .map(|append| {
            let owner = append.delivery_claim();
            let owner = owner.and_then(|(key, ..)| owners.get(&key));
            match owner {
                Some(owner) if owner != append.request.id.as_str() => Appended::Duplicate {
                    request_id: owner
                        .parse()
                        .expect("invariant: `deliveries.request_id` holds request ids"),
                },
                _ => Appended::Stored {
                    waiting: append.waiting(&waited_for),
                },
            }
        })
        .collect();
    let rows: Vec<(&PackedAppend, &Appended)> = appends.iter().copied().zip(&appended).collect();
    let stored = rows
        .iter()
        .filter(|(_, appended)| matches!(appended, Appended::Stored { .. }));
    let needed = stored.filter_map(|(append, _)| append.needs());
    dictionaries::keep(connection, backend, needed).await?;
    insert_requests(connection, backend, &rows).await?;
    insert_events(connection, backend, &rows, &waited_for).await?;
    Ok(appended)
}

/// The kinds of events that wait only if a trigger does.
fn kinds<'a>(appends: &[&'a PackedAppend]) -> HashSet<Kind<'a>> {
    let mut kinds = HashSet::new();
    for append in appends {
        if append.queue == Queue::WaitedFor {
            kinds.extend(append.events.iter().map(|(event, _)| append.kind(event)));
        }
    }
    kinds
}

static INSERT_REQUESTS: ManyRows = ManyRows::new(
    "insert into requests (id, workspace_id, subscription_id, provider, method, path, query, \
     headers, body, encoding, dictionary_id, body_size, received_at, outcome, status, reason, \
     delivery_id, events) values ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " on conflict (workspace_id, id) do nothing",
);

async fn insert_requests(
    connection: &mut impl Connection,
    backend: Backend,
    rows: &[(&PackedAppend, &Appended)],
) -> Result<(), StoreError> {
    for chunk in chunks(rows) {
        let mut insert = Statement::composed(
            "insert requests",
            INSERT_REQUESTS.text(backend, chunk.len()),
        );
        for (append, appended) in chunk {
            push_request(&mut insert, append, appended);
        }
        insert.run(connection).await?;
    }
    Ok(())
}

fn push_request<'q>(insert: &mut Statement<'q>, append: &'q PackedAppend, appended: &'q Appended) {
    let request = &append.request;
    insert.push(&request.id);
    insert.push(&request.workspace_id);
    insert.push(&request.subscription_id);
    insert.push(&request.provider);
    insert.push(&request.method);
    insert.push(&request.path);
    insert.push(&request.query);
    insert.push(&request.headers);
    match appended {
        Appended::Stored { .. } => {
            insert.push(append.body.bytes.clone());
            insert.push(append.body.encoding);
            insert.push(&append.body.dictionary);
        }
        // The first one holds the body.
        Appended::Duplicate { .. } | Appended::Fenced => {
            insert.push(None::<Vec<u8>>);
            insert.push(Stored::NOTHING.encoding);
            insert.push(&Stored::NOTHING.dictionary);
        }
    }
    insert.push(i64::try_from(request.body_size).unwrap_or(i64::MAX));
    insert.push(request.received_at);
    match appended {
        Appended::Stored { .. } => insert.push(request.outcome),
        Appended::Duplicate { .. } | Appended::Fenced => insert.push(RequestOutcome::Duplicate),
    }
    insert.push(request.status);
    match appended {
        Appended::Stored { .. } | Appended::Fenced => insert.push(&request.reason),
        Appended::Duplicate { request_id } => {
            insert.push(format!("this delivery came before, as {request_id}"));
        }
    }
    insert.push(
        append
            .delivery
            .as_ref()
            .map(|delivery| delivery.id.as_str()),
    );
    insert.push(match appended {
        Appended::Stored { .. } => i64::try_from(append.events.len()).unwrap_or(i64::MAX),
        Appended::Duplicate { .. } | Appended::Fenced => 0,
    });
}

static INSERT_EVENTS: ManyRows = ManyRows::new(
    "insert into events (id, workspace_id, subscription_id, request_id, ordinal, provider, name, \
     payload, encoding, occurred_at, received_at, state, reason, matched, tries, due_at, handled_at) \
     values ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)",
    " on conflict (workspace_id, id) do nothing",
);

async fn insert_events(
    connection: &mut impl Connection,
    backend: Backend,
    rows: &[(&PackedAppend, &Appended)],
    waited_for: &HashSet<Kind<'_>>,
) -> Result<(), StoreError> {
    let stored = rows
        .iter()
        .filter(|(_, appended)| matches!(appended, Appended::Stored { .. }));
    let events: Vec<(&PackedAppend, u32, &NewEvent, &Stored)> = stored
        .flat_map(|(append, _)| {
            let numbered = (0u32..).zip(&append.events);
            numbered.map(|(ordinal, (event, payload))| (*append, ordinal, event, payload))
        })
        .collect();
    for chunk in chunks(&events) {
        let mut insert =
            Statement::composed("insert events", INSERT_EVENTS.text(backend, chunk.len()));
        for (append, ordinal, event, payload) in chunk {
            let (request, waits) = (&append.request, append.waits(event, waited_for));
            insert.push(&event.id);
            insert.push(&request.workspace_id);
            insert.push(&request.subscription_id);
            insert.push(&request.id);
            insert.push(*ordinal);
            insert.push(&request.provider);
            insert.push(&event.name);
            insert.push(payload.bytes.clone());
            insert.push(payload.encoding);
            insert.push(event.occurred_at);
            insert.push(request.received_at);
            insert.push(match waits {
                true => EventState::Pending,
                false => EventState::Handled,
            });
            insert.push((!waits).then_some(UNMATCHED));
            insert.push(request.received_at);
            insert.push((!waits).then_some(request.received_at));
        }
        insert.run(connection).await?;
    }
    Ok(())
}
