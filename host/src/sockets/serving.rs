//! One open connection: reads, keeps what it reads, gives signs of life, sends what goes back.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::connection::{Connection, Prepared};
use super::intake::{self, Kept};
use super::pauses::GOOD;
use super::replies::Replies;
use super::spec::Heartbeat;
use crate::model::Append;
use crate::outbound::{Frame, Socket, SocketError};

/// So many messages are being committed at once; then no more are read until one is.
const COMMITTING_MAX: usize = 64;
/// The same in bytes.
const COMMITTING_BYTES_MAX: usize = 8 << 20;
/// Who does not take what is sent to it for so long is dead.
const SEND_MAX: Duration = Duration::from_secs(10);
/// While something may go back, it is looked for this often.
const REPLIES_EVERY: Duration = Duration::from_millis(200);

/// How a connection ended.
pub(super) enum End {
    /// It is not wanted any more.
    Stopped,
    /// Somebody else holds it.
    Lost,
    Failed(String),
    /// The same, and not one sign of life ever came over it.
    Mute(String),
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> End {
        End::Failed(error.chain())
    }
}

/// One open connection.
pub(super) struct Serving<'a> {
    of: &'a Connection,
    prepared: Prepared,
    /// Without its query, which may hold a secret.
    shown_url: String,
    committing: FuturesOrdered<BoxFuture<'a, (Kept, usize)>>,
    committing_bytes: usize,
    /// The last value of the field that the heartbeat names.
    state: Value,
    heard: Instant,
    /// Cancelled with the first sign of life.
    alive: CancellationToken,
    replies: Replies,
}

impl<'a> Serving<'a> {
    /// `alive` is cancelled when something comes over it.
    pub(super) fn new(
        of: &'a Connection,
        prepared: Prepared,
        url: &Url,
        alive: CancellationToken,
    ) -> Serving<'a> {
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        Serving {
            of,
            shown_url: shown.to_string(),
            committing: FuturesOrdered::new(),
            committing_bytes: 0,
            state: Value::Null,
            heard: Instant::now(),
            alive,
            replies: Replies::new(prepared.spec.reply),
            prepared,
        }
    }

    pub(super) async fn run(mut self, mut socket: Socket, stop: &CancellationToken) -> End {
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopped,
            end = self.serve(&mut socket) => end,
        };
        match &end {
            End::Stopped | End::Lost => socket.leave().await,
            End::Failed(_) | End::Mute(_) => {}
        }
        // What was read and is being committed stays so; what is not yet is sent again by nobody.
        if !matches!(end, End::Lost) {
            let _ = tokio::time::timeout(SEND_MAX, async {
                while self.committing.next().await.is_some() {}
            })
            .await;
        }
        end
    }

    async fn serve(&mut self, socket: &mut Socket) -> End {
        let idle = self.prepared.spec.idle();
        let heartbeat = self.prepared.spec.heartbeat.clone();
        let mut beats = every(heartbeat.as_ref().map_or(idle, Heartbeat::every));
        let mut signs = every(idle / 2);
        let mut looks = every(REPLIES_EVERY);
        // A server that has nothing to say shows soon that it is there.
        let mut first_sign = pin!(tokio::time::sleep(GOOD / 2));
        let mut is_asked = false;
        loop {
            let has_room = self.committing.len() < COMMITTING_MAX
                && self.committing_bytes < COMMITTING_BYTES_MAX;
            let done = tokio::select! {
                Some((kept, bytes)) = self.committing.next(), if !self.committing.is_empty() => {
                    self.committing_bytes -= bytes;
                    self.settle(kept, has_room)
                }
                frame = socket.next(), if has_room => match frame {
                    Ok(frame) => self.take(frame),
                    Err(error) => {
                        socket.close(&error).await;
                        Err(error.into())
                    }
                },
                _ = beats.tick(), if heartbeat.is_some() => match &heartbeat {
                    Some(heartbeat) => {
                        send(socket, Frame::Text(heartbeat.filled(&self.state))).await
                    }
                    None => Ok(()),
                },
                () = &mut first_sign, if !is_asked => {
                    is_asked = true;
                    match self.alive.is_cancelled() {
                        true => Ok(()),
                        false => send(socket, Frame::Ping).await,
                    }
                }
                _ = signs.tick() => self.mind_silence(socket, idle, has_room).await,
                _ = looks.tick(), if self.replies.are_waited_for() => self.reply(socket).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), End> {
        self.heard = Instant::now();
        self.alive.cancel();
        let (bytes, is_text) = match frame {
            Frame::Text(text) => {
                self.note_state(&text);
                (Bytes::from(text), true)
            }
            Frame::Binary(bytes) => (bytes, false),
            Frame::Ping | Frame::Pong => return Ok(()),
        };
        let inner = &self.of.inner;
        if !inner.lease.is_good() {
            return Err(End::Lost);
        }
        inner.parts.metrics.socket_messages.increment();
        let append = self.read(bytes, is_text);
        let size = append.request.body_size as usize + 1024;
        self.replies.expect(&append.events);
        self.committing_bytes += size;
        let keeping = intake::keep(inner, append, self.of.held.fence);
        self.committing
            .push_back(Box::pin(async move { (keeping.await, size) }));
        Ok(())
    }

    fn read(&self, bytes: Bytes, is_text: bool) -> Append {
        intake::Message {
            live: &self.of.live,
            prepared: &self.prepared,
            url: &self.shown_url,
            at: self.of.inner.parts.clock.now(),
            is_text,
            bytes,
        }
        .read()
    }

    fn settle(&mut self, kept: Kept, had_room: bool) -> Result<(), End> {
        if !had_room {
            // While nothing was read, nothing could be heard.
            self.heard = Instant::now();
        }
        match kept {
            Kept::Kept => Ok(()),
            Kept::Lost => Err(End::Lost),
        }
    }

    fn note_state(&mut self, text: &str) {
        let heartbeat = self.prepared.spec.heartbeat.as_ref();
        let Some(field) = heartbeat.and_then(|heartbeat| heartbeat.state.as_deref()) else {
            return;
        };
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        match message.get(field) {
            None | Some(Value::Null) => {}
            Some(value) => self.state = value.clone(),
        }
    }

    async fn mind_silence(
        &mut self,
        socket: &mut Socket,
        idle: Duration,
        has_room: bool,
    ) -> Result<(), End> {
        let silent_for = self.heard.elapsed();
        if has_room && silent_for > idle {
            let seconds = idle.as_secs_f64();
            let why = format!("the server gave no sign of life for {seconds} s");
            return Err(match self.alive.is_cancelled() {
                true => End::Failed(why),
                false => End::Mute(why),
            });
        }
        match silent_for > idle / 4 {
            true => send(socket, Frame::Ping).await,
            false => Ok(()),
        }
    }

    async fn reply(&mut self, socket: &mut Socket) -> Result<(), End> {
        let (store, workspace) = (&self.of.inner.parts.store, &self.of.held.workspace_id);
        match self.replies.look(store, workspace).await {
            Ok(texts) => {
                for text in texts {
                    send(socket, Frame::Text(text)).await?;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "what goes back over a connection was not found yet");
            }
        }
        Ok(())
    }
}

async fn send(socket: &mut Socket, frame: Frame) -> Result<(), End> {
    match tokio::time::timeout(SEND_MAX, socket.send(frame)).await {
        Ok(sent) => sent.map_err(End::from),
        Err(_) => Err(End::Failed("the server takes nothing any more".to_owned())),
    }
}

fn every(period: Duration) -> Interval {
    let period = period.max(Duration::from_millis(50));
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
