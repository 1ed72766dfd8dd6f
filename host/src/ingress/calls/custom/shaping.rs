//! Arguments that a runnable shapes before another one gets them: its result is the arguments, or an
//! answer of its own, after which nothing else is run.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::proof::Arrived;
use super::table::Fit;
use crate::id::JobId;
use crate::ingress::calls::arguments::{Arguments, REQUEST};
use crate::ingress::calls::keep::{Asked, Key, Made, Shaped, Wanted};
use crate::ingress::calls::refusal::Refusal;
use crate::ingress::calls::reply;
use crate::ingress::calls::routes::{Calls, How};
use crate::model::{CallKey, CallRequest, JobState, NewCall, RequestOutcome, Runnable};

/// What came of it.
pub(super) enum Outcome {
    Arguments(Shaped),
    /// With the job whose answer it is.
    Answer(Response<Body>, JobId),
}

/// What a request that comes again was, the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    /// Its arguments were shaped, and handed over.
    HandedOver,
    /// What was to shape them answered by itself, which is its answer again.
    Answered,
}

impl Calls {
    /// Whether a request with this key came before: its arguments are not shaped a second time.
    pub(super) async fn repeated(
        &self,
        runnable: &Runnable,
        preprocessor: &Runnable,
        key: &str,
    ) -> Result<Option<Repeated>, Refusal> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let workspace = &runnable.workspace_id;
        let found = store
            .jobs_of_key((workspace, &runnable.id), key, now)
            .await?;
        let Some(jobs) = found else {
            return Ok(None);
        };
        let job = match jobs.first() {
            Some(job) => store.job(workspace, job).await?,
            None => None,
        };
        let is_answered = job.is_some_and(|job| job.runnable_id == preprocessor.id);
        Ok(Some(match is_answered && preprocessor.id != runnable.id {
            true => Repeated::Answered,
            false => Repeated::HandedOver,
        }))
    }

    /// Keeps the key of a request that was answered without what it calls, with its row.
    pub(super) async fn keep_answered(
        &self,
        row: &CallRequest,
        runnable: &Runnable,
        key: Key,
        job: JobId,
    ) -> Result<(), Refusal> {
        self.parts.metrics.calls.increment("answered");
        let call = NewCall {
            workspace_id: row.workspace_id.clone(),
            request: Some(CallRequest {
                outcome: RequestOutcome::Answered,
                ..row.clone()
            }),
            key: Some(CallKey {
                key: key.text,
                runnable_id: runnable.id.clone(),
                jobs: vec![job],
                expires_at: self.parts.clock.now().plus(key.window),
            }),
            jobs: Vec::new(),
            token_id: None,
        };
        self.parts.store.call(call).await?;
        Ok(())
    }

    /// Runs `preprocessor` once for each event of a call, and waits.
    pub(super) async fn preprocess(
        self: &Arc<Self>,
        preprocessor: Runnable,
        (shaped, asked): (Shaped, Asked),
        about: &Value,
        row: &CallRequest,
    ) -> Result<Outcome, Refusal> {
        // Its row says what the request was about in the end.
        let mut beside = row.clone();
        let version_id = preprocessor.version_id.clone();
        let policy = self
            .policy_for(How::Sync, &preprocessor, &version_id, &mut beside)
            .await?;
        let mut arguments = Vec::with_capacity(shaped.arguments.len());
        for mut given in shaped.arguments {
            given.set(REQUEST, about);
            let passed = given.clone();
            let wanted = Wanted {
                how: How::Sync,
                runnable: preprocessor.clone(),
                version_id: version_id.clone(),
                policy,
                token_id: None,
                key: None,
                asked: Asked {
                    // Nothing comes of it without its caller.
                    cancel_on_disconnect: true,
                    ..asked
                },
            };
            let order = Shaped {
                arguments: vec![given],
                jobs: vec![JobId::generate(self.parts.clock.now())],
                is_batch: false,
                files: None,
            };
            let mut made = self.keep_beside(wanted, order, row).await?;
            let ended = self.wait(&mut made).await.map_err(not_in_time);
            self.wipe(&made);
            let ended = ended?;
            let (Some(ended), Some(job)) = (ended.first(), made.jobs.first()) else {
                return Err(failed(None));
            };
            if ended.state != JobState::Done {
                return Err(failed(Some(job)));
            }
            let result = ended.result.clone().unwrap_or_default();
            if let Some(answer) = reply::shaped(&result)? {
                return Ok(Outcome::Answer(answer, job.clone()));
            }
            let read = Arguments::of_result(&result, &passed);
            arguments.push(read.map_err(|_| failed(Some(job)))?);
        }
        Ok(Outcome::Arguments(Shaped {
            arguments,
            jobs: shaped.jobs,
            is_batch: shaped.is_batch,
            files: shaped.files,
        }))
    }
}

/// Refuses a request whose key was over when it was to be kept: it is a new one when it comes again.
pub(super) fn check_repeated(repeated: Option<&Repeated>, made: &Made) -> Result<(), Refusal> {
    match repeated.is_some() && !made.is_repeated {
        true => Err(Refusal::unavailable("send it again")),
        false => Ok(()),
    }
}

fn failed(job: Option<&JobId>) -> Refusal {
    let detail = "the runnable that shapes the arguments failed, so nothing was run";
    let mut refusal = Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, detail);
    refusal.job = job.map(ToString::to_string);
    refusal
}

fn not_in_time(refusal: Refusal) -> Refusal {
    if refusal.status != StatusCode::GATEWAY_TIMEOUT {
        return refusal;
    }
    let detail = "the arguments were not shaped in time, so nothing was run";
    let mut told = Refusal::of(refusal.status, detail);
    told.job = refusal.job;
    told
}

/// What a preprocessor is told of a request; nothing that proves who sent it.
pub(super) fn about(fit: &Fit, arrived: &Arrived<'_>, hidden: &[String]) -> Value {
    let route = &fit.served.route;
    let parameters: Map<String, Value> = fit
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let query: Map<String, Value> = form_urlencoded::parse(arrived.query.as_bytes())
        .filter(|(name, _)| !hidden.iter().any(|hidden| *hidden == *name))
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    json!({
        "route": route.name,
        "path": arrived.path,
        "method": arrived.method,
        "parameters": parameters,
        "query": query,
        "headers": headers(arrived.headers, hidden),
    })
}

fn headers(headers: &HeaderMap, hidden: &[String]) -> Map<String, Value> {
    let mut shown = Map::new();
    for name in headers.keys() {
        let name = name.as_str();
        let is_hidden = matches!(name, "authorization" | "cookie" | "proxy-authorization")
            || hidden
                .iter()
                .any(|hidden| hidden.eq_ignore_ascii_case(name));
        if is_hidden {
            continue;
        }
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        shown.insert(name.to_owned(), values.join(", ").into());
    }
    shown
}
