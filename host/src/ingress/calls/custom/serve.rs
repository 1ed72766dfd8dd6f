//! One request under `/hooks/`, from its first byte to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request as HttpRequest, Response, StatusCode, header};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::cors;
use super::proof::{Arrived, Denied, Proven};
use super::shaping::{self, Outcome, Repeated, check_repeated};
use super::table::{Fit, Served};
use crate::id::RequestId;
use crate::ingress::answer;
use crate::ingress::body;
use crate::ingress::calls::call::key_of;
use crate::ingress::calls::content::{self, Sent};
use crate::ingress::calls::keep::{Asked, Key, Wanted};
use crate::ingress::calls::options::{self, Options};
use crate::ingress::calls::refusal::Refusal;
use crate::ingress::calls::reply;
use crate::ingress::calls::routes::{Calls, How};
use crate::ingress::calls::{logged, options::KEY_MAX};
use crate::model::{CallRequest, RequestOutcome, RouteAnswer, RouteMode, decoded_segments};

/// Who may not call is answered at the next beat, so that the time says nothing of what was looked at.
const BEAT: Duration = Duration::from_millis(20);

/// Calls a route: a path of a workspace's own, with the methods that the route names.
#[utoipa::path(method(get, post, put, patch, delete), path = "/hooks/{path}", tag = "routes",
    params(("path" = String, Path)),
    responses((status = 200, description = "the result of a synchronous route, or its own answer"),
        (status = 201, description = "the job's id")))]
pub(in crate::ingress::calls) async fn receive(
    State(calls): State<Arc<Calls>>,
    request: HttpRequest<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let answered = calls.serve_route(request).await;
    calls.counted(started, answered)
}

impl Calls {
    async fn serve_route(
        self: &Arc<Self>,
        request: HttpRequest<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let path = decoded_segments(parts.uri.path());
        let fitting = match &path {
            Some(path) => self.custom.fitting(&self.parts.store, path).await?,
            None => Vec::new(),
        };
        if parts.method == "OPTIONS" {
            return Ok(cors::preflight(&fitting, parts.headers).await);
        }
        let method = parts.method.as_str();
        let is_wanted = |fit: &&Fit| {
            let methods = &fit.served.route.content.methods;
            methods.iter().any(|one| one == method)
        };
        let Some(fit) = fitting.iter().find(is_wanted) else {
            return Err(self.refuse_stranger(&parts.headers, body).await);
        };
        let Ok(place) = self.places.try_acquire() else {
            return Err(Refusal::unavailable("too many requests at once").cut_off());
        };
        let (body, held) = self.read_body(&parts.headers, body).await?;
        let arrived = Arrived {
            method,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body: &body,
            at: self.parts.clock.now(),
        };
        let mut row = self.row_of(&fit.served, &arrived);
        let origin = cors::origin_for(&fit.served.route, arrived.headers);
        let answered = match origin {
            Ok(_) => {
                self.prove_and_run(fit, &arrived, &mut row, (place, held))
                    .await
            }
            Err(()) => {
                let detail = "pages of this origin may not call here";
                Err(Refusal::of(StatusCode::FORBIDDEN, detail).at("origin"))
            }
        };
        let mut response = answered.unwrap_or_else(|refusal| {
            self.count_refusal(&refusal);
            self.log_refused(row, &refusal);
            refusal.into_response()
        });
        cors::allow(&mut response, origin.ok().flatten());
        Ok(response)
    }

