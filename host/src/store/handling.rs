//! What matching made of events: their jobs, or that they failed, or when to try again.

use std::collections::HashSet;

use super::body::Stored;
use super::connection::Connection;
use super::jobs::{PackedJob, insert_jobs};
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{Statement, Text};
use super::writer::Write;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{EventId, WorkspaceId};
use crate::model::{EventState, HandledEvent, Handling};

impl Store {
    /// Marks events and makes their jobs, in one commit. An event that is no longer pending is left
    /// alone, and a job that is there already is not made again, so repeating it is harmless.
    pub async fn handle_events(&self, events: Vec<HandledEvent>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut packed = Vec::with_capacity(events.len());
        for event in events {
            packed.push(PackedHandled::pack(event).await);
        }
        self.writer
            .write("handle events", Write::Handle(packed))
            .await
            .map(|_| ())
    }
}

/// A handled event with its jobs' bytes as they are stored.
pub(super) struct PackedHandled {
    workspace_id: WorkspaceId,
    id: EventId,
    state: EventState,
    reason: Option<String>,
    /// When to try again; it stays pending then.
    due_at: Option<Millis>,
    /// Whether a try is used up.
    is_try: bool,
    jobs: Vec<PackedJob>,
}

impl PackedHandled {
    async fn pack(event: HandledEvent) -> PackedHandled {
        let (workspace_id, id) = (event.workspace_id, event.id);
        match event.handling {
            Handling::Handled { jobs, reason } => {
                let mut packed = Vec::with_capacity(jobs.len());
                for mut job in jobs {
                    let arguments = Stored::pack(job.arguments.take()).await;
                    packed.push(PackedJob { job, arguments });
                }
                PackedHandled {
                    workspace_id,
                    id,
                    state: EventState::Handled,
                    reason,
                    due_at: None,
                    is_try: false,
                    jobs: packed,
                }
            }
            Handling::Failed { reason } => PackedHandled {
                workspace_id,
                id,
                state: EventState::Failed,
                reason: Some(reason),
                due_at: None,
                is_try: false,
                jobs: Vec::new(),
            },
            Handling::Deferred { due_at, reason } => {
                PackedHandled::put_off(workspace_id, id, due_at, reason).tried()
            }
            Handling::Waiting { due_at, reason } => {
                PackedHandled::put_off(workspace_id, id, due_at, reason)
            }
        }
    }

    fn put_off(workspace_id: WorkspaceId, id: EventId, due_at: Millis, reason: String) -> Self {
        PackedHandled {
            workspace_id,
            id,
            state: EventState::Pending,
            reason: Some(reason),
            due_at: Some(due_at),
            is_try: false,
            jobs: Vec::new(),
        }
    }

    fn tried(self) -> Self {
        PackedHandled {
            is_try: true,
            ..self
        }
    }

    pub(super) fn size(&self) -> usize {
        self.jobs.iter().map(|job| job.arguments.len() + 512).sum()
    }
}

static HANDLE_EVENTS: ManyRows = ManyRows::new(
    "with handled (workspace_id, id, state, reason, matched, due_at, tries, handled_at) as (values ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    ") update events set state = handled.state, reason = handled.reason, \
     matched = handled.matched, due_at = coalesce(handled.due_at, events.due_at), \
     tries = events.tries + handled.tries, handled_at = handled.handled_at \
     from handled where events.workspace_id = handled.workspace_id \
     and events.id = handled.id and events.state = 'pending' \
     returning events.id as text",
);

/// Updates the events and inserts the jobs of those that were still pending.
pub(super) async fn handle(
    connection: &mut impl Connection,
    backend: Backend,
    events: &[&PackedHandled],
    now: Millis,
) -> Result<(), StoreError> {
    let mut pending = HashSet::with_capacity(events.len());
    for chunk in chunks(events) {
        let mut update =
            Statement::composed("handle events", HANDLE_EVENTS.text(backend, chunk.len()));
        for event in chunk {
            update.push(&event.workspace_id);
            update.push(&event.id);
            update.push(event.state);
            update.push(&event.reason);
            update.push(i64::try_from(event.jobs.len()).unwrap_or(i64::MAX));
            update.push(event.due_at);
            update.push(i64::from(event.is_try));
            update.push(event.due_at.is_none().then_some(now));
        }
        let updated: Vec<Text> = update.all(connection).await?;
        pending.extend(updated.into_iter().map(|id| id.0));
    }
    let jobs: Vec<&PackedJob> = events
        .iter()
        .filter(|event| pending.contains(event.id.as_str()))
        .flat_map(|event| &event.jobs)
        .collect();
    insert_jobs(connection, backend, &jobs).await
}
