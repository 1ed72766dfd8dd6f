//! Events: those that wait to be matched, and reading the log.

use std::time::Duration;

use bytes::Bytes;
use sqlx::AnyConnection;

use super::open::Backend;
use super::requests::{Packed, dictionary_columns, dictionary_join};
use super::retention::floor;
use super::rows::{ManyRows, chunks};
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Time};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{EventId, RequestId, WorkspaceId};
use crate::model::{Event, EventFilter, HandledEvent, Handling, Page, PageQuery, PendingEvent};

const MILLISECOND: Duration = Duration::from_millis(1);

const SELECT: &str = "select id, workspace_id, subscription_id, request_id, ordinal, provider, \
    name, occurred_at, received_at, state, reason, matched, tries, due_at, handled_at from events";

/// The payload of the event `e`, for [`Packed`]: its own or the body of its request.
macro_rules! payload_columns {
    () => {
        concat!(
            "coalesce(e.payload, r.body) as bytes, \
             case when e.payload is null then r.encoding else e.encoding end as encoding, ",
            dictionary_columns!()
        )
    };
}

/// Where [`payload_columns`] stand.
macro_rules! payload_joins {
    () => {
        concat!(
            "left join requests r on r.workspace_id = e.workspace_id and r.id = e.request_id \
             and e.payload is null ",
            dictionary_join!()
        )
    };
}

