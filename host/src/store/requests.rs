//! Reading the request log.

use bytes::Bytes;

use super::{Store, StoreError};
use crate::id::{RequestId, WorkspaceId};
use crate::model::{Page, PageQuery, Request, RequestFilter};

impl Store {
    /// A request of this workspace.
    pub async fn request(
        &self,
        workspace: &WorkspaceId,
        id: &RequestId,
    ) -> Result<Option<Request>, StoreError> {
        todo!()
    }

    /// Its body as it came; none if it was not kept.
    pub async fn request_body(&self, id: &RequestId) -> Result<Option<Bytes>, StoreError> {
        todo!()
    }

    /// Newest first.
    pub async fn list_requests(
        &self,
        workspace: &WorkspaceId,
        filter: &RequestFilter,
        page: &PageQuery,
    ) -> Result<Page<Request>, StoreError> {
        todo!()
    }
}
