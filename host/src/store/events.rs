//! Events: those that wait to be matched, what matching made of them, and reading the log.

use bytes::Bytes;

use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{EventId, WorkspaceId};
use crate::model::{Event, EventFilter, HandledEvent, Page, PageQuery, PendingEvent};

impl Store {
    /// Up to `limit` events that are due, oldest first, with their payloads.
    pub async fn pending_events(
        &self,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<PendingEvent>, StoreError> {
        todo!()
    }

    /// Marks events and makes their jobs, in one commit. An event that is no longer pending is left
    /// alone, and a job that is there already is not made again, so repeating it is harmless.
    pub async fn handle_events(&self, events: Vec<HandledEvent>) -> Result<(), StoreError> {
        todo!()
    }

    /// When the next pending event is due that is not due yet.
    pub async fn next_event_due(&self, now: Millis) -> Result<Option<Millis>, StoreError> {
        todo!()
    }

    /// An event of this workspace.
    pub async fn event(
        &self,
        workspace: &WorkspaceId,
        id: &EventId,
    ) -> Result<Option<Event>, StoreError> {
        todo!()
    }

    /// Its payload: its own or the body of its request.
    pub async fn event_payload(&self, id: &EventId) -> Result<Option<Bytes>, StoreError> {
        todo!()
    }

    /// Newest first.
    pub async fn list_events(
        &self,
        workspace: &WorkspaceId,
        filter: &EventFilter,
        page: &PageQuery,
    ) -> Result<Page<Event>, StoreError> {
        todo!()
    }
}