impl Store {
    /// Up to `limit` events that are due, oldest first, with their payloads. One whose payload does not
    /// read has failed, in plain sight, and stops no other.
    pub async fn pending_events(
        &self,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<PendingEvent>, StoreError> {
        let mut connection = self.database.read().await?;
        let rows: Vec<PendingRow> = Statement::new(
            "read pending events",
            concat!(
                "select e.id, e.workspace_id, e.subscription_id, e.request_id, e.ordinal, e.provider, \
                 e.name, e.occurred_at, e.received_at, e.state, e.reason, e.matched, e.tries, e.due_at, \
                 e.handled_at, ",
                payload_columns!(),
                " from events e ",
                payload_joins!(),
                " where e.state = 'pending' and e.due_at <= $1 order by e.due_at, e.id limit $2"
            ),
        )
        .bind(now)
        .bind(limit)
        .all(&mut connection)
        .await?;
        drop(connection);
        let (mut pending, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for PendingRow { event, payload } in rows {
            match payload {
                Ok(payload) => pending.push(PendingEvent { event, payload }),
                Err(_) => unreadable.push(HandledEvent {
                    workspace_id: event.workspace_id,
                    id: event.id,
                    handling: Handling::Failed {
                        reason: "its payload does not read from the store".to_owned(),
                    },
                }),
            }
        }
        if !unreadable.is_empty() {
            tracing::warn!(
                events = unreadable.len(),
                "events failed because their payloads do not read"
            );
            self.handle_events(unreadable).await?;
        }
        Ok(pending)
    }

    /// When the next pending event is due that is not due yet.
    pub async fn next_event_due(&self, now: Millis) -> Result<Option<Millis>, StoreError> {
        let mut connection = self.database.read().await?;
        let next: Option<Time> = Statement::new(
            "find the next event",
            "select min(due_at) as at from events where state = 'pending' and due_at > $1",
        )
        .bind(now)
        .one(&mut connection)
        .await?;
        Ok(next.and_then(|next| next.0))
    }

    /// An event of this workspace.
    pub async fn event(
        &self,
        workspace: &WorkspaceId,
        id: &EventId,
    ) -> Result<Option<Event>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read an event",
            format!("{SELECT} where workspace_id = $1 and id = $2"),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// Its payload: its own or the body of its request.
    pub async fn event_payload(
        &self,
        workspace: &WorkspaceId,
        id: &EventId,
    ) -> Result<Option<Bytes>, StoreError> {
        let mut connection = self.database.read().await?;
        let payload: Option<Packed> = Statement::new(
            "read an event's payload",
            concat!(
                "select ",
                payload_columns!(),
                " from events e ",
                payload_joins!(),
                " where e.workspace_id = $1 and e.id = $2"
            ),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await?;
        payload.map_or(Ok(None), Packed::unpacked)
    }

    /// Newest first.
    pub async fn list_events(
        &self,
        workspace: &WorkspaceId,
        filter: &EventFilter,
        page: &PageQuery,
    ) -> Result<Page<Event>, StoreError> {
        let made_at = filter.request_id.as_ref().map(RequestId::made_at);
        let mut select = Select::new("list events", SELECT)
            .and_value("workspace_id =", workspace.clone())
            .and_some("subscription_id =", filter.subscription_id.clone())
            .and_some("request_id =", filter.request_id.clone())
            // They were made in the same millisecond as it, which needs no index of its own.
            .and_some("id >", made_at.map(|at| floor(EventId::PREFIX, at)))
            .and_some(
                "id <",
                made_at.map(|at| floor(EventId::PREFIX, at.plus(MILLISECOND))),
            )
            .and_some("name =", filter.name.clone())
            .and_some("state =", filter.state);
        match filter.matched {
            Some(true) => select = select.and("matched > 0"),
            Some(false) => select = select.and("matched = 0"),
            None => {}
        }
        let mut connection = self.database.read().await?;
        select
            .page(&mut connection, page, |event: &Event| event.id.as_str())
            .await
    }
}

impl FromRow for Event {
    fn from_row(row: &Row<'_>) -> Result<Event, StoreError> {
        Ok(Event {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            subscription_id: row.parsed("subscription_id")?,
            request_id: row.parsed_opt("request_id")?,
            ordinal: row.number("ordinal")?,
            provider: row.text("provider")?,
            name: row.text("name")?,
            occurred_at: row.millis_opt("occurred_at")?,
            received_at: row.millis("received_at")?,
            state: row.parsed("state")?,
            reason: row.text_opt("reason")?,
            matched: row.number("matched")?,
            tries: row.number("tries")?,
            due_at: row.millis("due_at")?,
            handled_at: row.millis_opt("handled_at")?,
        })
    }
}

struct PendingRow {
    event: Event,
    payload: Result<Bytes, StoreError>,
}

impl FromRow for PendingRow {
    fn from_row(row: &Row<'_>) -> Result<PendingRow, StoreError> {
        Ok(PendingRow {
            event: Event::from_row(row)?,
            payload: payload(row)?,
        })
    }
}

static SELECT_PAYLOADS: ManyRows = ManyRows::new(
    "with wanted (workspace_id, id) as (values ",
    "(?, ?)",
    concat!(
        ") select e.id, ",
        payload_columns!(),
        " from wanted w cross join events e ",
        payload_joins!(),
        " where e.workspace_id = w.workspace_id and e.id = w.id"
    ),
);

/// The payloads of several events, each read or not.
pub(super) async fn payloads(
    connection: &mut AnyConnection,
    backend: Backend,
    events: &[(&WorkspaceId, &EventId)],
) -> Result<Vec<(EventId, Result<Bytes, StoreError>)>, StoreError> {
    let mut payloads = Vec::with_capacity(events.len());
    for chunk in chunks(events) {
        let mut select = Statement::composed(
            "read the payloads of events",
            SELECT_PAYLOADS.text(backend, chunk.len()),
        );
        for (workspace, id) in chunk {
            select.push(*workspace);
            select.push(*id);
        }
        let rows: Vec<PayloadRow> = select.all(connection).await?;
        payloads.extend(rows.into_iter().map(|row| (row.id, row.payload)));
    }
    Ok(payloads)
}

struct PayloadRow {
    id: EventId,
    payload: Result<Bytes, StoreError>,
}

impl FromRow for PayloadRow {
    fn from_row(row: &Row<'_>) -> Result<PayloadRow, StoreError> {
        Ok(PayloadRow {
            id: row.parsed("id")?,
            payload: payload(row)?,
        })
    }
}

/// Read or not; none is empty.
fn payload(row: &Row<'_>) -> Result<Result<Bytes, StoreError>, StoreError> {
    let packed = Packed::from_row(row)?;
    Ok(packed.unpacked().map(Option::unwrap_or_default))
}
