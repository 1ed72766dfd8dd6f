//! One request at an endpoint, from its first byte to its answer.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, Request as HttpRequest, Response, StatusCode, header};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::{CallError, Dispatched, Request};
use trigger_plugin_api::messages::SOCKET_MESSAGE;

use super::answer;
use super::body::{self, BodyError, Reading};
use super::endpoints::Ingress;
use super::opened::{OpenError, Opened, Reader};
use super::record::{self, Arrived};
use crate::id::{EndpointId, RequestId};
use crate::kill_points::{Step, reached};
use crate::model::{Append, Appended};
use crate::plugins::{Found, LiveProvider};

impl Ingress {
    pub(super) async fn answer(
        &self,
        provider: &str,
        endpoint: &str,
        request: HttpRequest<Body>,
    ) -> Response<Body> {
        // The host's own word for what came over a connection that it made itself.
        if request.method() == SOCKET_MESSAGE {
            return not_found();
        }
        let live = match self.registry.find(provider) {
            Found::Live(live) => live,
            Found::Down => {
                return answer::unavailable("the provider is not available at the moment");
            }
            Found::Unknown => return not_found(),
        };
        if let Err(wait) = live.admit(Instant::now()) {
            return answer::later(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests for this provider",
                wait,
            );
        }
        let (parts, body) = request.into_parts();
        // Who names no endpoint takes no place and no memory from those who do.
        let found = match endpoint.parse::<EndpointId>() {
            Ok(endpoint) => self.opened.find(&live, &endpoint).await,
            Err(_) => Ok(None),
        };
        let opened = match found {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.answer_stranger(&live, parts, body).await,
            Err(error) => return self.cannot_open(&live, &error),
        };
        let Ok(_place) = self.places.try_acquire() else {
            return answer::unavailable("too many requests at once");
        };
        let reading = Reading {
            announced: announced(&parts.headers),
            limit: live.limits.body_max,
            within: self.read_timeout,
            budget: &self.budget,
        };
        let (body, _held) = match body::read(body, reading).await {
            Ok(read) => read,
            Err(error) => return unreadable(&error),
        };
        let arrived = self.arrived(parts, body);
        self.read(&live, opened, &arrived).await
    }

    fn arrived(&self, parts: http::request::Parts, body: Bytes) -> Arrived {
        let at = self.clock.now();
        Arrived {
            id: RequestId::generate(at),
            at,
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body,
        }
    }

    /// 404 after the time that a request with a bad signature takes.
    async fn answer_stranger(
        &self,
        live: &LiveProvider,
        parts: http::request::Parts,
        body: Body,
    ) -> Response<Body> {
        let Ok(_place) = self.strangers.try_acquire() else {
            return answer::cut_off(StatusCode::NOT_FOUND, NO_ENDPOINT);
        };
        let announced = announced(&parts.headers);
        match body::pass_by(body, announced, live.limits.body_max, self.read_timeout).await {
            Ok((beginning, rest)) => {
                let arrived = self.arrived(parts, beginning);
                live_request(&arrived, |request| live.dispatch_decoy(request));
                hash_as_many(rest);
                not_found()
            }
            Err(error) => unreadable(&error),
        }
    }

    async fn read(
        &self,
        live: &LiveProvider,
        opened: Arc<Opened>,
        arrived: &Arrived,
    ) -> Response<Body> {
        match live_request(arrived, |request| opened.dispatch(live, request)) {
            Ok(read) => self.keep(live, &opened, arrived, read).await,
            Err(error) if error.code == codes::UNAUTHENTICATED => {
                self.read_again(live, opened, arrived, error).await
            }
            Err(error) => self.refuse(live, &opened, arrived, &error),
        }
    }

    /// The secret may have been changed a moment ago: one look at the row, and one more reading if
    /// it did change.
    async fn read_again(
        &self,
        live: &LiveProvider,
        before: Arc<Opened>,
        arrived: &Arrived,
        error: CallError,
    ) -> Response<Body> {
        let endpoint = before.subscription.endpoint.clone();
        let again = match self
            .opened
            .find_again(live, &endpoint, Arc::clone(&before))
            .await
        {
            Ok(Some(again)) => again,
            Ok(None) => return not_found(),
            Err(error) => return self.cannot_open(live, &error),
        };
        if Arc::ptr_eq(&again, &before) {
            return self.refuse(live, &before, arrived, &error);
        }
        match live_request(arrived, |request| again.dispatch(live, request)) {
            Ok(read) => self.keep(live, &again, arrived, read).await,
            Err(error) => self.refuse(live, &again, arrived, &error),
        }
    }

