//! One call, from its head to the arguments that it hands over.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request as HttpRequest, StatusCode};
use bytes::Bytes;

use super::caller::{Address, Found};
use super::content::{self, Sent};
use super::keep::{Asked, Key, Made, Wanted};
use super::logged;
use super::options::{self, Options};
use super::refusal::Refusal;
use super::routes::{Calls, How};
use crate::id::{RequestId, VersionId};
use crate::ingress::body::{self, Held, Reading};
use crate::model::{CallRequest, CalledVersion, NewCall, RequestOutcome, Runnable, RunnableState};
use crate::runnables::RunPolicy;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl Calls {
    /// Reads the call and makes its jobs. A refusal that the caller may know of stands in the log.
    pub(super) async fn take(
        self: &Arc<Self>,
        how: How,
        address: &Address<'_>,
        request: HttpRequest<Body>,
    ) -> Result<Made, Refusal> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let found = self.find(&parts.headers, query, address).await?;
        let now = self.parts.clock.now();
        let mut row = CallRequest {
            id: RequestId::generate(now),
            workspace_id: found.workspace.id.clone(),
            runnable_id: None,
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: options::logged(query),
            headers: logged::headers(&parts.headers),
            body_size: 0,
            received_at: now,
            outcome: RequestOutcome::Accepted,
            status: how.status().as_u16(),
            reason: None,
        };
        let incoming = Incoming {
            method: &parts.method,
            headers: parts.headers,
            query,
            body,
        };
        let made = self.read_and_make(how, found, incoming, &mut row).await;
        made.inspect_err(|refusal| self.log_refused(row, refusal))
    }

    async fn read_and_make(
        self: &Arc<Self>,
        how: How,
        found: Found,
        incoming: Incoming<'_>,
        row: &mut CallRequest,
    ) -> Result<Made, Refusal> {
        let CalledVersion {
            runnable,
            version_id,
            ..
        } = found.runnable?;
        let policy = self.policy_for(how, &runnable, &version_id, row).await?;
        let mut sent_options = Options::parse(incoming.query).map_err(Refusal::cut_off)?;
        let asked = Asked {
            timeout: sent_options.timeout,
            error_status: sent_options.error_status,
            cancel_on_disconnect: sent_options.cancel_on_disconnect,
        };
        let key = key_of(&incoming.headers, &mut sent_options).map_err(Refusal::cut_off)?;
        let Ok(place) = self.places.try_acquire() else {
            return Err(Refusal::unavailable("too many requests at once").cut_off());
        };
        let (body, held) = self.read_body(&incoming.headers, incoming.body).await?;
        row.body_size = body.len() as u64;
        let read = content::read(Sent {
            is_get: *incoming.method == Method::GET,
            headers: incoming.headers,
            body,
            options: sent_options,
            always: self.parts.include_headers.clone(),
            is_token_in_header: found.is_token_in_header,
            fixed: Vec::new(),
        })
        .await?;
        let shaped = self.shape(read).await?;
        drop((place, held));
        let wanted = Wanted {
            how,
            runnable,
            version_id,
            policy,
            token_id: Some(found.caller.token_id),
            key: key.map(Key::of_a_day),
            asked,
        };
        self.keep(wanted, shaped, row).await
    }

    /// How jobs of this version are run; a runnable that cannot answer now is refused to those who
    /// would wait for it. Of what is to leave no trace the row keeps neither query nor headers.
    pub(super) async fn policy_for(
        &self,
        how: How,
        runnable: &Runnable,
        version_id: &VersionId,
        row: &mut CallRequest,
    ) -> Result<RunPolicy, Refusal> {
        row.runnable_id = Some(runnable.id.clone());
        let read_policy = self.parts.executor.policy(version_id).await?;
        // A version that does not read fails at its attempt, where that is said.
        let policy = read_policy.unwrap_or(RunPolicy {
            retry: crate::backoff::RetryPolicy::default(),
            concurrency: 1,
            delete_after_use: false,
        });
        if how == How::Sync && policy.delete_after_use {
            // The log of requests is not to keep what the job does not.
            (row.query, row.headers) = (String::new(), "[]".to_owned());
        }
        if how == How::Sync && runnable.state == RunnableState::Disabled {
            let reason = runnable.state_reason.as_deref().unwrap_or("by an operator");
            let detail = format!("the runnable is disabled ({reason}), so its jobs wait");
            return Err(Refusal::of(StatusCode::CONFLICT, detail)
                .at("path")
                .cut_off());
        }
        Ok(policy)
    }

    /// The whole body, within limit and time.
    pub(super) async fn read_body(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, Held), Refusal> {
        let reading = Reading {
            announced: logged::announced(headers),
            limit: self.parts.body_max,
            within: self.parts.read_timeout,
            budget: &self.budget,
        };
        Ok(body::read(body, reading).await?)
    }

    /// The row is written after the answer, as those of refused requests are.
    pub(super) fn log_refused(&self, mut row: CallRequest, refusal: &Refusal) {
        row.outcome = RequestOutcome::Refused;
        row.status = refusal.status.as_u16();
        row.reason = Some(refusal.reason().to_owned());
        self.log_afterwards(row);
    }

    /// Writes a row after its answer: nothing was promised that it would prove.
    pub(super) fn log_afterwards(&self, row: CallRequest) {
        let Ok(permit) = Arc::clone(&self.refused_rows).try_acquire_owned() else {
            return;
        };
        let store = self.parts.store.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let call = NewCall {
                workspace_id: row.workspace_id.clone(),
                request: Some(row),
                key: None,
                jobs: Vec::new(),
                token_id: None,
            };
            if let Err(error) = store.call(call).await {
                tracing::warn!(%error, "the row of a request could not be kept");
            }
        });
    }
}

/// A request whose head was read.
struct Incoming<'a> {
    method: &'a Method,
    headers: HeaderMap,
    query: &'a str,
    body: Body,
}

/// The header, or else `?job_id=`.
pub(super) fn key_of(
    headers: &HeaderMap,
    options: &mut Options,
) -> Result<Option<String>, Refusal> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(options.key.take()),
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default();
            options::key(IDEMPOTENCY_KEY, text).map(Some)
        }
        (Some(_), Some(_)) => Err(Refusal::unreadable(
            IDEMPOTENCY_KEY,
            "it stands there twice",
        )),
    }
}