    async fn prove_and_run<P>(
        self: &Arc<Self>,
        fit: &Fit,
        arrived: &Arrived<'_>,
        row: &mut CallRequest,
        reading: P,
    ) -> Result<Response<Body>, Refusal> {
        let since = Instant::now();
        let Served { route, proof } = &*fit.served;
        let proven = match proof.check(self, route, arrived).await {
            Ok(proven) => proven,
            Err(Denied::Told(refusal)) => return Err(refusal),
            Err(Denied::Stranger(why)) => {
                at_the_beat(since).await;
                return Err(Refusal::stranger().because(why));
            }
        };
        if proven.is_answered {
            return Ok(self.answer_only(row, proven.reply));
        }
        let (runnable, preprocessor) = self.parts.store.route_targets(route).await?;
        let Some(runnable) = runnable else {
            return Ok(self.answer_only(row, route.content.spec.answer.as_ref().map(as_reply)));
        };
        let mut how = match route.content.spec.mode {
            RouteMode::Async => How::Async,
            RouteMode::Sync => How::Sync,
        };
        let version_id = runnable.version_id.clone();
        // Its parameters are arguments, which are not to be left there by one that leaves no trace.
        let sent_path = std::mem::replace(&mut row.path, route.content.path.as_str().to_owned());
        let policy = self.policy_for(how, &runnable, &version_id, row).await?;
        if how == How::Async || !policy.delete_after_use {
            row.path = sent_path;
        }
        let asked = Asked {
            timeout: route.content.spec.timeout_ms.map(Duration::from_millis),
            error_status: route.content.spec.error_status,
            cancel_on_disconnect: false,
        };
        let key = key_for(fit, arrived.headers, &proven)?;
        let read = content::read(self.sent(fit, arrived, &proven)).await?;
        let mut shaped = self.shape(read).await?;
        drop(reading);
        let repeated = match (&preprocessor, &key) {
            (Some(preprocessor), Some(key)) => {
                self.repeated(&runnable, preprocessor, &key.text).await?
            }
            _ => None,
        };
        if let Some(repeated) = &repeated {
            // Nothing is made of it: its key stands for what was made.
            (shaped.arguments, shaped.jobs, shaped.files) = (Vec::new(), Vec::new(), None);
            if *repeated == Repeated::Answered {
                how = How::Sync;
            }
        } else if let Some(preprocessor) = preprocessor {
            let mut hidden = proof.masked_headers(self);
            hidden.extend(proof.masked_query().into_iter().map(str::to_owned));
            hidden.push("token".to_owned());
            let about = shaping::about(fit, arrived, &hidden);
            let waits = self.wait_place()?;
            let outcome = self
                .preprocess(preprocessor, (shaped, asked), &about, row)
                .await?;
            drop(waits);
            shaped = match outcome {
                Outcome::Arguments(shaped) => shaped,
                Outcome::Answer(response, job) => {
                    row.status = response.status().as_u16();
                    let is_known = proven.token_id.is_none() && response.status().is_success();
                    match key.filter(|_| is_known) {
                        Some(key) => self.keep_answered(row, &runnable, key, job).await?,
                        None => self.log_answered(row),
                    }
                    return Ok(response);
                }
            };
        }
        let wanted = Wanted {
            how,
            runnable,
            version_id,
            policy,
            token_id: proven.token_id,
            key,
            asked,
        };
        let reply = route
            .content
            .spec
            .answer
            .as_ref()
            .map(as_reply)
            .or(proven.reply);
        if how == How::Sync {
            let _waits = self.wait_place()?;
            let mut made = self.keep(wanted, shaped, row).await?;
            check_repeated(repeated.as_ref(), &made)?;
            return Ok(self.answer_made(&mut made).await.unwrap_or_else(|refusal| {
                // Its row is there already and was put right.
                self.count_refusal(&refusal);
                refusal.into_response()
            }));
        }
        row.status = reply
            .as_ref()
            .map_or(how.status().as_u16(), |reply| reply.status);
        let made = self.keep(wanted, shaped, row).await?;
        check_repeated(repeated.as_ref(), &made)?;
        Ok(match reply {
            Some(reply) => answer::reply(reply),
            None => Calls::answer_ids(&made),
        })
    }

    /// What is handed over: what was sent, and beside it what the route says.
    fn sent(&self, fit: &Fit, arrived: &Arrived<'_>, proven: &Proven) -> Sent {
        let spec = &fit.served.route.content.spec;
        let sent_query = form_urlencoded::parse(arrived.query.as_bytes());
        let mut payload = None;
        let mut include_query = Vec::new();
        for (name, value) in sent_query {
            if spec.include_query.iter().any(|wanted| *wanted == name) {
                include_query.push((name.into_owned(), value.into_owned()));
            } else if name == "payload" {
                payload = Some(value.into_owned());
            }
        }
        let hidden = fit.served.proof.masked_headers(self);
        let is_shown = |name: &&String| !hidden.iter().any(|one| one.eq_ignore_ascii_case(name));
        Sent {
            is_get: arrived.method == "GET",
            headers: arrived.headers.clone(),
            body: arrived.body.clone(),
            options: Options {
                include_headers: {
                    let wanted = spec.include_headers.iter();
                    wanted.filter(is_shown).cloned().collect()
                },
                include_query,
                wrap_body: spec.wrap_body,
                raw: spec.raw,
                payload,
                ..Options::default()
            },
            always: self
                .parts
                .include_headers
                .iter()
                .filter(is_shown)
                .cloned()
                .collect(),
            is_token_in_header: proven.is_token_in_header,
            fixed: fit.parameters.clone(),
        }
    }