    async fn keep(
        &self,
        live: &LiveProvider,
        opened: &Opened,
        arrived: &Arrived,
        (dispatched, reader): (Dispatched, &Reader),
    ) -> Response<Body> {
        // Other methods are for challenges: what happened is told by POST.
        if !dispatched.events.is_empty() && arrived.method != "POST" {
            return answer::problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "events are taken by POST alone",
            );
        }
        let (append, reply) =
            record::accepted(arrived, &opened.subscription, &live.facts, dispatched);
        let (events, outcome) = (append.events.len(), append.request.outcome);
        let wakes = append.wake;
        let started = Instant::now();
        reached(Step::Verified);
        let appended = self.store.append(append).await;
        reached(Step::Kept);
        self.metrics.commit_latency.observe(started.elapsed());
        match appended {
            Ok(Appended::Stored { waiting }) => {
                self.metrics.requests.increment(outcome.as_str());
                if events > 0 {
                    self.metrics.events.add(events as u64);
                    let unmatched = (events - waiting) as u64;
                    self.metrics.events_handled.add("unmatched", unmatched);
                }
                if waiting > 0 {
                    self.events_wake.notify_one();
                }
                if wakes {
                    self.sync_wake.notify_one();
                }
                self.learn(live, reader.registration.as_ref(), &arrived.headers);
                match reply {
                    Some(reply) => answer::reply(reply),
                    None => answer::kept(arrived.id.as_str()),
                }
            }
            Ok(Appended::Duplicate { request_id }) => {
                self.metrics.requests.increment("duplicate");
                match reply {
                    Some(reply) => answer::reply(reply),
                    None => answer::kept(request_id.as_str()),
                }
            }
            Ok(Appended::Fenced) => answer::unavailable("the request could not be kept"),
            Err(error) => {
                tracing::error!(
                    provider = &*live.name,
                    subscription = %opened.subscription.id,
                    request = %arrived.id,
                    error = display_chain(&error),
                    "a request could not be kept and was answered 503",
                );
                answer::unavailable("the request could not be kept: send it again")
            }
        }
    }

    fn refuse(
        &self,
        live: &LiveProvider,
        opened: &Opened,
        arrived: &Arrived,
        error: &CallError,
    ) -> Response<Body> {
        self.metrics.requests.increment("refused");
        let (response, status) = match error.code {
            codes::UNAUTHENTICATED => (
                answer::problem(
                    StatusCode::UNAUTHORIZED,
                    "the request is not signed as it should be",
                ),
                401,
            ),
            codes::INVALID_INPUT | codes::UNSUPPORTED => (
                answer::problem(StatusCode::BAD_REQUEST, "the request cannot be read"),
                400,
            ),
            _ => (
                answer::unavailable("the provider is not available at the moment"),
                503,
            ),
        };
        let row = record::refused(
            arrived,
            &opened.subscription,
            &live.facts,
            status,
            error.message.clone(),
        );
        self.keep_refused(row);
        response
    }

    /// The row is written after the answer: a request that is not genuine waits for no commit.
    fn keep_refused(&self, row: Append) {
        let Ok(permit) = Arc::clone(&self.refused_rows).try_acquire_owned() else {
            tracing::debug!("the row of a refused request was left out: too many came at once");
            return;
        };
        let store = self.store.clone();
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = store.append(row).await {
                tracing::warn!(
                    error = display_chain(&error),
                    "the row of a refused request could not be kept"
                );
            }
        });
    }

    fn cannot_open(&self, live: &LiveProvider, error: &OpenError) -> Response<Body> {
        tracing::error!(
            provider = &*live.name,
            error = display_chain(error),
            "a subscription could not be opened"
        );
        answer::unavailable("the subscription is not available at the moment")
    }
}

const NO_ENDPOINT: &str = "there is no such endpoint";

pub(super) fn not_found() -> Response<Body> {
    answer::problem(StatusCode::NOT_FOUND, NO_ENDPOINT)
}

/// A signature is over all of a body, and the decoy saw its beginning alone: as many bytes more are
/// hashed, or the time would tell of a large body whether somebody read it.
fn hash_as_many(bytes: usize) {
    const PIECE: [u8; 16 << 10] = [0; 16 << 10];
    let mut hash = Sha256::new();
    let mut left = bytes;
    while left > 0 {
        let now = left.min(PIECE.len());
        hash.update(&PIECE[..now]);
        left -= now;
    }
    let _ = std::hint::black_box(hash.finalize());
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn unreadable(error: &BodyError) -> Response<Body> {
    let status = match error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::Broken => StatusCode::BAD_REQUEST,
        BodyError::Crowded => return answer::unavailable(&error.to_string()),
    };
    answer::cut_off(status, &error.to_string())
}

/// Lends the request to a call into the provider.
fn live_request<T>(arrived: &Arrived, call: impl FnOnce(&Request<'_>) -> T) -> T {
    let headers: Vec<(&str, &[u8])> = arrived
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    call(&Request {
        method: &arrived.method,
        path: &arrived.path,
        query: &arrived.query,
        headers: &headers,
        body: &arrived.body,
        received_at_ms: arrived.at.0,
    })
}

pub(super) fn display_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
