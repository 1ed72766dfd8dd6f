//! Reading the request log.

use bytes::Bytes;

use super::body::{unpack, unpack_against};
use super::select::Select;
use super::sql::{FromRow, Row, Statement};
use super::{Store, StoreError};
use crate::id::{RequestId, WorkspaceId};
use crate::model::{Page, PageQuery, Request, RequestFilter};

const SELECT: &str = "select id, workspace_id, subscription_id, provider, method, path, query, \
    headers, body_size, received_at, outcome, status, reason, delivery_id, events, \
    runnable_id, job_id from requests";

impl Store {
    /// A request of this workspace.
    pub async fn request(
        &self,
        workspace: &WorkspaceId,
        id: &RequestId,
    ) -> Result<Option<Request>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a request",
            format!("{SELECT} where workspace_id = $1 and id = $2"),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// Its body as it came; none if it was not kept.
    pub async fn request_body(
        &self,
        workspace: &WorkspaceId,
        id: &RequestId,
    ) -> Result<Option<Bytes>, StoreError> {
        let mut connection = self.database.read().await?;
        let body: Option<Packed> = Statement::new(
            "read a request's body",
            concat!(
                "select r.body as bytes, r.encoding, ",
                dictionary_columns!(),
                " from requests r ",
                dictionary_join!(),
                " where r.workspace_id = $1 and r.id = $2"
            ),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await?;
        body.map_or(Ok(None), Packed::unpacked)
    }

    /// Newest first.
    pub async fn list_requests(
        &self,
        workspace: &WorkspaceId,
        filter: &RequestFilter,
        page: &PageQuery,
    ) -> Result<Page<Request>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list requests", SELECT)
            .and_value("workspace_id =", workspace.clone())
            .and_some("subscription_id =", filter.subscription_id.clone())
            .and_some("outcome =", filter.outcome)
            .and_some("delivery_id =", filter.delivery_id.clone())
            .page(&mut connection, page, |request: &Request| {
                request.id.as_str()
            })
            .await
    }
}

impl FromRow for Request {
    fn from_row(row: &Row<'_>) -> Result<Request, StoreError> {
        Ok(Request {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            subscription_id: match row.text("subscription_id")?.is_empty() {
                true => None,
                false => Some(row.parsed("subscription_id")?),
            },
            runnable_id: row.parsed_opt("runnable_id")?,
            job_id: row.parsed_opt("job_id")?,
            provider: row.text("provider")?,
            method: row.text("method")?,
            path: row.text("path")?,
            query: row.text("query")?,
            headers: row.json("headers")?,
            body_size: row.number("body_size")?,
            received_at: row.millis("received_at")?,
            outcome: row.parsed("outcome")?,
            status: row.number("status")?,
            reason: row.text_opt("reason")?,
            delivery_id: row.text_opt("delivery_id")?,
            events: row.number("events")?,
        })
    }
}

/// What [`Packed`] reads of the dictionary of a request's body.
macro_rules! dictionary_columns {
    () => {
        "d.body as dictionary, d.encoding as dictionary_encoding"
    };
}

/// The dictionary of the body of the request `r`.
macro_rules! dictionary_join {
    () => {
        "left join dictionaries d on d.id = r.dictionary_id"
    };
}

pub(super) use {dictionary_columns, dictionary_join};

/// A row of packed bytes: `bytes` and `encoding`, which are null together, and of what these are
/// compressed against `dictionary` and `dictionary_encoding`.
pub(super) struct Packed {
    bytes: Option<Vec<u8>>,
    encoding: Option<String>,
    dictionary: Option<(Vec<u8>, String)>,
}

impl Packed {
    /// Of a row without a dictionary.
    pub(super) fn alone(row: &Row<'_>) -> Result<Packed, StoreError> {
        Ok(Packed {
            bytes: row.bytes_opt("bytes")?,
            encoding: row.text_opt("encoding")?,
            dictionary: None,
        })
    }

    pub(super) fn is_absent(&self) -> bool {
        self.bytes.is_none()
    }

    pub(super) fn unpacked(self) -> Result<Option<Bytes>, StoreError> {
        let Some(bytes) = self.bytes else {
            return Ok(None);
        };
        let dictionary = self.dictionary;
        let dictionary = dictionary.map(|(bytes, encoding)| unpack(bytes, &encoding));
        let encoding = self.encoding.as_deref().unwrap_or("plain");
        unpack_against(bytes, encoding, dictionary.transpose()?.as_deref()).map(Some)
    }
}

impl FromRow for Packed {
    fn from_row(row: &Row<'_>) -> Result<Packed, StoreError> {
        let dictionary = row.bytes_opt("dictionary")?;
        Ok(Packed {
            dictionary: dictionary.zip(row.text_opt("dictionary_encoding")?),
            ..Packed::alone(row)?
        })
    }
}