    /// The row of a request, as it is if all goes well.
    fn row_of(&self, served: &Served, arrived: &Arrived<'_>) -> CallRequest {
        let masked = served.proof.masked_headers(self);
        CallRequest {
            id: RequestId::generate(arrived.at),
            workspace_id: served.route.workspace_id.clone(),
            runnable_id: served.route.content.runnable_id.clone(),
            method: arrived.method.to_owned(),
            path: arrived.path.to_owned(),
            query: options::logged_without(arrived.query, &served.proof.masked_query()),
            headers: logged::headers_without(arrived.headers, &masked),
            body_size: arrived.body.len() as u64,
            received_at: arrived.at,
            outcome: RequestOutcome::Accepted,
            status: StatusCode::OK.as_u16(),
            reason: None,
        }
    }

    /// An answer to a request that runs nothing.
    fn answer_only(
        &self,
        row: &mut CallRequest,
        reply: Option<trigger_plugin_abi::host::Reply>,
    ) -> Response<Body> {
        let response = match reply {
            Some(reply) => answer::reply(reply),
            None => Response::new(Body::empty()),
        };
        row.status = response.status().as_u16();
        self.log_answered(row);
        response
    }

    fn log_answered(&self, row: &CallRequest) {
        self.parts.metrics.calls.increment("answered");
        self.log_afterwards(CallRequest {
            outcome: RequestOutcome::Answered,
            ..row.clone()
        });
    }

    /// Reads a request that is for nobody here as one with a bad signature would be read.
    async fn refuse_stranger(&self, headers: &HeaderMap, body: Body) -> Refusal {
        let Ok(_place) = self.strangers.try_acquire() else {
            return Refusal::stranger().cut_off();
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.decoy)
            .expect("invariant: HMAC takes keys of any length");
        let bounds = (self.parts.body_max, self.parts.read_timeout);
        let announced = logged::announced(headers);
        let read = body::pass_through(body, announced, bounds, |piece| mac.update(piece));
        if let Err(error) = read.await {
            return error.into();
        }
        let since = Instant::now();
        let _ = std::hint::black_box(mac.finalize());
        at_the_beat(since).await;
        Refusal::stranger()
    }
}

async fn at_the_beat(since: Instant) {
    let took = since.elapsed().as_nanos();
    let beats = took / BEAT.as_nanos() + 1;
    let until = since + BEAT * u32::try_from(beats).unwrap_or(u32::MAX);
    tokio::time::sleep_until(until.into()).await;
}

/// What a request is recognised by when it comes again. One route's marks are not another's.
fn key_for(fit: &Fit, headers: &HeaderMap, proven: &Proven) -> Result<Option<Key>, Refusal> {
    let own = |text: &str| {
        let named = format!("{}:{text}", fit.served.route.id);
        match named.len() <= KEY_MAX {
            true => named,
            // A longer one is as good by its digest.
            false => format!(
                "{}#{}",
                fit.served.route.id,
                hex::encode(Sha256::digest(text))
            ),
        }
    };
    if let Some((id, window)) = &proven.delivery {
        let mut key = Key::of_a_day(own(id));
        key.window = window.unwrap_or(key.window);
        return Ok(Some(key));
    }
    if !proven.may_mark {
        return Ok(None);
    }
    let marked = key_of(headers, &mut Options::default())?;
    Ok(marked.map(|text| Key::of_a_day(own(&text))))
}

fn as_reply(answer: &RouteAnswer) -> trigger_plugin_abi::host::Reply {
    let mut headers: Vec<(String, String)> = answer.headers.clone().into_iter().collect();
    if !answer.body.is_empty() {
        let kind = answer.headers.get(header::CONTENT_TYPE.as_str());
        if kind.is_none() {
            let text = "text/plain; charset=utf-8";
            headers.push((header::CONTENT_TYPE.to_string(), text.to_owned()));
        }
        headers.extend(reply::sandbox_for(
            kind.map_or("text/plain", String::as_str),
        ));
        let nosniff = header::X_CONTENT_TYPE_OPTIONS.to_string();
        headers.push((nosniff, "nosniff".to_owned()));
    }
    trigger_plugin_abi::host::Reply {
        status: answer.status,
        headers,
        body: Bytes::from(answer.body.clone()).to_vec(),
    }
}
